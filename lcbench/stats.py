"""Intervals. Each statistic has one home, with its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")
Z95 = 1.959963984540054


def wilson(values: Sequence[float]) -> tuple[float, float]:
    """The 95% score interval of a mean of verdicts in [0, 1] (Wilson 1927, eq. 4), as shares.

    Exact in form for pass/fail. Graded verdicts vary no more than pass/fail ones of the same mean, so that the
    interval is then on the wide side. Raises ValueError without values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("an interval needs at least one value")
    p = sum(values) / n
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


def jackknife(rows: Sequence[Row], statistic: Callable[[Sequence[Row]], float]) -> tuple[float, float]:
    """The 95% interval of a statistic that is no mean, from its values with one row left out (Tukey 1958; Efron and
    Tibshirani 1993, eq. 11.5), with Student's t of n - 1 degrees. The whole range where there are fewer than two rows.
    """
    n = len(rows)
    if n < 2:
        return 0.0, 1.0
    without = [statistic([*rows[:i], *rows[i + 1 :]]) for i in range(n)]
    centre = sum(without) / n
    error = math.sqrt((n - 1) / n * sum((v - centre) ** 2 for v in without))
    half = student_t(n - 1) * error
    whole = statistic(rows)
    return whole - half, whole + half


def student_t(degrees: int) -> float:
    """The 97.5% point of Student's t: exact for 1 and 2 degrees, else the expansion of Abramowitz and Stegun 26.7.5,
    whose error is below 0.005 from 3 degrees on.
    """
    if degrees <= 2:
        return (12.706204736174694, 4.302652729749462)[degrees - 1]
    z, v = Z95, float(degrees)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v ** (i + 1) for i, term in enumerate(terms))
