"""Samples that share a context are one draw, not several: values -> a sum and a count for each cluster."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

Values = Sequence[float] | np.ndarray
Clusters = Sequence[Hashable]


def by_cluster(values: Values, clusters: Clusters | None) -> tuple[np.ndarray, np.ndarray]:
    """(sums, counts), [G] each, clusters in the order in which they are met. Without clusters every value is its own.

    Raises ValueError without values, or where the clusters are not as many as the values.
    """
    found = np.asarray(values, dtype=float)
    if len(found) == 0:
        raise ValueError("an interval needs at least one value")
    if clusters is None:
        return found, np.ones(len(found))
    if len(clusters) != len(found):
        raise ValueError(f"{len(found)} values have {len(clusters)} clusters")
    order = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    where = np.array([order[name] for name in clusters])
    return np.bincount(where, found), np.bincount(where).astype(float)


def shared(counts: np.ndarray) -> bool:
    """Whether any samples share a cluster."""
    return bool(counts.max() > 1)


def variance_of_mean(sums: np.ndarray, counts: np.ndarray) -> float:
    """The variance of sum(sums) / sum(counts) from the residuals of G > 1 clusters (Cochran 1977, section 6.4, with
    the correction G / (G - 1)). For clusters of one it is s^2 / n.
    """
    return float((residuals(sums, counts) ** 2).sum())


def residuals(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[G]: what each of G > 1 clusters moves the mean by; their squares add up to its variance."""
    g, n = len(sums), counts.sum()
    return np.asarray((g / (g - 1)) ** 0.5 * (sums - counts * (sums.sum() / n)) / n)
