"""Answers of finished runs -> the file that a benchmark's own leaderboard takes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lcbench import catalog
from lcbench.benchmarks.zero_scrolls import rows_of
from lcbench.errors import UsageError

COLUMNS = ("Task", "ID", "Prediction")  # tau-nlp/zero_scrolls c994676, submission/prepare_submission.py


def export(group: str, split: str, runs: Sequence[Path], attn: str | None, partial: bool) -> tuple[str, int, list[str]]:
    """The submission of a benchmark as CSV, how many answers it holds, and what is missing. Only ZeroSCROLLS takes one.

    Raises UsageError where an answer is missing (unless `partial`), where runs hold answers of several mechanisms and
    none was chosen, or two answers to one item.
    """
    if group != "zero_scrolls":
        raise UsageError(f"{group} has no leaderboard that takes a file.", hint="lcbench tasks export zero_scrolls")
    tasks = [s.task for s in catalog.select([f"zero_scrolls:split={split}"])]
    answers = _answers(list(_records(runs)), split, attn)
    text, missing, written = io.StringIO(), [], 0
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # else a lone \r is not quoted
    writer.writerow(COLUMNS)
    for task in tasks:
        name, given = task.params["task"], answers.get(task.params["task"], {})
        ids = [str(row["id"]) for row in rows_of(task)[1]] if given or not partial else []
        absent = [i for i in ids if i not in given]
        if absent or not given:
            missing.append(f"{name}: {len(absent)} of {len(ids)}" if given else name)
        writer.writerows((name, i, given[i]) for i in ids if i in given)
        written += len(ids) - len(absent)
    if missing and not partial:
        hint = f"lcbench run --model MODEL --tasks zero_scrolls:split={split} --samples 500   (or --partial)"
        raise UsageError(f"Answers are missing: {', '.join(missing)}.", hint=hint)
    return text.getvalue(), written, missing


def all_runs() -> list[Path]:
    """The run folders in their usual place. Raises UsageError where there is none."""
    found = sorted(file.parent for file in Path("results/runs").glob("*/samples.jsonl"))
    if not found:
        raise UsageError("There is no run folder in results/runs.", hint="--run DIR")
    return found


def _records(runs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for run in runs:
        file = run / "samples.jsonl"
        if not file.is_file():
            raise UsageError(f"{run} is no run folder: it has no samples.jsonl.", hint="ls results/runs")
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise UsageError(f"{file}:{number}: not JSON: {error}.") from error


def _answers(records: Sequence[dict[str, Any]], split: str, attn: str | None) -> dict[str, dict[str, str]]:
    """task -> item -> what the model said. A failed sample said nothing."""
    of_split = [r for r in records if ("split=test" in r["cell"]) == (split == "test")]
    ours = [r for r in of_split if r["sample_id"].startswith("zero_scrolls/")]
    specs = sorted({r["cell"].split("|")[0] for r in ours})
    if (attn is None and len(specs) > 1) or (specs and attn not in (None, *specs)):
        none = f", none under {attn}" if attn else ""
        raise UsageError(f"The runs hold answers under {', '.join(specs)}{none}.", hint=f"--attn {specs[0]}")
    found: dict[str, dict[str, str]] = {}
    for r in ours:
        if attn is not None and r["cell"].split("|")[0] != attn:
            continue
        task, item = _task_and_item(r)
        name = task.removeprefix("zero_scrolls/").split(":")[0]
        given = found.setdefault(name, {})
        if item in given:
            raise UsageError(f"{name} has two answers to item {item}.", hint="--run DIR, for one run of one length")
        given[item] = (r["completion"] or "").strip()
    return found


def _task_and_item(record: dict[str, Any]) -> tuple[str, str]:
    """A sample's id is TASK:LENGTH:ITEM, where a task may hold colons too: the cell, TASK:LENGTH, tells them apart."""
    cell = record["cell"].split("|")[1]
    return cell.rsplit(":", 1)[0], record["sample_id"].removeprefix(f"{cell}:")
