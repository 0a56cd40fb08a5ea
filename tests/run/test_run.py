"""From `lcbench run` to a score: what is counted, where it is kept, and what is said on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lcbench.engines.base import Generation
from lcbench.engines.transformers import TransformersEngine
from lcbench.records import BatchCost, Completion, Request
from tests.run.background import ROOT
from tests.run.conftest import Command, records

GIVEN = ["--prompt", "builtin", "--lengths", "1k", "--samples", "10", "--seed", "3"]


@pytest.fixture
def built(lcbench: Command, unreadable: Path) -> dict[str, dict[str, Any]]:
    """The samples of the runs below by id, as built without an engine."""
    arguments = ["niah_single_1,niah_multivalue", *GIVEN, "--model", unreadable, "-o", "built.jsonl"]
    assert lcbench("tasks", "build", *arguments).exit_code == 0
    return {s["id"]: s for s in map(json.loads, Path("built.jsonl").read_text().splitlines())}


def test_scores_are_shares_of_what_was_asked(
    lcbench: Command, tiny: Path, tmp_path: Path, built: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that knows the answers: all of them, some of them, none, silence."""

    def said(key: str) -> str:
        gold, index = built[key]["references"], built[key]["index"]
        if index < 6:
            return " The numbers are " + ", ".join(gold)
        return {6: f"{gold[0]}", 7: " \n\t ", 8: "No idea.", 9: ""}[index]

    def rows(requests: Sequence[Request]) -> Generator[Completion, None, BatchCost]:
        for r in reversed(requests):
            yield Completion(r.key, said(r.key), (1, 2, 3), "eos")
        return BatchCost(len(requests), 1000 * len(requests), 3 * len(requests), 2.0, 0.5, 2, None)

    monkeypatch.setattr(TransformersEngine, "generate", lambda engine, requests: Generation(rows(requests)))
    arguments = ["--tasks", "niah_single_1,niah_multivalue", *GIVEN, "--model", tiny, "--out", tmp_path / "out"]
    done = lcbench("run", *arguments, "--format", "json")
    assert done.exit_code == 0, done.stderr
    single, multi = json.loads(done.stdout)["cells"]
    assert (single["score"], multi["score"]) == (70.0, 62.5)  # 7 of 10; 6 and a quarter
    assert single["ci"] == [39.68, 89.22]  # Wilson at 7 of 10
    for cell in (single, multi):
        assert (cell["n"], cell["n_unextracted"], cell["n_failed"], cell["n_skipped"]) == (10, 2, 0, 0)
        assert cell["tokens_per_s"] == round((10_000 + 30) / 2.5, 1)
        assert (cell["ttft_s"], cell["decode_tokens_per_s"], cell["peak_memory_bytes"]) == (2.0, 40.0, None)
    scores = {r["sample_id"]: r["score"] for r in records(tmp_path / "out")}
    assert [scores[f"ruler/niah_multivalue:1024:{i}"] for i in range(10)] == [1.0] * 6 + [0.25, 0.0, 0.0, 0.0]
    assert "softmax  ruler/niah_single_1  1k  70.0 over 10 samples" in done.stderr


def test_the_same_command_finds_its_own_folder(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = "run --tasks niah_single_1 --prompt builtin --lengths 256 --max-new-tokens 1"
    for arguments in ([], ["--samples", "2"], ["--samples", "2"], ["--samples", "2", "--seed", "1"]):
        assert lcbench(*given.split(), "--model", tiny, *(arguments or ["--samples", "1"])).exit_code == 0
    folders = sorted((tmp_path / "results/runs").iterdir())
    assert [len(records(f)) for f in folders].count(2) == 2
    assert len(folders) == 3
    assert all(f.name.startswith("tiny-niah_single_1-") for f in folders)


def test_run_json_says_what_was_run(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = "run --tasks niah_single_2 --prompt builtin --lengths 512 --samples 1 --max-new-tokens 1 --attn lucid"
    assert lcbench(*given.split(), "--model", tiny, "--out", tmp_path / "out").exit_code == 0
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["resolved"]["dtype"]["impl"] == "float32"
    assert run["resolved"]["attention"]["lucid"]["impl"] == "reference"
    assert all(run["resolved"][k]["reason"] for k in ("device", "dtype", "chunk"))
    identity = run["identity"]
    assert identity["tasks"]["ruler/niah_single_2"].startswith("version 1, ")
    assert identity["prompt"] == {"ruler/niah_single_2": "builtin"}
    assert len(identity["model_fingerprint"]) == 64
    assert [len(h) for h in identity["texts"].values()] == [64]
    assert identity["materials"]["ruler/niah_single_2/haystack"]["source"] == "prose"


def test_records_of_one_sample_under_two_mechanisms_differ_by_key(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = "run --tasks niah_single_1,fwe --prompt builtin --lengths 512 --samples 3 --max-new-tokens 1"
    assert lcbench(*given.split(), "--attn", "softmax,lucid", "--model", tiny, "--out", tmp_path / "out").exit_code == 0
    rows = records(tmp_path / "out")
    assert len({r["key"] for r in rows}) == len(rows) == 12
    assert len({r["sample_id"] for r in rows}) == 6


def test_listing_tasks_needs_neither_torch_nor_transformers() -> None:
    code = "from lcbench.cli import app\napp(['tasks', 'list'], standalone_mode=False)\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    listed, modules = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1].split()
    assert len(listed) >= 15
    assert {"torch", "transformers", "tokenizers", "numpy", "datasets", "pandas"}.isdisjoint(modules)
