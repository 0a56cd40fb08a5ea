"""Runs made for a test, through the records and the store of the harness: in memory, or as folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcbench.figures import figures
from lcbench.records import Record
from lcbench.runs import Run
from lcbench.store import open_run

Place = tuple[str, int | None]
Cells = Mapping[Place, Sequence[Any]]

IDENTITY: dict[str, Any] = {
    "model": "tiny",
    "seed": 0,
    "tokenizer": "t0",
    "chat_frame": "f0",
    "materials": {},
}
COST = {"size": 1, "prompt_tokens": 100, "new_tokens": 1, "prefill_s": 1.0, "decode_s": 1.0, "decode_steps": 1}


def record(cell: str, index: int, score: Any, **more: Any) -> Record:
    """One answer: `score` from 0 to 1, None without labels, "failed" for a sample that failed. more: other fields."""
    place = cell.partition("|")[2]
    failed = score == "failed"
    fields = {"sample_id": f"{place}:{index}", "references": ("yes",), "beside": {}, "context_id": None, **more}
    return Record(
        key=f"{cell}:{index}",
        cell=cell,
        batch=f"{cell}|{index}",
        index=index,
        prompt="official",
        prompt_tokens=100,
        new_tokens=1,
        completion=None if failed else "an answer",
        finish="failed" if failed else "eos",
        error="out of memory" if failed else None,
        score=0.0 if failed else score,
        extracted=None,
        flags=(),
        truncated=False,
        evidence=(),
        cost={**COST, "peak_memory_bytes": None},
        **fields,
    )


def records_of(
    attn: str, place: Place, scores: Sequence[Any], more: Sequence[Mapping[str, Any]] | None
) -> list[Record]:
    """The records of one cell, in the order of their index."""
    task, length = place
    cell = f"{attn}|{task}:{'-' if length is None else length}"
    return [record(cell, i, s, **m) for i, (s, m) in enumerate(zip(scores, more or [{}] * len(scores), strict=True))]


def run(
    runs: Mapping[str, Cells],
    path: str | Path = "run",
    metric: str = "exact",
    prompt: str = "official",
    cell: Mapping[str, Any] | None = None,
    more: Mapping[Place, Sequence[Mapping[str, Any]]] | None = None,
    **identity: Any,
) -> Run:
    """A finished run: {attention: {(task, length): scores in the order of their index}}.

    cell: other values of the summary's cells. more: other fields of the records. identity: other values of run.json's.
    """
    tasks = {task: "version 1, abc" for cells in runs.values() for task, _ in cells}
    texts = {task: f"of {task}" for task in tasks}
    about = {
        "identity": {**IDENTITY, "tasks": tasks, "texts": texts, **identity},
        "model": {"trained_attention": "softmax"},
        "machine": {"cpu": "a"},
    }
    summary, rows = [], {}
    for attn, cells in runs.items():
        for (task, length), scores in cells.items():
            records = records_of(attn, (task, length), scores, (more or {}).get((task, length)))
            rows[attn, task, length] = [dict(vars(r)) for r in records]
            told = figures(metric, [r.score for r in records], [r.beside for r in records])
            place = {
                "task": task,
                "length": length,
                "attn": attn,
                "prompt": prompt,
                "metric": metric,
                "max_new_tokens": 8,
            }
            summary.append({**place, **told, "na": None if scores else "too long", **(cell or {})})
    return Run(Path(path), about, {"cells": summary, "notes": []}, rows)


def write(made: Run) -> Path:
    """The same as a run folder at its path."""
    with open_run(made.path, made.identity, 1, fresh=True) as folder:
        folder.write("run.json", made.about)
        folder.append([Record(**row) for rows in made.rows.values() for row in rows])
        folder.write("summary.json", made.summary)
    return made.path
