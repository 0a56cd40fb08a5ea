"""The live view: what a terminal shows of a run while it goes on, and what a pipe gets."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lcbench import runner
from lcbench.plan import Plan
from lcbench.report import live
from lcbench.report.live import Board, Lines
from lcbench.schedule import Batch
from lcbench.schema import RunConfig
from lcbench.store import RunFolder
from tests.run.background import background
from tests.run.conftest import Command

TASKS = ("niah_single_1", "niah_single_2", "niah_single_3", "niah_multivalue", "niah_multiquery")
LENGTHS = (512, 768, 1024)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Watched(Board):
    """A board without a thread: a picture of it after every event, on a console that records."""

    def __init__(self, width: int = 100, height: int = 40):
        console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
        super().__init__(console)
        self.pictures: list[str] = []

    def start(self, plan: Plan, folder: RunFolder) -> None:
        super().start(plan, folder)
        assert self.live is not None
        self.live.stop()
        self.picture()

    def picture(self) -> None:
        paper = Console(file=io.StringIO(), width=self.console.width, height=self.console.height)
        paper.print(self.render())
        self.pictures.append(paper.file.getvalue())  # type: ignore[attr-defined]

    def begin(self, batch: Batch) -> None:
        super().begin(batch)
        self.picture()

    def sample(self, batch: Batch) -> None:
        super().sample(batch)
        self.picture()

    def recorded(self, batch: Batch, folder: RunFolder) -> None:
        super().recorded(batch, folder)
        self.picture()

    def close(self) -> None:
        self.picture()


@pytest.fixture
def watch(tiny: Path, tmp_path: Path) -> Callable[..., Watched]:
    """A real run, its pictures taken."""

    def command(view: Watched, **more: Any) -> Watched:
        given = {"tasks": TASKS, "lengths": LENGTHS, "prompt": "builtin", "samples": 2, "max_new_tokens": 2}
        config = RunConfig.model_validate({"model": str(tiny), "attn": ("softmax", "lucid"), **given, **more})
        runner.run(config, view, tmp_path / "out")
        return view

    return command


def rows(picture: str) -> list[list[str]]:
    """The table's rows, each in its columns."""
    lines = picture.splitlines()
    assert lines[0].startswith("attention")
    return [re.split(r"\s{2,}", line.strip()) for line in lines[1:] if line.startswith(("softmax", "lucid"))]


def test_a_row_for_each_cell_around_the_one_at_work(watch) -> None:  # type: ignore[no-untyped-def]
    view = watch(Watched())
    assert len(view.places) == 30
    for picture in view.pictures:
        shown = rows(picture)
        assert len(shown) == live.MOST_PLACES
        running = [row for row in shown if row[-1] == "running"]
        assert len(running) <= 1
    at_work = [[r for r in rows(p) if r[-1] == "running"] for p in view.pictures]
    seen = list(dict.fromkeys((*r[0][:2], r[0][2]) for r in at_work if r))
    expected = [(s, f"ruler/{t}", x) for s in ("softmax", "lucid") for t in TASKS for x in ("512", "768", "1k")]
    assert seen == expected  # each of the 30 cells was seen at work, in the order of work


def test_counts_tokens_and_time_left(watch) -> None:  # type: ignore[no-untyped-def]
    view = watch(Watched())
    shares = [int(m[1]) for p in view.pictures if (m := re.search(r"(\d+)% of the tokens", p))]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 100)
    assert "0 of 30 cells done, 0 samples" in view.pictures[0]
    assert "- left" in view.pictures[0]  # nothing is known yet
    assert "30 of 30 cells done, 60 samples" in view.pictures[-1]
    assert "0:00:00 left" in view.pictures[-1]
    # by tokens: two samples of niah_single_1 at 512 are 1024 of all that is to be computed
    first = next(p for p in view.pictures if "1 of 30 cells done" in p)
    assert f"{100 * 1024 / view.most_tokens():.0f}% of the tokens" in first


def test_the_running_score_has_its_interval(watch) -> None:  # type: ignore[no-untyped-def]
    view = watch(Watched(), tasks=("niah_single_1",), lengths=(512,), samples=70)
    by_samples = {row[3]: row[4:] for p in view.pictures for row in rows(p) if row[0] == "softmax"}
    assert by_samples["10/70"] == ["running"]  # answers of a batch that is not recorded yet
    assert by_samples["64/70"] == ["0.0* [0.0, 5.7]", "running"]  # Wilson over the first batch
    assert by_samples["70"] == ["0.0* [0.0, 5.2]", "done"]


def test_until_ci_shows_how_wide_intervals_are(watch) -> None:  # type: ignore[no-untyped-def]
    view = watch(Watched(), tasks=("niah_single_1",), lengths=(512, 1024), samples=None, until_ci=6)
    order = list(dict.fromkeys(tuple(r[:3]) for p in view.pictures for r in rows(p)))
    assert order == [(s, "ruler/niah_single_1", x) for x in ("512", "1k") for s in ("softmax", "lucid")]
    assert any("at most 0:" in p for p in view.pictures)
    last = rows(view.pictures[-1])
    assert all(re.fullmatch(r"±[0-6]\.\d done", row[-1]) for row in last)
    assert "100% of the tokens" in view.pictures[-1]


def test_failures_are_counted(watch, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from lcbench.engines.base import Generation
    from lcbench.engines.transformers import TransformersEngine
    from lcbench.errors import EngineOutOfMemory

    real = TransformersEngine.generate

    def generate(engine: TransformersEngine, requests: Any) -> Any:
        def none() -> Iterator[Any]:
            raise EngineOutOfMemory("no memory")
            yield

        return Generation(none()) if any(len(r.ids) > 800 for r in requests) else real(engine, requests)  # type: ignore[arg-type]

    monkeypatch.setattr(TransformersEngine, "generate", generate)
    view = watch(Watched(), attn=("softmax",), tasks=("niah_single_1",))
    assert "failed" in view.pictures[-1].splitlines()[0]
    table = {row[2]: row[3:] for row in rows(view.pictures[-1])}
    assert table["1k"] == ["2", "n/a", "2", "done"]
    assert table["768"][0] == "2"
    assert "2 failed" in view.pictures[-1]
    assert "does not fit in memory: going on in halves" in view.console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 12), (40, 6)])
def test_figures_are_whole_on_narrow_terminals(watch, width: int, height: int) -> None:  # type: ignore[no-untyped-def]
    view = watch(Watched(width, height), attn=("softmax",), lengths=(1024,))
    for picture in view.pictures:
        assert all(len(line) <= width for line in picture.splitlines())
        assert len([x for x in picture.splitlines() if re.search(r"\d/2|done$", x)]) <= min(5, height - live.AROUND + 1)
    if width >= 60:
        assert "0.0* [0.0, 65.8]" in view.pictures[-1]


def test_a_run_that_goes_on_counts_what_was_there(watch) -> None:  # type: ignore[no-untyped-def]
    watch(Watched())
    again = watch(Watched())
    assert "60 samples" in again.pictures[0]
    assert "100% of the tokens" in again.pictures[0]
    assert "30 of 30 cells done" in again.pictures[-1]


@contextmanager
def terminal(width: int) -> Iterator[tuple[Path, Callable[[], str]]]:
    """A pseudo-terminal: its device, and what was written to it since one asked last."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))

    def written() -> str:
        got = b""
        while select.select([ours], [], [], 0.1)[0]:
            got += os.read(ours, 65536)
        return got.decode().replace("\r\n", "\n")

    yield Path(os.ttyname(theirs)), written
    os.close(theirs)
    os.close(ours)


RUN = """run --tasks niah_single_1,niah_single_2 --prompt builtin --lengths 512 --attn softmax,lucid --samples 40
  --max-new-tokens 4"""


def test_on_a_real_terminal(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    given = [*RUN.split(), "--model", tiny, "--out", tmp_path / "out", "--fresh"]
    with terminal(width=90) as (device, written), background(device) as lcbench:
        written()
        screens = []
        for more in (), ("--tui", "off"):
            lcbench.start(*given, *more)
            with ThreadPoolExecutor() as pool:  # a terminal that nobody reads is full at some time
                ended = pool.submit(lcbench.wait)
                screen = ""
                while not ended.done():
                    screen += written()
                screens.append(screen + written())
            assert ended.result() == 0, screens[-1]
    table, lines = screens
    assert "\x1b[?25l" in table  # the cursor is hidden while the table moves,
    assert table.rindex("\x1b[?25h") > table.rindex("\x1b[?25l")  # and shown again
    text = CONTROL.sub("", table)
    for part in ("loading tiny", "attention", "ruler/niah_single_1", "of the tokens", "running", "cells done", "/40"):
        assert part in text
    assert "\x1b" not in lines
    assert "softmax  ruler/niah_single_1  512  0.0 over 40 samples" in lines.splitlines()


def test_stdout_has_the_document_alone(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    given = [*RUN.split(), "--model", tiny, "--out", tmp_path / "out", "--tui", "on", "--format", "json"]
    done = lcbench(*given)
    assert [c["n"] for c in json.loads(done.stdout)["cells"]] == [40] * 4
    assert "\x1b[?25l" in done.stderr
    assert "cells done" in done.stderr


def test_a_pipe_gets_lines(lcbench: Command, tiny: Path, tmp_path: Path) -> None:
    done = lcbench(*RUN.split(), "--model", tiny, "--out", tmp_path / "out")
    assert done.exit_code == 0
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines() == [
        f"loading tiny from {tiny}",
        f"{tmp_path / 'out'}: 160 samples, 0 of them done before",
        *(f"{s}  ruler/niah_single_{i}  512  0.0 over 40 samples" for s in ("softmax", "lucid") for i in (1, 2)),
    ]
    again = lcbench(*RUN.split(), "--model", tiny, "--out", tmp_path / "out")
    assert again.stderr.splitlines() == [f"{tmp_path / 'out'}: 160 samples, 160 of them done before"]


def test_which_view(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(live.view("off")) is Lines
    assert type(live.view("auto")) is Lines  # stderr of a test is no terminal
    assert type(live.view("on")) is Board
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert type(live.view("auto")) is Board
    monkeypatch.setenv("TERM", "dumb")
    assert type(live.view("auto")) is Lines
