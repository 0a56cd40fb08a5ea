"""LongBench-v2 with its own texts and items, and with small rows of our own making."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lcbench import catalog
from lcbench.answers import known
from lcbench.benchmarks.base import Cell
from lcbench.errors import MissingError, UsageError
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Sample, answer_mark
from lcbench.schema import RunConfig
from tests.tokenizers_made import lines, save

SHORT = 180
ALL = 503


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("byte-level BPE", tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def prompter(folder: Path) -> Prompter:
    return Prompter(folder)


@pytest.fixture
def pulled(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = shared / "data"
    if not (data / "longbench_v2/short.jsonl.gz").is_file() or not (data / "texts/longbench_v2.json").is_file():
        pytest.skip(f"no LongBench-v2 under {data} (LCBENCH_SHARED)")
    monkeypatch.setenv("LCBENCH_DATA", str(data))
    return data


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    return {row["_id"]: row for row in map(json.loads, gzip.decompress(path.read_bytes()).decode().split("\n")[:-1])}


def cell_of(name: str, prompter: Prompter, length: int | None, limit: int | None = None, **config: Any) -> Cell:
    return open_cell(catalog.tasks()[name], length, prompter, RunConfig(model="none", **config), limit)[1]


def content(sample: Sample) -> str:
    return sample.messages[-1]["content"]


def item(sample: Sample) -> str:
    return sample.id.rsplit(":", 1)[1]


def upstream(template: str, row: dict[str, Any]) -> str:
    """As pred.py of THUDM/LongBench fills a prompt: one place after the other."""
    return (
        template.replace("$DOC$", row.get("context", "").strip())
        .replace("$Q$", row["question"].strip())
        .replace("$C_A$", row["choice_A"].strip())
        .replace("$C_B$", row["choice_B"].strip())
        .replace("$C_C$", row["choice_C"].strip())
        .replace("$C_D$", row["choice_D"].strip())
    )


# with LongBench-v2's own texts


def test_whole_prompts_are_upstream_s(pulled: Path, prompter: Prompter) -> None:
    template = json.loads((pulled / "texts/longbench_v2.json").read_text())["strings"]["0shot"]
    rows = rows_of(pulled / "longbench_v2/short.jsonl.gz")
    cell = cell_of("longbench_v2", prompter, None)
    assert set(known(catalog.tasks()["longbench_v2"]) or ()) == set(rows)
    assert len(rows) == SHORT
    seen = set()
    for index in range(20):
        sample = cell.sample(index)
        row = rows[item(sample)]
        assert content(sample) == upstream(template, row)
        assert sample.references == (row["answer"],)
        assert sample.tags == {
            "difficulty": row["difficulty"],
            "length class": row["length"],
            "domain": row["domain"],
        }
        assert not sample.truncated
        seen.add(item(sample))
    assert len(seen) == 20


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_prompts_have_the_length_and_lose_the_middle_of_the_document(
    pulled: Path, folder: Path, system: str | None
) -> None:
    template = json.loads((pulled / "texts/longbench_v2.json").read_text())["strings"]["0shot"]
    rows = rows_of(pulled / "longbench_v2/short.jsonl.gz")
    again = AutoTokenizer.from_pretrained(folder)
    cell = cell_of("longbench_v2", Prompter(folder, system=system), 4096)
    n = cell.prepare(60)[0]
    assert n == 60
    for index in range(n):
        sample = cell.sample(index)
        text = again.apply_chat_template(list(sample.messages), tokenize=False, add_generation_prompt=True)
        used = len(again(text, add_special_tokens=False)["input_ids"])
        assert used == sample.prompt_tokens
        assert used + 128 <= 4096
        assert used + 128 >= 4096 - 4 or not sample.truncated
        row = rows[item(sample)]
        whole, cut = upstream(template, row), content(sample)
        if not sample.truncated:
            assert cut == whole
            continue
        head, tail = (upstream(part, row) for part in template.split("$DOC$"))
        assert cut.startswith(head)
        assert cut.endswith(tail)
        common = next((i for i, (a, b) in enumerate(zip(cut, whole, strict=False)) if a != b), len(cut))
        assert whole.endswith(cut[common:])
        rest = cut[common:]
        # upstream cuts the prompt to two halves of equally many tokens
        halves = [len(again(part, add_special_tokens=False)["input_ids"]) for part in (cut[:common], rest)]
        assert len(tail) < len(rest)
        assert abs(halves[0] - halves[1]) <= 60 or halves[1] < 1000


def test_cot_answers_in_a_second_request_that_fits(pulled: Path, prompter: Prompter) -> None:
    strings = json.loads((pulled / "texts/longbench_v2.json").read_text())["strings"]
    rows = rows_of(pulled / "longbench_v2/short.jsonl.gz")
    cell = cell_of("longbench_v2/cot", prompter, 4096)
    assert cell.prepare(20)[0] == 20
    for index in range(20):
        sample = cell.sample(index)
        row = rows[item(sample)]
        assert sample.prompt_tokens + 1024 <= 4096
        assert content(sample).endswith(upstream(strings["0shot_cot"].split("$DOC$")[1], row))
        [turn] = sample.later
        assert turn.max_new_tokens == 128
        said = "Let me see: $Q$ {x} " + answer_mark(0)
        ids = prompter.encode_turn(turn, (said,), 4096)
        expected = upstream(strings["0shot_cot_ans"], row).replace("$COT$", said)
        assert ids == prompter.encode(prompter.render(prompter.conversation(expected), ""))
        longest = prompter.encode_turn(turn, (" ".join(lines()),), 4096)
        assert 4080 <= len(longest) + 128 <= 4096


def test_no_context_asks_all_questions(pulled: Path, prompter: Prompter) -> None:
    template = json.loads((pulled / "texts/longbench_v2.json").read_text())["strings"]["0shot_no_context"]
    rows = rows_of(pulled / "longbench_v2/questions.jsonl.gz")
    cell = cell_of("longbench_v2/no_context", prompter, None, limit=8192)
    assert cell.prepare(1000) == (ALL, 0)
    samples = [cell.sample(i) for i in range(ALL)]
    assert {item(s): content(s) for s in samples} == {name: upstream(template, row) for name, row in rows.items()}
    assert all(s.length is None and s.id == f"longbench_v2/no_context:-:{item(s)}" for s in samples)
    assert len({s.context_id for s in samples}) == ALL
    tags = Counter(s.tags["length class"] for s in samples)
    assert tags == Counter(row["length"] for row in rows.values())
    assert tags["short"] == SHORT


# with rows of our own


def row(name: str, **changes: str) -> dict[str, str]:
    made = {
        "_id": name,
        "domain": "Towns",
        "sub_domain": "Rivers",
        "difficulty": "easy",
        "length": "short",
        "question": f" Which river is near {name}? ",
        **{f"choice_{letter}": f" River {letter}\n" for letter in "ABCD"},
        "answer": "B",
        "context": f"\n\n{name} lies by river B. {lines()[0]}\n",
    }
    return {**made, **changes}


def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, str]]) -> None:
    """These rows as the data of LongBench-v2."""
    (tmp_path / "longbench_v2").mkdir()
    text = "".join(json.dumps(r) + "\n" for r in rows)
    (tmp_path / "longbench_v2/data.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))


def test_what_a_document_says_is_not_a_place(
    tmp_path: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty = f"$Q$ $C_A$ $DOC$ $COT$ {answer_mark(0)} {{x}} \\1"
    put(tmp_path, monkeypatch, [row("Ulm", context=nasty, choice_A="$C_B$", question="$DOC$?")])
    for name in ("longbench_v2", "longbench_v2/cot"):
        [sample] = [cell_of(name, prompter, 4096, prompt="builtin").sample(0)]
        assert f"<text>\n{nasty}\n</text>" in content(sample)
        assert "\nQuestion: $DOC$?\n(A) $C_B$\n(B) River B\n" in content(sample)


def test_a_mark_in_a_question_stays_what_it_is(
    tmp_path: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, [row("Ulm", question="What is $COT$?", choice_C="$COT$")])
    [turn] = cell_of("longbench_v2/cot", prompter, 4096, prompt="builtin").sample(0).later
    text = prompter.tokenizer.decode(prompter.encode_turn(turn, ("THOUGHT",), None))
    assert text.count("THOUGHT") == 1
    assert "What is $COT$?" in text
    assert "(C) $COT$" in text


def test_items_without_a_context_are_passed_over(
    tmp_path: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = row("Bonn")
    del bare["context"]
    put(tmp_path, monkeypatch, [row("Ulm"), bare, row("Trier", context=""), row("Worms")])
    cell = cell_of("longbench_v2", prompter, 4096, prompt="builtin")
    assert cell.prepare(10) == (2, 2)
    assert {item(cell.sample(i)) for i in range(2)} == {"Ulm", "Worms"}
    assert cell_of("longbench_v2/no_context", prompter, None, prompt="builtin").prepare(10) == (4, 0)


def test_items_on_one_document_share_a_context(
    tmp_path: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, [row("Ulm", context="A text."), row("Bonn", context=" A text.\n"), row("Worms")])
    cell = cell_of("longbench_v2", prompter, 4096, prompt="builtin")
    shared_by = {item(s): s.context_id for s in map(cell.sample, range(3))}
    assert shared_by["Ulm"] == shared_by["Bonn"] != shared_by["Worms"]


def test_official_prompts_have_to_be_pulled(
    tmp_path: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, [row("Ulm")])
    with pytest.raises(MissingError) as caught:
        cell_of("longbench_v2", prompter, 4096)
    assert caught.value.hint == "lcbench data pull longbench_v2"


def test_a_question_that_does_not_fit_is_passed_over(
    tmp_path: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, monkeypatch, [row("Ulm"), row("Bonn", question=" ".join(lines()[:100]))])
    cell = cell_of("longbench_v2", prompter, 512, prompt="builtin")
    assert cell.prepare(10) == (1, 1)
    assert item(cell.sample(0)) == "Ulm"
    assert cell_of("longbench_v2/cot", prompter, 512, prompt="builtin", max_new_tokens=100).prepare(10) == (1, 1)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(UsageError, match="setting"):
        catalog.select(["longbench_v2:setting=rag"])
