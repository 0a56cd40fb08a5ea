"""Runs -> what the figures of a report show: plain data, read by the page's JavaScript and by `lcbench.report.plots`.

Scores are 0 to 100, intervals 95%. A figure that cannot be computed is None, or left out with its reason. Systems are
named by their place in the list of systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lcbench.compare import System
from lcbench.figures import has_unit
from lcbench.lengths import show_length
from lcbench.report.page.costs import costs, order
from lcbench.report.page.depths import depths
from lcbench.stats import mean_of_means

Row = dict[str, Any]
KEPT = (
    "task", "length", "prompt", "metric", "score", "ci", "n", "n_failed", "n_unextracted", "n_truncated", "n_skipped",
    "overridden", "na",
)  # fmt: skip
COST_FIGURES = ("seconds", "ttft_s", "peak_memory_bytes", "flops")


def figures(systems: Sequence[System]) -> Row:
    """The data of every figure but the paired differences."""
    cells = [cell(i, system.cell(*place)) for i, system in enumerate(systems) for place in system.places]
    return {
        "systems": [about(system, name) for system, name in zip(systems, names(systems), strict=True)],
        "lengths": [{"tokens": x, "name": show_length(x)} for x in order(cells)],
        "tasks": list(dict.fromkeys(c["task"] for c in cells)),
        "cells": cells,
        "curves": curves(systems, cells),
        "depths": depths(systems),
        "costs": costs(len(systems), cells),
        "notes": list(dict.fromkeys(note for s in systems for note in s.run.summary["notes"])),
    }


def cell(system: int, found: Row) -> Row:
    """A cell of summary.json. share: whether its score is a share of 100, which can stand on an axis with others."""
    kept = {k: found.get(k) for k in KEPT} | {k: found[k] for k in COST_FIGURES if k in found}
    share = found["score"] is not None and found["ci"] is not None and not has_unit(found["metric"])
    return {"system": system, "share": share, **kept}


def names(systems: Sequence[System]) -> list[str]:
    """What figures call them: the fewest of mechanism, model and strategy that tell them apart, else the run's name."""
    for parts in (("attn",), ("model",), ("strategy",), ("model", "attn"), ("attn", "strategy"), ("model", "strategy")):
        found = [" ".join(str(part(s, p)) for p in parts) for s in systems]
        if len(set(found)) == len(found):
            return found
    return [s.name for s in systems]


def part(system: System, name: str) -> str:
    if name == "attn":
        return system.attn
    return Path(system.run.identity["model"]).name if name == "model" else system.run.identity["strategy"]


def about(system: System, name: str) -> Row:
    """A line of the table of systems."""
    run, cells = system.run, [system.cell(*place) for place in system.places]
    machine = run.about.get("machine", {})
    return {
        "name": name,
        "attn": system.attn,
        "model": run.identity["model"],
        "strategy": run.identity["strategy"],
        "prompts": list(dict.fromkeys(c["prompt"] for c in cells)),
        "run": str(run.path),
        "device": ", ".join(machine.get("gpus") or [machine.get("cpu") or "n/a"]),
        "n": sum(c["n"] for c in cells),
        "n_failed": sum(c["n_failed"] for c in cells),
    }


def curves(systems: Sequence[System], cells: Sequence[Row]) -> list[Row]:
    """[{"name", "points": [{"system", "length", "score", "ci", "n"}]}]: means over tasks first, then each task."""
    drawn = [c for c in cells if c["share"] and c["length"] is not None]
    tasks = {task: [c for c in drawn if c["task"] == task] for task in dict.fromkeys(c["task"] for c in drawn)}
    by_task = [{"name": task, "points": [point(c["system"], c) for c in of]} for task, of in tasks.items()]
    return [*mean_curve(drawn), *averages(systems), *by_task]


def point(system: int, row: Row) -> Row:
    return {"system": system, **{k: row[k] for k in ("length", "score", "ci", "n")}}


def mean_curve(cells: Sequence[Row]) -> list[Row]:
    """The unweighted mean over the tasks that every system has at every length at which it has any, so that all lines
    are means of the same tasks all along. None where there are fewer than two, or where their prompts are of two
    sources.
    """
    at: dict[tuple[int, int], list[Row]] = {}
    for c in cells:
        at.setdefault((c["system"], c["length"]), []).append(c)
    whole = [{c["task"] for c in here} for here in at.values()]
    tasks = set.intersection(*whole) if whole else set()
    if len(tasks) < 2 or len({c["prompt"] for c in cells if c["task"] in tasks}) > 1:
        return []
    points = []
    for (system, length), here in at.items():
        members = [c for c in here if c["task"] in tasks]
        score, low, high = mean_of_means([(c["score"], *c["ci"]) for c in members])
        n = sum(c["n"] for c in members)
        points.append({"system": system, "length": length, "score": score, "ci": [low, high], "n": n})
    return [{"name": f"mean of {len(tasks)} tasks", "points": points}]


def averages(systems: Sequence[System]) -> list[Row]:
    """The means that the benchmarks themselves report, where a run has all of their tasks."""
    found: dict[str, list[Row]] = {}
    for i, system in enumerate(systems):
        for row in system.run.summary.get("averages", []):
            if row["attn"] == system.attn and row["length"] is not None and row["score"] is not None:
                found.setdefault(row["name"], []).append(point(i, row))
    return [{"name": f"{name}, the benchmark's mean", "points": points} for name, points in found.items()]
