"""What is printed, as a whole. LCBENCH_UPDATE_SNAPSHOTS=1 writes the snapshots again; look at what changed."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lcbench import runner
from lcbench.report.table import CELL_FIELDS
from tests.run.conftest import Command

SNAPSHOTS = Path(__file__).parent / "snapshots"


def check_snapshot(name: str, text: str) -> None:
    file = SNAPSHOTS / name
    if "LCBENCH_UPDATE_SNAPSHOTS" in os.environ:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def cell(attn: str, task: str, length: int, score: float | None, **more: Any) -> dict[str, Any]:
    """One cell of a summary: 20 samples on a GPU, unless said otherwise."""
    made: dict[str, Any] = {
        "task": task, "length": length, "model": "my-model", "attn": attn, "strategy": "greedy", "prompt": "builtin",
        "metric": "ruler.match_all", "score": score,
        "ci": None if score is None else [max(score - 10.25, 0.0), min(score + 5.5, 100.0)],
        "n": 20, "n_failed": 0, "n_unextracted": 0, "n_truncated": 0, "n_skipped": 0, "max_new_tokens": 128, "na": None,
        "overridden": False, "split": None,
        "tokens_per_s": 61397.2, "ttft_s": 0.2419, "decode_tokens_per_s": 88.1, "peak_memory_bytes": 3 * 2**30,
    }  # fmt: skip
    return made | more


ABSENT = {"tokens_per_s": None, "ttft_s": None, "decode_tokens_per_s": None, "peak_memory_bytes": None}
SUMMARY = {
    "run": "results/runs/my-model-ruler-0123456789",
    "cells": [
        cell("softmax", "ruler/niah_single_1", 4096, 100.0),
        cell("softmax", "ruler/niah_single_1", 1000, 0.0, max_new_tokens=64, overridden=True),
        cell("softmax", "ruler/qa_squad", 4096, 41.67, n=12, split="validation",
             n_skipped=3, n_unextracted=1, metric="ruler.match_part"),
        cell("softmax", "ruler/cwe", 131072, None, n=0, na="needs 200000 tokens", **ABSENT),
        cell("lucid:impl=reference", "ruler/niah_single_1", 4096, 95.0, n_failed=1, n_truncated=2),
        cell("lucid:impl=reference", "ruler/niah_single_1", 1000, None, n_failed=20, **ABSENT),
        cell("lucid:impl=reference", "ruler/qa_squad", 4096, 8.33, n=12, n_skipped=3, metric="ruler.match_part"),
        cell("lucid:impl=reference", "ruler/cwe", 131072, None, n=0, na="needs 200000 tokens", **ABSENT),
    ],
    "averages": [
        {"name": "all of it", "length": 4096, "attn": "softmax", "n": 32, "score": 70.84, "ci": [60.0, 80.5],
         "prompt": "builtin"},
        {"name": "all of it", "length": 4096, "attn": "lucid:impl=reference", "n": 32, "score": None, "ci": None,
         "prompt": "builtin"},
    ],
    "beside": [
        {"task": "ruler/qa_squad", "length": 4096, "attn": "softmax", "metric": "f1", "score": 50.0,
         "ci": [25.4, 74.6], "n": 12},
    ],
    "parts": [
        {"task": "ruler/qa_squad", "length": None, "attn": "softmax", "by": "level", "value": "3", "score": 25.0,
         "ci": [4.6, 69.9], "n": 4},
    ],
    "mechanisms": [
        {"attn": "softmax", "tokens_per_s": 61397.2, "ttft_s": 0.2419, "decode_tokens_per_s": 88.1,
         "peak_memory_bytes": 3 * 2**30},
        {"attn": "lucid:impl=reference", **ABSENT},
    ],
    "notes": ["ruler/cwe at 128k: n/a, needs 200000 tokens.", "ruler/qa_squad at 4k: only 12 of 20 samples to be had."],
}  # fmt: skip
DESIGN_KEYS = [
    "task", "length", "model", "attn", "strategy", "prompt", "metric", "score", "ci", "n", "n_failed", "n_unextracted",
    "n_truncated", "n_skipped", "tokens_per_s", "ttft_s", "decode_tokens_per_s", "peak_memory_bytes",
]  # fmt: skip


@pytest.fixture
def printed(lcbench: Command, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """What `lcbench run --format ..` puts on stdout for SUMMARY."""
    monkeypatch.setattr(runner, "run", lambda *_: SUMMARY)

    def command(format: str) -> str:
        done = lcbench("run", "--format", format)
        assert done.exit_code == 1  # there are failed samples
        assert done.stderr == ""
        return str(done.stdout)

    return command


@pytest.mark.parametrize(
    ("format", "file"), [("table", "run.txt"), ("md", "run.md"), ("csv", "run.csv"), ("json", "run.json")]
)
def test_formats_of_a_run(printed, format: str, file: str) -> None:  # type: ignore[no-untyped-def]
    check_snapshot(file, printed(format))


def test_json_is_one_document_of_the_promised_keys(printed) -> None:  # type: ignore[no-untyped-def]
    document = json.loads(printed("json"))
    assert list(document) == ["run", "cells", "averages", "beside", "parts"]
    assert list(CELL_FIELDS) == DESIGN_KEYS
    for shown, had in zip(document["cells"], SUMMARY["cells"], strict=True):  # type: ignore[arg-type]
        assert shown == {k: had[k] for k in DESIGN_KEYS}  # type: ignore[index]


def test_csv_reads_back(printed) -> None:  # type: ignore[no-untyped-def]
    text = printed("csv")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 8
    assert (rows[0]["score"], rows[0]["ci_low"], rows[0]["ci_high"]) == ("100.0", "89.75", "100.0")
    assert {rows[5][k] for k in ("score", "ci_low", "ci_high", "tokens_per_s")} == {""}


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ("run --help", "run_help.txt"),
        ("tasks build --help", "tasks_build_help.txt"),
        ("tasks --help", "tasks_help.txt"),
        ("tasks list", "tasks_list.txt"),
    ],
)
def test_commands(lcbench: Command, arguments: str, file: str) -> None:
    done = lcbench(*arguments.split())
    assert (done.exit_code, done.stderr) == (0, "")
    check_snapshot(file, done.stdout)


def test_a_real_run_prints_one_json_document(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = (
        "run --tasks niah_single_1 --prompt builtin --lengths 512 --samples 2 --max-new-tokens 2 --attn softmax,lucid"
    )
    first = lcbench(*given.split(), "--model", tiny, "--out", tmp_path / "out", "--format", "json")
    document = json.loads(first.stdout)
    assert document["run"] == str(tmp_path / "out")
    assert [(c["attn"], c["length"], c["n"], list(c)) for c in document["cells"]] == [
        ("softmax", 512, 2, DESIGN_KEYS),
        ("lucid", 512, 2, DESIGN_KEYS),
    ]
    again = lcbench(*given.split(), "--model", tiny, "--out", tmp_path / "out", "--format", "json")
    assert again.stdout == first.stdout  # times included: nothing was computed again
    table = lcbench(*given.split(), "--model", tiny, "--out", tmp_path / "out")
    assert "tiny was trained under softmax: its scores under lucid say nothing" in table.stdout
    assert "Prompts are lcbench's own wording (builtin)" in table.stdout
    assert "* max_new_tokens is 2, instead of the task's own." in table.stdout
