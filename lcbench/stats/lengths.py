"""Scores by length -> RULER's weighted averages, and the effective length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lcbench.stats.bootstrap import resampled_means
from lcbench.stats.clusters import Clusters, Values, by_cluster

THRESHOLD = 85.6  # points, of Llama-2-7B at 4k: what RULER takes for satisfactory (Hsieh et al. 2024, table 3)


@dataclass(frozen=True)
class EffectiveLength:
    """length: the largest at which it and all shorter ones reach the threshold, None where the shortest does not.

    other: the largest that reaches it, whatever comes before, where that is another length. passes: by length. share:
    the part of the draws in which a length is the effective one; what is missing to 1 has none.
    """

    length: int | None
    other: int | None
    passes: dict[int, bool]
    share: dict[int, float]
    threshold: float


def weighted_averages(by_length: Mapping[int, float]) -> tuple[float, float]:
    """RULER's wAvg. (inc) and wAvg. (dec): scores weighted 1, 2, 3, .. from the shortest or from the longest length on
    (Hsieh et al. 2024, table 3). In the unit of the scores. Raises ValueError without lengths.
    """
    if not by_length:
        raise ValueError("an average over lengths needs at least one length")
    scores = [by_length[length] for length in sorted(by_length)]
    weights = range(1, len(scores) + 1)
    rising = sum(w * score for w, score in zip(weights, scores, strict=True)) / sum(weights)
    falling = sum(w * score for w, score in zip(reversed(weights), scores, strict=True)) / sum(weights)
    return rising, falling


def effective_length(
    by_length: Mapping[int, Mapping[str, Values]],
    threshold: float = THRESHOLD,
    clusters: Mapping[int, Mapping[str, Clusters]] | None = None,
) -> EffectiveLength:
    """The effective length of verdicts 0 to 1 by length and task, the threshold in points.

    A length's score is the unweighted mean over its tasks, and passes where it is >= threshold (Hsieh et al. 2024,
    table 3). Its uncertainty: 2,000 draws of the samples, or of whole clusters, within each task and length. Raises
    ValueError without lengths, or for one without tasks or a task without verdicts.
    """
    if not by_length or not all(by_length.values()):
        raise ValueError("an effective length needs lengths with tasks")
    lengths, rng = sorted(by_length), np.random.default_rng(0)
    scores, drawn = [], []
    for length in lengths:
        groups = [
            by_cluster(verdicts, None if clusters is None else clusters[length][task])
            for task, verdicts in by_length[length].items()
        ]
        scores.append(np.mean([sums.sum() / counts.sum() for sums, counts in groups]))
        drawn.append(np.mean([resampled_means(*group, rng) for group in groups], axis=0))
    reached = [bool(x) for x in passing(np.array(scores), threshold)]
    whole = in_a_row(np.array(reached)[:, None])[0]
    last = max((i for i, ok in enumerate(reached, 1) if ok), default=0)
    draws = in_a_row(passing(np.array(drawn), threshold))
    return EffectiveLength(
        length=lengths[whole - 1] if whole else None,
        other=lengths[last - 1] if last > whole else None,
        passes=dict(zip(lengths, reached, strict=True)),
        share={length: float((draws == i).mean()) for i, length in enumerate(lengths, 1)},
        threshold=threshold,
    )


def passing(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Whether shares reach a threshold in points; what rounding has put just below it does."""
    return np.asarray(100 * scores >= threshold - 1e-9)


def in_a_row(passes: np.ndarray) -> np.ndarray:
    """[draws]: how many lengths pass before the first that does not. passes: [lengths, draws]."""
    return np.asarray(np.cumprod(passes, axis=0).sum(axis=0), dtype=int)
