"""Runs as `lcbench run` writes them: what their folders say is enough to pair them, or to say why not."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lcbench import catalog
from lcbench.cli import app
from lcbench.compare import compare_runs
from lcbench.runs import Run, read_run
from tests import tiny_model

GIVEN = ["--tasks", "niah_single_1,vt", "--prompt", "builtin", "--lengths", "1k", "--samples", "4"]
ROWS = """{"id": "a", "question": "One and one?", "answer": "two"}
{"id": "b", "question": "One and two?", "answer": "three"}
{"id": "c", "question": "Two and two?", "answer": "four"}
"""
TASK = """name: own/sums
data: {file: rows.jsonl}
prompt: "{{ question }}"
references: answer
lengths: ignored
score: f1
generate: {max_new_tokens: 4}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of two mechanisms; one of another seed; one with longer answers."""
    here = tmp_path_factory.mktemp("runs")
    model = tiny_model.save(here / "tiny")
    (here / "rows.jsonl").write_text(ROWS, encoding="utf-8")
    (here / "sums.yaml").write_text(TASK, encoding="utf-8")
    catalog.tasks.cache_clear()
    tasks = f"{GIVEN[1]},{here / 'sums.yaml'}"
    found = {}
    for name, more in {
        "first": ["--attn", "softmax,lucid"],
        "again": ["--attn", "softmax"],
        "reseeded": ["--seed", "1"],
        "longer": ["--max-new-tokens", "140"],
    }.items():
        out = here / name
        given = ["run", "--model", str(model), *GIVEN[:1], tasks, *GIVEN[2:], "--out", str(out), *more]
        done = CliRunner().invoke(app, given)
        assert done.exit_code == 0, done.output
        found[name] = read_run(out)
    return found


def unpaired(*runs: Run) -> dict[str, str | None]:
    return {d.task: d.unpaired for d in compare_runs(runs)}


def test_mechanisms_of_one_run_and_equal_runs_are_paired(made: dict[str, Run]) -> None:
    paired = dict.fromkeys(("ruler/niah_single_1", "ruler/vt", "own/sums"))
    assert unpaired(made["first"]) == paired
    assert unpaired(made["first"], made["again"]) == paired
    assert all(d.p == 1 and d.difference == 0 for d in compare_runs([made["first"], made["again"]]))


def test_another_seed_makes_other_samples_of_what_is_made_and_takes_the_same_of_what_is_there(
    made: dict[str, Run],
) -> None:
    other = "another seed (0 and 1): other samples"
    told = {"ruler/niah_single_1": other, "ruler/vt": other, "own/sums": None}
    assert unpaired(made["first"], made["reseeded"]) == told


def test_another_budget_makes_other_samples_of_what_is_made(made: dict[str, Run]) -> None:
    other = "another max_new_tokens ({} and 140): other samples"
    told = {"ruler/niah_single_1": other.format(128), "ruler/vt": other.format(30), "own/sums": None}
    assert unpaired(made["first"], made["longer"]) == told
