"""`lcbench compare`: what it prints, in each format, and how it exits."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lcbench.cli import app
from tests.compare.folders import run, write

VT, NIAH, GSM = ("ruler/vt", 4096), ("ruler/niah_single_1", 8192), ("gsm8k/gsm8k", None)
BEFORE = {VT: [1.0, 0.0] * 100, NIAH: [1.0] * 60 + [0.0] * 40, GSM: [None] * 4}
AFTER = {VT: [0.0] * 40 + [1.0, 0.0] * 80, NIAH: [1.0] * 62 + [0.0] * 38, GSM: [None] * 4}


def lcbench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], prog_name="lcbench", terminal_width=100)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A run of two mechanisms, and one of the first of them that lost a tenth of one task."""
    monkeypatch.chdir(tmp_path)
    a = run({"softmax": BEFORE, "lucid": AFTER}, "before", cell={"seconds": 2.0, "peak_memory_bytes": 10})
    b = run({"softmax": AFTER}, "after", cell={"seconds": 3.0, "peak_memory_bytes": 10})
    return write(a), write(b)


def test_a_table_and_a_verdict_a_cell(folders: tuple[Path, Path]) -> None:
    done = lcbench(folders[0])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == (Path(__file__).parent / "snapshots" / "table.txt").read_text(encoding="utf-8")


def test_markdown_has_the_same_lines(folders: tuple[Path, Path]) -> None:
    table, markdown = (lcbench(folders[0], "--format", f).stdout for f in ("table", "md"))
    assert markdown.startswith("| task | length | softmax | lucid | difference |")
    sentences = [line for line in table.splitlines() if line.endswith(".")]
    assert [line.removeprefix("- ") for line in markdown.splitlines() if line.startswith("- ")] == sentences


def test_json_and_csv_have_the_same_cells_and_leave_absent_what_is_absent(folders: tuple[Path, Path]) -> None:
    told = json.loads(lcbench(*folders, "--format", "json").stdout)
    (pair,) = told["pairs"]
    assert (pair["baseline"], pair["other"]) == (
        {"name": "before softmax", "run": "before", "attn": "softmax"},
        {"name": "after softmax", "run": "after", "attn": "softmax"},
    )
    vt, _, gsm = pair["cells"]
    assert (vt["baseline_score"], vt["score"], vt["difference"], vt["only_baseline_right"]) == (50.0, 40.0, -10.0, 20)
    assert vt["significant"] is True
    assert (gsm["na"], gsm["p"], gsm["score"], gsm["paired"]) == ("there are no labels", None, None, None)
    assert pair["costs"] == {"seconds": 1.5, "peak_memory_bytes": 1.0, "flops": None}
    assert [(e["cells"], e["whole"], e["left_out"]) for e in pair["pooled"]] == [(2, True, 1)]
    assert told["gate"] is None
    rows = list(csv.DictReader(io.StringIO(lcbench(*folders, "--format", "csv").stdout)))
    assert list(rows[0]) == list(vt)
    for row, cell in zip(rows, pair["cells"], strict=True):
        assert row == {k: "" if v is None else str(v) for k, v in cell.items()}


def test_a_regression_exits_1_and_says_why_in_every_format(folders: tuple[Path, Path]) -> None:
    for format in ("table", "md", "csv", "json"):
        done = lcbench(*folders, "--fail-if-worse", "2", "--format", format)
        assert done.exit_code == 1, done.stderr
        assert "ruler/vt" in done.stdout
    gate = json.loads(done.stdout)["gate"]
    assert (gate["passed"], gate["margin"]) == (False, 2.0)
    assert gate["failures"] == ["after softmax, ruler/vt 4k", "after softmax, pooled over 2 cells of ruler (official)"]
    assert gate["not_judged"] == ["after softmax, gsm8k/gsm8k"]


def test_a_margin_above_the_loss_and_a_run_against_itself_exit_0(folders: tuple[Path, Path]) -> None:
    assert lcbench(*folders, "--fail-if-worse", "11").exit_code == 0
    same = lcbench(folders[0], folders[0], "--fail-if-worse", "0")
    assert same.exit_code == 0, same.stdout


def test_what_stands_in_one_run_only_is_told(tmp_path: Path) -> None:
    a = write(run({"softmax": {VT: BEFORE[VT], NIAH: BEFORE[NIAH]}}, tmp_path / "a"))
    b = write(run({"softmax": {VT: BEFORE[VT], GSM: [1.0]}}, tmp_path / "b"))
    said = lcbench(a, b).stdout.splitlines()
    assert "Only in a: ruler/niah_single_1 8k." in said
    assert "Only in b: gsm8k/gsm8k -." in said


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"tasks": {"ruler/vt": "version 2, abc"}}, ("ruler/vt", "version 1, abc", "version 2, abc")),
        ({"prompt": "builtin"}, ("ruler/vt", "prompt source", "official", "builtin")),
    ],
)
def test_refusals_exit_2_and_name_the_task_and_both_runs(tmp_path: Path, other: dict, told: tuple[str, ...]) -> None:
    a = write(run({"softmax": {VT: BEFORE[VT]}}, tmp_path / "a"))
    b = write(run({"softmax": {VT: BEFORE[VT]}}, tmp_path / "b", **other))
    done = lcbench(a, b)
    assert done.exit_code == 2
    assert done.stdout == ""
    for part in (*told, str(a), str(b)):
        assert part in done.stderr


def test_bad_input_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for arguments in (
        [tmp_path],
        [folders[1]],
        [*folders, "--attn", "iha"],
        [*folders, "--alpha", "0"],
        [*folders, "--fail-if-worse", "-1"],
    ):
        done = lcbench(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.exception is None or isinstance(done.exception, SystemExit)
