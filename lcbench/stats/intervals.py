"""95% intervals of a mean, and of what is made of means."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lcbench.stats.bootstrap import bca
from lcbench.stats.clusters import Clusters, Values, by_cluster, shared, variance_of_mean
from lcbench.stats.points import Z95, student_t

Row = TypeVar("Row")
FEW, MANY = 50, 2000  # clusters below which a bootstrap is too narrow, and above which it says what the formula says


@dataclass(frozen=True)
class Interval:
    """A 95% interval and how it came about: "wilson", "wilson-t" or "bca", "cluster-wilson-t" or "cluster-bootstrap"
    where samples share clusters.
    """

    low: float
    high: float
    method: str


def mean_interval(values: Values, clusters: Clusters | None = None) -> Interval:
    """The 95% interval of the mean of verdicts in [0, 1], as shares. Samples of one cluster are one draw.

    Wilson's for pass/fail verdicts that share no cluster, else that of `bounded`. Raises ValueError without values, or
    where the clusters are not as many.
    """
    sums, counts = by_cluster(values, clusters)
    if pass_fail(values) and not shared(counts):
        return Interval(*wilson(sums.tolist()), "wilson")
    return bounded(sums, counts, 0.0, 1.0)


def pass_fail(values: Values) -> bool:
    return all(v in (0, 1) for v in values)


def bounded(sums: np.ndarray, counts: np.ndarray, least: float, most: float) -> Interval:
    """The 95% interval of sum(sums) / sum(counts), the mean of values that lie between least and most.

    BCa bootstrap of clusters (of values, where none is shared); below 50 clusters `wilson_t`, which by simulation
    (lcbench.stats.coverage) is nearer to 95% there than BCa, and shorter than bootstrap-t; above 2,000, where they
    agree, as well.
    """
    shares, prefix = (sums - least * counts) / (most - least), "cluster-" if shared(counts) else ""
    if FEW <= len(sums) <= MANY and variance_of_mean(sums, counts) > 1e-24:
        (low, high), method = bca(shares, counts), "cluster-bootstrap" if prefix else "bca"
    else:
        (low, high), method = wilson_t(shares, counts), f"{prefix}wilson-t"
    return Interval(least + (most - least) * low, least + (most - least) * high, method)


def wilson_t(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Wilson's 95% interval of sum(sums) / sum(counts), a share, at its effective sample size.

    The size at which pass/fail samples would have the variance that the clusters show, times (z / t)^2 with Student's
    t of G - 1 degrees: Korn and Graubard 1998, Survey Methodology 24; with Wilson's interval, Dean and Pagano 2015,
    Journal of Survey Statistics and Methodology 3. Clusters that are all alike show no variance: `none_differs`.
    """
    g, p = len(sums), float(sums.sum() / counts.sum())
    variance = variance_of_mean(sums, counts) if g > 1 else 0.0
    if variance < 1e-24:
        return none_differs(p, g)
    return score_interval(p, p * (1 - p) / variance * (Z95 / student_t(g - 1)) ** 2)


def none_differs(mean: float, g: int, least: float = 0.0) -> tuple[float, float]:
    """The 95% interval of a mean of g clusters that are all alike, of values between least and 1: as many may differ,
    and as far as can be, as Wilson's interval of 0 of g leaves.
    """
    differ = score_interval(0.0, g)[1]
    return mean - differ * (mean - least), mean + differ * (1 - mean)


def wilson(values: Sequence[float]) -> tuple[float, float]:
    """The 95% score interval of a mean of verdicts in [0, 1] (Wilson 1927, eq. 4), as shares.

    Exact in form for pass/fail. Graded verdicts vary no more than pass/fail ones of the same mean, so that the
    interval is then on the wide side. Raises ValueError without values.
    """
    if len(values) == 0:
        raise ValueError("an interval needs at least one value")
    return score_interval(sum(values) / len(values), len(values))


def score_interval(p: float, n: float) -> tuple[float, float]:
    """Wilson's 95% interval of a share p of n, which need not be whole."""
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_of_means(parts: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """The unweighted mean of independent means, each (mean, low, high), with its interval recovered from theirs.

    MOVER: Zou and Donner 2008, Statistics in Medicine 27, eq. 2, for a sum of more than two terms. In the unit of the
    parts. Raises ValueError without parts.
    """
    k = len(parts)
    if k == 0:
        raise ValueError("a mean needs at least one part")
    mean = sum(m for m, _, _ in parts) / k
    below = math.sqrt(sum((m - low) ** 2 for m, low, _ in parts)) / k
    above = math.sqrt(sum((high - m) ** 2 for m, _, high in parts)) / k
    return mean, mean - below, mean + above


def jackknife(
    rows: Sequence[Row], statistic: Callable[[Sequence[Row]], float], least: float = 0.0
) -> tuple[float, float]:
    """The 95% interval of a statistic that is no mean and lies between least and 1, from `jackknife_error` with
    Student's t of n - 1 degrees. The whole range where there are fewer than two rows; rows that are all alike show no
    error: `none_differs`.
    """
    n = len(rows)
    if n < 2:
        return least, 1.0
    whole, error = statistic(rows), jackknife_error(rows, statistic)
    if error == 0:
        return none_differs(whole, n, least)
    half = student_t(n - 1) * error
    return whole - half, whole + half


def jackknife_error(rows: Sequence[Row], statistic: Callable[[Sequence[Row]], float]) -> float:
    """The standard error of a statistic of n > 1 rows, from its values with one row left out (Tukey 1958; Efron and
    Tibshirani 1993, eq. 11.5); what is but rounding is 0.
    """
    n = len(rows)
    without = [statistic([*rows[:i], *rows[i + 1 :]]) for i in range(n)]
    centre = sum(without) / n
    error = math.sqrt((n - 1) / n * sum((v - centre) ** 2 for v in without))
    return error if error > 1e-12 else 0.0
