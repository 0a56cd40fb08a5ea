"""p-values from what the labels could have been: sign flips of pairs, and samples dealt anew to two groups.

Two-sided. Exact by enumeration where that is few, else 10,000 seeded draws and (k + 1) / (m + 1), which is never 0
(Phipson and Smyth 2010).
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

DRAWS = 10_000
SIGNS = 1.0 - 2 * (np.arange(256) >> np.arange(8)[:, None] & 1)  # [8, 256]: eight flips for every byte
BLOCK = 50_000  # counts dealt at once: they fit a cache, and are multiplied in one thread
SAME = 1e-9  # statistics nearer than this are ties, which rounding has parted


def sign_flips(contributions: np.ndarray) -> float:
    """p of a sum under "each contribution may as well have the other sign" (Fisher 1935, section 21).

    contributions: [G], a paired difference each, or the sum of them over a cluster, which flips as a whole.
    """
    moved = contributions[np.abs(contributions) > SAME]
    k = len(moved)
    observed = abs(moved.sum()) - SAME
    if 2**k <= DRAWS:
        negative = np.arange(2**k)[:, None] >> np.arange(k) & 1
        return float((np.abs(moved.sum() - 2 * negative @ moved) >= observed).mean())
    rng, sums = np.random.default_rng(k), np.zeros(DRAWS)
    for of_eight in np.append(moved, np.zeros(-k % 8)).reshape(-1, 8) @ SIGNS:  # [256]: the sums of all their flips
        sums += of_eight[rng.integers(256, size=DRAWS, dtype=np.uint8)]
    return float(((np.abs(sums) >= observed).sum() + 1) / (DRAWS + 1))


def relabelled(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """p of the difference of two means under "each cluster may as well be of the other group".

    The statistic is Welch's t, with which the test holds for unequal variances too (Janssen 1997); the difference
    itself where a group of one cluster has no variance. a, b: (sums, counts) of clusters.
    """
    fewer, more = sorted((a, b), key=lambda group: len(group[0]))
    sums, counts = np.concatenate([fewer[0], more[0]]), np.concatenate([fewer[1], more[1]])
    sums = sums - counts * (sums.sum() / counts.sum())  # off the mean, so that rounding does not pass for spread
    columns = np.column_stack([sums, counts, sums**2, sums * counts, counts**2])
    first, g, whole = len(fewer[0]), len(sums), columns.sum(axis=0)
    observed = statistics(columns[None, :first].sum(axis=1), whole, first, g)[0] - SAME
    if comb(g, first) <= DRAWS:
        dealt = np.array(list(combinations(range(g), first)))
        return float((statistics(columns[dealt].sum(axis=1), whole, first, g) >= observed).mean())
    kinds, times = np.unique(columns, axis=0, return_counts=True)  # those that are alike are counted, not dealt singly
    few = 16 * len(kinds) < g  # then drawing kind after kind is faster
    rng, as_far, block = np.random.default_rng(g), 1, max(1, BLOCK // len(kinds))
    for done in range(0, DRAWS, block):
        draws = min(block, DRAWS - done)
        dealt = rng.multivariate_hypergeometric(times, first, draws, method="marginals" if few else "count")
        as_far += int((statistics(dealt @ kinds, whole, first, g) >= observed).sum())
    return as_far / (DRAWS + 1)


def statistics(of_a: np.ndarray, whole: np.ndarray, first: int, g: int) -> np.ndarray:
    """[draws]: |mean of b - mean of a| over its standard error.

    of_a: [draws, 5], the sums over the `first` of g clusters that are a's; whole: [5], those over all.
    """
    groups = ((of_a, first), (whole - of_a, g - first))
    means = [of[:, 0] / of[:, 1] for of, _ in groups]
    apart = np.abs(means[1] - means[0])
    if min(size for _, size in groups) < 2:
        return np.asarray(apart)
    variance = np.zeros(len(of_a))
    for (of, size), mean in zip(groups, means, strict=True):
        squares = of[:, 2] - 2 * mean * of[:, 3] + mean**2 * of[:, 4]
        variance += size / (size - 1) * np.maximum(squares, 0) / of[:, 1] ** 2
    return np.asarray(apart / np.sqrt(np.maximum(variance, 1e-12)))  # a smaller one is rounding
