"""Score by the depth at which the evidence stands: for tasks whose answer stands in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lcbench.compare import System
from lcbench.compare.items import verdict

Row = dict[str, Any]
BANDS = 10
EVERY = "all of these tasks"


def depths(systems: Sequence[System]) -> Row:
    """{"maps": [{"task", "cells": [{"system", "length", "band", "score", "n"}]}], "several": tasks}.

    Band b holds depths of [b, b + 1) tenths of the context, the last one its end too. `several` names the tasks that
    are left out because their samples have evidence in several places: one verdict cannot say which of them was missed.
    A cell without a score, as where all its samples failed, has none here either.
    """
    placed: dict[str, list[tuple[int, int, int, float]]] = {}  # task -> (system, length, band, verdict)
    several = set()
    for i, system in enumerate(systems):
        for task, length in system.places:
            if length is None or system.cell(task, length)["score"] is None:
                continue
            for row in system.rows(task, length):
                if len(row["evidence"]) > 1:
                    several.add(task)
                elif row["evidence"] and (value := verdict(row)) is not None:
                    placed.setdefault(task, []).append((i, length, band(row["evidence"][0]["depth"]), value))
    needles = {task: spots for task, spots in sorted(placed.items()) if task not in several}
    together = [spot for spots in needles.values() for spot in spots]
    shown = {**({EVERY: together} if len(needles) > 1 else {}), **needles}
    return {
        "maps": [{"task": task, "cells": means(spots)} for task, spots in shown.items()],
        "several": sorted(several),
    }


def band(depth: float) -> int:
    return min(int(depth * BANDS), BANDS - 1)


def means(spots: Sequence[tuple[int, int, int, float]]) -> list[Row]:
    groups: dict[tuple[int, int, int], list[float]] = {}
    for *place, value in spots:
        system, length, at = place
        groups.setdefault((system, length, at), []).append(value)
    return [
        {"system": system, "length": length, "band": at, "score": 100 * sum(v) / len(v), "n": len(v)}
        for (system, length, at), v in sorted(groups.items())
    ]
