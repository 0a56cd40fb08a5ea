"""Two systems on the same items by a metric that is no mean over samples: those of `lcbench.figures.CORPUS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lcbench import stats
from lcbench.compare.items import Matched, clusters
from lcbench.runs import Row

Score = Callable[[Sequence[Mapping[str, float]]], float]


def compare(score: Score, matched: Matched) -> stats.Comparison:
    """The difference of two scores, as shares, by the delete-one jackknife over contexts, with Student's t of one
    degree less than there are contexts for interval and p (Efron and Tibshirani 1993, ch. 11).
    """
    from scipy.special import stdtr

    contexts: dict[str, list[tuple[Row, Row]]] = {}
    for context, a, b in zip(clusters(matched.a), beside(matched.a), beside(matched.b), strict=True):
        contexts.setdefault(context, []).append((a, b))

    def difference(groups: Sequence[list[tuple[Row, Row]]]) -> float:
        a, b = zip(*(pair for group in groups for pair in group), strict=True)
        return score(b) - score(a)

    groups = list(contexts.values())
    d, degrees = difference(groups), len(groups) - 1
    if degrees == 0:
        return stats.Comparison(len(matched.a), d, -1.0, 1.0, 1.0, "jackknife", True)
    low, high = stats.jackknife(groups, difference)
    error = (high - low) / 2 / stats.student_t(degrees)
    p = float(2 * stdtr(degrees, -abs(d) / error)) if error > 0 else float(d == 0)
    return stats.Comparison(len(matched.a), d, max(-1.0, low), min(1.0, high), p, "jackknife", True)


def beside(rows: Sequence[Row]) -> list[Row]:
    """The values beside each verdict, 0 each where a sample failed."""
    names = {name for r in rows for name in r["beside"]}
    return [r["beside"] if r["finish"] != "failed" else dict.fromkeys(names, 0.0) for r in rows]
