"""Differences of two means, held against scipy, statsmodels, published examples and brute force."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from itertools import combinations, product
from math import comb, sqrt
from statistics import NormalDist, mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcbench.stats import mean_interval, paired, unpaired, wilson
from lcbench.stats.clusters import by_cluster, variance_of_mean
from lcbench.stats.differences import fisher, mcnemar, newcombe, square_and_add
from lcbench.stats.permutation import relabelled, sign_flips

Table = tuple[int, int, int, int]


def verdicts(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[float], list[float]]:
    a = [1.0] * (both + only_a) + [0.0] * (only_b + neither)
    b = [1.0] * both + [0.0] * only_a + [1.0] * only_b + [0.0] * neither
    return a, b


# pairs of pass/fail


@pytest.mark.parametrize("table", [(1, 1, 7, 12), (30, 5, 9, 56), (10, 0, 6, 4), (0, 0, 0, 5), (200, 90, 60, 150)])
def test_mcnemar_against_statsmodels(table: Table) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    both, only_a, only_b, neither = table
    found = paired(*verdicts(*table))
    if only_a + only_b:
        expected = tables.mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
        assert found.p == pytest.approx(min(1.0, float(expected)))
    else:
        assert found.p == 1.0
    assert (found.method, found.paired, found.n) == ("mcnemar", True, sum(table))
    assert found.difference == pytest.approx((only_b - only_a) / sum(table))


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((1, 1, 7, 12), 0.026, 0.507),  # Fagerland, Lydersen and Laake 2014, table VIII: airway reactivity
        ((36, 12, 2, 0), -0.3404, -0.0569),  # Newcombe 1998, table II
    ],
)
def test_newcombe_of_the_published_examples(table: Table, low: float, high: float) -> None:
    assert newcombe(*table) == pytest.approx((low, high), abs=6e-4)


def test_newcombe_computed_from_its_formula() -> None:
    """Method 10 as it is written down, for a - b, over many tables."""
    for both, only_a, only_b, neither in product((0, 1, 4, 20), repeat=4):
        n = both + only_a + only_b + neither
        if n == 0:
            continue
        p1, p2 = (both + only_a) / n, (both + only_b) / n
        (l1, u1), (l2, u2) = (wilson([1.0] * k + [0.0] * (n - k)) for k in (both + only_a, both + only_b))
        margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
        product_of = both * neither - only_a * only_b
        if product_of > n / 2:
            product_of -= n / 2  # type: ignore[assignment]
        elif product_of >= 0:
            product_of = 0
        phi = product_of / sqrt(margins) if margins else 0.0
        delta = sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
        epsilon = sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
        assert newcombe(both, only_a, only_b, neither) == pytest.approx((p2 - p1 - epsilon, p2 - p1 + delta))


def test_newcombe_covers_95_percent() -> None:
    """By enumeration of all tables of 30 pairs, averaged over how often mechanisms agree."""
    n, covered = 30, []
    for only_a, only_b, both in ((0.1, 0.1, 0.5), (0.05, 0.15, 0.7), (0.2, 0.3, 0.2), (0.02, 0.1, 0.8)):
        total = 0.0
        for x, y in product(range(n + 1), repeat=2):
            if x + y > n:
                continue
            for z in range(n - x - y + 1):
                ways = comb(n, x) * comb(n - x, y) * comb(n - x - y, z)
                rest = 1 - only_a - only_b - both
                likely = ways * only_a**x * only_b**y * both**z * rest ** (n - x - y - z)
                low, high = newcombe(z, x, y, n - x - y - z)
                total += likely * (low <= only_b - only_a <= high)
        covered.append(total)
    assert min(covered) > 0.93
    assert 0.945 <= mean(covered) <= 0.98


def test_p_and_interval_do_not_contradict_each_other() -> None:
    """Of all tables of 40 pairs: where the exact test finds a difference, the interval leaves out 0 or nearly so."""
    for only_a, only_b in product(range(21), repeat=2):
        for both in (0, 40 - only_a - only_b, (40 - only_a - only_b) // 2):
            if both < 0:
                continue
            low, high = newcombe(both, only_a, only_b, 40 - only_a - only_b - both)
            p, short = mcnemar(only_a, only_b), min(abs(low), abs(high))
            outside = low > 0 or high < 0
            assert not (p <= 0.05 and not outside and short > 0.03), (only_a, only_b, both)
            assert not (p > 0.15 and outside and short > 0.03), (only_a, only_b, both)


# pairs that are graded or share contexts


@pytest.mark.parametrize("n", [3, 6, 10, 13])
def test_sign_flips_against_scipy(n: int) -> None:
    """Exact: scipy's permutation test over all sign flips."""
    stats = pytest.importorskip("scipy.stats")
    a, b = np.random.default_rng(n).beta(2, 3, (2, n))
    expected = stats.permutation_test(
        (a, b), lambda x, y: np.mean(y - x), permutation_type="samples", n_resamples=np.inf
    )
    found = paired(a, b)
    assert (found.p, found.method) == (pytest.approx(float(expected.pvalue)), "sign-flips")


def test_sign_flips_by_hand() -> None:
    """All 2^5 signs, with ties."""
    differences = np.array([0.25, 0.25, -0.25, 0.5, 1.0])
    sums = [abs(sum(s * d for s, d in zip(signs, differences, strict=True))) for signs in product((1, -1), repeat=5)]
    assert sign_flips(differences) == mean(float(s >= abs(differences.sum())) for s in sums)


def test_many_sign_flips_are_drawn() -> None:
    """Near the exact value: that of the sign test, of which McNemar's is the closed form."""
    a, b = verdicts(0, 8, 20, 0)
    drawn = sign_flips(np.array(b) - np.array(a))
    exact = mcnemar(8, 20)
    assert drawn == pytest.approx(exact, abs=4 * sqrt(exact / 10_000))
    assert sign_flips(np.ones(40)) == 1 / 10_001  # never 0


@pytest.mark.parametrize("n", [14, 16, 17])
def test_drawn_sign_flips_against_all_of_them(n: int) -> None:
    """Around a whole number of bytes, of contributions that all differ."""
    moved = np.random.default_rng(n).normal(0.4, 1, n)
    sums = np.zeros(1)
    for x in moved:
        sums = np.concatenate([sums + x, sums - x])
    exact = float((np.abs(sums) >= abs(moved.sum()) - 1e-9).mean())
    assert 0.02 < exact < 0.9
    assert sign_flips(moved) == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / 10_000))


def test_sign_flips_of_a_whole_data_set_are_near_the_normal_and_small_in_memory() -> None:
    moved = np.random.default_rng(0).normal(0.01, 1, 19_500)
    expected = 2 * NormalDist().cdf(-abs(moved.sum()) / sqrt((moved**2).sum()))
    tracemalloc.start()
    found = sign_flips(moved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == pytest.approx(expected, abs=4 * sqrt(expected / 10_000))
    assert peak < 20e6


def test_samples_that_do_not_differ_have_no_say() -> None:
    moved = np.array([0.5, -0.25, 0.75, 0.5])
    assert sign_flips(np.concatenate([moved, np.zeros(500)])) == sign_flips(moved)
    assert sign_flips(np.zeros(5)) == 1.0


def test_clusters_flip_as_a_whole() -> None:
    rng = np.random.default_rng(11)
    a, b, clusters = rng.random(60), rng.random(60) + 0.1, rng.integers(0, 10, 60).tolist()
    sums, counts = by_cluster(b - a, clusters)
    flips = [abs(sum(s * d for s, d in zip(signs, sums, strict=True))) for signs in product((1, -1), repeat=10)]
    found = paired(a, np.minimum(b, 2), clusters)
    assert found.p == mean(float(f >= abs(sums.sum()) - 1e-9) for f in flips)
    assert found.method == "cluster-sign-flips"
    half = 2.262 * sqrt(variance_of_mean(sums, counts))  # Student's t of 9 degrees
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half), abs=0.03)


def test_copies_of_pairs_are_no_evidence() -> None:
    a, b = verdicts(20, 2, 9, 9)
    alone = paired(a, b)
    copied = paired(a * 6, b * 6, list(range(40)) * 6)
    assert paired(a * 6, b * 6).p < 0.001 < 0.03 < copied.p
    assert copied.p == pytest.approx(alone.p, abs=0.02)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=0.04)


def test_clusters_of_one_are_no_clusters() -> None:
    a, b = verdicts(20, 2, 9, 9)
    assert paired(a, b, [f"context {i}" for i in range(40)]) == paired(a, b)


def test_graded_pairs_have_the_interval_of_their_differences() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.random.default_rng(12).beta(2, 3, (2, 40))
    found = paired(a, b)
    expected = stats.ttest_rel(b, a).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)
    mechanisms_alike = paired(a, a)
    assert (mechanisms_alike.p, mechanisms_alike.difference) == (1.0, 0.0)
    assert mechanisms_alike.low < 0 < mechanisms_alike.high


# samples of their own


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (15, 20, 3, 25), (0, 10, 0, 12), (480, 500, 470, 500), (5, 5, 0, 3)])
def test_fisher_against_scipy(table: Table) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, n_a, b, n_b = table
    expected = stats.fisher_exact([[a, n_a - a], [b, n_b - b]]).pvalue
    assert fisher(*table) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (15, 20, 3, 25), (0, 10, 0, 12), (480, 500, 470, 500)])
def test_the_hybrid_score_interval_against_statsmodels(table: Table) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    a, n_a, b, n_b = table
    expected = proportion.confint_proportions_2indep(b, n_b, a, n_a, method="newcomb", compare="diff")
    found = unpaired([1.0] * a + [0.0] * (n_a - a), [1.0] * b + [0.0] * (n_b - b))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.method, found.paired, found.n) == ("fisher", False, n_a + n_b)
    assert found.difference == pytest.approx(b / n_b - a / n_a)


def test_the_hybrid_score_interval_of_the_published_example() -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873-890, table II: 56/70 - 48/80."""
    assert square_and_add(48 / 80, 56 / 70, 80, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def welch_t(a: Sequence[float], b: Sequence[float]) -> float:
    return abs(mean(b) - mean(a)) / sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))


def test_graded_groups_by_all_dealings() -> None:
    rng = np.random.default_rng(13)
    a, b = rng.beta(2, 3, 5), rng.beta(3, 3, 7)
    pool = np.concatenate([a, b])
    found = []
    for members in combinations(range(12), 5):
        rest = [i for i in range(12) if i not in members]
        found.append(float(welch_t(pool[list(members)], pool[rest]) >= welch_t(a, b) - 1e-9))
    assert unpaired(a, b).p == pytest.approx(mean(found))
    assert unpaired(a, b).method == "permutation"


def test_graded_groups_against_scipy() -> None:
    """Larger groups, where dealings are drawn: Welch's test is near."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(14)
    a, b = rng.beta(2, 3, 60), rng.beta(2.6, 3, 90)
    expected = stats.ttest_ind(b, a, equal_var=False)
    found = unpaired(a, b)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    limits = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-4)


def test_drawn_dealings_of_few_kinds_against_all_of_them() -> None:
    """Pass/fail: a dealing is told by how many of its 60 pass, whose chance is the hypergeometric one."""
    stats = pytest.importorskip("scipy.stats")

    def of(passed: int) -> float:
        return welch_t([1.0] * passed + [0.0] * (60 - passed), [1.0] * (90 - passed) + [0.0] * passed)

    exact = sum(stats.hypergeom.pmf(k, 150, 90, 60) for k in range(1, 60) if of(k) >= of(31) - 1e-9)
    groups = ([1.0] * 31 + [0.0] * 29, [1.0] * 59 + [0.0] * 31)
    found = relabelled(*(by_cluster(x, None) for x in groups))
    assert found == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / 10_000))


def test_drawn_dealings_of_many_kinds_against_all_of_them() -> None:
    rng = np.random.default_rng(18)
    pool = np.concatenate([rng.beta(2, 3, 7), rng.beta(3, 3, 10)])
    dealt = np.zeros((comb(17, 7), 17), dtype=bool)
    for row, members in zip(dealt, combinations(range(17), 7), strict=True):
        row[list(members)] = True
    a, b = (np.broadcast_to(pool, dealt.shape)[side].reshape(len(dealt), -1) for side in (dealt, ~dealt))
    t = np.abs(b.mean(axis=1) - a.mean(axis=1)) / np.sqrt(a.var(axis=1, ddof=1) / 7 + b.var(axis=1, ddof=1) / 10)
    exact = float((t >= t[0] - 1e-9).mean())
    assert 0.02 < exact < 0.9
    assert unpaired(pool[:7], pool[7:]).p == pytest.approx(exact, abs=4 * sqrt(exact * (1 - exact) / 10_000))


def test_contexts_are_dealt_as_a_whole() -> None:
    """Copies of graded samples, in clusters, are the samples themselves."""
    rng = np.random.default_rng(15)
    a, b = rng.beta(2, 3, 6), rng.beta(3, 3, 6)
    copied = unpaired(np.tile(a, 4), np.tile(b, 4), list(range(6)) * 4, list(range(6)) * 4)
    alone = unpaired(a, b)
    assert (copied.p, copied.low, copied.high) == pytest.approx((alone.p, alone.low, alone.high))
    assert copied.method == "cluster-permutation"


def test_clusters_on_one_side_are_enough() -> None:
    assert unpaired([1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], None, ["x", "x", "y", "z"]).method == "cluster-permutation"


def test_groups_without_spread() -> None:
    """Nothing to divide by: the interval is that of as many that may differ as were not seen."""
    same = unpaired([0.5] * 6, [0.5] * 6)
    assert same.p == 1.0
    assert same.low == -same.high < 0
    apart = unpaired([0.25] * 6, [0.75] * 6)
    assert apart.p == pytest.approx(2 / comb(12, 6))
    assert 0 < apart.low < 0.5 < apart.high <= 1
    one = unpaired([0.25], [0.5, 0.75])
    assert one.low < 0 and one.high > 0.25


@pytest.mark.parametrize("n", [3, 5, 6, 60, 5000])
def test_rounding_is_no_spread(n: int) -> None:
    """Tenths are no binary fractions, so that the sums of equal values differ in their last digits."""
    assert unpaired([0.3] * n, [0.3] * (n + 1)).p == 1.0
    assert unpaired([0.1] * n, [0.7] * n).p == pytest.approx(max(2 / comb(2 * n, n), 1 / 10_001))


def test_one_against_thousands() -> None:
    """Each may be the one: few dealings, all of them told in little memory."""
    many = np.random.default_rng(19).beta(2, 3, 3000)
    pool = np.append(many, 0.85)
    off = np.abs(pool - (pool.sum() - pool) / 3000)
    exact = float((off >= off[-1] - 1e-9).mean())
    assert 0.001 < exact < 0.1
    for groups in ((many, [0.85]), ([0.85], many)):
        tracemalloc.start()
        assert unpaired(*groups).p == pytest.approx(exact)
        assert tracemalloc.get_traced_memory()[1] < 20e6
        tracemalloc.stop()


# all of them


def test_a_side_without_samples() -> None:
    for compare in (paired, unpaired):
        with pytest.raises(ValueError, match="at least one"):
            compare([], [])
    with pytest.raises(ValueError, match="2 values cannot be paired with 1"):
        paired([1.0, 0.0], [1.0])
    with pytest.raises(ValueError, match="1 clusters"):
        paired([1.0, 0.0], [1.0, 1.0], ["a"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 4)),
        min_size=1,
        max_size=12,
    )
)
def test_the_other_way_round_is_the_mirror_image(drawn: list[tuple[float, float, int]]) -> None:
    a, b, clusters = ([row[i] for row in drawn] for i in range(3))
    for there, back in (
        (paired(a, b), paired(b, a)),
        (paired(a, b, clusters), paired(b, a, clusters)),
        (unpaired(a, b), unpaired(b, a)),
    ):
        assert (back.difference, back.low, back.high) == pytest.approx(
            (-there.difference, -there.high, -there.low), abs=1e-6
        )
        assert back.p == pytest.approx(there.p, abs=0.03)
        assert -1 <= there.low <= there.difference + 1e-9
        assert there.difference - 1e-9 <= there.high <= 1
        assert 0 < there.p <= 1


def test_one_figure_comes_out_as_a_float() -> None:
    found = paired(np.array([True, False, True]), np.array([False, False, True]))
    assert {type(x) for x in (found.difference, found.low, found.high, found.p)} == {float}
    found = unpaired(np.array([0.5, 0.25]), np.array([0.75, 1.0, 0.0]), [1, 1], [1, 2, 2])
    assert {type(x) for x in (found.difference, found.low, found.high, found.p)} == {float}


def test_dealing_ten_thousand_times_is_seeded() -> None:
    """And knows no first and second group."""
    groups = [by_cluster(x, None) for x in np.random.default_rng(16).random((2, 40))]
    assert relabelled(*groups) == relabelled(*groups)
    fewer = by_cluster(np.random.default_rng(17).random(15), None)
    assert relabelled(groups[0], fewer) == relabelled(fewer, groups[0])


def test_mean_interval_and_differences_agree_on_what_is_paired_with_nothing() -> None:
    """Against a mechanism that always fails, the difference is the mean."""
    values = np.random.default_rng(17).beta(2, 3, 60)
    found, alone = paired(np.zeros(60), values), mean_interval(values)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
