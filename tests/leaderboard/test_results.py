"""results/README.md is what `lcbench leaderboard` makes of the reference results, and their figures are theirs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lcbench.leaderboard.cache import NAME
from tests import tiny_model
from tests.leaderboard.conftest import Command, lines

COMMAND = "lcbench leaderboard results --by attn --format md -o results/README.md"


@pytest.fixture
def results(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reference results, without what this machine has run."""
    shutil.copytree(root / "results", tmp_path / "results", ignore=shutil.ignore_patterns("runs", f"{NAME}*"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_the_readme_is_not_stale(lcbench: Command, results: Path) -> None:
    assert f"`{COMMAND}`" in (results / "README.md").read_text(encoding="utf-8")
    result = lcbench(*COMMAND.split()[1:], "--check")
    assert result.exit_code == 0, f"results/README.md is stale, renew it with: {COMMAND}\n{result.output}"


def test_a_changed_score_makes_it_stale(lcbench: Command, results: Path) -> None:
    path = results / "ruler-smollm2-135m-h100/summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["cells"][0]["score"] += 1
    path.write_text(json.dumps(summary), encoding="utf-8")
    result = lcbench(*COMMAND.split()[1:], "--check")
    assert result.exit_code == 1 and "README.md is stale" in result.stderr


def test_every_cell_of_the_reference_results_is_there(lcbench: Command, results: Path) -> None:
    found = lines(lcbench("leaderboard", results, "--by", "task", "--format", "json"))
    kept = [
        (c["task"], c["length"], c["attn"], c["score"], c["ci"], c["n"])
        for path in results.rglob("*summary.json")
        for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]
    shown = [(x["name"].partition(" (")[0], x["length"], x["attn"], x["score"], x["ci"], x["n"]) for x in found]
    assert sorted(map(str, shown)) == sorted(map(str, kept))
    runs = {path.name.removesuffix("run.json").strip("-") or path.parent.name for path in results.rglob("*run.json")}
    assert {run.rpartition("/")[2] for x in found for run in x["runs"]} == runs


def test_synthetic_runs_are_read_whole_and_faster_again(lcbench: Command, root: Path, tmp_path: Path) -> None:
    script = [sys.executable, str(root / "scripts/make_synthetic_runs.py"), str(tmp_path), "--runs", "8"]
    subprocess.run(script, check=True, cwd=root)
    took, printed = [], []
    for _ in range(2):
        start = time.monotonic()
        result = lcbench("leaderboard", tmp_path, "--format", "json")
        took.append(time.monotonic() - start)
        printed.append(lines(result))
        assert "8 runs, 8000 samples" in result.stderr
    assert printed[0] == printed[1]
    assert took[1] < took[0]


def test_what_a_run_writes_is_read(lcbench: Command, tmp_path: Path) -> None:
    model = tiny_model.save(tmp_path / "tiny")
    given = [
        "--attn",
        "softmax,lucid",
        "--tasks",
        "vt,fwe",
        "--prompt",
        "builtin",
        "--lengths",
        "1k",
        "--samples",
        "2",
        "--max-new-tokens",
        "2",
    ]
    ran = lcbench("run", "--model", model, *given, "--out", tmp_path / "runs/a", "--format", "json")
    cells = json.loads(ran.stdout)["cells"]
    found = lines(lcbench("leaderboard", tmp_path / "runs", "--by", "task", "--format", "json"))
    keys = ("attn", "length", "model", "prompt", "score", "ci", "n", "n_failed", "n_unextracted")
    assert sorted([c["task"], *(c[k] for k in keys)] for c in cells) == sorted(
        [x["name"], *(x[k] for k in keys)] for x in found
    )
    assert {x["untrained"] for x in found if x["attn"] == "lucid"} == {True}
