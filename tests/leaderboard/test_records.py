"""samples.jsonl is read by columns as the store itself reads it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.errors import UsageError
from lcbench.leaderboard.records import read_verdicts
from lcbench.store import RunFolder, whole_batches
from tests.leaderboard.conftest import record

CELLS = ("softmax|ruler/vt:4096", "lucid:block=4|ruler/vt:4096", "softmax|gsm8k:-")


def write(folder: Path, seed: int, batches: int) -> Path:
    """A file of batches in the order in which a run may have written them, some samples failed or without labels."""
    rng = random.Random(seed)
    store = RunFolder(folder)
    for number in range(batches):
        name, size = rng.choice(CELLS), rng.randint(1, 4)
        rows = []
        for i in range(size):
            failed, shared = rng.random() < 0.2, rng.random() < 0.5
            score, finish = (None, "failed") if failed else (rng.choice((0.0, 0.25, 1.0, None)), "eos")
            context = rng.choice(("a", "b")) if shared else None
            rows.append(record(name, number, number * 10 + i, size, score, context_id=context, finish=finish))
        store.append(rows)
    return folder / "samples.jsonl"


def by_hand(path: Path) -> dict[str, list[tuple[float | None, str | None]]]:
    """(verdict, context) of each cell, by the reader of the store."""
    found: dict[str, list[tuple[float | None, str | None]]] = {name: [] for name in CELLS}
    with path.open("rb") as file:
        for records, _ in whole_batches(file):
            for r in records:
                found[r["cell"]].append((0.0 if r["finish"] == "failed" else r["score"], r["context_id"]))
    return found


def same(path: Path) -> None:
    expected = by_hand(path)
    for name, verdicts in zip(CELLS, read_verdicts(path, CELLS), strict=True):
        values = [None if math.isnan(v) else v for v in verdicts.values]
        assert values == [v for v, _ in expected[name]]
        contexts = [c for _, c in expected[name]]
        for i, a in enumerate(contexts):  # a context without a name is nobody else's
            for j, b in enumerate(contexts[:i]):
                assert (verdicts.contexts[i] == verdicts.contexts[j]) == (a is not None and a == b)


@given(seed=st.integers(0, 10_000), batches=st.integers(1, 8), cut=st.floats(0, 1))
def test_every_verdict_as_the_store_reads_it_however_the_file_ends(
    tmp_path_factory: pytest.TempPathFactory, seed: int, batches: int, cut: float
) -> None:
    path = write(tmp_path_factory.mktemp("run"), seed, batches)
    same(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * cut)])
    same(path)


def test_records_from_before_contexts_were_kept(tmp_path: Path) -> None:
    path = write(tmp_path, 1, 5)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    for row in rows:
        del row["context_id"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    verdicts = read_verdicts(path, CELLS)
    assert sum(len(v.values) for v in verdicts) == len(rows)
    assert all(len(set(v.contexts)) == len(v.contexts) for v in verdicts)


@pytest.mark.parametrize("line", ["{not json}\n", '{"cell": 3, "batch": "x"}\n', '{"score": "high"}\n'])
def test_a_damaged_file_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, 2, 3)
    path.write_bytes(path.read_bytes() + line.encode())
    with pytest.raises(UsageError, match=r"samples\.jsonl is damaged"):
        read_verdicts(path, CELLS)
