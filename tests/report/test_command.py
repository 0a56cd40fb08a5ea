"""The command, the file that it writes, and the figures for a paper."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from lcbench.cli.report import report
from lcbench.errors import UsageError
from tests.report import made

app = typer.Typer()
app.command()(report)


def command(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def change(row: dict[str, Any]) -> None:
        if row["index"] == 0:
            row["completion"] = "</script><!-- <script>\u2028 \x00 \ud83d $policy ${x}"

    return made.run_folder(tmp_path_factory.mktemp("runs") / "a $run$", n=6, change=change)


def test_the_file_is_whole_and_asks_for_nothing(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    done = command(folder, "-o", out)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    html = out.read_text(encoding="utf-8")
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html) == []
    assert re.findall(r"\b(?:src|srcset|action|data)\s*=\s*[\"']|@import|url\(", html) == []
    assert {h for h in re.findall(r'href="([^"]*)"', html)} <= {f"#{i}" for i in re.findall(r'id="(\w+)"', html)}
    assert html.count("</script>") == html.count("<script") == 3
    assert "\ud83d" not in html and "\x00" not in html


def test_the_policy_names_the_script_and_the_style_that_are_there(folder: Path, tmp_path: Path) -> None:
    command(folder, "-o", tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    for name, pattern in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        inline = re.search(pattern, html, re.DOTALL)
        assert inline is not None
        digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}';" in policy[1]
    assert policy[1].startswith("default-src 'none';")


def test_figures_as_png_and_svg_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    done = command(folder, "-o", tmp_path / "r.html", "--figures", tmp_path / "figures")
    assert done.exit_code == 0, done.exception
    names = {
        "score-by-length", "task-by-length", "depth-by-length", "score-against-seconds", "score-against-ttft-s",
        "score-against-peak-memory-bytes", "score-against-flops", "differences-1-0",
    }  # fmt: skip
    files = sorted((tmp_path / "figures").iterdir())
    assert {f.name for f in files} == {f"{n}.{kind}" for n in names for kind in ("png", "svg")}
    assert [Path(line) for line in sorted(done.stdout.split("\n")[1:-1])] == files
    for file in files:
        if file.suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        else:
            assert file.read_bytes().startswith(b"\x89PNG")

    command(folder, "-o", tmp_path / "again.html", "--figures", tmp_path / "again")
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "r.html").read_bytes()
    assert [f.read_bytes() for f in sorted((tmp_path / "again").iterdir())] == [f.read_bytes() for f in files]


def test_a_drawing_is_well_formed_whatever_a_model_is_called(tmp_path: Path) -> None:
    folders = [made.run_folder(tmp_path / k, attns=("softmax",), n=3, model=f"{k}\x00\x1b<b>&") for k in "ab"]
    done = command(*folders, "-o", tmp_path / "r.html", "--figures", tmp_path / "figures")
    assert done.exit_code == 0, done.exception
    for file in (tmp_path / "figures").glob("*.svg"):
        ElementTree.parse(file)


def test_what_cannot_be_read_or_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, told in (
        ((tmp_path / "empty",), "holds no finished run"),
        ((folder, "-o", tmp_path / "file" / "r.html"), "Cannot write"),
        ((folder, "-o", tmp_path / "empty"), "Cannot write"),
        ((folder, "-o", tmp_path / "r.html", "--figures", tmp_path / "file"), "Cannot write"),
    ):
        error = command(*arguments).exception
        assert isinstance(error, UsageError) and told in error.message


def test_neither_torch_nor_matplotlib_is_imported_for_a_page(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lcbench.cli.report import report; "
        f"report([Path({str(folder)!r})], Path({str(tmp_path / 'r.html')!r}), None); "
        "print([m for m in ('torch', 'transformers', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
