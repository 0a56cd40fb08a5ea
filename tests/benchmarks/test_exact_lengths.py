"""Every counted length is true: whole samples encoded again, by another road, with five tokenizers."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lcbench import catalog
from lcbench.data.pinned import SOURCES
from lcbench.errors import CannotBuild
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.schema import RunConfig
from tests.tokenizers_made import KINDS, save

SAMPLES = 40  # of each of the five tokenizers


@pytest.fixture(scope="session")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of our own making in the formats of SQuAD and HotpotQA: documents that end in all sorts of ways."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "squad").mkdir()
    (folder / "hotpotqa").mkdir()
    endings = [".", '."', ")", "?", " 42", "é", "…", "!)"]

    def text(i: int) -> str:
        return f"Town {i} lies by river {i * 7 % 90}. It has {i * 131} people, who sell tin{endings[i % len(endings)]}"

    def paragraph(i: int) -> dict[str, Any]:
        return {"context": text(i), "qas": [{"question": f"Who sells in town {i}?", "answers": [{"text": "people"}]}]}

    articles = [{"paragraphs": [paragraph(a * 20 + p) for p in range(20)]} for a in range(10)]
    rows = [
        {
            "question": f"Which river is near town {i}?",
            "answer": str(i * 7 % 90),
            "supporting_facts": [[f"Town {i}", 0]],
            "context": [[f"Town {j}", [text(j), " It is old."]] for j in range(i, i + 4)],
        }
        for i in range(150)
    ]
    (folder / "squad/xquad_en.json.gz").write_bytes(gzip.compress(json.dumps({"data": articles}).encode()))
    (folder / "hotpotqa/dev_distractor_200.jsonl.gz").write_bytes(
        gzip.compress("\n".join(map(json.dumps, rows)).encode())
    )
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_counted_lengths_are_true(kind: str, tmp_path: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(own_data))
    monkeypatch.setitem(SOURCES, "xquad_en", dataclasses.replace(SOURCES["xquad_en"], sha256=None))
    folder = save(kind, tmp_path)
    prompter, again = Prompter(folder), AutoTokenizer.from_pretrained(folder)
    config = RunConfig(model="none", seed=7, prompt="builtin")
    checked = 0
    for task in [selected.task for selected in catalog.select(["ruler"])]:
        for length, samples in ((1900, 2), (4096, 1), (5000, 1)):
            try:
                _, cell = open_cell(task, length, prompter, config)
                made = [cell.sample(i) for i in range(cell.prepare(samples)[0])]
            except CannotBuild:
                continue
            for sample in made:
                text = "".join(m["content"] for m in sample.messages) + sample.answer_prefix
                if again.chat_template:
                    text = again.apply_chat_template(list(sample.messages), tokenize=False, add_generation_prompt=True)
                    text += sample.answer_prefix
                used = len(again(text, add_special_tokens=False)["input_ids"]) + sample.max_new_tokens
                assert used == sample.prompt_tokens + sample.max_new_tokens
                assert used <= length
                content = sample.messages[-1]["content"]
                assert all(a in content for a in sample.references)
                # Lines and paragraphs are units; an essay or a list is one long line, and its unit a word.
                lines = [line for line in content.split("\n") if len(line) < 1000]
                unit = max((prompter.count(line) for line in lines), default=0)
                assert used >= 0.95 * length or length - used <= unit + 40, task.name
                checked += 1
    assert checked >= SAMPLES


@pytest.mark.skipif("LCBENCH_LONG" not in os.environ, reason="set LCBENCH_LONG=1: 128k tokens, a minute")
def test_counted_lengths_are_true_at_128k(tmp_path: Path) -> None:
    folder = save("byte-level BPE", tmp_path)
    prompter, config = Prompter(folder), RunConfig(model="none", prompt="builtin")
    for name in ("ruler/niah_single_1", "ruler/niah_single_2", "ruler/niah_multikey_2", "ruler/vt", "ruler/fwe"):
        _, cell = open_cell(catalog.tasks()[name], 131_072, prompter, config)
        for index in range(3):
            sample = cell.sample(index)
            assert prompter.count(prompter.render(sample.messages, sample.answer_prefix)) == sample.prompt_tokens
