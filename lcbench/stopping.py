"""--until-ci: when a cell has samples enough, and what it says of how it ended.

A cell is looked at after every round of samples. Looking often and stopping at a glance would spoil an ordinary
interval; a confidence sequence covers the truth at all times at once, whenever one stops.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from lcbench.figures import CORPUS, has_unit
from lcbench.stats import confidence_sequence, hoeffding

GROWTH = 0.25  # of the samples so far, in the next round: few rounds, and few samples more than were needed

Row = Mapping[str, Any]


def unwatched(metric: str, rows: Sequence[Row] = ()) -> str | None:
    """Why the interval of a cell cannot be watched: it then runs to its end, and has the interval of its metric."""
    if has_unit(metric) or metric in CORPUS:
        return f"{metric} is no mean of verdicts"
    if any(r["finish"] != "failed" and r["score"] is None for r in rows):
        return "it has samples without a verdict"
    if not all(0 <= verdict <= 1 for verdict in verdicts(rows)):
        return "its verdicts are no shares"
    contexts = [r["context_id"] for r in rows if r.get("context_id") is not None]
    if len(set(contexts)) < len(contexts):
        return "its samples share contexts"
    return None


def verdicts(rows: Sequence[Row]) -> list[float]:
    """The verdicts 0 to 1 in the order of the samples, which a confidence sequence depends on. A failed one is 0."""
    ordered = sorted(rows, key=lambda r: r["index"])
    return [0.0 if r["finish"] == "failed" else r["score"] for r in ordered]


def interval(values: Sequence[float], until_ci: float) -> tuple[float, float]:
    """The confidence sequence of a mean of verdicts so far, 0 to 100, tuned to have that half-width as early as
    can be.
    """
    low, high = confidence_sequence(values, most=hoeffding(until_ci / 100))
    return 100 * low, 100 * high


def half_width(values: Sequence[float], until_ci: float) -> float:
    """In points."""
    low, high = interval(values, until_ci)
    return (high - low) / 2


def enough(until_ci: float, metric: str, rows: Sequence[Row]) -> bool:
    """Whether the half-width of a cell's interval is at most that many points."""
    return not unwatched(metric, rows) and half_width(verdicts(rows), until_ci) <= until_ci


def rounds(until_ci: float, most: int, batch: int) -> Iterator[int]:
    """The numbers of samples after which a cell is looked at, `most` the last of them.

    First the fewest that can be enough, then whole batches of `batch` samples, ever more of them.
    """
    last = fewest(until_ci, most)
    while last < most:
        yield last
        last += batch * max(1, round(GROWTH * last / batch))
    yield most


@lru_cache
def fewest(until_ci: float, most: int) -> int:
    """The least number of samples that can be enough: that of a cell whose verdicts are all 1. At most `most`."""
    return 1 + bisect_left(range(1, most), True, key=lambda n: half_width([1.0] * n, until_ci) <= until_ci)


def ending(until_ci: float, metric: str, rows: Sequence[Row], most: int, asked: int) -> dict[str, Any]:
    """{"stopped", "ci"} of a cell: how it ended, None while it goes on; and the interval that is watched, 0 to 100.

    most: the samples that there are of it; asked: those asked for. No "ci" where it is not watched, or all failed.
    """
    n, why = len(rows), unwatched(metric, rows)
    if n == 0:
        return {"stopped": None}
    end = None if n < most else f"its data ends at {n}" if n < asked else f"the most samples ({n})"
    if why:
        return {"stopped": end and f"{end}, not watched: {why}"}
    low, high = interval(verdicts(rows), until_ci)
    if (high - low) / 2 <= until_ci:
        end = f"half-width {(high - low) / 2:.1f} after {n}"
    failed = all(r["finish"] == "failed" for r in rows)
    return {"stopped": end} if failed else {"stopped": end, "ci": [round(low, 2), round(high, 2)]}
