"""A row -> its figures: single tasks, and the means over tasks that benchmarks report.

Cells and their intervals are those of the runs' summaries; what is made of several cells is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lcbench import catalog
from lcbench.leaderboard.rows import Entry
from lcbench.leaderboard.ruler import ruler_figures
from lcbench.leaderboard.sources import Row
from lcbench.stats import mean_of_means

if TYPE_CHECKING:
    from lcbench.schema import Average


def task_figures(entry: Entry) -> list[Row]:
    """Every cell of a row."""
    return [{"kind": "task", "name": c["task"], **c} for c, _ in entry.cells.values()]


def benchmark_figures(entry: Entry, computed: Row) -> list[Row]:
    """What benchmarks report: their means, RULER's weighted averages and effective length, and single tasks where a
    length has no mean of their benchmark. `computed` keeps bootstraps.
    """
    means = mean_figures(entry)
    covered = {(m["group"], m["length"]) for m in means}
    tasks = [f for f in task_figures(entry) if (group_of(f["name"]), f["length"]) not in covered]
    return [*means, *ruler_figures(entry, means, computed), *tasks]


def mean_figures(entry: Entry) -> list[Row]:
    """The means of benchmarks, one a length at which the row has every task of them."""
    return [figure for average in catalog.averages() for figure in _means(entry, average)]


def group_of(task: str) -> str:
    """The benchmark that a task is of."""
    return task.partition("/")[0]


def incomplete(entry: Entry) -> Iterator[tuple[str, str, int | None]]:
    """(mean, how many of its tasks there are, length) of the means that a row has a part of."""
    for average in catalog.averages():
        for length in entry.lengths(average.tasks):
            there = sum((task, length) in entry.cells for task in average.tasks)
            if there < len(average.tasks):
                yield average.name, f"{there} of {len(average.tasks)}", length


def _means(entry: Entry, average: Average) -> Iterator[Row]:
    edition = entry.edition(average.tasks)
    for length in entry.lengths(average.tasks):
        cells = [entry.cells[task, length][0] for task in average.tasks if (task, length) in entry.cells]
        if len(cells) == len(average.tasks):
            yield {
                "kind": "mean",
                "name": average.name,
                "tasks": average.tasks,
                "group": group_of(average.tasks[0]),
                "edition": edition,
                "length": length,
                **_mean(cells),
            }


def _mean(cells: Sequence[Row]) -> Row:
    """The unweighted mean of tasks; none where a task has no score."""
    without = [c["task"] for c in cells if c["ci"] is None]
    mean, low, high = (None,) * 3 if without else mean_of_means([(c["score"], *c["ci"]) for c in cells])
    counters = ("n", "n_failed", "n_unextracted", "n_truncated", "n_skipped")
    return {
        "metric": "mean",
        "score": None if mean is None else round(mean, 2),
        "ci": None if low is None or high is None else [round(low, 2), round(high, 2)],
        **{key: sum(c[key] or 0 for c in cells) for key in counters},
        "overridden": any(c["overridden"] for c in cells),
        "stopped": "; ".join(dict.fromkeys(c["stopped"] for c in cells if c["stopped"])) or None,
        "split": next((c["split"] for c in cells if c["split"]), None),
        "na": f"no score of {', '.join(without)}" if without else None,
    }
