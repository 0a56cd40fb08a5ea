"""Makes a tree of run folders with invented scores, to time readers of many runs:

    .venv/bin/python scripts/make_synthetic_runs.py /tmp/runs --runs 1000 --records 1000
    /usr/bin/time -v .venv/bin/lcbench leaderboard /tmp/runs > /tmp/table.txt

A run is one of 250 models under one of four mechanisms, on all RULER tasks at five lengths and on gsm8k, with records
as long as real ones. Its figures are those of its records.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lcbench import catalog
from lcbench.figures import figures
from lcbench.records import BatchCost, Record
from lcbench.seeds import digest

LENGTHS = (4096, 8192, 16384, 32768, 65536)
MECHANISMS = ("softmax", "lucid", "laser", "sliding")
BATCH = 5
INDEX, SIZE, SCORE = 111111111, 222222222, 333333333.5  # stand in a template where a record's own go


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--records", type=int, default=1000)
    options = parser.parse_args()
    tasks = list(next(a for a in catalog.averages() if a.tasks[0].startswith("ruler/")).tasks)
    for number in range(options.runs):
        make(options.folder / f"run-{number:05}", number, tasks, options.records)


def make(folder: Path, number: int, tasks: list[str], records: int) -> None:
    """One run folder: the same records for every cell of RULER, what is left over for gsm8k."""
    rng = random.Random(number)
    model, attn = f"model-{number // len(MECHANISMS):03}", MECHANISMS[number % len(MECHANISMS)]
    places = [(task, length) for task in tasks for length in LENGTHS]
    each = records // len(places)
    sizes = {place: each for place in places if each} | {("gsm8k", None): records - each * len(places)}
    folder.mkdir(parents=True)
    cells = []
    with (folder / "samples.jsonl").open("w", encoding="utf-8") as file:
        for (task, length), n in sizes.items():
            if n:
                rows = lines(rng, f"{attn}|{task}:{length or '-'}", n)
                file.writelines(line for line, _ in rows)
                cells.append(cell(model, attn, task, length, [score for _, score in rows]))
    write(folder / "run.json", about(model, attn, [*tasks, "gsm8k"], number))
    summary = {"run": str(folder), "cells": cells, "averages": [], "beside": [], "parts": [], "mechanisms": []}
    write(folder / "summary.json", {**summary, "notes": []})


def lines(rng: random.Random, name: str, n: int) -> list[tuple[str, float]]:
    """(line, score) of n records of one cell."""
    right = rng.uniform(0.5, 1.0)
    shape = template(name)
    made = []
    for index in range(n):
        score = rng.choice((1.0, 1.0, 0.75)) if rng.random() < right else rng.choice((0.0, 0.0, 0.25))
        batch, size = index // BATCH, min(BATCH, n - index // BATCH * BATCH)
        made.append((shape % {"index": index, "batch": batch, "size": size, "score": score}, score))
    return made


def template(name: str) -> str:
    """A line as long as a real one, with places for what differs."""
    text = "The special magic number for loud-harbour mentioned in the provided text is 1234567."
    shape = Record(
        key="0123456789abcdef" * 4,
        cell=name,
        batch=f"{name}:%(batch)s",
        sample_id=f"{name.partition('|')[2]}:%(index)s",
        index=INDEX,
        prompt="0123456789abcdef" * 4,
        prompt_tokens=4000,
        new_tokens=30,
        completion=f" {text}",
        finish="eos",
        error=None,
        score=SCORE,
        extracted=text,
        flags=(),
        references=("1234567",),
        truncated=False,
        evidence=({"start": 12345, "end": 12400, "depth": 0.33},),
        cost=asdict(BatchCost(SIZE, 20000, 150, 1.2345, 2.345, 30, 2812623872)),
        context_id=f"{name.partition('|')[2]}:%(index)s",
    )
    line = json.dumps(asdict(shape), ensure_ascii=False) + "\n"
    for number, place in ((INDEX, "index"), (SIZE, "size"), (SCORE, "score")):
        line = line.replace(f": {number}", f": %({place})s")
    return line


def cell(model: str, attn: str, task: str, length: int | None, scores: list[float]) -> dict[str, Any]:
    about = {"task": task, "length": length, "model": model, "attn": attn, "strategy": "greedy"}
    prompt, metric = ("task", "gsm8k.flexible") if length is None else ("official", "ruler.match_all")
    none = dict.fromkeys(("n_failed", "n_unextracted", "n_truncated", "n_skipped"), 0)
    counted = {**none, "overridden": False, "split": None, "na": None}
    return {**about, "prompt": prompt, "metric": metric, **figures(metric, scores, []), **counted}


def about(model: str, attn: str, tasks: list[str], number: int) -> dict[str, Any]:
    """run.json, with what tells runs apart."""
    identity = {
        "lcbench": "synthetic",
        "model": model,
        "model_fingerprint": digest(model),
        "attn": [attn],
        "tasks": {task: "version 1, 0123456789ab" for task in tasks},
        "texts": {},
        "materials": {},
        "strategy": "greedy",
        "engine": "synthetic",
        "seed": 0,
    }
    resolved = {"device": {"impl": "cuda"}, "dtype": {"impl": "bfloat16"}}
    return {"identity": identity, "resolved": resolved, "model": {"trained_attention": attn}, "number": number}


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
