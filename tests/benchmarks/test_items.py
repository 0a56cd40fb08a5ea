"""Tasks of one's own: rows of data and templates."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcbench.benchmarks.base import Cell
from lcbench.benchmarks.items import SPARE, Shots, fields_of, names_of, order_of, references_of
from lcbench.benchmarks.templates import TemplateProblem, template
from lcbench.catalog import load_task
from lcbench.errors import CannotBuild, UsageError
from lcbench.plan import open_cell
from lcbench.prompting import Prompter
from lcbench.records import Sample, answer_mark
from lcbench.schema import RunConfig, Task
from tests.tokenizers_made import lines, save

TOWNS = [
    {"id": f"town-{i}", "town": f"Town {i}", "river": f"River {i}", "kind": "odd" if i % 2 else "even"}
    for i in range(9)
]
BASE: dict[str, Any] = {
    "name": "mine/rivers",
    "prompt": "Which river is near {{ town }}?",
    "references": "river",
    "score": "includes",
    "generate": {"max_new_tokens": 8},
}
Write = Callable[..., Task]


@pytest.fixture(scope="module")
def prompter(tmp_path_factory: pytest.TempPathFactory) -> Prompter:
    return Prompter(save("byte-level BPE", tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A task's YAML and its rows beside it."""

    def task(rows: Sequence[Mapping[str, Any]] = TOWNS, **changes: Any) -> Task:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
        content = {k: v for k, v in {**BASE, "data": {"file": "rows.jsonl"}, **changes}.items() if v is not None}
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_task(tmp_path / "task.yaml")

    return task


def cell_of(task: Task, prompter: Prompter, length: int | None = 400, seed: int = 0, limit: int | None = None) -> Cell:
    return open_cell(task, length, prompter, RunConfig(model="none", seed=seed), limit)[1]


def samples_of(
    task: Task, prompter: Prompter, length: int | None = 400, seed: int = 0, limit: int | None = None
) -> list[Sample]:
    """All samples there are."""
    cell = cell_of(task, prompter, length, seed, limit)
    return [cell.sample(i) for i in range(cell.prepare(1000)[0])]


def prompt(sample: Sample) -> str:
    return sample.messages[-1]["content"]


# what a sample is made of


def test_a_row_becomes_a_sample(write: Write, prompter: Prompter) -> None:
    task = write(answer_prefix=" River near {{ town }}:", by=["kind"])
    found = samples_of(task, prompter)
    assert len(found) == len(TOWNS)
    for index, sample in enumerate(found):
        [row] = [r for r in TOWNS if sample.id == f"mine/rivers:400:{r['id']}"]
        assert sample.messages == ({"role": "user", "content": f"Which river is near {row['town']}?"},)
        assert sample.answer_prefix == f" River near {row['town']}:"
        assert sample.references == (row["river"],)
        assert sample.tags == {"kind": row["kind"]}
        assert (sample.index, sample.length, sample.max_new_tokens, sample.truncated) == (index, 400, 8, False)
        assert sample.prompt_tokens == prompter.count(prompter.render(sample.messages, sample.answer_prefix))


def test_csv_rows_with_everything_that_csv_quotes(tmp_path: Path, prompter: Prompter) -> None:
    rows = [{"q": 'He said "no", twice.\nThen left.', "a": "x,y"}, {"q": "Plain {{ not a template }}", "a": "1"}]
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["q", "a"])
        writer.writeheader()
        writer.writerows(rows)
    content = {**BASE, "prompt": "{{ q }}", "references": "a", "data": {"file": "rows.csv"}}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(content))
    found = samples_of(load_task(tmp_path / "task.yaml"), prompter)
    assert sorted((prompt(s), s.references) for s in found) == sorted((r["q"], (r["a"],)) for r in rows)


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ("one", ("red",)),
        ("many", ("red", "crimson")),
        ("number", ("7",)),
        (["one", "many"], ("red", "red", "crimson")),
        ("{{ one | upper }}", ("RED",)),
        (["{{ many[1] }}", "{% if number > 5 %}big{% endif %}"], ("crimson", "big")),
        ("none", ()),
    ],
)
def test_references_are_columns_lists_or_templates(write: Write, references: Any, expected: tuple[str, ...]) -> None:
    row = {"one": "red", "many": ["red", "crimson"], "number": 7, "none": []}
    assert references_of(write([row], references=references), row) == expected


def test_a_reference_to_no_column_names_those_there_are(write: Write) -> None:
    with pytest.raises(
        UsageError, match=r"mine/rivers: references: there is no column 'rivr'; columns: id, town, river"
    ):
        references_of(write(references="rivr"), TOWNS[0])
    with pytest.raises(UsageError, match=r"references\.1: there is no column 'rivr'"):
        references_of(write(references=["river", "rivr"]), TOWNS[0])


def test_metrics_get_the_columns_that_they_read(write: Write) -> None:
    assert fields_of(write(), TOWNS[0]) == {}
    row = {"question": "Where is Mary?", "labels": ["hall"], "target": "hall", "other": 1}
    task = write([row], score="babilong.official", beside=["includes"], references="target", prompt="{{ question }}")
    assert fields_of(task, row) == {"question": "Where is Mary?", "labels": ["hall"]}


def test_values_of_a_row_are_text_and_never_templates(write: Write, prompter: Prompter) -> None:
    nasty = "{{ 7 * 6 }} {% for x in y %} {# gone #} {context} %s \\n"
    [sample] = samples_of(write([{"town": nasty, "river": "{{ town }}"}]), prompter)
    assert prompt(sample) == f"Which river is near {nasty}?"
    assert sample.references == ("{{ town }}",)


# templates


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ town.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ ''['__class__'] }}",
        "{{ town | attr('__class__') }}",
        "{{ '{0.__class__}'.format(town) }}",
        "{{ many.append(3) }}",
        "{% set _ = many.clear() %}",
        "{{ range(999999999) | list }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
    ],
)
def test_templates_are_sandboxed(text: str) -> None:
    row = {"town": "Ulm", "many": [1, 2]}
    with pytest.raises(TemplateProblem):
        template("mine/x", "prompt", text).render(row)
    assert row == {"town": "Ulm", "many": [1, 2]}


def test_what_is_undefined_is_told_with_key_columns_and_line() -> None:
    text = "First line.\n{{ town }}\n{% if true %}\n{{ twon }}\n{% endif %}"
    with pytest.raises(TemplateProblem) as caught:
        template("mine/x", "turns.0.prompt", text).render({"town": "Ulm", "river": "Danube"})
    problem = caught.value
    assert problem.message == "mine/x: turns.0.prompt: 'twon' is undefined; columns: town, river"
    assert (problem.key, problem.line) == ("turns.0.prompt", 4)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a\n{{ town", 2, "end of print statement|unexpected end"),
        ("{% if %}", 1, "Expected an expression"),
        ("a\nb\n{{ town | shout }}", 3, "shout"),
        ("a\n{% endfor %}", 2, "endfor"),
    ],
)
def test_a_template_that_cannot_be_read_is_told_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(TemplateProblem, match=why) as caught:
        template("mine/x", "prompt", text)
    assert caught.value.line == line


@pytest.mark.parametrize("text", ["a\n{{ 1 / 0 }}", "a\n{{ town + 1 }}", "a\n{{ town.river.name }}", "a\n{{ town() }}"])
def test_whatever_goes_wrong_inside_a_template_is_told(text: str) -> None:
    with pytest.raises(TemplateProblem, match="mine/x: prompt: ") as caught:
        template("mine/x", "prompt", text).render({"town": "Ulm"})
    assert caught.value.line == 2


def test_line_breaks_and_blanks_of_a_template_stay() -> None:
    assert template("mine/x", "prompt", "\n a {{ b }} \n\n").render({"b": " c\n"}) == "\n a  c\n \n\n"


# names and order


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([{"id": "b"}, {"id": "a"}], ["b", "a"]),
        ([{"id": 1}, {"id": 2}], ["1", "2"]),
        ([{"id": "b", "_id": "y"}, {"id": "b", "_id": "x"}], ["y", "x"]),
        ([{"id": "b"}, {"id": "b"}], ["0", "1"]),
        ([{"id": 1}, {"id": "1"}], ["0", "1"]),
        ([{"id": "b"}, {"uid": "a"}], ["0", "1"]),
        ([{"q": "b"}, {"q": "a"}], ["0", "1"]),
        ([{"unique_id": "test/a.json"}], ["test/a.json"]),
        ([], []),
    ],
)
def test_items_are_called_by_a_column_that_tells_them_apart(rows: list[dict[str, Any]], names: list[str]) -> None:
    assert names_of(rows) == names


def test_order_is_seeded_and_the_same_for_tasks_over_as_many_items(write: Write, prompter: Prompter) -> None:
    first = [s.id.rsplit(":", 1)[1] for s in samples_of(write(), prompter)]
    other = [s.id.rsplit(":", 1)[1] for s in samples_of(write(name="mine/other", version=3), prompter, 300)]
    assert first == other == [TOWNS[i]["id"] for i in order_of(0, 9)]
    assert sorted(first) == sorted(r["id"] for r in TOWNS)
    assert [s.id.rsplit(":", 1)[1] for s in samples_of(write(), prompter, seed=1)] != first
    assert order_of(3, 100) == order_of(3, 100) != order_of(4, 100)
    assert sorted(order_of(3, 100)) == list(range(100))


def test_a_sample_does_not_depend_on_what_was_asked_before(write: Write, prompter: Prompter) -> None:
    task = write()
    forwards, backwards, alone = (cell_of(task, prompter) for _ in range(3))
    expected = [forwards.sample(i) for i in range(9)]
    assert [backwards.sample(i) for i in reversed(range(9))] == expected[::-1]
    assert alone.prepare(9) == (9, 0)
    assert alone.sample(5) == expected[5]


# what does not fit


def long_rows(long: Sequence[int]) -> list[dict[str, Any]]:
    prose = " ".join(lines()[:60])
    return [{"id": f"i{n}", "text": prose if n in long else "Short.", "river": "x"} for n in range(10)]


def test_items_that_do_not_fit_are_passed_over_and_counted(write: Write, prompter: Prompter) -> None:
    order = order_of(0, 10)
    long = [order[0], order[3], order[4], order[9]]
    task = write(long_rows(long), prompt="{{ text }}")
    fitting = [f"i{n}" for n in order if n not in long]
    for asked, expected in [(1, (1, 1)), (2, (2, 1)), (3, (3, 3)), (6, (6, 3)), (7, (6, 4)), (50, (6, 4))]:
        cell = cell_of(task, prompter, 100)
        assert cell.prepare(asked) == expected
        assert [cell.sample(i).id.rsplit(":", 1)[1] for i in range(expected[0])] == fitting[: expected[0]]
        assert cell.prepare(1) == (1, 1)  # whatever was asked before
    with pytest.raises(CannotBuild, match="only 6 of 10 items fit"):
        cell_of(task, prompter, 100).sample(6)
    assert [cell_of(task, prompter, None).prepare(50)] == [(10, 0)]
    assert [cell_of(task, prompter, None, limit=100).prepare(50)] == [(6, 4)]


def test_a_budget_counts_the_answer_and_is_exact(write: Write, prompter: Prompter) -> None:
    task = write([{"text": "One two three four five six.", "river": "x"}], prompt="{{ text }}")
    [sample] = samples_of(task, prompter)
    needed = sample.prompt_tokens + 8
    assert cell_of(task, prompter, needed).prepare(1) == (1, 0)
    assert cell_of(task, prompter, needed - 1).prepare(1) == (0, 1)


@pytest.mark.parametrize("cut", ["middle", "start", "end"])
def test_a_column_that_may_be_cut_is_and_the_question_is_not(write: Write, prompter: Prompter, cut: str) -> None:
    prose = " ".join(lines()[:100])
    rows = [{"text": prose, "town": "Ulm", "river": "x"}, {"text": "Short.", "town": "Bonn", "river": "x"}]
    how = {"column": "text", "cut": cut, "separator": " [cut] "}
    task = write(rows, prompt="Read: {{ text }}\nWhich river is near {{ town }}?", truncate=how)
    long, short = sorted(samples_of(task, prompter, 200), key=lambda s: len(prompt(s)), reverse=True)
    assert (long.truncated, short.truncated) == (True, False)
    assert prompt(short) == "Read: Short.\nWhich river is near Bonn?"
    assert prompt(long).startswith("Read: ")
    assert prompt(long).endswith("\nWhich river is near Ulm?")
    assert " [cut] " in prompt(long)
    assert 196 <= long.prompt_tokens + 8 <= 200
    assert prompter.count(prompter.render(long.messages, "")) == long.prompt_tokens
    [whole] = [s for s in samples_of(task, prompter, 10_000) if "Ulm" in prompt(s)]
    assert prose in prompt(whole)
    assert long.context_id == whole.context_id != short.context_id


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"truncate": {"column": "txt"}}, r"truncate\.column: there is no column 'txt'; columns: text, town, river"),
        ({"prompt": "{{ town }}"}, "prompt: the column 'text', which may be cut, must stand in it once"),
        ({"prompt": "{{ text }} {{ text }}"}, "must stand in it once"),
        ({"prompt": "{{ text | upper }}"}, "must stand in it once"),
        ({"prompt": "{{ text[:5] }}"}, "must stand in it once"),
        ({"prompt": "{{ text }}", "answer_prefix": "{{ text }}"}, "must stand in it once"),
    ],
)
def test_what_cannot_be_cut_is_said(write: Write, prompter: Prompter, changes: dict[str, Any], why: str) -> None:
    rows = [{"text": "A text.", "town": "Ulm", "river": "x"}]
    task = write(rows, **{"truncate": {"column": "text"}, "prompt": "{{ text }}", **changes})
    with pytest.raises(UsageError, match=why):
        samples_of(task, prompter)


# solved examples


SHOTS = [{"q": f"Q{i}", "a": f"A{i}"} for i in range(12)]


def with_shots(write: Write, tmp_path: Path, **few_shot: Any) -> Task:
    (tmp_path / "shots.jsonl").write_text("".join(json.dumps(r) + "\n" for r in SHOTS))
    given = {"n": 3, "data": {"file": "shots.jsonl"}, "shot": "{{ q }} -> {{ a }}", **few_shot}
    return write(prompt="{{ town }} ->", few_shot=given)


def test_the_first_examples_stand_before_every_item(write: Write, prompter: Prompter, tmp_path: Path) -> None:
    for sample in samples_of(with_shots(write, tmp_path, separator=" | "), prompter):
        assert prompt(sample).startswith("Q0 -> A0 | Q1 -> A1 | Q2 -> A2 | Town ")
    assert prompt(samples_of(with_shots(write, tmp_path), prompter)[0]).startswith("Q0 -> A0\n\nQ1 -> A1\n\n")


def test_examples_drawn_as_lm_eval_draws_them(write: Write, prompter: Prompter, tmp_path: Path) -> None:
    """Item i has the i-th draw of Random(1234), whichever items are taken and in whatever order."""
    task, rng = with_shots(write, tmp_path, order="lm_eval"), random.Random(1234)
    draws = [rng.sample(SHOTS, 3) for _ in TOWNS]
    expected = {
        row["id"]: "".join(f"{s['q']} -> {s['a']}\n\n" for s in draw) + f"{row['town']} ->"
        for row, draw in zip(TOWNS, draws, strict=True)
    }
    for seed in (0, 1, 2):
        first = cell_of(task, prompter, seed=seed).sample(0)
        assert prompt(first) == expected[first.id.rsplit(":", 1)[1]]
        assert {s.id.rsplit(":", 1)[1]: prompt(s) for s in samples_of(task, prompter, seed=seed)} == expected
    assert task.few_shot is not None
    shots = Shots(task, task.few_shot)
    assert shots.before(7) == Shots(task, task.few_shot).before(7)
    assert [shots.before(i) for i in (7, 0, 7)] == [expected[f"town-{i}"].split("Town")[0] for i in (7, 0, 7)]


def test_more_examples_than_rows_are_refused(write: Write, prompter: Prompter, tmp_path: Path) -> None:
    assert cell_of(with_shots(write, tmp_path, n=12), prompter).prepare(1) == (1, 0)
    with pytest.raises(UsageError, match=r"few_shot\.n is 13, its data has 12 rows"):
        cell_of(with_shots(write, tmp_path, n=13), prompter)


def test_an_example_may_not_use_columns_of_the_item(write: Write, prompter: Prompter, tmp_path: Path) -> None:
    with pytest.raises(TemplateProblem, match=r"few_shot\.shot: 'town' is undefined; columns: q, a"):
        samples_of(with_shots(write, tmp_path, shot="{{ town }}"), prompter)


# later turns


TURNS = [
    {"prompt": "You said {{ answers[0] }}. Sure about {{ town }}?", "generate": {"max_new_tokens": 5, "stop": ["\n"]}},
    {
        "prompt": "First {{ answers[0] }}, then {{ answer }}.",
        "answer_prefix": "So ",
        "generate": {"max_new_tokens": 99},
    },
]


def test_later_turns_have_marks_where_answers_go(write: Write, prompter: Prompter) -> None:
    sample = samples_of(write(turns=TURNS), prompter)[0]
    town = prompt(sample).removeprefix("Which river is near ").removesuffix("?")
    one, two = sample.later
    assert one.messages[-1]["content"] == f"You said {answer_mark(0)}. Sure about {town}?"
    assert two.messages[-1]["content"] == f"First {answer_mark(0)}, then {answer_mark(1)}."
    assert (one.max_new_tokens, two.max_new_tokens) == (5, 8)  # --max-new-tokens, or the task's, is the most
    assert (one.stop, two.stop) == (("\n",), ())
    assert (one.answer_prefix, two.answer_prefix) == ("", "So ")


@pytest.mark.parametrize(
    "answers",
    [
        ("blue", "red"),
        (answer_mark(1), answer_mark(0)),
        (f"{answer_mark(0)}{answer_mark(1)}", "{{ town }}"),
        ("{{ answers[0] }}", "{% raw %}"),
        (r"\1 \g<0> \\", "$1 & \x00"),
        ("", ""),
    ],
)
def test_answers_are_filled_in_as_text(write: Write, prompter: Prompter, answers: tuple[str, str]) -> None:
    _, two = samples_of(write(turns=TURNS), prompter)[0].later
    ids = prompter.encode_turn(two, answers, None)
    expected = prompter.render(prompter.conversation(f"First {answers[0]}, then {answers[1]}."), "So ")
    assert ids == prompter.encode(expected)


def test_answers_that_are_too_long_lose_their_ends(write: Write, prompter: Prompter) -> None:
    _, two = samples_of(write(turns=TURNS), prompter)[0].later
    empty = len(prompter.encode_turn(two, ("", ""), None))
    for long in (" ".join(lines()[:50]), "🙂" * 200, "\n" * 300, "e\u0301" * 100, "<|im_end|>" * 80):
        for limit in range(empty + 8, empty + 60, 7):
            ids = prompter.encode_turn(two, (long, "kept"), limit)
            assert len(ids) + two.max_new_tokens <= limit
            text = prompter.tokenizer.decode(ids, skip_special_tokens=False)
            assert ", then kept." in text or limit < empty + 20
    assert len(prompter.encode_turn(two, ("a" * 5000, "b" * 5000), 0)) == empty  # there is no less than nothing


def test_turns_that_cannot_fit_pass_the_item_over(write: Write, prompter: Prompter) -> None:
    turn = {"prompt": "{{ text }} {{ answers[0] }}", "generate": {"max_new_tokens": 8}}
    task = write(long_rows([2, 3]), prompt="Short.", turns=[turn])
    assert cell_of(task, prompter, 200).prepare(10) == (8, 2)
    assert cell_of(task, prompter, 20_000).prepare(10) == (10, 0)


def test_a_later_turn_needs_room_for_the_answers_before_it(write: Write, prompter: Prompter) -> None:
    turn = {"prompt": "{{ text }} {{ answers[0] }}", "generate": {"max_new_tokens": 8}}
    task = write([{"text": " ".join(lines()[:5]), "river": "x"}], prompt="Short.", turns=[turn])
    [later] = samples_of(task, prompter, 10_000)[0].later
    asked = prompter.count(prompter.render(later.messages, ""))
    enough = asked + 8 + 8 + SPARE  # the question, both answers, and what an answer may grow by
    assert cell_of(task, prompter, enough).prepare(1) == (1, 0)
    assert cell_of(task, prompter, enough - 1).prepare(1) == (0, 1)


def test_a_prompt_is_needed(write: Write, prompter: Prompter) -> None:
    with pytest.raises(UsageError, match="prompt is missing"):
        cell_of(write(prompt=None), prompter)


def test_a_part_that_is_no_column_is_refused(write: Write, prompter: Prompter) -> None:
    with pytest.raises(UsageError, match=r"mine/rivers: by: there is no column 'knd'; columns: id, town, river, kind"):
        cell_of(write(by=["kind", "knd"]), prompter)


def test_a_null_is_no_accepted_answer(write: Write) -> None:
    assert references_of(write(), {**TOWNS[0], "river": None}) == ()
    assert references_of(write(), {**TOWNS[0], "river": ["a", None, "b"]}) == ("a", "b")
