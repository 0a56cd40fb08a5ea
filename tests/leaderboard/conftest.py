"""What the tests of the leaderboard share: run folders written as a run writes them, with records made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lcbench import catalog
from lcbench.cli import app
from lcbench.figures import figures
from lcbench.records import BatchCost, Record
from lcbench.store import open_run

Command = Callable[..., Result]
Cells = Mapping[tuple[str, int | None], Sequence[float | None]]
RULER = next(a.tasks for a in catalog.averages() if a.tasks[0].startswith("ruler/"))


@pytest.fixture
def lcbench() -> Command:
    """The command line, run here: a traceback shows as `exception`."""

    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="lcbench", terminal_width=100)

    return command


def record(cell: str, batch: int, index: int, size: int, score: float | None, **more: Any) -> Record:
    """One record; `finish="failed"` for one that failed."""
    task = cell.partition("|")[2]
    made = Record(
        key=f"{cell}:{index}",
        cell=cell,
        batch=f"{cell}:{batch}",
        sample_id=f"{task}:{index}",
        index=index,
        prompt="0",
        prompt_tokens=100,
        new_tokens=3,
        completion="a | <b>\u2028",
        finish="eos",
        error=None,
        score=score,
        extracted="a",
        flags=(),
        references=("a",),
        truncated=False,
        evidence=(),
        cost=asdict(BatchCost(size, 500, 15, 0.1, 0.1, 3, None)),
        context_id=f"{task}:{index}",
    )
    return replace(made, **more)


def run(
    folder: Path,
    cells: Cells,
    *,
    model: str = "tiny",
    attn: str = "softmax",
    prompt: str = "official",
    versions: Mapping[str, int] | None = None,
    contexts: Callable[[int], str | None] | None = None,
    identity: Mapping[str, Any] | None = None,
    trained: str = "softmax",
    batch: int = 4,
) -> Path:
    """A finished run folder with these verdicts, None for a failed sample: written by the store, its figures those of
    the harness.
    """
    tasks = list(dict.fromkeys(task for task, _ in cells))
    about = {
        "lcbench": "0",
        "model": model,
        "model_fingerprint": model,
        "attn": [attn],
        "tasks": {t: f"version {(versions or {}).get(t, 1)}, abc" for t in tasks},
        "lengths": [],
        "samples": max(map(len, cells.values())),
        "prompt": dict.fromkeys(tasks, prompt),
        "texts": {},
        "materials": {},
        "max_new_tokens": None,
        "strategy": "greedy",
        "seed": 0,
        **(identity or {}),
    }
    resolved = {"device": {"impl": "cpu"}, "dtype": {"impl": "float32"}}
    rows, records = [], []
    with open_run(folder, about, 10, fresh=False) as store:
        store.write("run.json", {"identity": about, "resolved": resolved, "model": {"trained_attention": trained}})
        for (task, length), verdicts in cells.items():
            name = f"{attn}|{task}:{'-' if length is None else length}"
            records += [
                record(
                    name, i // batch, i, min(batch, len(verdicts) - i // batch * batch), v,
                    **({"finish": "failed", "extracted": None} if v is None else {}),
                    **({"context_id": contexts(i)} if contexts else {}),
                )
                for i, v in enumerate(verdicts)
            ]  # fmt: skip
            rows.append(cell(model, attn, prompt, task, length, verdicts))
        store.append(records)  # one write to disk for all batches
        store.write("summary.json", {"run": str(folder), "cells": rows})
    return folder


def cell(
    model: str, attn: str, prompt: str, task: str, length: int | None, verdicts: Sequence[float | None]
) -> dict[str, Any]:
    """A cell of summary.json."""
    failed = sum(v is None for v in verdicts)
    known = [v or 0.0 for v in verdicts]
    metric = "ruler.match_all"
    values = {"score": None, "ci": None, "n": len(known)} if failed == len(known) else figures(metric, known, [])
    about = {"task": task, "length": length, "model": model, "attn": attn, "strategy": "greedy", "prompt": prompt}
    counters = {"n_failed": failed, "n_unextracted": 0, "n_truncated": 0, "n_skipped": 0}
    return {**about, "metric": metric, **values, **counters, "overridden": False, "split": None, "na": None}


def ruler(lengths: Mapping[int, float], n: int = 8) -> dict[tuple[str, int | None], list[float | None]]:
    """All tasks of RULER with these shares right, by length."""
    return {
        (task, length): [1.0 if i < round(share * n) else 0.0 for i in range(n)]
        for length, share in lengths.items()
        for task in RULER
    }


def lines(result: Result) -> list[dict[str, Any]]:
    """What `--format json` printed."""
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["lines"]
    return found
