"""Statistics, held against closed forms and brute force."""

from __future__ import annotations

from math import comb, sqrt

import pytest

from lcbench.stats import Z95, wilson


def interval(passed: int, n: int) -> tuple[float, float]:
    return wilson([1.0] * passed + [0.0] * (n - passed))


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    [(0, 20, 0.0, 16.11), (20, 20, 83.89, 100.0), (10, 20, 29.93, 70.07), (7, 10, 39.68, 89.22), (1, 1, 20.65, 100.0)],
)
def test_wilson_reference_points(passed: int, n: int, low: float, high: float) -> None:
    assert [round(100 * x, 2) for x in interval(passed, n)] == [low, high]


@pytest.mark.parametrize("n", [1, 7, 20, 333])
def test_wilson_solves_its_equation(n: int) -> None:
    """Its ends are the shares p from which the mean is z standard errors off: |mean - p| = z sqrt(p (1 - p) / n)."""
    for passed in range(n + 1):
        for end in interval(passed, n):
            assert abs(passed / n - end) == pytest.approx(Z95 * sqrt(end * (1 - end) / n), abs=1e-7)


@pytest.mark.parametrize("n", [20, 100])
def test_wilson_covers_95_percent(n: int) -> None:
    """Averaged over all true shares; by exact enumeration of every outcome."""
    ends = [interval(passed, n) for passed in range(n + 1)]
    grid = 2000
    covered = 0.0
    for step in range(grid):
        p = (step + 0.5) / grid
        covered += sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k, (low, high) in enumerate(ends) if low <= p <= high)
    assert 0.945 <= covered / grid <= 0.955


def test_wilson_of_graded_verdicts_is_that_of_their_mean() -> None:
    assert wilson([0.25, 0.75, 0.5, 0.5]) == pytest.approx(wilson([1.0, 1.0, 0.0, 0.0]))


def test_wilson_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        wilson([])
