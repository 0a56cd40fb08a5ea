"""What the forest plot shows: each pair of systems, cell by cell and pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lcbench.compare import Difference, Effect, System, every_system, pooled_effects, systems
from lcbench.compare.differences import compare_pair
from lcbench.runs import Run

Row = dict[str, Any]
ALPHA = 0.05
OF_CELL = (
    "task", "length", "metric", "na", "unpaired", "n", "scores", "difference", "low", "high", "p", "p_holm", "method",
    "discordant", "detectable",
)  # fmt: skip
OF_EFFECT = (
    "groups", "prompt", "whole", "cells", "left_out", "unpaired", "n", "scores", "difference", "low", "high", "p",
    "p_holm", "method", "detectable",
)  # fmt: skip


def compared(runs: Sequence[Run]) -> list[Difference]:
    """The differences of every pair of systems that shares a cell; none where there is one system alone.

    Raises UsageError where tasks are of another version or prompt source.
    """
    if len(every_system(runs)) == 1:
        return []
    pairs = [(a, b) for a, b in systems(runs) if set(a.places) & set(b.places)]
    return [d for pair in pairs for d in compare_pair(pair)]


def forests(every: Sequence[System], differences: Sequence[Difference]) -> list[Row]:
    """[{"a", "b", "rows", "pooled"}] an entry a pair, b - a; `shown` where p, adjusted by Holm, is at most 5%."""
    number = {(s.run.path, s.attn): i for i, s in enumerate(every)}
    effects = pooled_effects(differences)
    found = []
    for pair in dict.fromkeys(d.pair for d in differences):
        a, b = (number[s.run.path, s.attn] for s in pair)
        rows = [row(d, OF_CELL) for d in differences if d.pair == pair]
        pooled = [row(e, OF_EFFECT) for e in effects if e.pair == pair]
        found.append({"a": a, "b": b, "rows": rows, "pooled": pooled})
    return found


def row(of: Difference | Effect, fields: Sequence[str]) -> Row:
    return {**{k: getattr(of, k) for k in fields}, "shown": of.p_holm is not None and of.p_holm <= ALPHA}
