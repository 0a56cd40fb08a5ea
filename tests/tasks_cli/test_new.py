"""`lcbench tasks new`: the starting file holds what the data says, and replaces nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcbench import catalog
from lcbench.starter import scored
from tests.run.conftest import Command


@pytest.fixture(autouse=True)
def no_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_MODELS", str(tmp_path / "models"))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows in the format of the file's ending."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow as arrow
        from pyarrow import parquet

        parquet.write_table(arrow.Table.from_pylist(rows), path)


ROWS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "short answers": (
        [{"id": 1, "question": "Where?", "answer": "Here"}],
        {"references": "answer", "score": "includes", "prompt": "Question: {{ question }}\nAnswer:"},
    ),
    "numbers": ([{"problem": "1+1", "solution": "Count.", "answer": "2"}], {"score": "number", "references": "answer"}),
    "letters": ([{"question": "A or B?", "target": "B"}], {"score": "choice", "references": "target"}),
    "phrases": ([{"question": "Why?", "answer": "because " * 12}], {"score": "f1"}),
    "long answers": ([{"text": "Sum this up.", "output": "word " * 99}], {"score": "rouge", "references": "output"}),
    "documents": (
        [{"context": "word " * 900, "question": "Last?", "answer": "word"}],
        {
            "truncate": {"column": "context", "cut": "middle"},
            "prompt": "{{ context }}\n\nQuestion: {{ question }}\nAnswer:",
        },
    ),
    "no usual names": ([{"land": "Peru", "stadt": "Lima"}], {"references": "stadt"}),
    "names that are no words": (
        [{"my question": "?", "land": "Peru", "the answer": "Lima"}],
        {"references": "the answer"},
    ),
    "another script": ([{"frage": "Größe?", "answer": "日本 {{ x }}"}], {"references": "answer"}),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("case", ROWS)
def test_the_columns_are_filled_in_and_the_file_validates(
    case: str, ending: str, tmp_path: Path, lcbench: Command
) -> None:
    rows, expected = ROWS[case]
    write(tmp_path / f"rows.{ending}", rows)
    done = lcbench("tasks", "new", "mine/first", "--data", f"rows.{ending}")
    assert done.exit_code == 0, done.output
    assert done.stdout == "first.yaml is written. Next: lcbench tasks validate first.yaml\n"
    content = yaml.safe_load((tmp_path / "first.yaml").read_text(encoding="utf-8"))
    assert content["data"] == {"file": f"rows.{ending}"}
    assert {key: content.get(key) for key in expected} == expected
    validated = lcbench("tasks", "validate", "first.yaml")
    assert (validated.exit_code, "gold 1, empty 0" in validated.stdout) == (0, True), validated.output


def test_several_answers(tmp_path: Path, lcbench: Command) -> None:
    write(tmp_path / "rows.jsonl", [{"question": "Who?", "answers": ["Ada", "Ada Lovelace"]}])
    lcbench("tasks", "new", "mine/who", "--data", "rows.jsonl")
    assert catalog.load_task(Path("who.yaml")).references == "answers"
    assert lcbench("tasks", "validate", "who.yaml").exit_code == 0


def test_without_data_an_example_stands_there(tmp_path: Path, lcbench: Command) -> None:
    assert lcbench("tasks", "new", "mine/first").exit_code == 0
    assert lcbench("tasks", "validate", "first.yaml").exit_code == 2  # its data is still to be written
    [example] = [line for line in Path("first.yaml").read_text().splitlines() if "for instance" in line]
    (tmp_path / "first.jsonl").write_text(example.partition("instance: ")[2])
    assert lcbench("tasks", "validate", "first.yaml").exit_code == 0


def test_what_is_commented_out_can_be_used(tmp_path: Path, lcbench: Command) -> None:
    """Each key in a comment, once uncommented, is one that the task may have."""
    write(tmp_path / "rows.jsonl", [{"question": "Where?", "answer": "Here"}])
    write(tmp_path / "examples.jsonl", [{"question": f"{i}?", "answer": str(i)} for i in range(2)])
    lcbench("tasks", "new", "mine/first", "--data", "rows.jsonl")
    lines = Path("first.yaml").read_text(encoding="utf-8").splitlines()
    keys = ("gold:", "few_shot:", "  n:", "  data:", "  shot:", "turns:", "  - prompt:", "    generate:", "  stop:")
    used = [next((line.replace("# ", "", 1) for k in keys if line.lstrip().startswith(f"# {k.lstrip()}") or
                  line.startswith(f"# {k}")), line) for line in lines]  # fmt: skip
    assert sum(a != b for a, b in zip(lines, used, strict=True)) == len(keys)
    Path("first.yaml").write_text("\n".join(used), encoding="utf-8")
    done = lcbench("tasks", "validate", "first.yaml")
    assert done.exit_code == 0, done.output


def test_data_in_another_folder(tmp_path: Path, lcbench: Command) -> None:
    (tmp_path / "tasks/rows").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    for folder in ("tasks/rows", "far"):
        write(tmp_path / folder / "rows.jsonl", [{"question": "Where?", "answer": "Here"}])
    lcbench("tasks", "new", "mine/near", "--data", "tasks/rows/rows.jsonl", "-o", "tasks/near.yaml")
    lcbench("tasks", "new", "mine/far", "--data", "far/rows.jsonl", "-o", "tasks/far.yaml")
    files = [yaml.safe_load(Path(f"tasks/{n}.yaml").read_text())["data"]["file"] for n in ("near", "far")]
    assert files == ["rows/rows.jsonl", str(tmp_path / "far/rows.jsonl")]
    assert lcbench("tasks", "validate", "tasks/near.yaml", "tasks/far.yaml").exit_code == 0


def test_nothing_is_replaced(tmp_path: Path, lcbench: Command) -> None:
    (tmp_path / "first.yaml").write_text("mine")
    done = lcbench("tasks", "new", "mine/first")
    assert (done.exit_code, (tmp_path / "first.yaml").read_text()) == (2, "mine")
    assert "first.yaml is there already" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("capitals",), "is not of the form group/name"),
        (("my tasks/one, two",), "hint: lcbench tasks new mine/my_tasks_one_two"),
        (("mine/a/b",), "is not of the form group/name"),
        (("mine/a", "-o", "a.txt"), "is no YAML file"),
        (("mine/a", "-o", "nosuch/a.yaml"), "Cannot write nosuch/a.yaml"),
        (("mine/a", "--data", "nosuch.jsonl"), "nosuch.jsonl cannot be read"),
        (("mine/a", "--data", "rows.txt"), "rows.txt has none of the endings"),
        (("mine/a", "--data", "empty.jsonl"), "it has no rows"),
        (("mine/a", "--data", "one.jsonl"), "its columns are answer"),
        (("mine/a", "--data", "unusable.jsonl"), "can stand in a template"),
    ],
)
def test_what_cannot_be_written(arguments: tuple[str, ...], said: str, tmp_path: Path, lcbench: Command) -> None:
    for name, text in {
        "rows.txt": "",
        "empty.jsonl": "",
        "one.jsonl": '{"answer": "x"}',
        "unusable.jsonl": '{"a question": "?", "answer": "x"}',
    }.items():
        (tmp_path / name).write_text(text)
    done = lcbench("tasks", "new", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(tmp_path.glob("*.yaml"))


def test_scorers_that_suit() -> None:
    assert scored(["12", "-3.5", "1,000"])[0] == "number"
    assert scored([["12"], ["x"]])[0] == "includes"
    assert scored(["A", "D"])[0] == "choice"
    assert scored([])[0] == "includes"
