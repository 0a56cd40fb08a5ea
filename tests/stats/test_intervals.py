"""Intervals, held against closed forms, scipy, statsmodels and brute force."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from math import comb, exp, log, sqrt
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.stats import Z95, jackknife, mean_interval, mean_of_means, student_t, wilson
from lcbench.stats.bootstrap import bca, resampled_means, resamples
from lcbench.stats.clusters import by_cluster, variance_of_mean
from lcbench.stats.intervals import bounded, wilson_t


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


def test_wilson_against_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for n in (1, 7, 20, 500):
        for passed in range(0, n + 1, max(1, n // 10)):
            assert interval(passed, n) == pytest.approx(proportion.proportion_confint(passed, n, method="wilson"))


# the interval of a mean


def test_pass_fail_samples_of_their_own_have_wilson_s() -> None:
    values = [1.0, 0.0, 1.0, 1.0]
    for clusters in (None, ["a", "b", "c", "d"]):
        found = mean_interval(values, clusters)
        assert (found.low, found.high, found.method) == (*wilson(values), "wilson")


@pytest.mark.parametrize("values", [[True, False, True], np.array([True, False, True]), (1, 0, 1)])
def test_verdicts_may_be_of_any_kind(values: Sequence[float]) -> None:
    assert mean_interval(values) == mean_interval([1.0, 0.0, 1.0])
    assert type(mean_interval(values).low) is float


def test_the_bootstrap_against_scipy() -> None:
    """BCa of 10,000 draws of its own; the ends of 2,000 draws are some percent of the width off."""
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(3).beta(1.2, 6, 80)
    expected = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="BCa", rng=0).confidence_interval
    found = mean_interval(values)
    assert found.method == "bca"
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.04 * (expected.high - expected.low))
    assert mean_interval(values) == found


def test_bca_computed_step_by_step() -> None:
    """The formulas of Efron and Tibshirani, chapter 14, on the same draws, one at a time."""
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(4).beta(0.5, 3, 60)
    means = [np.repeat(values, counts.astype(int)).mean() for counts in resamples(60)]
    bias = stats.norm.ppf(np.mean([m < values.mean() for m in means]))
    without = [np.delete(values, i).mean() for i in range(60)]
    off = np.mean(without) - np.array(without)
    acceleration = (off**3).sum() / (6 * (off**2).sum() ** 1.5)
    ends = [bias + (bias + z) / (1 - acceleration * (bias + z)) for z in (-Z95, Z95)]
    expected = np.quantile(means, stats.norm.cdf(ends))
    assert acceleration > 0.01
    assert bca(values, np.ones(60)) == pytest.approx(tuple(expected))


def test_draws_are_of_n_with_replacement() -> None:
    counts = resamples(55)
    assert counts.shape == (2000, 55)
    assert (counts.sum(axis=1) == 55).all()
    assert counts.var() == pytest.approx(1 - 1 / 55, rel=0.05)  # binomial(55, 1 / 55)


@pytest.mark.parametrize("n", [9, 45, 450])
def test_means_are_those_of_the_bootstrap(n: int) -> None:
    """Mean and variance over draws, against the bootstrap's own: the plug-in variance of the mean."""
    values = np.repeat([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.5], n // 9)
    drawn = resampled_means(values, np.ones(n), np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * values.std() / sqrt(n * 2000))
    assert drawn.var() == pytest.approx(values.var() / n, rel=0.12)
    assert np.allclose(drawn * 2 * n, np.round(drawn * 2 * n))  # means of n halves


def test_clusters_count_with_their_samples() -> None:
    uneven = resampled_means(np.array([3.0, 0.0]), np.array([3.0, 1.0]), np.random.default_rng(0))
    assert sorted({round(x, 9) for x in uneven}) == [0.0, 0.75, 1.0]
    assert (uneven == 0.75).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("n", [9, 45, 450])
def test_means_of_two_cells_have_nothing_in_common(n: int) -> None:
    """Though the cells be the same: else a mean over tasks would be as uncertain as one task."""
    values, rng = np.random.default_rng(0).integers(0, 5, n) / 4, np.random.default_rng(1)
    means = np.array([resampled_means(values, np.ones(n), rng) for _ in range(8)])
    correlations = np.corrcoef(means)[np.triu_indices(8, 1)]
    assert np.abs(correlations).max() < 4.5 / sqrt(2000)
    assert means.mean(axis=0).var() == pytest.approx(values.var() / n / 8, rel=0.12)
    assert means.mean() == pytest.approx(values.mean(), abs=3 * values.std() / sqrt(n * 8 * 2000))


def test_below_fifty_the_interval_is_wilson_s_of_the_effective_size() -> None:
    """Solved as Wilson's equation, with t and the variance that the values show."""
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(5).beta(1.2, 6, 30)
    found, p, n = mean_interval(values), values.mean(), 30
    assert found.method == "wilson-t"
    inflation = values.var(ddof=1) / (p * (1 - p)) * (stats.t.ppf(0.975, n - 1) / Z95) ** 2
    for end in (found.low, found.high):
        assert abs(p - end) == pytest.approx(Z95 * sqrt(end * (1 - end) * inflation / n), rel=1e-3)


# clusters


def test_the_variance_of_clusters_against_statsmodels() -> None:
    """A regression on a constant with errors clustered by context has the mean's, with the same correction."""
    api = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(6)
    clusters = rng.integers(0, 12, 90)
    values = rng.random(90) + clusters / 10
    fitted = api.OLS(values, np.ones(90)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    sums, counts = by_cluster(values, clusters.tolist())
    assert variance_of_mean(sums, counts) == pytest.approx(fitted.bse[0] ** 2 * 12 / 11)


def test_the_variance_of_clusters_of_one_is_the_mean_s() -> None:
    values = np.random.default_rng(7).random(20)
    assert variance_of_mean(*by_cluster(values, None)) == pytest.approx(values.var(ddof=1) / 20)


def test_sums_and_counts_are_those_of_the_clusters() -> None:
    sums, counts = by_cluster([1.0, 0.5, 0.25, 1.0], ["b", ("a", 1), "b", None])
    assert (sums.tolist(), counts.tolist()) == ([1.25, 0.5, 1.0], [2.0, 1.0, 1.0])


def test_copies_of_a_sample_tell_nothing_new() -> None:
    """Every verdict five times over, in clusters: the interval stays; told apart it would be too narrow by far."""
    values = np.random.default_rng(8).beta(2, 2, 60)
    copied = mean_interval(np.tile(values, 5), list(range(60)) * 5)
    assert (copied.low, copied.high) == pytest.approx(bca(values, np.ones(60)))
    assert copied.method == "cluster-bootstrap"
    apart = mean_interval(np.tile(values, 5))
    assert apart.high - apart.low < 0.6 * (copied.high - copied.low)


@pytest.mark.parametrize(("clusters", "method"), [(49, "cluster-wilson-t"), (50, "cluster-bootstrap")])
def test_few_clusters_are_not_resampled(clusters: int, method: str) -> None:
    values = [float(i % 3 == 0) for i in range(200)]
    assert mean_interval(values, [i % clusters for i in range(200)]).method == method


def test_thousands_are_not_resampled_and_lose_nothing() -> None:
    values = np.random.default_rng(9).beta(1.2, 6, 2000)
    formula, bootstrap = wilson_t(values, np.ones(2000)), mean_interval(values)
    assert (bootstrap.low, bootstrap.high) == pytest.approx(formula, abs=0.03 * (formula[1] - formula[0]))
    assert mean_interval(np.append(values, 0.5)).method == "wilson-t"


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 2, 9, 60])
def test_values_that_do_not_differ_have_a_width(value: float, n: int) -> None:
    """As many may differ as Wilson's interval of 0 of n leaves, and by as much as they can."""
    of_none = wilson([0.0] * n)[1]
    for found in (mean_interval([value] * n), mean_interval([value] * (2 * n), [i % n for i in range(2 * n)])):
        assert found.low == pytest.approx(value * (1 - of_none))
        assert found.high == pytest.approx(value + (1 - value) * of_none)


def test_one_context_is_one_sample() -> None:
    found = mean_interval([1.0] * 7 + [0.0] * 3, ["same"] * 10)
    assert found.low < 0.2 and found.high > 0.9


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=70))
def test_an_interval_holds_its_mean_and_lies_between_0_and_1(drawn: list[tuple[float, int]]) -> None:
    values, clusters = [v for v, _ in drawn], [c for _, c in drawn]
    for found in (mean_interval(values), mean_interval(values, clusters)):
        assert 0 <= found.low <= mean(values) + 1e-9
        assert mean(values) - 1e-9 <= found.high <= 1
        assert found.low < found.high


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60))
def test_the_interval_of_the_rest_is_the_mirror_image(values: list[float]) -> None:
    """Failures instead of passes; by formula below fifty, where no draws are."""
    values = values[:49]
    found, mirrored = mean_interval(values), mean_interval([1 - v for v in values])
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-6)


def test_differences_have_the_interval_of_their_range() -> None:
    values = np.random.default_rng(10).uniform(-1, 1, 40)
    shares = bounded((values + 1) / 2, np.ones(40), 0.0, 1.0)
    found = bounded(values, np.ones(40), -1.0, 1.0)
    assert (found.low, found.high) == pytest.approx((2 * shares.low - 1, 2 * shares.high - 1))


def test_all_outcomes_of_three_clusters_of_two() -> None:
    """Every outcome has an interval that holds its mean, and the more clusters agree, the narrower."""
    for outcome in product((0.0, 1.0), repeat=6):
        found = mean_interval(outcome, [0, 0, 1, 1, 2, 2])
        assert found.low <= mean(outcome) <= found.high
    agreeing = mean_interval([1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2])
    split = mean_interval([1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 2, 2])
    assert agreeing.high - agreeing.low < split.high - split.low


@pytest.mark.parametrize(
    ("values", "clusters", "error"),
    [([], None, "at least one"), ([0.5], ["a", "a"], "1 values have 2"), ([1.0, 0.0], [], "2 values have 0")],
)
def test_intervals_of_nothing(values: list[float], clusters: list[str] | None, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        mean_interval(values, clusters)


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


def test_jackknife_of_values_that_do_not_vary_leaves_as_many_that_may_as_wilson_s() -> None:
    differ = wilson([0.0] * 9)[1]
    assert jackknife([0.25] * 9, average) == pytest.approx((0.25 - 0.25 * differ, 0.25 + 0.75 * differ))
    assert jackknife([0.25] * 9, average) == pytest.approx(
        (mean_interval([0.25] * 9).low, mean_interval([0.25] * 9).high)
    )
    assert jackknife([0.0] * 9, average, -1.0) == pytest.approx((-differ, differ))


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
        return float(
            (average([r[0] for r in rows]) * average([r[1] for r in rows]) * average([r[2] for r in rows])) ** (1 / 3)
        )

    true = (0.5 * 0.5 * 1 / 3) ** (1 / 3)
    for _ in range(draws):
        rows = []
        for _ in range(20):
            common = rng.random()  # the three go together, as ROUGE's do
            rows.append((common, (common + rng.random()) / 2, common * common))
        low, high = jackknife(rows, statistic)
        covered += low <= true <= high
    assert 0.93 <= covered / draws <= 0.97
