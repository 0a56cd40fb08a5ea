"""Run folders made up for the tests of the report: real records in a real folder, with figures by the code of a run."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lcbench.figures import figures
from lcbench.records import BatchCost
from lcbench.store import RunFolder
from lcbench.summary import cost

Change = Callable[[dict[str, Any]], None]
NEEDLES = ("ruler/niah_single_1", "ruler/niah_single_2")
SEVERAL = "ruler/vt"
TASKS = (*NEEDLES, SEVERAL)
LENGTHS = (4096, 8192, 16384)
ROWS = 25  # samples a batch
SKILL = {"softmax": 0.9, "lucid": 0.7, "laser": 0.8}
SECONDS = {"softmax": 1.0, "lucid": 0.4, "laser": 1.5}


def run_folder(
    path: Path,
    attns: Sequence[str] = ("softmax", "lucid"),
    tasks: Sequence[str] = TASKS,
    lengths: Sequence[int | None] = LENGTHS,
    n: int = 50,
    seed: int = 0,
    model: str = "tiny",
    change: Change = lambda row: None,
    cuda: bool = True,
) -> Path:
    """A finished run of `n` samples a cell. change: edits the fields of each record before it is written."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    cells, lines = [], []
    for attn in attns:
        for task in tasks:
            for length in lengths:
                rows = [made(attn, task, length, i, n, seed, cuda) for i in range(n)]
                for row in rows:
                    change(row)
                lines += [json.dumps(row) for row in rows]  # escaped, so that a lone surrogate can be written
                cells.append(cell(attn, task, length, rows, model))
    (path / "samples.jsonl").write_text("\n".join([*lines, ""]))
    notes = ["Prompts are lcbench's own wording (builtin)."]
    nothing = {"averages": [], "beside": [], "parts": [], "mechanisms": []}
    folder.write("summary.json", {"run": str(path), "cells": cells, **nothing, "notes": notes})
    folder.write("run.json", {"identity": identity(attns, tasks, seed, model), "machine": {"gpus": ["H100"] * cuda}})
    return path


def identity(attns: Sequence[str], tasks: Sequence[str], seed: int, model: str) -> dict[str, Any]:
    return {
        "lcbench": "0",
        "model": model,
        "attn": list(attns),
        "strategy": "greedy",
        "tokenizer": "one",
        "seed": seed,
        "tasks": {t: "version 1, abc" for t in tasks},
        "prompt": {t: "builtin" for t in tasks},
        "texts": {t: "text" for t in tasks},
        "materials": {},
        "samples": 50,
        "chat_template": None,
        "chat_frame": "frame",
        "system": None,
        "max_new_tokens": None,
    }


def made(attn: str, task: str, length: int | None, i: int, n: int, seed: int, cuda: bool) -> dict[str, Any]:
    """The fields of one record. The item comes from (task, length, index, seed), the answer from the mechanism too."""
    where = "-" if length is None else length
    item = random.Random(f"{task} {length} {i} {seed}")
    answer = random.Random(f"{attn} {task} {length} {i} {seed}")
    needle = str(item.randrange(1_000_000, 10_000_000))
    depths = [item.random() for _ in range(4 if task == SEVERAL else 1)]
    skill = SKILL[attn] - 0.1 * ((length or 4096) / 4096 - 1) ** 0.5
    right = answer.random() < skill
    said = needle if right else str(answer.randrange(1_000_000, 10_000_000))
    size = min(ROWS, n - ROWS * (i // ROWS))
    seconds = SECONDS[attn] * size * (length or 4096) / 4096
    spent = BatchCost(size, size * 4000, size * 20, seconds * 0.75, seconds * 0.25, 19, 2**31 if cuda else None)
    around = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
    cell = f"{attn}|{task}:{where}"
    return {
        "key": f"{cell}|{i}|{seed}",
        "cell": cell,
        "batch": f"{cell}|{i // ROWS * ROWS}",
        "sample_id": f"{task}:{where}:{i}",
        "index": i,
        "prompt": "builtin",
        "prompt_tokens": 4000,
        "new_tokens": 20,
        "completion": f" The special magic number mentioned in the text is {said}.",
        "finish": "eos",
        "error": None,
        "score": float(right),
        "extracted": said,
        "flags": (),
        "references": (needle,),
        "truncated": False,
        "evidence": tuple({"start": 100, "end": 160, "depth": d} for d in depths),
        "context_id": f"{task}:{where}:{i}",
        "cost": spent.__dict__,
        "excerpt": tuple(f"{around}One of the special magic numbers is: {needle}. {around}" for _ in depths),
    }


def cell(attn: str, task: str, length: int | None, rows: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """The entry of summary.json for these records."""
    verdicts = [r["score"] for r in rows]
    failed = sum(r["finish"] == "failed" for r in rows)
    nothing = {"score": None, "ci": None, "n": len(rows)}
    spent = list({r["batch"]: r["cost"] for r in rows}.values())
    return {
        "task": task,
        "length": length,
        "model": model,
        "attn": attn,
        "strategy": "greedy",
        "prompt": "builtin",
        "metric": "ruler.match_all",
        **(figures("ruler.match_all", verdicts, [{}] * len(rows)) if failed < len(rows) else nothing),
        "n_failed": failed,
        "n_unextracted": sum(r["extracted"] is None and r["finish"] != "failed" for r in rows),
        "n_truncated": 0,
        "n_skipped": 0,
        "max_new_tokens": 128,
        "overridden": False,
        "split": None,
        "na": None,
        "seconds": sum(c["prefill_s"] + c["decode_s"] for c in spent) / len(rows),
        "flops": 2e12 * (length or 4096) / 4096 * SECONDS[attn],
        **cost(rows),
    }
