"""--until-ci: every mechanism of a task and length on the same samples, as many as it takes, whatever interrupts it."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Generator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lcbench import stopping
from lcbench.engines.base import Generation
from lcbench.engines.transformers import TransformersEngine
from lcbench.errors import EngineOutOfMemory
from lcbench.plan import with_suite
from lcbench.records import BatchCost, Completion, Request
from lcbench.report.table import FORMATS
from lcbench.schedule import MOST_ROWS
from lcbench.schema import RunConfig
from lcbench.stats import confidence_sequence, hoeffding
from tests.run.background import background
from tests.run.conftest import Command, records
from tests.run.test_kill import answers, untimed, whole_batches

LETTER = """name: mine/{name}
data: {{file: rows.jsonl}}
prompt: "{{{{ q }}}} Answer:"
references: {column}
score: {score}
lengths: ignored
generate: {{max_new_tokens: 4}}
"""
SPECS = ("softmax", "lucid")


def letter(folder: Path, name: str, column: str = "e", score: str = "includes", rows: int = 500, **more: Any) -> Path:
    """A task whose verdict is whether four tokens have a letter in them: a coin, with a model that guesses."""
    place = folder / name
    place.mkdir()
    lines = [
        {"id": f"q{i}", "q": f"What is {i * 7919 % 1000} and {i}?", "e": "e", "s": "s", "none": []} for i in range(rows)
    ]
    (place / "rows.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    (place / f"{name}.yaml").write_text(LETTER.format(name=name, column=column, score=score) + more.get("keys", ""))
    return place / f"{name}.yaml"


@pytest.fixture
def run(lcbench: Command, tiny: Path):  # type: ignore[no-untyped-def]
    """`lcbench run --until-ci ..` on tasks: its summary.json."""

    def command(
        out: Path, *tasks: Path, until: float = 8, attn: str = ",".join(SPECS), more: Sequence[str] = ()
    ) -> Any:
        names = ",".join(map(str, tasks))
        given = ["--until-ci", str(until), "--attn", attn, "--model", tiny, "--out", out, *more]
        done = lcbench("run", "--tasks", names, *given)
        assert done.exit_code == 0, done.output
        return json.loads((out / "summary.json").read_text())

    return command


def verdicts(folder: Path, task: str, spec: str) -> list[float]:
    rows = [r for r in records(folder) if r["cell"] == f"{spec}|{task}:-"]
    assert [r["index"] for r in rows] == list(range(len(rows)))
    return [r["score"] for r in rows]


def interval(values: Sequence[float], until: float) -> tuple[float, float]:
    low, high = confidence_sequence(values, most=hoeffding(until / 100))
    return 100 * low, 100 * high


def half_width(values: Sequence[float], until: float) -> float:
    low, high = interval(values, until)
    return (high - low) / 2


def test_mechanisms_stop_together_at_the_first_look_at_which_all_are_narrow(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    summary = run(tmp_path / "out", letter(tmp_path, "often", "e"), letter(tmp_path, "seldom", "s"))
    for task in ("mine/often", "mine/seldom"):
        values = {spec: verdicts(tmp_path / "out", task, spec) for spec in SPECS}
        n = len(values["softmax"])
        assert n == len(values["lucid"]) < 500
        looks = [k for k in stopping.rounds(8, 500, MOST_ROWS) if k <= n]
        assert looks[-1] == n
        widest = [max(half_width(values[spec][:k], 8) for spec in SPECS) for k in looks]
        assert all(w > 8 for w in widest[:-1])
        assert widest[-1] <= 8
        for cell in (c for c in summary["cells"] if c["task"] == task):
            low, high = interval(values[cell["attn"]], 8)
            assert cell["ci"] == [round(low, 2), round(high, 2)]
            assert cell["score"] == round(100 * sum(values[cell["attn"]]) / n, 2)
            assert cell["stopped"] == f"half-width {(high - low) / 2:.1f} after {n}"
            assert cell["n"] == n
    counts = {c["n"] for c in summary["cells"]}
    assert len(counts) == 2  # tasks end apart


def test_the_mechanism_in_the_engine_goes_first(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    run(tmp_path / "out", letter(tmp_path, "often", "e"), letter(tmp_path, "seldom", "s"), until=5)
    order = [(r["cell"], r["index"]) for r in records(tmp_path / "out")]
    cells = [cell for cell, _ in order]
    turns = [cell.split("|")[0] for i, cell in enumerate(cells) if i == 0 or cell != cells[i - 1]]
    switches = sum(a != b for a, b in pairwise(turns))
    looks = sum(index in {e - 1 for e in stopping.rounds(5, 500, MOST_ROWS)} for _, index in order) // len(SPECS)
    assert looks >= 5
    assert switches == looks  # one a round, for two mechanisms


def test_killed_anywhere(tiny: Path, tmp_path: Path) -> None:
    """The same answers in the same order as of a run that nobody touched, and what was there stays as it was."""
    tasks = [letter(tmp_path, "often", "e"), letter(tmp_path, "seldom", "s")]
    untouched, killed, log = tmp_path / "untouched", tmp_path / "killed", tmp_path / "log"
    names = ",".join(map(str, tasks))
    command = ["run", "--tasks", names, "--until-ci", "5", "--attn", ",".join(SPECS), "--model", str(tiny), "--out"]
    rng = random.Random(1)
    with background(log) as lcbench:
        lcbench.start(*command, untouched)
        assert lcbench.wait() == 0, log.read_text()
        lines = len(records(untouched))
        for stop in sorted(rng.sample(range(lines - MOST_ROWS), 3)):
            before = whole_batches(killed)
            process = lcbench.start(*command, killed)
            while whole_batches(killed).count(b"\n") <= stop:
                time.sleep(0.002)
            os.kill(process, signal.SIGKILL)
            lcbench.wait()
            assert whole_batches(killed).startswith(before)
        before = whole_batches(killed)
        assert before != (untouched / "samples.jsonl").read_bytes()
        lcbench.start(*command, killed)
        assert lcbench.wait() == 0, log.read_text()
    assert (killed / "samples.jsonl").read_bytes().startswith(before)
    assert answers(killed) == answers(untouched)
    finished, summary = (json.loads((f / "summary.json").read_text()) for f in (killed, untouched))
    assert untimed(finished) == untimed(summary)


def test_interrupted_in_the_middle_of_a_round(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    task = letter(tmp_path, "often", "e", rows=130)  # two rounds
    whole = run(tmp_path / "whole", task, until=3)
    lines = (tmp_path / "whole/samples.jsonl").read_bytes().splitlines(keepends=True)
    first_look = next(stopping.rounds(3, 130, MOST_ROWS))
    assert len(lines) == 2 * 130
    assert first_look > MOST_ROWS  # a round has several batches
    places = {
        "within the first batch": 10,
        "between two batches of a round": MOST_ROWS,
        "between two mechanisms": first_look,
        "in the second mechanism": first_look + MOST_ROWS,
        "between two rounds": 2 * first_look,
        "before the last batch": len(lines) - 5,
        "after the last batch": len(lines),
    }
    for name, at in places.items():
        out = tmp_path / name
        shutil.copytree(tmp_path / "whole", out)
        (out / "samples.jsonl").write_bytes(b"".join(lines[:at]))
        kept = whole_batches(out)
        assert untimed(run(out, task, until=3)) == untimed(whole), name
        assert (out / "samples.jsonl").read_bytes().startswith(kept), name
        assert answers(out) == answers(tmp_path / "whole"), name


def test_another_half_width_is_refused_by_name(run, lcbench: Command, tiny: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    task = letter(tmp_path, "often", rows=5)
    run(tmp_path / "out", task, attn="softmax")
    given = ["run", "--tasks", task, "--attn", "softmax", "--model", tiny, "--out", tmp_path / "out"]
    for other, told in (["--until-ci", "4"], "8.0 there, 4.0 now"), (["--samples", "1000"], "8.0 there, null now"):
        done = lcbench(*given, *other)
        assert done.exit_code == 2
        assert f"until_ci: {told}" in done.stderr
    assert lcbench(*given, "--until-ci", "8").exit_code == 0


def test_what_ends_a_cell(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    few = letter(tmp_path, "few", rows=20)
    unlabelled = letter(tmp_path, "unlabelled", "none", rows=30)
    corpus = letter(tmp_path, "corpus", score="zero_scrolls.rouge", rows=80)
    summary = run(tmp_path / "out", few, unlabelled, corpus, attn="softmax", more=["--samples", "60"])
    cells = {c["task"]: c for c in summary["cells"]}
    assert {name: (c["n"], c["stopped"]) for name, c in cells.items()} == {
        "mine/few": (20, "its data ends at 20"),
        "mine/unlabelled": (30, "its data ends at 30, not watched: it has samples without a verdict"),
        "mine/corpus": (60, "the most samples (60), not watched: zero_scrolls.rouge is no mean of verdicts"),
    }
    assert cells["mine/unlabelled"]["score"] is None
    values = verdicts(tmp_path / "out", "mine/few", "softmax")
    low, high = interval(values, 8)
    assert cells["mine/few"]["ci"] == [round(low, 2), round(high, 2)]  # it could have stopped: no Wilson
    assert not any("samples to be had" in note for note in summary["notes"])
    assert sum("confidence sequences" in note for note in summary["notes"]) == 1


def test_samples_that_share_a_context_do_not_end_it_early(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    cut = letter(tmp_path, "shared", keys="truncate: {column: q}\n")
    rows = [{"id": f"q{i}", "q": f"Document {i // 50}", "e": "e"} for i in range(200)]
    cut.with_name("rows.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    (cell,) = run(tmp_path / "out", cut, until=15, attn="softmax")["cells"]
    assert (cell["n"], cell["stopped"]) == (200, "its data ends at 200, not watched: its samples share contexts")


def test_nothing_to_watch_is_refused_before_a_model_is_loaded(
    lcbench: Command, unreadable: Path, tmp_path: Path
) -> None:
    task = letter(tmp_path, "corpus", score="zero_scrolls.rouge")
    done = lcbench("run", "--tasks", task, "--until-ci", "3", "--model", unreadable, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "--until-ci has nothing to watch: zero_scrolls.rouge is no mean of verdicts." in done.stderr
    for wrong in ("0", "-3", "51", "nan", "much"):
        assert lcbench("run", "--tasks", task, "--until-ci", wrong, "--model", unreadable).exit_code == 2


def test_halved_batches(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Batches that do not fit are halved within their round, which ends where it did."""
    real = TransformersEngine.generate

    def rows(engine: Any, requests: Sequence[Request], most: int) -> Generator[Completion, None, BatchCost]:
        if len(requests) > most:
            raise EngineOutOfMemory(f"A batch of {len(requests)} did not fit")
        generation = real(engine, requests)
        yield from generation
        return generation.cost

    task = letter(tmp_path, "often", "e")
    whole = run(tmp_path / "whole", task)
    monkeypatch.setattr(TransformersEngine, "generate", lambda e, asked: Generation(rows(e, asked, 40)))
    halved = run(tmp_path / "halves", task)
    assert [(c["n"], c["score"], c["stopped"]) for c in halved["cells"]] == [
        (c["n"], c["score"], c["stopped"]) for c in whole["cells"]
    ]
    assert json.loads((tmp_path / "halves/splits.json").read_text())


def test_a_cell_of_failures_alone(
    lcbench: Command, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(requests: Sequence[Request]) -> Generator[Completion, None, BatchCost]:
        raise EngineOutOfMemory("no memory")
        yield

    monkeypatch.setattr(TransformersEngine, "generate", lambda engine, requests: Generation(none(requests)))
    given = ["--attn", "softmax", "--until-ci", "20", "--model", tiny, "--out", tmp_path / "out"]
    assert lcbench("run", "--tasks", letter(tmp_path, "often"), *given).exit_code == 1
    (cell,) = json.loads((tmp_path / "out/summary.json").read_text())["cells"]
    n = stopping.fewest(20, 500)
    assert (cell["score"], cell["ci"], cell["n"], cell["n_failed"]) == (None, None, n, n)


def test_a_cell_without_samples_has_not_ended() -> None:
    assert stopping.ending(3, "includes", [], 0, 1000) == {"stopped": None}


def test_samples_are_the_most() -> None:
    for samples, most in (None, 1000), (50, 50):
        config, _ = with_suite(RunConfig(model="m", suite="quick", samples=samples, until_ci=3))
        assert config.samples == most


@pytest.mark.parametrize(("until_ci", "most", "batch"), [(3, 1000, 64), (3, 1000, 1), (0.5, 300, 7), (20, 1000, 8)])
def test_rounds_grow(until_ci: float, most: int, batch: int) -> None:
    ends = list(stopping.rounds(until_ci, most, batch))
    assert ends[-1] == most
    sizes = [b - a for a, b in pairwise(ends)]
    assert all(size % batch == 0 for size in sizes[:-1])
    assert sizes[:-1] == sorted(sizes[:-1])
    assert all(abs(size - 0.25 * a) <= batch for size, a in zip(sizes[:-1], ends, strict=False))
    assert len(ends) <= 25
    fewest = ends[0]
    assert fewest == most or half_width([1.0] * fewest, until_ci) <= until_ci
    assert fewest == 1 or half_width([1.0] * (fewest - 1), until_ci) > until_ci


def test_every_format_says_how_a_cell_ended(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    summary = run(tmp_path / "out", letter(tmp_path, "few", rows=20))
    ended = "its data ends at 20"
    assert [c["stopped"] for c in json.loads(FORMATS["json"](summary))["cells"]] == [ended] * 2
    assert [r["stopped"] for r in csv.DictReader(io.StringIO(FORMATS["csv"](summary)))] == [ended] * 2
    assert f"| mine/few | - | {ended} | {ended} |" in FORMATS["md"](summary)
    lines = [line.split("  ") for line in FORMATS["table"](summary).splitlines()]
    assert ["stopped", "length", "softmax", "lucid"] in [[x.strip() for x in line if x] for line in lines]
