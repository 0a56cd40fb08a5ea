"""Rows -> results in lm-eval's format (lm_eval/result_schema.py of 0.4.13), one file a row, in a folder named for it as
lm-eval's EvaluationTracker does.

A cell with a length has it as its metric, as in lm-eval's RULER: `"4096,none"`. Shares are 0 to 1. What is not known,
such as the standard error of a run without its samples, is `"N/A"` as in lm-eval, or not there; never -1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lcbench import __version__
from lcbench.errors import UsageError
from lcbench.figures import has_unit
from lcbench.leaderboard.figures import mean_figures
from lcbench.leaderboard.records import Verdicts
from lcbench.leaderboard.rows import Entry
from lcbench.leaderboard.sources import Row
from lcbench.seeds import digest


def export(entries: Sequence[Entry], folder: Path) -> list[Path]:
    """The files that were written. Raises UsageError where no row is of lcbench, or the folder cannot be made."""
    ours = [e for e in entries if e.sources[0].kind == "lcbench"]
    if not ours:
        raise UsageError("Nothing to export: these results are lm-eval's own.")
    written = []
    for entry in ours:
        result = results(entry)
        path = folder / result["model_name_sanitized"] / f"results_{_date(entry)}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"Cannot write {path}: {error.strerror}.", hint="--export-lm-eval DIR") from error
        written.append(path)
    return written


def results(entry: Entry) -> Row:
    """One row as lm-eval's EvalResults."""
    tasks: dict[str, list[tuple[Row, Verdicts]]] = {}
    for (task, _), cell in entry.cells.items():
        tasks.setdefault(task, []).append(cell)
    groups = _groups(entry)
    figures = {task: _metrics(task, cells) for task, cells in tasks.items()}
    about = {"attn": entry.attn, "strategy": entry.strategy, "prompt": entry.prompt}
    name = "__".join([entry.model, *(str(v) for v in about.values()), digest([entry.settings, entry.weights])[:6]])
    name += f"__{entry.copy}" if entry.copy else ""
    return {
        "results": {**groups, **figures},
        **({"groups": groups} if groups else {}),
        "group_subtasks": {**{m["name"]: list(m["tasks"]) for m in mean_figures(entry)}, **{t: [] for t in tasks}},
        "configs": {t: {"task": t, "metadata": {"version": _version(entry, t), **about}} for t in tasks},
        "versions": {t: _version(entry, t) for t in tasks},
        "higher_is_better": {t: {_name(c): not has_unit(c["metric"]) for c, _ in cells} for t, cells in tasks.items()},
        "n-samples": {t: {"effective": figures[t]["sample_len"]} for t in tasks},
        "config": {"model": "lcbench", "model_args": {"pretrained": entry.model, **about}, **_seeds(entry)},
        "date": _newest(entry),
        "lcbench_version": __version__,
        "model_source": "lcbench",
        "model_name": entry.model,
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", name),
    }


def _metrics(task: str, cells: Sequence[tuple[Row, Verdicts]]) -> Row:
    found: Row = {"name": task, "alias": task, "sample_len": sum(c["n"] for c, _ in cells)}
    for cell, verdicts in cells:
        if cell["score"] is not None:
            is_share = cell["ci"] is not None
            found[f"{_name(cell)},none"] = cell["score"] / 100 if is_share else cell["score"]
            found[f"{_name(cell)}_stderr,none"] = _error(cell, verdicts) if is_share else "N/A"
    return found


def _name(cell: Row) -> str:
    return str(cell["metric"] if cell["length"] is None else cell["length"]).replace(",", " ")


def _error(cell: Row, verdicts: Verdicts) -> float | str:
    """The standard error of a mean, as lm-eval's `mean_stderr`: of the verdicts, where the score is their mean."""
    values = [float(v) for v in verdicts.values]
    n = len(values)
    if n < 2 or n != cell["n"] or abs(100 * sum(values) / n - cell["score"]) > 0.01:
        return "N/A"
    mean = sum(values) / n
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)


def _groups(entry: Entry) -> dict[str, Row]:
    """The benchmarks' means, as groups."""
    found: dict[str, Row] = {}
    for mean in mean_figures(entry):
        if mean["score"] is not None:
            group = found.setdefault(mean["name"], {"name": mean["name"], "alias": mean["name"]})
            group[f"{_name(mean)},none"] = mean["score"] / 100
            group[f"{_name(mean)}_stderr,none"] = "N/A"
    return found


def _version(entry: Entry, task: str) -> int | str:
    version = entry.editions[task].partition(",")[0].removeprefix("version ")
    return int(version) if version.isdigit() else version


def _seeds(entry: Entry) -> Row:
    return {"random_seed": entry.settings.get("seed"), "device": entry.settings.get("device")}


def _newest(entry: Entry) -> float:
    """When the newest file of the row's runs was written, in seconds since 1970."""
    return max(int(ns) for s in entry.sources for ns in re.findall(r":\d+:(\d+)(?= |$)", s.stamp)) / 1e9


def _date(entry: Entry) -> str:
    return datetime.fromtimestamp(_newest(entry), UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
