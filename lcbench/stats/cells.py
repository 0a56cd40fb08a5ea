"""Many cells at once: p-values adjusted for their number, and one effect over all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np

from lcbench.stats.clusters import Clusters, Values, by_cluster, residuals
from lcbench.stats.differences import Comparison
from lcbench.stats.intervals import none_differs
from lcbench.stats.permutation import sign_flips
from lcbench.stats.points import student_t

Stratum = tuple[Values, Values, Clusters | None]


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted so that the chance of any false one is below the level (Holm 1979), in the order given."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * float(ps[i])))
        adjusted[i] = largest
    return adjusted


def pooled(strata: Sequence[Stratum]) -> Comparison:
    """The unweighted mean over strata (tasks x lengths) of their paired differences; a stratum is (a, b, clusters).

    p: sign flips of whole clusters, a cluster that several strata share flipping in all of them. The interval: the
    variances of the strata's means added up (Cochran 1977, chapter 5), with what shared clusters have in common, and
    Student's t of Satterthwaite's degrees (1946). A stratum of one cluster shows no variance and counts with the
    largest that a difference can have, 1. Raises ValueError without strata, or for one that cannot be paired.
    """
    if not strata:
        raise ValueError("an effect needs at least one stratum")
    moves: dict[Hashable, float] = {}  # by cluster: what it adds to the effect
    spreads: dict[Hashable, float] = {}  # by cluster: what it moves the effect off its mean by
    means, variances, degrees = [], [], []
    for h, (a, b, clusters) in enumerate(strata):
        if len(a) != len(b):
            raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
        names = [(h, i) for i in range(len(a))] if clusters is None else clusters
        sums, counts = by_cluster(np.asarray(b, dtype=float) - np.asarray(a, dtype=float), names)
        means.append(float(sums.sum() / counts.sum()))
        off = residuals(sums, counts) if len(sums) > 1 else np.ones(1)
        variances.append(float((off**2).sum()))
        degrees.append(max(1, len(sums) - 1))
        for name, total, moved in zip(dict.fromkeys(names), sums / counts.sum(), off, strict=True):
            moves[name] = moves.get(name, 0.0) + float(total) / len(strata)
            spreads[name] = spreads.get(name, 0.0) + float(moved) / len(strata)
    difference = sum(means) / len(strata)
    variance = sum(moved**2 for moved in spreads.values())
    if variance < 1e-24:
        low, high = none_differs(difference, len(spreads), -1.0)
    else:
        satterthwaite = sum(variances) ** 2 / sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
        half = student_t(int(satterthwaite + 1e-9)) * math.sqrt(variance)
        low, high = max(-1.0, difference - half), min(1.0, difference + half)
    n = sum(len(a) for a, _, _ in strata)
    p = sign_flips(np.array(list(moves.values())))
    return Comparison(n, difference, low, high, p, "stratified-sign-flips", paired=True)
