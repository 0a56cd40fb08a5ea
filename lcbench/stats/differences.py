"""The difference of two means, b - a, with its 95% interval and its test: on the same samples, or on samples apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lcbench.stats.clusters import Clusters, Values, by_cluster, shared, variance_of_mean
from lcbench.stats.intervals import bounded, pass_fail, score_interval, wilson_t
from lcbench.stats.permutation import relabelled, sign_flips
from lcbench.stats.points import student_t

Grouped = tuple[np.ndarray, np.ndarray]  # sums and counts of clusters


@dataclass(frozen=True)
class Comparison:
    """difference = b - a, a share, and its 95% interval; p is two-sided. n: pairs, or the samples of both sides.

    method is the test: "mcnemar", "sign-flips", "cluster-sign-flips", "stratified-sign-flips", "fisher", "permutation",
    "cluster-permutation".
    """

    n: int
    difference: float
    low: float
    high: float
    p: float
    method: str
    paired: bool


def paired(a: Values, b: Values, clusters: Clusters | None = None) -> Comparison:
    """Two verdicts on each sample, in [0, 1].

    Pass/fail: exact McNemar and Newcombe's interval. Graded verdicts, or samples that share clusters: sign flips of
    whole clusters, and the interval of a mean of differences, `bounded`. Raises ValueError without pairs, or where a,
    b and the clusters are not as many.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
    differences = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    sums, counts = by_cluster(differences, clusters)
    difference = float(differences.mean())
    if pass_fail(a) and pass_fail(b) and not shared(counts):
        table = crossed(a, b)
        return Comparison(len(a), difference, *newcombe(*table), mcnemar(table[1], table[2]), "mcnemar", paired=True)
    found = bounded(sums, counts, -1.0, 1.0)
    method = "cluster-sign-flips" if shared(counts) else "sign-flips"
    return Comparison(len(a), difference, found.low, found.high, sign_flips(sums), method, paired=True)


def crossed(a: Values, b: Values) -> tuple[int, int, int, int]:
    """Samples that both pass, only a, only b, neither."""
    pairs = [(bool(x), bool(y)) for x, y in zip(a, b, strict=True)]
    both, only_a, only_b = (pairs.count(kind) for kind in ((True, True), (True, False), (False, True)))
    return both, only_a, only_b, len(pairs) - both - only_a - only_b


def mcnemar(only_a: int, only_b: int) -> float:
    """p of the exact test: the sign test of the pairs that differ (McNemar 1947)."""
    n = only_a + only_b
    tail = sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**n)


def newcombe(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    """The 95% interval of a difference of paired shares (Newcombe 1998, Statistics in Medicine 17, 2635-2650,
    method 10): Wilson's intervals squared and added, with the correlation of the pairs, corrected for continuity where
    it is positive.
    """
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (both + only_b) * (neither + only_a) * (neither + only_b)
    cross = both * neither - only_a * only_b
    phi = (max(cross - n / 2, 0) if cross > 0 else cross) / math.sqrt(margins) if margins else 0.0
    return square_and_add((both + only_a) / n, (both + only_b) / n, n, n, phi)


def square_and_add(a: float, b: float, n_a: int, n_b: int, phi: float = 0.0) -> tuple[float, float]:
    """The 95% interval of b - a for shares of n_a and n_b, from Wilson's of each."""
    ends = []
    for far_a, far_b, sign in ((1, 0, -1), (0, 1, 1)):  # low: a at its upper end and b at its lower; high: the reverse
        off_a = score_interval(a, n_a)[far_a] - a
        off_b = score_interval(b, n_b)[far_b] - b
        ends.append(b - a + sign * math.sqrt(off_a**2 + 2 * phi * off_a * off_b + off_b**2))
    return ends[0], ends[1]


def unpaired(
    a: Values, b: Values, clusters_a: Clusters | None = None, clusters_b: Clusters | None = None
) -> Comparison:
    """Verdicts in [0, 1] on two sets of samples that have nothing to do with each other.

    Pass/fail: Fisher's exact test and Newcombe's hybrid score interval (1998, Statistics in Medicine 17, 873-890,
    method 10). Graded verdicts, or samples that share clusters: clusters dealt anew, and Welch's interval. Raises
    ValueError where a side has no values, or not one cluster a value.
    """
    of_a, of_b = by_cluster(a, clusters_a), by_cluster(b, clusters_b)
    mean_a, mean_b = (float(sums.sum() / counts.sum()) for sums, counts in (of_a, of_b))
    n, clustered = len(a) + len(b), shared(of_a[1]) or shared(of_b[1])
    if pass_fail(a) and pass_fail(b) and not clustered:
        low, high = square_and_add(mean_a, mean_b, len(a), len(b))
        p = fisher(int(of_a[0].sum()), len(a), int(of_b[0].sum()), len(b))
        return Comparison(n, mean_b - mean_a, low, high, p, "fisher", paired=False)
    method = "cluster-permutation" if clustered else "permutation"
    return Comparison(n, mean_b - mean_a, *welch(of_a, of_b), relabelled(of_a, of_b), method, paired=False)


def fisher(passed_a: int, n_a: int, passed_b: int, n_b: int) -> float:
    """p of Fisher's exact test, the tables that are no more likely than the one that is there added up."""
    passed, n = passed_a + passed_b, n_a + n_b
    ways = [math.comb(n_a, k) * math.comb(n_b, passed - k) for k in range(max(0, passed - n_b), min(n_a, passed) + 1)]
    observed = math.comb(n_a, passed_a) * math.comb(n_b, passed_b)
    return sum(w for w in ways if w <= observed) / math.comb(n, passed)


def welch(a: Grouped, b: Grouped) -> tuple[float, float]:
    """The 95% interval of the difference of two means of clusters (Welch 1947, with the degrees rounded down).

    Where a side shows no variance: the distances of the ends of `wilson_t` of each, squared and added.
    """
    sides = [(float(s.sum() / c.sum()), variance_of_mean(s, c) if len(s) > 1 else 0.0, len(s)) for s, c in (a, b)]
    (mean_a, var_a, g_a), (mean_b, var_b, g_b) = sides
    if min(var_a, var_b) < 1e-24:
        ends_a, ends_b = wilson_t(*a), wilson_t(*b)
        low = mean_b - mean_a - math.hypot(mean_b - ends_b[0], ends_a[1] - mean_a)
        return low, mean_b - mean_a + math.hypot(ends_b[1] - mean_b, mean_a - ends_a[0])
    degrees = (var_a + var_b) ** 2 / (var_a**2 / (g_a - 1) + var_b**2 / (g_b - 1))
    half = student_t(int(degrees + 1e-9)) * math.sqrt(var_a + var_b)
    return max(-1.0, mean_b - mean_a - half), min(1.0, mean_b - mean_a + half)
