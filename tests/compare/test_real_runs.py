"""The repository's own runs: what `compare` says of them is what scipy and statsmodels say of their records."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from lcbench.compare import Difference, compare_runs
from lcbench.runs import read_run

NEEDED = ("run.json", "summary.json", "samples.jsonl")


@pytest.fixture(scope="module")
def folders(root: Path) -> list[Path]:
    """Two runs that lie beside each other, with their records."""
    found = sorted(p.parent for p in (root / "results").glob("**/samples.jsonl"))
    found = [p for p in found if "runs" not in p.relative_to(root / "results").parts]
    whole = [p for p in found if all((p / name).exists() for name in NEEDED)]
    beside = [[a, b] for a, b in permutations(whole, 2) if a.parent == b.parent]
    if not beside:
        pytest.skip(f"{len(whole)} run folders below results/ hold {', '.join(NEEDED)}, none beside another")
    return beside[0]


def verdicts(folder: Path, cell: str) -> dict[str, float]:
    """Sample ids and verdicts of one cell, read from samples.jsonl by hand."""
    rows: list[dict[str, Any]] = []
    for line in (folder / "samples.jsonl").read_text(encoding="utf-8").split("\n"):
        rows += [json.loads(line)] if line else []
    return {r["sample_id"]: 0.0 if r["finish"] == "failed" else r["score"] for r in rows if r["cell"] == cell}


def p_by_hand(a: list[float], b: list[float]) -> float:
    if {*a, *b} <= {0, 1}:
        table = [[sum((x, y) == (i, j) for x, y in zip(a, b, strict=True)) for j in (1, 0)] for i in (1, 0)]
        return float(mcnemar(table, exact=True).pvalue)
    if a == b:
        return 1.0
    difference = lambda x, y, axis: (y - x).mean(axis=axis)  # noqa: E731
    test = permutation_test((a, b), difference, permutation_type="samples", n_resamples=20_000, rng=0)
    return float(test.pvalue)


def cell_of(d: Difference, attn: str) -> str:
    return f"{attn}|{d.task}:{'-' if d.length is None else d.length}"


def test_every_cell_of_two_runs_is_what_scipy_and_statsmodels_say(folders: list[Path]) -> None:
    found = [d for d in compare_runs([read_run(p) for p in folders]) if d.na is None and d.unpaired is None]
    assert found, "no cell is paired"
    exact: dict[tuple[Any, ...], list[tuple[float, float, float]]] = {}
    for d in found:
        one, two = (verdicts(s.run.path, cell_of(d, s.attn)) for s in d.pair)
        both = [i for i in one if i in two]
        a, b = [one[i] for i in both], [two[i] for i in both]
        assert d.n == (len(both), len(both))
        assert d.difference == pytest.approx(100 * (np.mean(b) - np.mean(a)))
        p = p_by_hand(a, b)
        assert d.p == pytest.approx(p, abs=1e-9 if {*a, *b} <= {0, 1} else 0.02)
        exact.setdefault(d.pair, []).append((d.p, d.p_holm or 0.0, p))
    for cells in exact.values():
        ours, adjusted, by_hand = zip(*cells, strict=True)
        assert adjusted == pytest.approx(multipletests(ours, method="holm")[1])
        # and the decision by hand from p on is ours, wherever sampling leaves no doubt of it
        theirs = multipletests(by_hand, method="holm")[1]
        assert [p <= 0.05 for p in adjusted if abs(p - 0.05) > 0.02] == [
            q <= 0.05 for p, q in zip(adjusted, theirs, strict=True) if abs(p - 0.05) > 0.02
        ]
