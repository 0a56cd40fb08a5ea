"""Two systems on the same items by a metric that is no mean over samples: those of `lcbench.figures.CORPUS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lcbench import stats
from lcbench.compare.items import Matched, clusters
from lcbench.runs import Row

Score = Callable[[Sequence[Mapping[str, float]]], float]


def compare(score: Score, matched: Matched) -> stats.Comparison:
    """The difference of two scores, as shares, by the delete-one jackknife over contexts, with Student's t of one
    degree less than there are contexts for interval and p (Efron and Tibshirani 1993, ch. 11). Contexts that all
    differ alike show no error: then p is that of swapping systems in all of them.
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
    low, high = stats.jackknife(groups, difference, -1.0)
    error = stats.jackknife_error(groups, difference) if degrees else 0.0
    alike = 0.5**degrees if abs(d) > 1e-9 else 1.0
    p = float(2 * stdtr(degrees, -abs(d) / error)) if error > 0 else alike
    return stats.Comparison(len(matched.a), d, max(-1.0, low), min(1.0, high), p, "jackknife", True)


def beside(rows: Sequence[Row]) -> list[Row]:
    """The values beside each verdict, 0 each where a sample failed."""
    names = {name for r in rows for name in r["beside"]}
    return [r["beside"] if r["finish"] != "failed" else dict.fromkeys(names, 0.0) for r in rows]
