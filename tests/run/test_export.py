"""Answers to ZeroSCROLLS' test split, from a run to the file that its leaderboard takes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from tests.benchmarks.zero_scrolls_rows import FORMS, ROWS, row_of, write, write_all
from tests.run.conftest import Command, records

TESTS = "zero_scrolls:split=test"
NASTY = [
    'He said "no", twice', "a,b\n\n\nc", "x\r\ny", "x\ry", '"', "", "NA", "null", "=1+1", "🙂 Zoë", "a\u2028b",
    "a\x00b", "-",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Both splits of all ten tasks."""
    write_all(tmp_path / "data", "test")
    write_all(tmp_path / "data", "validation")
    return tmp_path / "data"


def run(lcbench: Command, tiny: Path, *arguments: str | Path, tasks: str = TESTS) -> Any:
    given = ["--tasks", tasks, "--lengths", "1k", "--samples", "500", "--max-new-tokens", "4", "--model", tiny]
    return lcbench("run", *given, *arguments)


@pytest.fixture
def finished(lcbench: Command, tiny: Path, data: Path, tmp_path: Path) -> Path:
    """A run folder of all tasks."""
    done = run(lcbench, tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    return tmp_path / "out"


def made(folder: Path, answers: dict[str, list[str]], attn: str = "softmax", split: str = ":split=test") -> Path:
    """A run folder with these answers, to the rows of each task in order: the fields that an export reads."""
    folder.mkdir()
    lines = []
    for task, said in answers.items():
        name = f"zero_scrolls/{task}{split}"
        lines += [
            {"cell": f"{attn}|{name}:1024", "sample_id": f"{name}:1024:{task}-{n}", "completion": text}
            for n, text in enumerate(said)
        ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines))
    return folder


def said_by_all(text: str = "tin") -> dict[str, list[str]]:
    return {task: [text] * ROWS for task in FORMS}


def read_upstream(path: Path) -> pandas.DataFrame:
    """As submission/verify_submission.py of tau-nlp/zero_scrolls reads it."""
    frame = pandas.read_csv(path, dtype=object, keep_default_na=False, na_values=["!@#$%^&*()"])
    assert set(frame.columns) == {"Task", "ID", "Prediction"}
    assert set(frame.Task.unique()) == set(FORMS)
    for task in FORMS:
        told = frame[frame.Task == task][["ID", "Prediction"]].set_index("ID")["Prediction"].to_dict()
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in told.items())
        assert set(told) == {f"{task}-{n}" for n in range(ROWS)}
    return frame


def test_a_whole_run_becomes_what_the_leaderboard_takes(lcbench: Command, finished: Path, tmp_path: Path) -> None:
    done = lcbench("tasks", "export", "zero_scrolls", "--run", finished, "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'out.csv'}: {10 * ROWS} answers\n"
    frame = read_upstream(tmp_path / "out.csv")
    assert list(frame.columns) == ["Task", "ID", "Prediction"]
    assert len(frame) == 10 * ROWS
    said = {r["sample_id"].rsplit(":", 1)[1]: r["completion"].strip() for r in records(finished)}
    assert dict(zip(frame.ID, frame.Prediction, strict=True)) == said
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {r["ID"]: r["Prediction"] for r in rows} == said


def test_a_run_without_labels_has_no_score_and_says_why(lcbench: Command, tiny: Path, data: Path) -> None:
    why = "its labels are not public: lcbench tasks export zero_scrolls writes the answers"
    for form in ("json", "csv", "md", "table"):
        done = run(lcbench, tiny, "--format", form, "--out", "out")
        assert done.exit_code == 0, done.output
        assert done.exception is None
        if form == "json":
            told = json.loads(done.stdout)
            assert [(c["score"], c["ci"], c["n"]) for c in told["cells"]] == [(None, None, ROWS)] * 10
            assert all(a["score"] is None for a in told.get("averages", []))
            assert {c["na"] for c in json.loads(Path("out/summary.json").read_text())["cells"]} == {why}
        elif form == "csv":
            rows = list(csv.DictReader(io.StringIO(done.stdout)))
            assert {r["score"] for r in rows if r["task"].startswith("zero_scrolls/")} <= {"", "n/a"}
        else:
            assert "n/a" in done.stdout
            assert "None" not in done.stdout
    assert {(r["score"], tuple(r["references"])) for r in records(Path("out"))} == {(None, ())}


def test_the_mean_of_the_ten_tasks_stands_below_them(lcbench: Command, tiny: Path, data: Path) -> None:
    done = run(lcbench, tiny, "--format", "json", tasks="zero_scrolls")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {c["prompt"] for c in told["cells"]} == {"official"}
    [average] = told["averages"]
    assert (average["name"], average["n"]) == ("zero_scrolls, 10 tasks", 10 * ROWS)
    assert average["score"] == pytest.approx(sum(c["score"] for c in told["cells"]) / 10, abs=0.01)
    assert average["ci"][0] <= average["score"] <= average["ci"][1]


def test_the_test_split_runs_without_the_other(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    write_all(tmp_path / "data", "test")
    done = run(lcbench, tiny, tasks="zero_scrolls/qasper:split=test")
    assert done.exit_code == 0, done.output


def test_the_split_named_beside_a_score_is_the_one_that_ran(lcbench: Command, tiny: Path, data: Path) -> None:
    done = run(lcbench, tiny, "--format", "json", tasks="zero_scrolls/qasper:split=test,zero_scrolls/qasper")
    assert done.exit_code == 0, done.output
    summary = json.loads((Path(json.loads(done.stdout)["run"]) / "summary.json").read_text())
    splits = {c["task"]: c["split"] for c in summary["cells"]}
    assert splits["zero_scrolls/qasper"] == "validation"
    assert splits["zero_scrolls/qasper:split=test"] != "validation"


def test_missing_answers_are_refused_with_the_command_that_gets_them(
    lcbench: Command, data: Path, tmp_path: Path
) -> None:
    answers = {**said_by_all(), "qasper": ["tin"]}
    del answers["quality"]
    folder = made(tmp_path / "some", answers)
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", tmp_path / "out.csv")
    assert done.exit_code == 2
    assert "Answers are missing: qasper: 3 of 4, quality." in " ".join(done.stderr.split())
    assert f"hint: lcbench run --model MODEL --tasks {TESTS} --samples 500" in done.stderr
    assert "--partial" in done.stderr
    assert not (tmp_path / "out.csv").exists()
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", tmp_path / "out.csv", "--partial")
    assert done.exit_code == 0, done.output
    assert done.stdout.split(": ", 1)[1] == "33 answers; missing qasper: 3 of 4, quality\n"
    frame = pandas.read_csv(tmp_path / "out.csv", dtype=object, keep_default_na=False)
    assert len(frame) == 33
    assert list(frame[frame.Task == "qasper"].ID) == ["qasper-0"]
    assert "quality" not in set(frame.Task)


def test_two_runs_make_one_file(lcbench: Command, data: Path, tmp_path: Path) -> None:
    halves = list(FORMS)[:5], list(FORMS)[5:]
    folders = [made(tmp_path / f"half{k}", {t: ["x"] * ROWS for t in half}) for k, half in enumerate(halves)]
    given = [x for folder in folders for x in ("--run", folder)]
    done = lcbench("tasks", "export", "zero_scrolls", *given, "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    assert len(read_upstream(tmp_path / "out.csv")) == 10 * ROWS


def test_two_answers_to_one_item_are_refused(lcbench: Command, data: Path, tmp_path: Path) -> None:
    folders = [made(tmp_path / name, said_by_all()) for name in ("one", "two")]
    given = [x for folder in folders for x in ("--run", folder)]
    done = lcbench("tasks", "export", "zero_scrolls", *given, "-o", tmp_path / "out.csv")
    assert done.exit_code == 2
    assert "has two answers to item" in done.stderr


def test_of_two_mechanisms_one_has_to_be_chosen(lcbench: Command, data: Path, tmp_path: Path) -> None:
    folders = [
        made(tmp_path / "one", said_by_all("tin"), "lucid"),
        made(tmp_path / "two", said_by_all("zinc"), "softmax"),
    ]
    given = ["tasks", "export", "zero_scrolls", *(x for folder in folders for x in ("--run", folder)), "-o", "out.csv"]
    done = lcbench(*given)
    assert done.exit_code == 2
    assert "The runs hold answers under lucid, softmax." in done.stderr
    assert "--attn lucid" in done.stderr
    for attn, word in (("lucid", "tin"), ("softmax", "zinc")):
        done = lcbench(*given, "--attn", attn)
        assert done.exit_code == 0, done.output
        assert set(read_upstream(Path("out.csv")).Prediction) == {word}


def test_a_mechanism_that_no_run_has_is_told(lcbench: Command, data: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "one", said_by_all())
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", "out.csv", "--attn", "lucid", "--partial")
    assert done.exit_code == 2
    assert "lucid" in done.stderr
    assert "softmax" in done.stderr
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("text", NASTY)
def test_answers_survive(lcbench: Command, data: Path, tmp_path: Path, text: str) -> None:
    folder = made(tmp_path / "one", {**said_by_all(), "gov_report": [text] * ROWS})
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {r["Prediction"] for r in rows if r["Task"] == "gov_report"} == {text}
    frame = read_upstream(tmp_path / "out.csv")
    assert len(frame) == len(rows) == 10 * ROWS
    if "\x00" not in text:  # pandas ends a field there
        assert set(frame[frame.Task == "gov_report"].Prediction) == {text}


def test_ids_are_taken_as_they_are(lcbench: Command, tmp_path: Path) -> None:
    write_all(tmp_path / "data", "test")
    ids = ["007", "a:b:c", "1e5", "x,y"]
    write(tmp_path / "data", "qasper", [{**row_of("qasper", 0, "test"), "id": i} for i in ids], "test")
    folder = made(tmp_path / "one", said_by_all())
    kept = [r for r in records(folder) if "/qasper" not in r["sample_id"]]
    own = "zero_scrolls/qasper:split=test"
    kept += [{"cell": f"softmax|{own}:1024", "sample_id": f"{own}:1024:{i}", "completion": i} for i in ids]
    (folder / "samples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept))
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    frame = pandas.read_csv(tmp_path / "out.csv", dtype=object, keep_default_na=False)
    asked = frame[frame.Task == "qasper"]
    assert list(asked.ID) == list(asked.Prediction) == ids


def test_a_failed_sample_said_nothing(lcbench: Command, data: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "one", said_by_all())
    rows = [{**r, "completion": None} if "/qasper" in r["sample_id"] else r for r in records(folder)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    frame = read_upstream(tmp_path / "out.csv")
    assert set(frame[frame.Task == "qasper"].Prediction) == {""}


def test_the_splits_are_kept_apart(lcbench: Command, data: Path, tmp_path: Path) -> None:
    both = [
        made(tmp_path / "one", said_by_all("of the test split")),
        made(tmp_path / "two", said_by_all("of the validation split"), split=""),
    ]
    given = ["tasks", "export", "zero_scrolls", *(x for folder in both for x in ("--run", folder)), "-o", "out.csv"]
    for split in ("test", "validation"):
        done = lcbench(*given, "--split", split)
        assert done.exit_code == 0, done.output
        assert set(read_upstream(Path("out.csv")).Prediction) == {f"of the {split} split"}


def test_what_is_no_run_folder_and_no_leaderboard_is_told(lcbench: Command, data: Path, tmp_path: Path) -> None:
    done = lcbench("tasks", "export", "zero_scrolls", "--run", tmp_path, "-o", "out.csv")
    assert (done.exit_code, "is no run folder: it has no samples.jsonl" in " ".join(done.stderr.split())) == (2, True)
    done = lcbench("tasks", "export", "ruler", "--run", tmp_path, "-o", "out.csv")
    assert (done.exit_code, "ruler has no leaderboard that takes a file" in done.stderr) == (2, True)
    folder = made(tmp_path / "one", said_by_all())
    with (folder / "samples.jsonl").open("a") as file:
        file.write('{"cell": "softm\n')
    done = lcbench("tasks", "export", "zero_scrolls", "--run", folder, "-o", "out.csv")
    assert (done.exit_code, "not JSON" in done.stderr) == (2, True)


def test_without_a_run_named_all_run_folders_count(lcbench: Command, data: Path, tmp_path: Path) -> None:
    done = lcbench("tasks", "export", "zero_scrolls", "--split", "test")
    assert (done.exit_code, done.stderr) == (2, "Error: There is no run folder in results/runs.\nhint: --run DIR\n")
    said = said_by_all()
    (tmp_path / "results/runs").mkdir(parents=True)
    made(tmp_path / "results/runs/one", {task: said[task] for task in list(said)[:4]})
    made(tmp_path / "results/runs/two", {task: said[task] for task in list(said)[4:]})
    done = lcbench("tasks", "export", "zero_scrolls", "--split", "test")
    assert done.exit_code == 0, done.output
    read_upstream(tmp_path / "zero_scrolls_predictions.csv")
