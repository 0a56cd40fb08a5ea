"""Samples depend on the seed and on nothing else; what `tasks build` writes is what a run scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lcbench.engines.base import Generation
from lcbench.engines.transformers import TransformersEngine
from lcbench.prompting import sample_json
from lcbench.records import Request, Sample
from tests.run.background import ROOT
from tests.run.conftest import Command, records

GENERATED = "ruler/[!q]*"  # all but the two that need data
BUILD = ["tasks", "build", "--prompt", "builtin", "--lengths", "2k"]
FIELDS = {
    "id", "task", "length", "index", "messages", "answer_prefix", "references", "prompt_tokens", "max_new_tokens",
    "evidence", "context_id",
}  # fmt: skip


def lines(file: str | Path) -> dict[str, dict[str, Any]]:
    """The samples of a built file by their ids."""
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").split("\n") if line]
    assert len({r["id"] for r in rows}) == len(rows)
    return {r["id"]: r for r in rows}


@pytest.fixture
def build(lcbench: Command, unreadable: Path):  # type: ignore[no-untyped-def]
    def command(*arguments: str) -> dict[str, dict[str, Any]]:
        done = lcbench(*BUILD, "--model", unreadable, "-o", "built.jsonl", *arguments)
        assert done.exit_code == 0, done.stderr
        return lines("built.jsonl")

    return command


def test_the_same_samples_in_another_process(build, unreadable: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    command = [sys.executable, "-m", "lcbench", *BUILD, GENERATED, "--samples", "2"]
    subprocess.run(
        [*command, "--model", str(unreadable), "-o", str(tmp_path / "theirs.jsonl")],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": other}, check=True, capture_output=True,
    )  # fmt: skip
    assert build(GENERATED, "--samples", "2") == lines(tmp_path / "theirs.jsonl")
    assert len(lines(tmp_path / "theirs.jsonl")) == 2 * 11


def test_neither_order_nor_number_changes_a_sample(build) -> None:  # type: ignore[no-untyped-def]
    asked = build("niah_single_1,niah_multikey_2,vt,fwe", "--samples", "3")
    assert len(asked) == 12
    for name in ("vt", "niah_multikey_2"):
        alone = build(name, "--samples", "1")
        assert alone == {k: v for k, v in asked.items() if k in alone}
    backwards = build("fwe,vt,niah_multikey_2,niah_single_1", "--lengths", "1k,2k", "--samples", "5")
    assert {k: v for k, v in backwards.items() if k in asked} == asked


def test_the_seed_changes_every_sample(build) -> None:  # type: ignore[no-untyped-def]
    drawn = [build(GENERATED, "--samples", "2", "--seed", str(seed)) for seed in (0, 1)]
    assert drawn[0].keys() == drawn[1].keys()
    assert not any(drawn[0][k]["references"] == drawn[1][k]["references"] for k in drawn[0])


def test_samples_of_a_cell_differ(build) -> None:  # type: ignore[no-untyped-def]
    made = build("niah_single_1,vt,fwe", "--samples", "5").values()
    assert len({json.dumps(s["messages"]) for s in made}) == len(made)
    assert len({json.dumps(s["references"]) for s in made}) == len(made)


def test_what_a_built_line_holds(build) -> None:  # type: ignore[no-untyped-def]
    given = ("--samples", "1", "--system", "Be brief.", "--max-new-tokens", "7")
    for name, sample in build("niah_multikey_1,vt,fwe", *given).items():
        assert sample.keys() == FIELDS
        assert name == sample["id"] == f"{sample['task']}:{sample['length']}:{sample['index']}"
        assert (type(sample["length"]), sample["length"], sample["index"], sample["max_new_tokens"]) == (
            int,
            2048,
            0,
            7,
        )
        assert [m["role"] for m in sample["messages"]] == ["system", "user"]
        assert sample["messages"][0]["content"] == "Be brief."
        assert all(
            type(x) is str for x in (*sample["references"], sample["answer_prefix"], sample["messages"][1]["content"])
        )
        assert 0.9 * 2048 < sample["prompt_tokens"] + 7 <= 2048
        text = sample["messages"][1]["content"]
        for evidence in sample["evidence"]:
            assert 0 <= evidence["depth"] <= 1
            found = text[evidence["start"] : evidence["end"]]
            assert found.startswith(("One of the special magic numbers for", "VAR "))
            assert found == found.strip()
        evidence = [text[e["start"] : e["end"]] for e in sample["evidence"]]
        if "vt" in name:  # the chain, in its order
            assert [e.split()[1] for e in evidence] == sample["references"]
        if "multikey" in name:
            [answer] = sample["references"]
            assert [answer in e for e in evidence] == [True]  # the three other keys are no evidence


def test_a_run_scores_the_samples_that_are_built(
    build, lcbench: Command, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    """Down to the token ids that the engine is given, which are those of the built text by another road."""
    real, given = TransformersEngine.generate, {}

    def generate(engine: TransformersEngine, requests: Sequence[Request]) -> Generation:
        given.update({r.key: r for r in requests})
        return real(engine, requests)

    monkeypatch.setattr(TransformersEngine, "generate", generate)
    which = ["--lengths", "1k", "--samples", "3", "--seed", "5", "--max-new-tokens", "2", "--system", "Be brief."]
    run = "run --tasks niah_single_2,vt,fwe --prompt builtin --attn softmax,lucid"
    done = lcbench(*run.split(), *which, "--model", tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    built = build("niah_single_2,vt,fwe", *which)
    scored = records(tmp_path / "out")
    assert sorted(r["sample_id"] for r in scored) == sorted([*built, *built])
    for record in scored:
        sample = built[record["sample_id"]]
        assert all(record[k] == sample[k] for k in ("references", "prompt_tokens", "evidence", "index"))
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    for name, sample in built.items():
        text = tokenizer.apply_chat_template(sample["messages"], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text + sample["answer_prefix"], add_special_tokens=False)["input_ids"]
        assert list(given[name].ids) == ids
        assert len(ids) == sample["prompt_tokens"]
        assert given[name].max_new_tokens == sample["max_new_tokens"] == 2


def test_a_length_above_the_context_is_built_with_a_warning(lcbench: Command, unreadable: Path) -> None:
    given = "tasks build niah_single_1 --prompt builtin --lengths 1k,8k --samples 1 -o built.jsonl"
    done = lcbench(*given.split(), "--model", unreadable)
    assert done.exit_code == 0
    assert "warning: 8k is above the context of unreadable, 4096 tokens" in done.stderr
    assert done.stderr.count("warning") == 1
    assert [s["length"] for s in lines("built.jsonl").values()] == [1024, 8192]
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("niah_single_1 --lengths 1k,64 --prompt builtin", 2, "ruler/niah_single_1 at 64: needs 258 tokens"),
        ("ruler/niah_single_? --lengths 64 --prompt builtin", 2, "No sample of this length can be built"),
        ("niah_single_1,nosuch --lengths 1k --prompt builtin", 2, "Unknown task 'nosuch'"),
        ("niah_single_1 --lengths 1k", 3, "lcbench data pull ruler"),
        ("niah_single_1,qa_1 --lengths 1k --prompt builtin", 3, "lcbench data pull squad"),
        ("niah_single_1 --lengths 1k --prompt builtin -o nosuch/built.jsonl", 2, "No folder nosuch"),
        ("niah_single_1 --lengths 1k --prompt builtin -o folder", 2, "folder"),
    ],
)
def test_a_build_that_fails_leaves_nothing(
    lcbench: Command, unreadable: Path, tmp_path: Path, arguments: str, code: int, said: str
) -> None:
    Path("folder").mkdir()
    Path("built.jsonl").write_text("mine\n")
    before = sorted(tmp_path.rglob("*"))
    done = lcbench("tasks", "build", "-o", "built.jsonl", "--model", unreadable, *arguments.split())
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert Path("built.jsonl").read_text() == "mine\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_build_that_is_interrupted_leaves_nothing(
    lcbench: Command, unreadable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(range(3))

    def interrupted(sample: Sample) -> str:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return sample_json(sample)

    monkeypatch.setattr("lcbench.build.sample_json", interrupted)
    given = "tasks build niah_single_1 --prompt builtin --lengths 1k -o built.jsonl"
    assert lcbench(*given.split(), "--model", unreadable).exit_code == 130
    assert next(left, None) is None
    assert list(tmp_path.iterdir()) == []
