"""Verdicts -> a score with its interval, 0 to 100: one home for what tables, JSON and `lcbench score` say."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from lcbench.stats import jackknife, mean_interval


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def geometric_mean_of_rouge(rows: Sequence[Mapping[str, float]]) -> float:
    """(ROUGE-1 x ROUGE-2 x ROUGE-L)^(1/3) of the three means over samples, not the mean of the samples' own.

    Source: the metric of tau-nlp/scrolls bfc0da0, whose documented example is 55.8136 for three answers.
    """
    return float((mean_of(rows, "rouge1") * mean_of(rows, "rouge2") * mean_of(rows, "rougeL")) ** (1 / 3))


def mean_of(rows: Sequence[Mapping[str, float]], name: str) -> float:
    return mean([row[name] for row in rows])


# Metrics whose score is no mean of the samples' verdicts: what it is, of the values that stand beside each verdict.
CORPUS: dict[str, Callable[[Sequence[Mapping[str, float]]], float]] = {"zero_scrolls.rouge": geometric_mean_of_rouge}
UNITS = ("bits_per_byte",)  # metrics in a unit of their own, which is no share even where it lies between 0 and 1


def has_unit(metric: str) -> bool:
    """Whether a metric, `metric,filter` where it is lm-eval's, is no share."""
    return metric.partition(",")[0] in UNITS


def figures(
    metric: str,
    verdicts: Sequence[float | None],
    beside: Sequence[Mapping[str, float]],
    clusters: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """{"score", "ci", "n"} of one metric over samples: verdicts 0 to 1, the values beside each, and the context of
    each, where samples of one context count as one draw.

    Score and interval are None where there are no samples, or one has no verdict because it has no labels. What is no
    share keeps its own unit and has no interval.
    """
    known = [v for v in verdicts if v is not None]
    nothing = {"score": None, "ci": None, "n": len(verdicts)}
    if not known or len(known) < len(verdicts):
        return nothing
    if has_unit(metric) or not all(0 <= v <= 1 for v in known):  # no share, and so no interval of one
        return {**nothing, "score": round(mean(known), 4)}
    if metric in CORPUS:
        score = CORPUS[metric](beside)
        low, high = jackknife(
            by_context(beside, clusters), lambda contexts: CORPUS[metric]([row for rows in contexts for row in rows])
        )
    else:
        score = mean(known)
        found = mean_interval(known, clusters)
        low, high = found.low, found.high
    low, high = max(0.0, low), min(1.0, high)
    return {"score": round(100 * score, 2), "ci": [round(100 * low, 2), round(100 * high, 2)], "n": len(verdicts)}


def by_context(
    rows: Sequence[Mapping[str, float]], clusters: Sequence[Hashable] | None
) -> list[list[Mapping[str, float]]]:
    """Rows that share a context together; each alone where none is told."""
    groups: dict[Hashable, list[Mapping[str, float]]] = {}
    for row, name in zip(rows, range(len(rows)) if clusters is None else clusters, strict=True):
        groups.setdefault(name, []).append(row)
    return list(groups.values())
