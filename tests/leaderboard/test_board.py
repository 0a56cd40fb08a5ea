"""What is shown: pivots, filters, formats, and a file in which only the board is replaced."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lcbench.leaderboard.board import FILTERS
from lcbench.leaderboard.pivot import ACROSS, pivot
from tests.leaderboard.conftest import Command, lines, ruler, run

GSM8K = ("gsm8k", None)
EVIL = "a|b<script>alert(1)</script>"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two models, three mechanisms, three prompt sources, a repeated run and one of other settings."""
    folder = tmp_path / "tree"
    for model in ("one", EVIL):
        for attn in ("softmax", "lucid"):
            name = f"{model == 'one'}-{attn}"
            run(folder / name, ruler({4096: 1.0, 16384: 0.5}), model=model, attn=attn)
            run(folder / f"{name}-builtin", {("ruler/vt", 4096): [1.0]}, model=model, attn=attn, prompt="builtin")
    run(folder / "repeat", {GSM8K: [1.0]}, prompt="task", model="one")
    run(folder / "repeated", {GSM8K: [0.0]}, prompt="task", model="one")
    run(folder / "short", {GSM8K: [1.0]}, prompt="task", model="one", identity={"max_new_tokens": 5})
    return folder


@pytest.mark.parametrize("by", ACROSS)
def test_every_figure_has_one_place_in_every_pivot(lcbench: Command, tree: Path, by: str) -> None:
    found = lines(lcbench("leaderboard", tree, "--by", by, "--format", "json"))
    table = pivot(found, by)
    shown = [v for row in table.values for v in row if v is not None]
    over = [float(x["effective"]["length"] or 0) for x in found if x["effective"]]
    assert sorted(shown) == sorted([*over, *(x["score"] for x in found if x["score"] is not None)])
    assert len({tuple(row[: table.names]) for row in table.rows}) == len(table.rows)
    assert len(set(table.header)) == len(table.header)
    assert {len(row) for row in [*table.rows, *table.values]} == {len(table.header)}


def test_lengths_rise_and_models_stand_by_name(lcbench: Command, tree: Path) -> None:
    header, _, *rows = lcbench("leaderboard", tree, "--task", "ruler/vt", "--prompt", "official").stdout.split("\n")
    assert re.search(r"ruler/vt 4k +ruler/vt 16k +run$", header)
    assert [re.split("  +", row)[:2] for row in rows[:4]] == [
        [EVIL, "lucid"], [EVIL, "softmax"], ["one", "lucid"], ["one", "softmax"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--model", "one"], lambda x: x["model"] == "one"),
        (["--model", "o?e"], lambda x: x["model"] == "one"),
        (["--attn", "lu*,nothing"], lambda x: x["attn"] == "lucid"),
        (["--strategy", "greedy"], lambda x: True),
        (["--prompt", "builtin,task"], lambda x: x["prompt"] in ("builtin", "task")),
        (["--length", "16*"], lambda x: x["length"] == 16384 or x["name"].startswith(("ruler, w", "ruler, e"))),
        (["--length", "4096", "--prompt", "builtin"], lambda x: x["length"] == 4096 and x["prompt"] == "builtin"),
        (["--by", "benchmark", "--task", "gsm8k"], lambda x: x["name"] == "gsm8k"),
        (["--by", "benchmark", "--task", "ruler"], lambda x: x["name"].startswith("ruler")),
    ],
)
def test_filters(lcbench: Command, tree: Path, arguments: list[str], kept: object) -> None:
    assert callable(kept)
    whole = lines(lcbench("leaderboard", tree, "--format", "json"))
    part = lines(lcbench("leaderboard", tree, *arguments, "--format", "json"))
    wanted = [(x["runs"], x["kind"], x["name"], x["length"], x["score"]) for x in whole if kept(x)]
    if "builtin" in arguments and "--length" in arguments:  # refused effective lengths are figures over lengths
        wanted += [(x["runs"], x["kind"], x["name"], x["length"], x["score"]) for x in whole
                   if x["kind"] == "effective" and x["prompt"] == "builtin"]  # fmt: skip
    assert sorted(map(str, wanted)) == sorted(
        str((x["runs"], x["kind"], x["name"], x["length"], x["score"])) for x in part
    )


@pytest.mark.parametrize("key", FILTERS)
def test_a_filter_that_matches_nothing_is_named(lcbench: Command, tree: Path, key: str) -> None:
    result = lcbench("leaderboard", tree, f"--{key}", "softmix")
    assert result.exit_code == 2
    assert f"No run has the {key} softmix" in result.stderr
    assert ("did you mean softmax?" in result.stderr) == (key == "attn")


def test_filters_that_leave_nothing_together(lcbench: Command, tree: Path) -> None:
    result = lcbench("leaderboard", tree, "--task", "gsm8k", "--length", "4k")
    assert result.exit_code == 2 and "all of these filters together" in result.stderr


def test_no_run_and_no_folder(lcbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "No finished run" in lcbench("leaderboard", tmp_path).stderr
    assert "No folder" in lcbench("leaderboard", tmp_path / "nowhere").stderr
    result = lcbench("leaderboard")
    assert result.exit_code == 2 and "No folder results here." in result.stderr


def test_csv_and_json_say_the_same(lcbench: Command, tree: Path) -> None:
    result = lcbench("leaderboard", tree, "--format", "json")
    rows = list(csv.DictReader(io.StringIO(lcbench("leaderboard", tree, "--format", "csv").stdout)))
    assert len(rows) == len(lines(result))
    for row, line in zip(rows, lines(result), strict=True):
        assert (row["model"], row["name"]) == (line["model"], line["name"])
        assert row["score"] == ("" if line["score"] is None else str(line["score"]))
        assert [row["ci_low"], row["ci_high"]] == [str(x) for x in line["ci"] or ("", "")]
        assert json.loads(row["effective"] or "null") == line["effective"]


def test_markdown_has_one_table_whatever_a_model_is_called(lcbench: Command, tree: Path) -> None:
    text = lcbench("leaderboard", tree, "--format", "md").stdout
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "<script>" not in text


class Cells(HTMLParser):
    """The texts and values of a table's cells, and every tag that a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[tuple[str, str | None]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append(("", dict(attrs).get("data-value")))

    def handle_data(self, data: str) -> None:
        if self.cells:
            text, value = self.cells[-1]
            self.cells[-1] = text + data, value


def test_the_page_shows_the_table_and_asks_for_nothing(lcbench: Command, tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "board.html"
    assert lcbench("leaderboard", tree, "--format", "html", "-o", path).exit_code == 0
    page = Cells()
    page.feed(path.read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("script") == 1  # ours, and not a model's
    assert not [a for _, attrs in page.tags for a in attrs if a in ("src", "href")]
    assert (EVIL, None) in page.cells
    table = pivot(lines(lcbench("leaderboard", tree, "--format", "json")), "benchmark")
    texts = [text for row in table.rows for text in row]
    assert [text.rstrip("\n") for text, _ in page.cells[:-1]] == texts[:-1]
    assert [v for _, v in page.cells] == [None if v is None else f"{v:g}" for row in table.values for v in row]


@pytest.mark.parametrize(("clicks", "order"), [(1, "descending"), (2, "ascending")])
def test_a_click_sorts_by_a_column(lcbench: Command, tree: Path, tmp_path: Path, clicks: int, order: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium not found (Debian: apt install chromium)")
    path, column = tmp_path / "board.html", "ruler, wAvg (inc) of 4k, 16k"
    run(tree / "better", ruler({4096: 1.0, 16384: 1.0}), model="better")
    assert lcbench("leaderboard", tree, "--format", "html", "-o", path).exit_code == 0
    click = f"[...document.querySelectorAll('th button')].find(b => b.textContent === '{column}').click();"
    path.write_text(path.read_text(encoding="utf-8") + f"<script>{click * clicks}</script>", encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    asked = subprocess.run([chromium, *flags, path.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    page = Cells()
    page.feed(asked.stdout)
    headers = [attrs for tag, attrs in page.tags if tag == "th"]
    found = pivot(lines(lcbench("leaderboard", tree, "--format", "json")), "benchmark")
    place = found.header.index(column)
    assert [h.get("aria-sort") for h in headers] == [order if i == place else None for i in range(len(headers))]
    values = [v for _, v in page.cells[place :: len(headers)]]
    known = [float(v) for v in values if v is not None]
    assert known == sorted(known, reverse=order == "descending") and len(set(known)) == 2
    assert values[len(known) :] == [None] * (len(values) - len(known)) != []


def test_between_marks_only_the_board_is_replaced(lcbench: Command, tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Mine\n\n<!-- leaderboard -->\nold\n<!-- /leaderboard -->\n\nalso mine\n", encoding="utf-8")
    command = ("leaderboard", tree, "--format", "md", "-o", path)
    assert lcbench(*command, "--check").exit_code == 1
    assert "old" in path.read_text(encoding="utf-8")
    assert lcbench(*command).exit_code == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n\n<!-- leaderboard -->\n\n|") and text.endswith(
        "<!-- /leaderboard -->\n\nalso mine\n"
    )
    assert "old" not in text
    assert lcbench(*command, "--check").exit_code == 0
    run(tree / "new", {GSM8K: [1.0]}, prompt="task", model="new")
    assert lcbench(*command, "--check").exit_code == 1
    assert path.read_text(encoding="utf-8") == text


def test_a_mark_may_end_the_file_and_what_is_no_text_is_refused(lcbench: Command, tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("<!-- leaderboard -->\nold\n<!-- /leaderboard -->", encoding="utf-8")
    command = ("leaderboard", tree, "--format", "md", "-o", path)
    assert lcbench(*command).exit_code == 0
    assert path.read_text(encoding="utf-8").endswith("\n<!-- /leaderboard -->") and "old" not in path.read_text()
    path.write_bytes(b"\xff")
    for more in ((), ("--check",)):
        result = lcbench(*command, *more)
        assert result.exit_code == 2 and "no text" in result.stderr


@pytest.mark.parametrize("text", ["<!-- leaderboard -->\n", "<!-- /leaderboard -->\n"])
def test_one_mark_alone_is_refused(lcbench: Command, tree: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    result = lcbench("leaderboard", tree, "--format", "md", "-o", path)
    assert result.exit_code == 2 and "alone" in result.stderr
    assert path.read_text(encoding="utf-8") == text


def test_a_file_that_cannot_be_written(lcbench: Command, tree: Path, tmp_path: Path) -> None:
    result = lcbench("leaderboard", tree, "-o", tmp_path / "no" / "where.md")
    assert result.exit_code == 2 and "Cannot write" in result.stderr


def test_a_damaged_run_leaves_with_1(lcbench: Command, tree: Path) -> None:
    (tree / "short/run.json").write_text("[]", encoding="utf-8")
    result = lcbench("leaderboard", tree)
    assert result.exit_code == 1 and "short is left out" in result.stderr


def test_cells_that_until_ci_stopped_are_marked(lcbench: Command, tree: Path) -> None:
    path = tree / "True-softmax/summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    cell = next(c for c in summary["cells"] if (c["task"], c["length"]) == ("ruler/vt", 4096))
    cell["stopped"] = "half-width 2.9 after 180"
    path.write_text(json.dumps(summary), encoding="utf-8")
    found = lines(lcbench("leaderboard", tree, "--by", "task", "--format", "json"))
    assert [x["stopped"] for x in found if x["stopped"]] == ["half-width 2.9 after 180"]
    told = lcbench("leaderboard", tree, "--model", "one", "--attn", "softmax", "--prompt", "official").stdout
    assert "‡" in told and "‡ run with --until-ci" in told  # the mean over the cell, and what the mark means
