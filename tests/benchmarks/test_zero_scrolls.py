"""ZeroSCROLLS' prompts against upstream's steps, written down here a second time, on rows of our own making."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lcbench import catalog
from lcbench.answers import known
from lcbench.benchmarks.base import Brief, Cell
from lcbench.errors import MissingError, UsageError
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Sample
from lcbench.schema import RunConfig
from tests.benchmarks.zero_scrolls_rows import FORMS, OFFSETS, ROWS, row_of, write, write_all
from tests.tokenizers_made import lines, save

TASKS = list(FORMS)
SUMMARIES = ["gov_report", "summ_screen_fd", "qmsum", "squality"]
REQUEST = "Do not provide any explanation."


@pytest.fixture(scope="module")
def prompter(tmp_path_factory: pytest.TempPathFactory) -> Prompter:
    return Prompter(save("byte-level BPE", tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    return tmp_path


def opened(spec: str, prompter: Prompter, length: int | None = 8192) -> tuple[Brief, Cell]:
    [selected] = catalog.select([f"zero_scrolls/{spec}"])
    return open_cell(selected.task, length, prompter, RunConfig(model="none"))


def samples_of(spec: str, prompter: Prompter, length: int | None = 8192) -> dict[str, Sample]:
    """All samples by the ids of their items."""
    _, cell = opened(spec, prompter, length)
    made = [cell.sample(i) for i in range(cell.prepare(1000)[0])]
    return {s.id.rsplit(":", 1)[1]: s for s in made}


def content(sample: Sample) -> str:
    return sample.messages[-1]["content"]


def upstream_chat(task: str, row: dict[str, Any]) -> tuple[str, int]:
    """The whole prompt of a chat model and where its query starts, after experiments/api/openai_api.py and api.py."""
    row = dict(row)
    if task not in SUMMARIES:
        end = row["input"].find("\n\n")
        row["input"] = f"{row['input'][:end].strip()} {REQUEST}{row['input'][end:]}"
        # upstream moves the offsets by this much, and the instruction by the blanks less that it strips
        for key in OFFSETS[:4]:
            row[key] += len(REQUEST) + 1
    return row["input"][: row["query_end_index"]], row["query_start_index"]


@pytest.mark.parametrize("task", TASKS)
def test_chat_prompts_are_upstream_s(task: str, data: Path, prompter: Prompter) -> None:
    rows = []
    for n in range(ROWS):
        row = row_of(task, n)
        # an instruction without blanks at its end, on which upstream's own offsets are right
        row["input"] = row["input"].replace("words. \n\n", "words.\n\n")
        rows.append({k: v - 1 if k in OFFSETS[:4] else v for k, v in row.items()})
    write(data, task, rows)
    found = samples_of(task, prompter)
    assert set(found) == {r["id"] for r in rows}
    for row in rows:
        sample = found[row["id"]]
        assert content(sample) == upstream_chat(task, row)[0]
        assert (REQUEST in content(sample)) == (task not in SUMMARIES)
        assert FORMS[task][3] not in content(sample)
        assert sample.references == (row["output"],)
        assert not sample.truncated
        assert sample.prompt_tokens == prompter.count(prompter.render(sample.messages, ""))


@pytest.mark.parametrize("task", TASKS)
def test_blanks_at_the_end_of_an_instruction_move_no_offset(task: str, data: Path, prompter: Prompter) -> None:
    row = row_of(task, 0)
    write(data, task, [row])
    [sample] = samples_of(task, prompter).values()
    rest = row["input"][row["input"].find("\n\n") : row["query_end_index"]]
    instruction = row["input"][: row["input"].find("\n\n")]
    assert content(sample) == (instruction if task in SUMMARIES else f"{instruction.strip()} {REQUEST}") + rest


@pytest.mark.parametrize("task", TASKS)
def test_without_the_chat_format_the_input_is_the_prompt(task: str, data: Path, prompter: Prompter) -> None:
    write(data, task, [row_of(task, n) for n in range(ROWS)])
    found = samples_of(f"{task}:chat=false", prompter)
    assert {name: content(s) for name, s in found.items()} == {
        r["id"]: r["input"] for r in (row_of(task, n) for n in range(ROWS))
    }


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("params", ["", ":chat=false"])
def test_without_offsets_the_same_places_are_found(task: str, params: str, data: Path, prompter: Prompter) -> None:
    rows = [row_of(task, n) for n in range(ROWS)]
    write(data, task, rows)
    by_offsets = {name: content(s) for name, s in samples_of(task + params, prompter).items()}
    cut = {name: content(s).split("... [")[0] for name, s in samples_of(task + params, prompter, room(task)).items()}
    write(data, task, [{k: v for k, v in r.items() if k not in OFFSETS} for r in rows])
    assert {name: content(s) for name, s in samples_of(task + params, prompter).items()} == by_offsets
    for name, sample in samples_of(task + params, prompter, room(task)).items():
        head, rest = content(sample).split("...\n\n[The rest of the text is left out.]\n\n")
        assert cut[name].startswith(head[:-60])
        assert by_offsets[name].endswith(rest)


def room(task: str) -> int:
    """A length for prompts of a task that is too short for its rows."""
    return 190 + catalog.tasks()[f"zero_scrolls/{task}"].generate.max_new_tokens


@pytest.mark.parametrize("heading", ["Question:", "Query:", "Question and Possible Answers:", "Summary:", "Answer:"])
@pytest.mark.parametrize("task", TASKS)
def test_headings_inside_a_document_are_no_headings(task: str, heading: str, data: Path, prompter: Prompter) -> None:
    document = f"It begins.\n\n{heading}\nWho goes there?\n\n{heading}\n" + "\n\n".join(lines()[:6])
    row = row_of(task, 0, document=document)
    write(data, task, [row])
    by_offsets = samples_of(task, prompter, room(task))[row["id"]]
    assert by_offsets.truncated
    write(data, task, [{k: v for k, v in row.items() if k not in OFFSETS}])
    found = samples_of(task, prompter, room(task))[row["id"]]
    assert found.truncated
    query = row["input"][row["query_start_index"] : row["query_end_index"]]
    assert content(by_offsets).endswith("is omitted]\n\n" + query)
    assert content(found).endswith("is left out.]\n\n" + query)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("params", ["", ":chat=false"])
def test_a_long_document_loses_its_end(task: str, params: str, data: Path, prompter: Prompter) -> None:
    rows = {f"{task}-{n}": row_of(task, n) for n in range(ROWS)}
    write(data, task, list(rows.values()))
    new = catalog.tasks()[f"zero_scrolls/{task}"].generate.max_new_tokens
    for name, sample in samples_of(task + params, prompter, room(task)).items():
        row = rows[name]
        separator = row["truncation_seperator"]
        assert sample.truncated
        assert 190 - 4 <= sample.prompt_tokens <= 190
        assert sample.max_new_tokens == new
        kept, rest = content(sample).split(separator)
        last = row["query_end_index"] if not params else None
        assert rest == row["input"][row["query_start_index"] : last]
        whole = row["input"][: row["query_start_index"]]
        if not params and task not in SUMMARIES:
            end = whole.find("\n\n")
            whole = f"{whole[:end].strip()} {REQUEST}{whole[end:]}"
        assert whole.startswith(kept)
        assert len(kept) < len(whole)


def test_a_prompt_that_does_not_fit_without_its_document_is_passed_over(data: Path, prompter: Prompter) -> None:
    write_all(data)
    _, cell = opened("qasper", prompter, 160)
    assert cell.prepare(10) == (0, ROWS)


def test_rows_of_one_id_are_one_question_with_several_answers(data: Path, prompter: Prompter) -> None:
    rows = [row_of("qasper", 0), row_of("qasper", 1), {**row_of("qasper", 0), "output": "pewter"}]
    write(data, "qasper", rows)
    found = samples_of("qasper", prompter)
    assert {name: s.references for name, s in found.items()} == {
        "qasper-0": ("tin", "pewter"),
        "qasper-1": ("zinc",),
    }
    [selected] = catalog.select(["zero_scrolls/qasper"])
    answers = known(selected.task)
    assert answers is not None
    assert {name: a.references for name, a in answers.items()} == {n: s.references for n, s in found.items()}
    assert samples_of("qasper", prompter) == found  # and asked again the same, not the answers twice


def test_questions_on_one_document_share_a_context(data: Path, prompter: Prompter) -> None:
    rows = [row_of("quality", n, document="One story.") for n in (0, 1)] + [row_of("quality", 2)]
    write(data, "quality", rows)
    found = {name: s.context_id for name, s in samples_of("quality", prompter).items()}
    assert found["quality-0"] == found["quality-1"] != found["quality-2"]


# MuSiQue's own file


PARAGRAPHS = [{"idx": n, "title": f"Town {n}", "paragraph_text": f"Town {n} lies by river {n}."} for n in range(20)]


def write_musique(data: Path) -> None:
    own = {"paragraphs": PARAGRAPHS, "question": "Which river is near Town 3?", "answer": "river 3"}
    rows = [
        {**own, "id": "2hop__1_2", "answer_aliases": ["the river 3"], "answerable": True},
        {**own, "id": "2hop__3_4", "answer_aliases": [], "answerable": False},
    ]
    (data / "musique").mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (data / "musique/dev_200.jsonl.gz").write_bytes(gzip.compress(text.encode()))


def test_musique_from_its_own_file_has_the_words_of_the_task_and_says_so(data: Path, prompter: Prompter) -> None:
    write_musique(data)
    _, cell = opened("musique", prompter)
    assert cell.wording is not None
    assert (cell.wording.prompt, cell.wording.source) == ("task", "the task's file")
    found = samples_of("musique", prompter)
    assert {n: s.references for n, s in found.items()} == {
        "2hop__1_2": ("river 3", "the river 3"),
        "2hop__3_4": ("unanswerable",),
    }
    text = content(found["2hop__1_2"])
    instruction, rest = text.split("\n\n", 1)
    assert instruction.endswith(f". {REQUEST}")
    expected = "Paragraphs:\n" + "".join(f"{p['title']}: {p['paragraph_text']}\n" for p in PARAGRAPHS)
    assert rest == f"{expected}\nQuestion:\nWhich river is near Town 3?\n\n"
    plain = content(samples_of("musique:chat=false", prompter)["2hop__1_2"])
    assert plain.endswith("\n\nQuestion:\nWhich river is near Town 3?\n\nAnswer:\n")


def test_zero_scrolls_own_copy_of_musique_comes_first(data: Path, prompter: Prompter) -> None:
    write_musique(data)
    write_all(data)
    of_all = [opened(task, prompter)[1].wording for task in TASKS]
    assert {w and (w.prompt, w.source) for w in of_all} == {("official", "the prompts in its data")}
    assert set(samples_of("musique", prompter)) == {f"musique-{n}" for n in range(ROWS)}


# the test split


@pytest.mark.parametrize("task", TASKS)
def test_the_test_split_has_prompts_and_no_labels(task: str, data: Path, prompter: Prompter) -> None:
    write_all(data, "test")
    found = samples_of(f"{task}:split=test", prompter)
    assert {s.references for s in found.values()} == {()}
    assert set(found) == {f"{task}-{n}" for n in range(ROWS)}
    write_all(data, "validation")
    labelled = samples_of(task, prompter)
    assert {n: content(s) for n, s in found.items()} == {n: content(s) for n, s in labelled.items()}


def test_each_split_needs_its_own_file(data: Path, prompter: Prompter) -> None:
    write_all(data, "validation")
    with pytest.raises(MissingError) as caught:
        opened("qasper:split=test", prompter)
    assert caught.value.hint == "lcbench data pull zero_scrolls_qasper_test"


def test_an_input_without_its_parts_is_told(data: Path, prompter: Prompter) -> None:
    write(data, "gov_report", [{"id": "x", "input": "No blank line.", "output": "y"}])
    with pytest.raises(UsageError, match="zero_scrolls/gov_report: item x has no instruction, document and query"):
        samples_of("gov_report", prompter)


# ZeroSCROLLS' own rows


@pytest.mark.parametrize("task", [t for t in TASKS if t not in ("musique", "space_digest", "book_sum_sort")])
def test_own_rows_have_their_parts_found(
    task: str, shared: Path, prompter: Prompter, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared / f"data/zero_scrolls/validation/{task}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no ZeroSCROLLS under {shared / 'data'} (LCBENCH_SHARED)")
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    inputs = {
        r["id"]: r["input"] for r in map(json.loads, gzip.decompress(path.read_bytes()).decode().split("\n")[:-1])
    }
    found = samples_of(task, prompter, 4096)
    assert set(found) == set(inputs)
    heading = FORMS[task][1]
    for name, sample in found.items():
        text = inputs[name]
        asked = text[text.rindex(f"\n\n{heading}\n") + 2 : text.rindex("\n\n") + 2] if heading else ""
        assert len(asked) < 2500
        assert content(sample).endswith(asked)
        assert content(sample).startswith(text[: text.index("\n\n")].strip())
        assert sample.prompt_tokens + sample.max_new_tokens <= 4096
        if sample.truncated:
            assert content(sample).endswith("left out.]\n\n" + asked)
