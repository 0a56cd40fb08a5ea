"""Out of memory: batches are halved, the split is kept, and the answers stay what they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from lcbench.engines.base import Generation
from lcbench.engines.transformers import TransformersEngine
from lcbench.errors import EngineOutOfMemory
from lcbench.records import BatchCost, Completion, Request
from tests.run.conftest import Command, records

ROWS = 11
Fits = Callable[[Sequence[Request]], bool]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fits], list[int]]:
    """Gives the engine a memory that holds the batches for which `fits` is true; returns the rows of those it has
    computed.
    """
    real = TransformersEngine.generate

    def limit(fits: Fits) -> list[int]:
        computed: list[int] = []

        def rows(engine: TransformersEngine, requests: Sequence[Request]) -> Generator[Completion, None, BatchCost]:
            if not fits(requests):
                raise EngineOutOfMemory(f"A batch of {len(requests)} did not fit: no memory left")
            generation = real(engine, requests)
            yield from generation
            computed.append(len(requests))
            return generation.cost

        monkeypatch.setattr(TransformersEngine, "generate", lambda engine, asked: Generation(rows(engine, asked)))
        return computed

    return limit


@pytest.fixture
def run(lcbench: Command, tiny: Path) -> Command:
    def command(out: Path, *more: str):  # type: ignore[no-untyped-def]
        given = "run --tasks niah_single_1 --prompt builtin --lengths 512 --max-new-tokens 8 --dtype fp64 --format json"
        return lcbench(*given.split(), "--samples", str(ROWS), "--model", tiny, "--out", out, *more)

    return command


def test_halves_give_the_same_answers(memory, run: Command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert run(tmp_path / "whole").exit_code == 0
    computed = memory(lambda requests: len(requests) <= 4)
    done = run(tmp_path / "halves")
    assert done.exit_code == 0
    assert "does not fit in memory: going on in halves" in done.stderr
    assert computed == [2, 3, 3, 3]
    name = "softmax|ruler/niah_single_1:512"
    expected = {f"{name}|0-11": 5, f"{name}|0-5": 2, f"{name}|5-11": 3}
    assert json.loads((tmp_path / "halves/splits.json").read_text()) == expected

    def answers(folder: Path) -> list[dict[str, object]]:
        return [{k: v for k, v in r.items() if k not in ("batch", "cost")} for r in records(folder)]

    assert answers(tmp_path / "halves") == answers(tmp_path / "whole")
    cells = [json.loads((tmp_path / name / "summary.json").read_text())["cells"][0] for name in ("whole", "halves")]
    assert [(c["score"], c["ci"], c["n"], c["n_failed"]) for c in cells][1:] == [
        (cells[0]["score"], cells[0]["ci"], ROWS, 0)
    ]


def test_a_resumed_run_uses_the_split_again(memory, run: Command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    left = iter([True, True])

    def fits(requests: Sequence[Request]) -> bool:
        if len(requests) > 4:
            return False
        if not next(left, False):
            raise KeyboardInterrupt
        return True

    first = memory(fits)
    assert run(tmp_path / "out").exit_code == 130
    assert first == [2, 3]
    begun = (tmp_path / "out/samples.jsonl").read_bytes()
    rest = memory(lambda requests: True)
    assert run(tmp_path / "out").exit_code == 0
    assert rest == [3, 3]
    assert (tmp_path / "out/samples.jsonl").read_bytes().startswith(begun)
    assert [r["index"] for r in records(tmp_path / "out")] == list(range(ROWS))


def test_no_sample_fits(memory, run: Command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert memory(lambda requests: False) == []
    for _ in range(2):  # the second time from the records
        done = run(tmp_path / "out")
        assert done.exit_code == 1
        assert done.exception is None or isinstance(done.exception, SystemExit)
        [cell] = json.loads(done.stdout)["cells"]
        assert (cell["score"], cell["ci"], cell["n"], cell["n_failed"]) == (None, None, ROWS, ROWS)
        assert (cell["tokens_per_s"], cell["ttft_s"], cell["n_unextracted"]) == (None, None, 0)
    rows = records(tmp_path / "out")
    assert [r["index"] for r in rows] == list(range(ROWS))
    assert {(r["finish"], r["completion"], r["extracted"]) for r in rows} == {("failed", None, None)}
    assert all("out of memory with a prompt of" in r["error"] and "no memory left" in r["error"] for r in rows)
    assert "n/a" in run(tmp_path / "out", "--format", "table").stdout


def test_a_failed_sample_scores_0_and_stays_in_n(memory, run: Command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    memory(lambda requests: all(not r.key.endswith(":7") for r in requests))
    done = run(tmp_path / "out")
    assert done.exit_code == 1
    [cell] = json.loads(done.stdout)["cells"]
    rows = records(tmp_path / "out")
    assert [r["index"] for r in rows if r["finish"] == "failed"] == [7]
    assert (cell["n"], cell["n_failed"]) == (ROWS, 1)
    assert cell["score"] == round(100 * sum(r["score"] for r in rows) / ROWS, 2)
