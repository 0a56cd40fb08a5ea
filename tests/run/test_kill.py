"""`kill -9` at any moment and the same command again: the same tables, and no finished batch is computed twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.run.background import ROOT, background
from tests.run.conftest import records

KILLS = 10
RUN = """run --tasks niah_single_1,vt,fwe --prompt builtin --lengths 1k --attn softmax,lucid --samples 36
  --max-new-tokens 4"""
LEAST_BATCHES = 12  # 3 tasks x 2 mechanisms x (32 rows and 4)
TIMES = ("tokens_per_s", "ttft_s", "decode_tokens_per_s", "seconds")


def untimed(value: Any) -> Any:
    """A summary without what no two runs have in common: the times, and where the run lies."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in (*TIMES, "run")}
    return [untimed(v) for v in value] if isinstance(value, list) else value


def answers(folder: Path) -> list[tuple[Any, ...]]:
    return [(r["key"], r["batch"], r["completion"], r["finish"], r["score"]) for r in records(folder)]


def whole_batches(folder: Path) -> bytes:
    """The head of samples.jsonl that ends with the last batch of which every line is there."""
    file = folder / "samples.jsonl"
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    counted: dict[str, int] = {}
    head = end = 0
    for line in lines:
        if not line.endswith(b"\n"):
            break
        record = json.loads(line)
        end += len(line)
        counted[record["batch"]] = counted.get(record["batch"], 0) + 1
        if counted[record["batch"]] == record["cost"]["size"]:
            head = end
    return b"".join(lines)[:head]


def test_killed_ten_times(tiny: Path, tmp_path: Path) -> None:
    untouched, killed, log = tmp_path / "untouched", tmp_path / "killed", tmp_path / "log"
    command = [*RUN.split(), "--model", str(tiny), "--out"]
    with background(tmp_path / "log") as lcbench:
        launched = time.monotonic()
        lcbench.start(*command, untouched)
        while not (untouched / "samples.jsonl").exists():
            time.sleep(0.01)
            assert time.monotonic() - launched < 60, log.read_text()
        until_first_batch = time.monotonic() - launched
        assert lcbench.wait() == 0, log.read_text()
        costs = {r["batch"]: r["cost"] for r in records(untouched)}
        assert len(costs) >= LEAST_BATCHES
        a_batch = statistics.median(c["prefill_s"] + c["decode_s"] for c in costs.values())

        rng = random.Random(0)
        progress = []
        for _ in range(KILLS):
            before = whole_batches(killed)
            process = lcbench.start(*command, killed)
            time.sleep(rng.uniform(0, until_first_batch + 3 * a_batch))
            with contextlib.suppress(ProcessLookupError):  # on a fast machine it may be done
                os.kill(process, signal.SIGKILL)
            assert lcbench.wait() in (-signal.SIGKILL, 0), log.read_text()
            after = whole_batches(killed)
            assert after.startswith(before)
            progress.append(len(after) - len(before))
    assert 0 in progress
    assert any(progress)

    before = whole_batches(killed)
    last = subprocess.run(
        [sys.executable, "-m", "lcbench", *command, str(killed), "--format", "json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (killed / "samples.jsonl").read_bytes().startswith(before)
    assert answers(killed) == answers(untouched)  # every batch once, in the order of the plan
    finished, summary = (json.loads((f / "summary.json").read_text()) for f in (killed, untouched))
    assert untimed(finished) == untimed(summary)
    assert json.loads(last.stdout)["run"] == str(killed)
    assert len(summary["cells"]) == 6
