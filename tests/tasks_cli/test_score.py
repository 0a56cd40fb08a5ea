"""`lcbench score`: answers made elsewhere, by the metric that a run would use."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lcbench.scoring import SCORERS
from lcbench.stats import wilson
from tests.run.conftest import Command

ROOT = Path(__file__).parents[2]
SOLUTION = "She earns 20 * 35 = 700 a week and 30 * 15 = 450 more. The answer is 57500."  # of item 17 of GSM8K's test


@pytest.fixture
def pulled(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks' own texts and data."""
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))


def write(path: str, *rows: Any) -> str:
    """Predictions: rows, or lines as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def scored(lcbench: Command, task: str, *rows: Any, more: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[Any]]:
    """The JSON summary and the verdicts."""
    file = write("answers.jsonl", *rows)
    done = lcbench("score", task, "--predictions", file, "-o", "verdicts.jsonl", "--format", "json", *more)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    verdicts = [json.loads(line) for line in Path("verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    return json.loads(done.stdout), verdicts


REFERENCES: list[tuple[str, Any, str, float]] = [
    ("gsm8k", "57500", SOLUTION, 1),
    ("gsm8k", 57500, SOLUTION, 1),
    ("gsm8k", "So much.\n#### 57,500", SOLUTION, 1),
    ("gsm8k", "She earns 700 + 450, which is 1150, so 57,500.", SOLUTION, 1),
    ("gsm8k", ["1", "57500"], SOLUTION, 1),
    ("gsm8k", {"answer": "57500", "question": "How much?"}, SOLUTION, 1),
    ("gsm8k", "57501", SOLUTION, 0),
    ("math500", "\\frac{1}{2}", "It is $\\boxed{0.5}$.", 1),
    ("math500", "\\frac{1}{2}", "It is $\\boxed{2}$.", 0),
    ("ruler/vt", ["ABC", "DEF"], "abc and nothing else", 0.5),
    ("ruler/qa_squad", {"answers": ["ABC", "DEF"]}, "abc and nothing else", 1),
    ("zero_scrolls/qasper", {"references": ["a red house"]}, "the red house", 1),
    ("longbench_v2", "B", "The correct answer is (B)", 1),
    ("sandbox/bank_log", "LOST_UPDATE TX12", "It is LOST_UPDATE in TX12.", 1),
]


@pytest.mark.parametrize(("task", "references", "completion", "value"), REFERENCES)
def test_references_in_the_row(lcbench: Command, task: str, references: Any, completion: str, value: float) -> None:
    """None of these needs anything that is pulled."""
    told, [verdict] = scored(lcbench, task, {"references": references, "completion": completion})
    assert verdict["score"] == value
    assert told["score"] == 100 * value
    assert "id" not in verdict


def test_what_is_printed(lcbench: Command) -> None:
    rows = [
        {"id": "a", "references": "5", "completion": "It is 5."},
        {"id": "b", "references": "5", "completion": ""},
        {"id": 3, "references": "5", "completion": "no number", "note": "Größe  here"},
    ]
    told, verdicts = scored(lcbench, "gsm8k", *rows)
    low, high = (round(100 * x, 2) for x in wilson([1, 0, 0]))
    assert list(told) == ["task", "n", "score", "ci", "n_unextracted", "metric"]
    assert told == {
        "task": "gsm8k",
        "n": 3,
        "score": 33.33,
        "ci": [low, high],
        "n_unextracted": 2,
        "metric": "gsm8k.flexible",
    }
    assert verdicts == [
        {"id": "a", "score": 1.0, "extracted": "5", "flags": []},
        {"id": "b", "score": 0.0, "extracted": None, "flags": ["empty"]},
        {"id": "3", "score": 0.0, "extracted": None, "flags": ["unextracted"]},
    ]
    table = lcbench("score", "gsm8k", "--predictions", "answers.jsonl")
    assert table.stdout == (
        f"gsm8k  gsm8k.flexible  33.33 [{low:.2f}, {high:.2f}]  n 3, 2 without an answer that can be read\n"
    )


@pytest.mark.parametrize("name", ["17", 17, "gsm8k:-:17"])
def test_ids_of_gsm8k(pulled: None, lcbench: Command, name: Any) -> None:
    _, verdicts = scored(lcbench, "gsm8k", {"id": name, "completion": SOLUTION}, {"id": "18", "completion": SOLUTION})
    assert [v["score"] for v in verdicts] == [1, 0]


@pytest.mark.parametrize("name", ["test/algebra/101.json", "math500:-:test/algebra/101.json"])
def test_ids_of_math500(pulled: None, lcbench: Command, shared: Path, name: str) -> None:
    with gzip.open(shared / "data/math500/test.jsonl.gz", "rt") as file:
        rows = {row["unique_id"]: row for row in map(json.loads, file)}
    answer = rows["test/algebra/101.json"]["answer"]
    _, [verdict] = scored(lcbench, "math500", {"id": name, "completion": f"\\boxed{{{answer}}}"})
    assert verdict["score"] == 1


def test_ids_of_a_run(pulled: None, lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    """The records of a run, scored again, have the verdicts that they had."""
    given = "run --tasks gsm8k/zero_shot,babilong/qa1,zero_scrolls/qasper --lengths 1k --samples 3 --max-new-tokens 8"
    done = lcbench(*given.split(), "--model", tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in (tmp_path / "out/samples.jsonl").read_text().splitlines()]
    for task in ("gsm8k/zero_shot", "babilong/qa1", "zero_scrolls/qasper"):
        own = [r for r in records if r["sample_id"].startswith(f"{task}:")]
        _, verdicts = scored(lcbench, task, *({"id": r["sample_id"], "completion": r["completion"]} for r in own))
        assert [(v["id"], v["score"], v["extracted"]) for v in verdicts] == [
            (r["sample_id"], r["score"], r["extracted"]) for r in own
        ]
        assert len(own) == 3


def test_made_samples_come_from_a_file(lcbench: Command, tiny: Path) -> None:
    given = "tasks build ruler/vt,ruler/fwe --lengths 1k --samples 2 --prompt builtin -o samples.jsonl --model"
    assert lcbench(*given.split(), tiny).exit_code == 0
    samples = [json.loads(line) for line in Path("samples.jsonl").read_text().splitlines()]
    rows = [{"id": s["id"], "completion": " ".join(s["references"])} for s in samples if s["task"] == "ruler/vt"]
    told, _ = scored(lcbench, "ruler/vt", *rows, more=("--samples", "samples.jsonl"))
    assert (told["score"], told["n"]) == (100, 2)
    without = lcbench("score", "ruler/vt", "--predictions", "answers.jsonl")
    assert without.exit_code == 2
    assert "answers.jsonl:1: ruler/vt makes its samples" in without.stderr
    assert "hint: --samples FILE" in without.stderr
    other = lcbench("score", "ruler/cwe", "--predictions", "answers.jsonl", "--samples", "samples.jsonl")
    assert (other.exit_code, "samples.jsonl has no sample of ruler/cwe" in other.stderr) == (2, True)


GARDEN = {"target": "garden", "question": "Where is Daniel?"}


def test_babilong_takes_its_labels_from_the_pulled_texts(pulled: None, lcbench: Command) -> None:
    rows = [
        {"references": GARDEN, "completion": "Daniel is in the garden."},
        {"references": "garden", "question": "Where is Daniel?", "completion": "The kitchen, or the garden."},
        {"id": "babilong/qa1:4096:0", "completion": "nowhere"},
        {"id": "0", "completion": "nowhere"},
    ]
    told, verdicts = scored(lcbench, "babilong/qa1", *rows)
    assert [v["score"] for v in verdicts] == [1, 0, 0, 0]
    assert [v["extracted"] for v in verdicts] == ["garden", "garden,kitchen", None, None]
    assert told["n_unextracted"] == 2


def test_babilong_without_its_labels_exits_3(lcbench: Command) -> None:
    write("answers.jsonl", {"references": GARDEN, "completion": "garden"})
    done = lcbench("score", "babilong/qa1", "--predictions", "answers.jsonl", "-o", "verdicts.jsonl")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "hint: lcbench data pull babilong" in done.stderr
    assert not Path("verdicts.jsonl").exists()


def test_data_that_is_not_pulled_exits_3(lcbench: Command) -> None:
    write("answers.jsonl", {"id": "17", "completion": SOLUTION})
    done = lcbench("score", "gsm8k", "--predictions", "answers.jsonl")
    assert done.exit_code == 3
    assert "hint: lcbench data pull gsm8k_test" in done.stderr


def test_babilongs_published_verdicts(pulled: None, lcbench: Command, shared: Path) -> None:
    with gzip.open(shared / "golden/babilong_predictions.jsonl.gz", "rt") as file:
        golden = [row for row in map(json.loads, file) if row["task"] == "qa7"]
    rows = [
        {"references": {"target": g["target"], "question": g["question"]}, "completion": g["output"]} for g in golden
    ]
    _, verdicts = scored(lcbench, "babilong/qa7", *rows)
    assert [v["score"] for v in verdicts] == [float(g["correct"]) for g in golden]


def test_another_metric(pulled: None, lcbench: Command) -> None:
    row = {"references": {"target": "none", "question": "How many objects is Mary carrying?"}, "completion": "none"}
    official, _ = scored(lcbench, "babilong/qa7", row)
    told, _ = scored(lcbench, "babilong/qa7", row, more=("--metric", "babilong.word_boundary"))
    assert (official["score"], told["score"], told["metric"]) == (0, 100, "babilong.word_boundary")
    unknown = lcbench("score", "gsm8k", "--predictions", "answers.jsonl", "--metric", "babilong.wordboundary")
    assert unknown.exit_code == 2
    assert "hint: did you mean babilong.word_boundary?" in unknown.stderr


def test_a_task_of_ones_own(lcbench: Command) -> None:
    write("rows.jsonl", {"id": "fr", "country": "France", "capital": "Paris"})
    Path("mine.yaml").write_text(
        "name: mine/capitals\ndata: {file: rows.jsonl}\nprompt: '{{ country }}'\nreferences: capital\n"
        "score: {name: exact_match, ignore_case: false}\ngenerate: {max_new_tokens: 4}\n"
    )
    rows = [{"id": name, "completion": c} for name, c in (("fr", "Paris"), ("mine/capitals:8192:fr", "paris"))]
    told, verdicts = scored(lcbench, "mine.yaml", *rows)
    assert [v["score"] for v in verdicts] == [1, 0]
    assert told["task"] == "mine/capitals"


GOOD = {"references": "5", "completion": "5"}
BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ('{"completion": ', "answers.jsonl:2: not JSON"),
    "no object": ("[1]", "answers.jsonl:2: every line is an object"),
    "no completion": ({"references": "5"}, "answers.jsonl:2: `completion` is missing"),
    "null": ({"references": "5", "completion": None}, "answers.jsonl:2: `completion` is no text"),
    "neither": ({"completion": "5"}, "answers.jsonl:2: there is neither `id` nor `references`"),
    "no answers": ({"references": [], "completion": "5"}, "answers.jsonl:2: there is no answer to score against"),
    "object without": (
        {"references": {"x": "5"}, "completion": "5"},
        "answers.jsonl:2: `references` is an object with",
    ),
    "no text": ({"references": [True], "completion": "5"}, "answers.jsonl:2: an answer in `references` is neither"),
    "id": ({"id": [1], "completion": "5"}, "answers.jsonl:2: `id` is neither text nor a whole number"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_told_with_its_line_and_nothing_is_written(lcbench: Command, case: str) -> None:
    row, said = BAD[case]
    write("answers.jsonl", GOOD, row, GOOD)
    done = lcbench("score", "gsm8k", "--predictions", "answers.jsonl", "-o", "verdicts.jsonl")
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {said}"), done.stderr
    assert sorted(p.name for p in Path().iterdir()) == ["answers.jsonl"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            '{"completion": "5", "references": {"target": "garden", "question": 5}}',
            "a field that babilong.official reads",
        ),
        ('{"completion": "5", "references": ["", " "]}', "there is no answer to score against"),
        ('{"completion": "5", "references": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_row_of_odd_kinds(pulled: None, lcbench: Command, row: str, said: str) -> None:
    done = lcbench("score", "babilong/qa1", "--predictions", write("odd.jsonl", row), "-o", "verdicts.jsonl")
    assert (done.exit_code, Path("verdicts.jsonl").exists()) == (2, False)
    assert f"Error: odd.jsonl:1: {said}" in done.stderr


def test_labels_of_a_row_change_nothing(pulled: None, lcbench: Command) -> None:
    row = {"completion": "garden", "references": "garden", "question": "Where is Daniel?", "labels": ["hall"]}
    assert scored(lcbench, "babilong/qa1", row)[0]["score"] == 100


def test_half_of_a_surrogate_pair_is_written_as_it_came(lcbench: Command) -> None:
    Path("mine.yaml").write_text(
        'name: mine/x\ndata: {file: rows.jsonl}\nprompt: "x"\nreferences: a\nscore: includes\n'
        "generate: {max_new_tokens: 4}\n"
    )
    _, [verdict] = scored(lcbench, "mine.yaml", r'{"completion": "\ud800 a", "references": "a"}')
    assert (verdict["score"], verdict["extracted"]) == (1, "\ud800 a")


def test_an_unknown_id(pulled: None, lcbench: Command) -> None:
    write("answers.jsonl", {"id": "gsm8k:-:9999", "completion": "5"})
    done = lcbench("score", "gsm8k", "--predictions", "answers.jsonl")
    assert done.exit_code == 2
    assert "answers.jsonl:1: gsm8k has no sample or item 'gsm8k:-:9999'" in done.stderr
    write("answers.jsonl", {"references": "garden", "completion": "garden"})
    done = lcbench("score", "babilong/qa1", "--predictions", "answers.jsonl")
    assert (done.exit_code, "answers.jsonl:1: the scorer" in done.stderr.lower()) == (2, True)
    assert "'question'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("gsm8k --predictions nosuch.jsonl", "nosuch.jsonl cannot be read"),
        ("gsm8k --predictions empty.jsonl", "empty.jsonl has no rows"),
        ("gsm8k --predictions latin.jsonl", "latin.jsonl is not UTF-8"),
        ("gsm8k --predictions good.jsonl -o nosuch/v.jsonl", "Cannot write nosuch/v.jsonl"),
        ("gsm8k --predictions good.jsonl -o .", "Cannot write ."),
        ("nosuch --predictions good.jsonl", "Unknown task 'nosuch'"),
        ("ruler --predictions good.jsonl", "ruler is 13 tasks"),
        ("lm_eval:arc_easy --predictions good.jsonl", "is scored by lm-eval"),
        ("gsm8k", "--predictions"),
    ],
)
def test_what_cannot_be_scored(lcbench: Command, arguments: str, said: str) -> None:
    write("good.jsonl", GOOD)
    Path("empty.jsonl").write_text("\n\n")
    Path("latin.jsonl").write_bytes(b'{"completion": "Gr\xf6\xdfe"}')
    done = lcbench("score", *arguments.split())
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 2
    assert said in done.stderr


def test_neither_torch_nor_transformers_is_imported(pulled: None, tmp_path: Path) -> None:
    """For every kind of task, with references of its data."""
    write("answers.jsonl", {"id": "17", "completion": SOLUTION})
    write("refs.jsonl", {"references": {"target": "garden", "question": "Where?"}, "completion": "garden"})
    code = """
import sys
from typer.testing import CliRunner
from lcbench.cli import app
for task, file in [("gsm8k", "answers"), ("babilong/qa1", "answers"), ("babilong/qa1", "refs"), ("ruler/vt", "refs"),
                   ("math500", "refs"), ("zero_scrolls/gov_report", "refs"), ("sandbox/code_bug", "refs")]:
    done = CliRunner().invoke(app, ["score", task, "--predictions", file + ".jsonl"])
    assert done.exit_code == 0, done.output
print(sorted({"torch", "transformers", "tokenizers", "datasets"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_env())
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_every_metric_takes_a_name(pulled: None, lcbench: Command) -> None:
    fields = {"question": "Where?", "labels": ["garden"]}
    write("answers.jsonl", {"references": "garden", "completion": "garden", **fields})
    for name in SCORERS:
        done = lcbench("score", "zero_scrolls/qasper", "--predictions", "answers.jsonl", "--metric", name)
        assert done.exit_code == 0, done.output


def test_an_id_that_several_items_have_names_none(lcbench: Command) -> None:
    rows = [{"id": "1", "q": "a", "a": "x"}, {"id": "1", "q": "b", "a": "y"}, {"id": "2", "q": "c", "a": "z"}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("mine.yaml").write_text(
        "name: mine/one\ndata: {file: rows.jsonl}\nprompt: '{{ q }}'\nreferences: a\nscore: includes\n"
        "generate: {max_new_tokens: 4}\n"
    )
    file = write("answers.jsonl", {"id": "1", "completion": "y"})
    done = lcbench("score", "mine.yaml", "--predictions", file)
    assert done.exit_code == 2
    assert "answers.jsonl:1: mine/one has several items of one id, so that '1' names none" in done.stderr
    summary, _ = scored(lcbench, "mine.yaml", {"id": "mine/one:-:1", "completion": "y"})  # a run's own name of the row
    assert summary["score"] == 100
