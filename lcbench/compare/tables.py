"""A comparison for people and programs: a table, CSV, JSON or markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcbench.compare import words
from lcbench.compare.differences import COSTS, Difference, compare_runs
from lcbench.compare.gate import Gate, gate
from lcbench.compare.pairs import Pair, System
from lcbench.compare.pooling import Effect, pooled_effects
from lcbench.errors import UsageError
from lcbench.lengths import show_length
from lcbench.runs import Run

Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """All that a comparison of runs says. gate: None where none was asked for."""

    alpha: float
    differences: list[Difference]
    effects: list[Effect]
    gate: Gate | None

    @property
    def pairs(self) -> list[Pair]:
        return list(dict.fromkeys(d.pair for d in self.differences))

    @property
    def margin(self) -> float | None:
        return None if self.gate is None else self.gate.margin


def compare(runs: Sequence[Run], attn: Sequence[str], alpha: float, margin: float | None) -> Outcome:
    """Runs -> everything that is printed of them. Raises UsageError as `compare_runs`, and where a gate has nothing to
    judge.
    """
    for flag, value in (("--alpha", alpha), ("--fail-if-worse", margin)):
        if value is not None and math.isnan(value):
            raise UsageError(f"{flag} {value} is no number.")
    differences = compare_runs(runs, attn, alpha)
    effects = pooled_effects(differences, alpha)
    judged = None if margin is None else gate(differences, effects, margin, alpha)
    if judged and len(judged.untold) == len(differences):
        told = "; ".join(f"{words.cell_name(d)}: {d.na}" for d in differences)
        raise UsageError(f"--fail-if-worse has nothing to judge: {told}.")
    return Outcome(alpha, differences, effects, judged)


def cell_row(d: Difference, alpha: float) -> Row:
    """One cell as JSON and CSV have it; None where there is no figure."""
    return {
        "baseline_run": str(d.baseline.run.path), "baseline_attn": d.baseline.attn,
        "run": str(d.other.run.path), "attn": d.other.attn,
        "task": d.task, "length": d.length, "prompt": d.prompt, "metric": d.metric,
        "baseline_score": _rounded(d.scores and d.scores[0]), "score": _rounded(d.scores and d.scores[1]),
        "difference": _rounded(d.difference), "low": _rounded(d.low), "high": _rounded(d.high),
        "p": d.p, "p_holm": d.p_holm, "significant": None if d.p_holm is None else d.p_holm <= alpha,
        "method": d.method, "paired": None if d.na else d.unpaired is None, "unpaired": d.unpaired,
        "baseline_n": d.n[0], "n": d.n[1], "baseline_left": d.left[0], "left": d.left[1],
        "baseline_failed": d.failed[0], "failed": d.failed[1],
        "only_baseline_right": d.discordant and d.discordant[0], "only_right": d.discordant and d.discordant[1],
        "detectable": _rounded(d.detectable), "n_needed": d.needed,
        **{f"{key}_ratio": _rounded(d.costs.get(key)) for key in COSTS},
        "na": d.na,
    }  # fmt: skip


def effect_row(e: Effect, alpha: float) -> Row:
    return {
        "groups": list(e.groups), "prompt": e.prompt, "whole": e.whole, "cells": e.cells, "left_out": e.left_out,
        "unpaired": e.unpaired, "n": e.n, "baseline_score": _rounded(e.scores[0]), "score": _rounded(e.scores[1]),
        "difference": _rounded(e.difference), "low": _rounded(e.low), "high": _rounded(e.high), "p": e.p,
        "p_holm": e.p_holm, "significant": e.p_holm <= alpha, "method": e.method, "detectable": _rounded(e.detectable),
    }  # fmt: skip


def as_json(outcome: Outcome) -> str:
    """One JSON document: {"alpha", "pairs": [{"baseline", "other", "cells", "pooled", "costs", "notes"}], "gate"}."""
    pairs = []
    for pair in outcome.pairs:
        cells, effects = of_pair(outcome, pair)
        pairs.append({
            "baseline": _system(pair[0]),
            "other": _system(pair[1]),
            "cells": [cell_row(d, outcome.alpha) for d in cells],
            "pooled": [effect_row(e, outcome.alpha) for e in effects],
            "costs": {key: _rounded(words.mean_ratio(cells, key)[0]) for key in COSTS},
            "notes": words.notes(pair, cells),
        })  # fmt: skip
    told = {"alpha": outcome.alpha, "pairs": pairs, "gate": _gate(outcome.gate)}
    return json.dumps(told, ensure_ascii=False, indent=1)


def _gate(g: Gate | None) -> Row | None:
    if g is None:
        return None
    kinds: dict[str, Sequence[Difference | Effect]] = {
        "failures": g.failures,
        "not_worse_shown": g.shown,
        "open": g.open,
        "not_judged": g.untold,
    }
    named = {kind: [f"{x.other.name}, {words.name(x)}" for x in found] for kind, found in kinds.items()}
    return {"margin": g.margin, "passed": g.passed, **named, "told": words.gate_lines(g)}


def _system(s: System) -> Row:
    return {"name": s.name, "run": str(s.run.path), "attn": s.attn}


def as_csv(outcome: Outcome) -> str:
    """One line a cell; what is absent stays empty."""
    rows = [cell_row(d, outcome.alpha) for d in outcome.differences]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table(pair: Pair, cells: Sequence[Difference]) -> list[list[str]]:
    """Header and rows: a cell of both systems each."""
    one, two = (s.name for s in pair)
    header = ["task", "length", one, two, "difference", "p", "Holm", "discordant", "n", "detectable"]
    return [header, *([d.task, show_length(d.length), *_figures(d)] for d in cells)]


def _figures(d: Difference) -> list[str]:
    if d.na is not None or d.scores is None:
        return ["n/a"] * 8
    difference = f"{d.difference:+.1f} [{d.low:+.1f}, {d.high:+.1f}]"
    only = "n/a" if d.discordant is None else f"{d.discordant[0]} : {d.discordant[1]}"
    n = f"{d.n[0]}" if d.unpaired is None else f"{d.n[0]}, {d.n[1]} unpaired"
    least = "n/a" if d.detectable is None else f"{d.detectable:.1f}"
    ps = [words.show_p(p).removeprefix("p ").removeprefix("= ") for p in (d.p, d.p_holm)]
    return [f"{d.scores[0]:.1f}", f"{d.scores[1]:.1f}", difference, *ps, only, n, least]


def lines(outcome: Outcome, pair: Pair) -> list[str]:
    """The sentences below a pair's table: its cells, effects, costs and notes."""
    cells, effects = of_pair(outcome, pair)
    tested = sum(d.na is None for d in cells)
    told = [words.cell_line(d, tested, outcome.alpha, outcome.margin) for d in cells]
    for e in effects:
        peers = sum(x.whole == e.whole for x in effects)
        told.append(words.effect_line(e, peers, outcome.alpha, outcome.margin))
    return [*told, words.cost_line(pair, cells), *words.notes(pair, cells)]


def of_pair(outcome: Outcome, pair: Pair) -> tuple[list[Difference], list[Effect]]:
    return [d for d in outcome.differences if d.pair == pair], [e for e in outcome.effects if e.pair == pair]


def as_text(outcome: Outcome) -> str:
    """Tables and sentences, for a terminal or a pipe."""
    parts = []
    for pair in outcome.pairs:
        rows = table(pair, of_pair(outcome, pair)[0])
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        ruled = [rows[0], ["-" * w for w in widths], *rows[1:]]
        aligned = ("  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in ruled)
        parts += ["\n".join(aligned), "\n".join(lines(outcome, pair))]
    if outcome.gate:
        parts.append("\n".join(words.gate_lines(outcome.gate)))
    return "\n\n".join(parts)


def as_markdown(outcome: Outcome) -> str:
    """Tables and sentences, the latter as lists."""
    parts = []
    for pair in outcome.pairs:
        header, *rows = table(pair, of_pair(outcome, pair)[0])
        ruled = [header, ["---"] * len(header), *rows]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in ruled))
        parts.append("\n".join(f"- {line}" for line in lines(outcome, pair)))
    if outcome.gate:
        parts.append("\n".join(f"- {line.strip()}" for line in words.gate_lines(outcome.gate)))
    return "\n\n".join(parts) + "\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


FORMATS = {"table": as_text, "json": as_json, "csv": as_csv, "md": as_markdown}
