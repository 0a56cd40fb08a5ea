"""The stopping rule of --until-ci on simulated cells: what its intervals cover when one stops, and what it takes.

Cells stop as those of a run do: `stopping.rounds` says when one looks, `stopping.enough` whether it is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lcbench import stopping
from lcbench.stats import wilson

DOC = Path(__file__).parents[2] / "docs/until-ci.md"
MOST = 1000
Draw = Callable[[np.random.Generator, int], np.ndarray]


def coin(p: float) -> Draw:
    return lambda rng, n: (rng.random(n) < p).astype(float)


def beta(a: float, b: float) -> Draw:
    return lambda rng, n: rng.beta(a, b, n)


def rows(values: np.ndarray) -> list[dict[str, object]]:
    """Records, as far as the rule reads them."""
    return [{"index": i, "finish": "eos", "score": float(v), "context_id": None} for i, v in enumerate(values)]


def stopped(until_ci: float, batch: int, *cells: np.ndarray) -> int:
    """How many samples cells of these verdicts take that stop together."""
    for n in stopping.rounds(until_ci, MOST, batch):
        if all(stopping.enough(until_ci, "ruler.match_all", rows(values[:n])) for values in cells):
            break
    return n


@pytest.mark.parametrize(
    ("draw", "mean", "trials"),
    [
        (coin(0.5), 0.5, 250),
        (coin(0.9), 0.9, 1000),
        (coin(0.99), 0.99, 2000),
        (coin(0.02), 0.02, 1000),
        (beta(1.2, 6), 1.2 / 7.2, 500),
    ],
    ids=["0.5", "0.9", "0.99", "0.02", "graded"],
)
def test_intervals_cover_where_one_stops(draw: Draw, mean: float, trials: int) -> None:
    rng = np.random.default_rng(20)
    covered, early = 0, 0
    for _ in range(trials):
        values = draw(rng, MOST)
        n = stopped(10, 16, values)
        low, high = stopping.interval(values[:n], 10)
        assert n == MOST or (high - low) / 2 <= 10
        covered += low <= 100 * mean <= high
        early += n < MOST
    assert covered / trials >= 0.95
    assert early == trials


def test_cells_that_stop_together_are_covered_each(trials: int = 250) -> None:
    """The same samples under two mechanisms, harder for one than for the other."""
    rng = np.random.default_rng(21)
    covered = np.zeros(2)
    for _ in range(trials):
        hardness = rng.random(MOST)
        cells = [(hardness < p).astype(float) for p in (0.95, 0.8)]
        n = stopped(10, 32, *cells)
        assert n == max(stopped(10, 32, values) for values in cells)
        for i, p in enumerate((0.95, 0.8)):
            low, high = stopping.interval(cells[i][:n], 10)
            covered[i] += low <= 100 * p <= high
    assert all(covered / trials >= 0.95)


def fixed(p: float, half: float) -> int:
    """The least n at which Wilson's interval of a share p is that narrow: what somebody who knew p would choose."""

    def narrow(n: int) -> bool:
        low, high = wilson([p] * n)
        return 50 * (high - low) <= half

    return next(n for n in range(1, 2000) if narrow(n))


def test_the_document_says_what_it_takes() -> None:
    """Samples at a half-width of 3 points, in batches of 32 and up to 1,000."""
    found = re.findall(r"^\| (0\.\d+) \| ([\d,]+) \| ([\d,]+) \|", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    told = {float(p): (int(n.replace(",", "")), int(taken.replace(",", ""))) for p, n, taken in found}
    assert set(told) == {0.5, 0.9, 0.99}
    rng = np.random.default_rng(22)
    for p, (n, taken) in told.items():
        assert n == fixed(p, 3)
        values = [stopped(3, 32, coin(p)(rng, MOST)) for _ in range(40)]
        error = np.std(values, ddof=1) / len(values) ** 0.5
        assert abs(np.mean(values) - taken) <= 4 * error + 1


def test_more_looks_cost_no_coverage() -> None:
    """A look after every fourth sample takes an ordinary interval well below what it promises."""
    rng = np.random.default_rng(23)
    missed = naive = 0
    for _ in range(100):
        values = coin(0.8)(rng, 200)
        looks = range(10, 201, 4)
        missed += any(not low <= 80 <= high for low, high in (stopping.interval(values[:n], 10) for n in looks))
        naive += any(not low <= 0.8 <= high for low, high in (wilson(values[:n]) for n in looks))
    assert missed / 100 <= 0.05
    assert naive / 100 > 0.1
