"""Statistics, held against closed forms and brute force."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import comb, exp, log, sqrt
from statistics import mean, stdev

import pytest

from lcbench.stats import Z95, jackknife, mean_of_means, student_t, wilson


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


# means of means


def test_mean_of_means_of_one_part_is_that_part() -> None:
    assert mean_of_means([(40.0, 30.0, 55.0)]) == pytest.approx((40.0, 30.0, 55.0))


def test_mean_of_means_computed_directly() -> None:
    """Equal parts of n narrow by sqrt(n); unequal ones add the squares of their distances, each side for itself."""
    assert mean_of_means([(50.0, 40.0, 70.0)] * 4) == pytest.approx((50.0, 45.0, 60.0))
    middle, low, high = mean_of_means([(10.0, 7.0, 14.0), (20.0, 16.0, 23.0), (60.0, 48.0, 60.0)])
    assert middle == pytest.approx(30.0)
    assert low == pytest.approx(30 - 13 / 3)  # 3-4-12-13
    assert high == pytest.approx(30 + 5 / 3)  # 4-3-0-5


def test_mean_of_means_of_normal_means_is_the_textbook_interval() -> None:
    errors = (1.0, 2.5, 0.3, 4.0)
    parts = [(float(m), m - Z95 * e, m + Z95 * e) for m, e in zip((3, 50, 90, 12), errors, strict=True)]
    half = Z95 * sqrt(sum(e * e for e in errors)) / 4
    centre = mean(m for m, _, _ in parts)
    assert mean_of_means(parts) == pytest.approx((centre, centre - half, centre + half))


@pytest.mark.parametrize(
    ("shares", "least"),
    [((0.5, 0.5, 0.5), 0.94), ((0.9, 0.2, 0.6, 0.75), 0.94), ((0.97, 0.98, 0.95, 0.99, 0.9), 0.90)],
)
def test_mean_of_means_covers_95_percent(shares: tuple[float, ...], least: float) -> None:
    """Of pass/fail tasks of twenty samples, as suites have them; 4,000 draws, whose own error is 0.35 points.

    Where nearly all tasks are solved it is 91%: a task without a failure adds nothing to the upper side.
    """
    rng, covered, draws, n = random.Random(5), 0, 4000, 20
    intervals = [(passed / n, *interval(passed, n)) for passed in range(n + 1)]
    for _ in range(draws):
        parts = [intervals[sum(rng.random() < share for _ in range(n))] for share in shares]
        _, low, high = mean_of_means(parts)
        covered += low <= mean(shares) <= high
    assert least <= covered / draws <= 0.97


def test_mean_of_means_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_of_means([])


# jackknife


def average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("n", [2, 3, 5, 20, 200])
def test_jackknife_of_a_mean_is_student_s_interval(n: int) -> None:
    rng = random.Random(n)
    values = [rng.random() for _ in range(n)]
    half = student_t(n - 1) * stdev(values) / sqrt(n)
    assert jackknife(values, average) == pytest.approx((mean(values) - half, mean(values) + half))


def test_jackknife_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = [0.1, 0.4, 0.35, 0.8, 0.55, 0.6, 0.2]
    expected = stats.t.interval(0.95, len(values) - 1, loc=mean(values), scale=stats.sem(values))
    assert jackknife(values, average) == pytest.approx(expected, abs=1e-3)


def test_jackknife_of_values_that_do_not_vary_has_no_width() -> None:
    assert jackknife([0.25] * 9, average) == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("n", [0, 1])
def test_jackknife_of_fewer_than_two_says_nothing(n: int) -> None:
    assert jackknife([0.5] * n, average) == (0.0, 1.0)


def test_jackknife_is_centred_on_the_statistic_of_all_rows() -> None:
    values = [0.1, 0.2, 0.9, 0.4]

    def geometric(some: Sequence[float]) -> float:
        return exp(mean(map(log, some)))

    low, high = jackknife(values, geometric)
    assert (low + high) / 2 == pytest.approx(geometric(values))
    without = [geometric(values[:i] + values[i + 1 :]) for i in range(4)]
    error = sqrt(3 / 4 * sum((w - mean(without)) ** 2 for w in without))
    assert (high - low) / 2 == pytest.approx(student_t(3) * error)


def test_jackknife_covers_95_percent_of_a_product_of_means() -> None:
    """The kind of statistic that it is for: the geometric mean of three means of twenty samples; 2,000 draws."""
    rng, covered, draws = random.Random(6), 0, 2000

    def statistic(rows: Sequence[tuple[float, ...]]) -> float:
        return float((mean(r[0] for r in rows) * mean(r[1] for r in rows) * mean(r[2] for r in rows)) ** (1 / 3))

    true = (0.5 * 0.5 * 1 / 3) ** (1 / 3)
    for _ in range(draws):
        rows = []
        for _ in range(20):
            common = rng.random()  # the three go together, as ROUGE's do
            rows.append((common, (common + rng.random()) / 2, common * common))
        low, high = jackknife(rows, statistic)
        covered += low <= true <= high
    assert 0.93 <= covered / draws <= 0.97


# Student's t


@pytest.mark.parametrize(
    ("degrees", "point"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (19, 2.093), (120, 1.980)]
)
def test_student_t_of_the_tables(degrees: int, point: float) -> None:
    assert student_t(degrees) == pytest.approx(point, abs=0.006)


def test_student_t_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for degrees in range(1, 201):
        assert student_t(degrees) == pytest.approx(float(stats.t.ppf(0.975, degrees)), abs=0.006), degrees


def test_student_t_falls_to_the_normal_point() -> None:
    points = [student_t(degrees) for degrees in (*range(1, 200), 10**6)]
    assert points == sorted(points, reverse=True)
    assert points[-1] == pytest.approx(Z95, abs=1e-5)
