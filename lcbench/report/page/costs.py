"""Score against what it cost: one point a system at each length, and which of them no other system beats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lcbench.lengths import show_length
from lcbench.stats import mean_of_means

Row = dict[str, Any]


@dataclass(frozen=True)
class Cost:
    """An axis: a figure of the cells, shown in `unit` after division by `scale`, taken over tasks by `over`."""

    key: str
    name: str
    unit: str
    scale: float
    over: Callable[[Sequence[float]], float]
    absent: str


OLDER = "its run was made before this was kept: run it again"
COSTS = (
    Cost("seconds", "Time a sample", "s", 1, fmean, "no batch of it was timed"),
    Cost("ttft_s", "Time to first token", "s", 1, fmean, "no batch of it was timed"),
    Cost("peak_memory_bytes", "Peak memory", "GiB", 2**30, max, "it is measured on CUDA alone"),
    Cost("flops", "FLOPs a sample", "TFLOP", 1e12, fmean, "the operations of this mechanism are not counted"),
)


def costs(systems: int, cells: Sequence[Row]) -> list[Row]:
    """[{"key", "name", "unit", "lengths": [{"length", "name", "tasks", "points", "absent"}]}], an entry an axis.

    A point is {"system", "cost", "score", "ci", "front"}: means over the tasks that every system has a score of at that
    length, memory the most of them. A system without a figure is in `absent` with the reason.
    """
    found = []
    for cost in COSTS:
        at = [at_length(cost, length, systems, cells) for length in order(cells)]
        found.append({"key": cost.key, "name": cost.name, "unit": cost.unit, "lengths": [x for x in at if x["tasks"]]})
    return found


def at_length(cost: Cost, length: int | None, systems: int, cells: Sequence[Row]) -> Row:
    here = [c for c in cells if c["length"] == length and c["share"]]
    tasks = in_common(here, systems)
    points: list[Row] = []
    absent: list[Row] = []
    for system in range(systems):
        mine = [c for c in here if c["system"] == system and c["task"] in tasks]
        figures = [c.get(cost.key) for c in mine]
        if any(f is None for f in figures):
            absent.append({"system": system, "reason": why_absent(cost, mine)})
            continue
        if not mine:
            continue
        score, low, high = mean_of_means([(c["score"], *c["ci"]) for c in mine])
        spent = cost.over([f for f in figures if f is not None]) / cost.scale
        points.append({"system": system, "cost": spent, "score": score, "ci": [low, high]})
    for point, best in zip(points, front([(p["cost"], p["score"]) for p in points]), strict=True):
        point["front"] = best
    return {"length": length, "name": show_length(length), "tasks": tasks, "points": points, "absent": absent}


def why_absent(cost: Cost, cells: Sequence[Row]) -> str:
    missing = [c for c in cells if c.get(cost.key) is None]
    return OLDER if any(cost.key not in c for c in missing) else cost.absent


def in_common(cells: Sequence[Row], systems: int) -> list[str]:
    """The tasks that every system has a cell of."""
    by_task: dict[str, set[int]] = {}
    for c in cells:
        by_task.setdefault(c["task"], set()).add(c["system"])
    return [task for task, having in by_task.items() if len(having) == systems]


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (cost, score) whether no other point costs no more and scores no less, one of them strictly (Pareto)."""
    return [not any(c <= cost and s >= score and (c, s) != (cost, score) for c, s in points) for cost, score in points]


def order(cells: Sequence[Row]) -> list[int | None]:
    """The lengths of these cells from short to long, those without a length last."""
    found = {c["length"] for c in cells}
    return [*sorted(x for x in found if x is not None), *([None] if None in found else [])]
