"""With RULER's own texts: our samples have the form of those that its generator made, and all 13 tasks can be built."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lcbench import catalog
from lcbench.benchmarks.base import Cell
from lcbench.data.texts import load
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Sample
from lcbench.schema import RunConfig, Task

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NEEDLE = re.compile(rf"One of the special magic uuids for {UUID} is: {UUID}\.")
LENGTH = 4096
RULER = [s.task.name for s in catalog.select(["ruler"])]
SINGULAR = [("Some", "A"), ("are all", "is"), ("are", "is")]  # where one value is asked for
PLURAL = ("ruler/niah_multivalue", "ruler/niah_multiquery")


@pytest.fixture
def prompter(tiny: Path) -> Prompter:
    return Prompter(tiny)


@pytest.fixture
def texts(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The benchmarks' own texts and data."""
    if not (shared / "data/texts/ruler.json").is_file():
        pytest.skip(f"no RULER texts under {shared / 'data'} (LCBENCH_SHARED)")
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    return shared / "data"


def official(name: str, prompter: Prompter) -> Cell:
    return open_cell(catalog.tasks()[name], LENGTH, prompter, RunConfig(model="none"))[1]


def finished(sample: Sample) -> str:
    return sample.messages[-1]["content"] + sample.answer_prefix


def form(prompt: str) -> dict[str, Any]:
    """What all prompts of this task have in common, with the one key that is asked for taken out."""
    first, *needles, last = prompt.split("\n")
    asked = re.findall(UUID, last)
    assert len(asked) == 2
    assert asked[0] == asked[1]
    assert all(NEEDLE.fullmatch(n) for n in needles)
    assert sum(asked[0] in n for n in needles) == 1
    [answer] = [re.findall(UUID, n)[1] for n in needles if f"for {asked[0]} is" in n]
    return {"first": first, "last": last.replace(asked[0], "KEY"), "answer": answer, "needles": len(needles)}


def test_our_prompts_have_the_form_of_upstreams(shared: Path, texts: Path, prompter: Prompter) -> None:
    golden = shared / "golden/ruler_niah_multikey_3_4096.jsonl.gz"
    if not golden.is_file():
        pytest.skip(f"no golden samples at {golden}")
    upstream = [json.loads(line) for line in gzip.decompress(golden.read_bytes()).splitlines()]
    cell = official("ruler/niah_multikey_3", prompter)
    ours = [cell.sample(i) for i in range(3)]
    forms = [form(row["input"]) for row in upstream]
    mine = [form(finished(s)) for s in ours]
    assert [[f["answer"]] for f in forms] == [row["outputs"] for row in upstream]
    assert [(f["answer"],) for f in mine] == [s.references for s in ours]
    assert {(f["first"], f["last"]) for f in mine} == {(f["first"], f["last"]) for f in forms}
    assert all(f["needles"] > 10 for f in mine)


def fixed_parts(task: Task) -> list[str]:
    """The official prompt of a task, answer prefix included, cut where something is filled in."""
    entry = load("ruler").strings[task.prompts.key]
    text = entry["template"] + entry["answer_prefix"]
    for plural, singular in SINGULAR if "niah" in task.name and task.name not in PLURAL else ():
        text = text.replace(plural, singular)
    return [part for part in re.split(r"\{\w+\}", text) if part]


@pytest.mark.parametrize("name", RULER)
def test_every_task_builds_with_the_official_texts(name: str, texts: Path, prompter: Prompter) -> None:
    cell = official(name, prompter)
    assert cell.prepare(3)[0] == 3
    for sample in (cell.sample(i) for i in range(3)):
        used = prompter.count(prompter.render(sample.messages, sample.answer_prefix)) + sample.max_new_tokens
        assert used == sample.prompt_tokens + sample.max_new_tokens <= LENGTH
        assert used >= 0.95 * LENGTH or "qa" in name
        prompt, parts = finished(sample), fixed_parts(catalog.tasks()[name])
        assert prompt.startswith(parts[0])
        end = len(prompt)
        for part in reversed(parts):  # backwards: solved examples come first, and have the same parts
            end = prompt.rindex(part, 0, end)
        assert not re.search(r"\{\w*\}", prompt)
        assert sample.references
        assert all(r in sample.messages[-1]["content"] for r in sample.references)
