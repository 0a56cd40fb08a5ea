"""Means of clusters drawn with replacement. Seeded by how many there are, so that the same values have one interval."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import numpy as np

from lcbench.stats.points import Z95, normal

DRAWS = 2000
KEPT = 256  # clusters up to which draws that are kept (4 MB) are faster than new ones


def bca(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The 95% interval of sum(sums) / sum(counts): bias-corrected and accelerated (Efron 1987; Efron and Tibshirani
    1993, eq. 14.10, with the acceleration of eq. 14.15), of 2,000 draws of whole clusters.
    """
    drawn = resamples(len(sums))
    means = np.sort(drawn @ sums / (drawn @ counts))
    mean = sums.sum() / counts.sum()
    below = (means < mean - 1e-12).mean() / 2 + (means < mean + 1e-12).mean() / 2  # ties count half
    bias = normal(min(max(below, 1 / DRAWS), 1 - 1 / DRAWS))
    without = (sums.sum() - sums) / (counts.sum() - counts)
    off = without.mean() - without
    acceleration = (off**3).sum() / (6 * (off**2).sum() ** 1.5)
    shifts = [bias + (bias + z) / (1 - acceleration * (bias + z)) for z in (-Z95, Z95)]
    low, high = np.quantile(means, [NormalDist().cdf(shift) for shift in shifts])
    return float(low), float(high)


@lru_cache(maxsize=4)
def resamples(g: int) -> np.ndarray:
    """[DRAWS, g]: how often each of g clusters is drawn. Kept, as the cells of a run are often of one size."""
    picked = np.random.default_rng(g).integers(g, size=(DRAWS, g)) + g * np.arange(DRAWS)[:, None]
    return np.bincount(picked.ravel(), minlength=DRAWS * g).reshape(DRAWS, g).astype(float)


def resampled_means(sums: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[DRAWS] means of clusters drawn with replacement, independent of those of another call with the same generator.

    Up to 256 clusters: the draws of `resamples`, which are kept, in a new order and with the clusters in a new order.
    Above, clusters that are alike are counted, not drawn one by one: verdicts have few values.
    """
    g, columns = len(sums), np.column_stack([sums, counts])
    if g <= KEPT:
        drawn = resamples(g) @ rng.permutation(columns)
        return rng.permutation(drawn[:, 0] / drawn[:, 1])
    kinds, times = np.unique(columns, axis=0, return_counts=True)
    drawn = rng.multinomial(g, times / g, size=DRAWS) @ kinds
    return np.asarray(drawn[:, 0] / drawn[:, 1])
