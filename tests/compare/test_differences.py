"""The figures of a comparison are those of scipy and statsmodels, done by hand on the same verdicts."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from lcbench import stats
from lcbench.compare import Difference, compare_runs, pooled_effects
from lcbench.compare.words import cell_line
from lcbench.runs import Run
from tests.compare.folders import run

VT, NIAH, CWE, QA = ("ruler/vt", 4096), ("ruler/niah", 4096), ("ruler/cwe", 8192), ("babilong/qa1", 4096)
Cells = dict[tuple[str, int | None], list[Any]]


def flips(rng: random.Random, n: int, p: float) -> list[float]:
    return [float(rng.random() < p) for _ in range(n)]


@pytest.fixture
def cells() -> tuple[Cells, Cells]:
    """Two pass/fail cells, one of another length, and one of graded verdicts short enough to enumerate."""
    rng = random.Random(5)
    graded = [0.0, 0.25, 0.5, 0.75, 1.0]
    a = {VT: flips(rng, 80, 0.5), NIAH: flips(rng, 120, 0.6), CWE: rng.choices(graded, k=10), QA: flips(rng, 50, 0.3)}
    b = {VT: flips(rng, 80, 0.7), NIAH: flips(rng, 120, 0.6), CWE: rng.choices(graded, k=10), QA: flips(rng, 50, 0.6)}
    return a, b


def both(a: Cells, b: Cells, **of_b: Any) -> tuple[Run, Run]:
    return run({"softmax": a}, "a"), run({"softmax": b}, "b", **of_b)


def p_by_hand(a: Sequence[float], b: Sequence[float]) -> float:
    """statsmodels' exact McNemar of pass/fail verdicts, scipy's exact permutation test of graded ones."""
    if {*a, *b} <= {0, 1}:
        table = [[sum((x, y) == (i, j) for x, y in zip(a, b, strict=True)) for j in (1, 0)] for i in (1, 0)]
        return float(mcnemar(table, exact=True).pvalue)
    difference = lambda x, y, axis: (y - x).mean(axis=axis)  # noqa: E731
    exact = scipy_stats.permutation_test((a, b), difference, permutation_type="samples", n_resamples=np.inf)
    return float(exact.pvalue)


def test_paired_cells_are_those_of_statsmodels_and_scipy(cells: tuple[Cells, Cells]) -> None:
    a, b = cells
    found = compare_runs(both(a, b))
    by_hand = [p_by_hand(a[place], b[place]) for place in a]
    assert [d.p for d in found] == pytest.approx(by_hand, abs=1e-12)
    assert [d.p_holm for d in found] == pytest.approx(multipletests(by_hand, method="holm")[1], abs=1e-12)
    assert [(d.task, d.length) for d in found] == list(a)
    for d, x, y in zip(found, a.values(), b.values(), strict=True):
        assert d.scores == pytest.approx((100 * np.mean(x), 100 * np.mean(y)))
        difference, low, high = d.change
        assert difference == pytest.approx(100 * (np.mean(y) - np.mean(x)))
        assert low <= difference <= high
        assert d.n == (len(x), len(x))


def test_what_is_significant_is_decided_by_the_adjusted_p(cells: tuple[Cells, Cells]) -> None:
    found = compare_runs(both(*cells))
    kept = multipletests([d.p for d in found], alpha=0.05, method="holm")[0]
    said = ["not significant" not in cell_line(d, len(found), 0.05, None) for d in found]
    assert said == list(kept)
    assert len(set(said)) == 2, "the cells are to show both"


def test_discordant_samples_are_counted_and_nothing_is_where_verdicts_are_graded(cells: tuple[Cells, Cells]) -> None:
    a, b = cells
    first, _, graded, _ = compare_runs(both(a, b))
    assert first.discordant == (
        sum(x > y for x, y in zip(a[VT], b[VT], strict=True)),
        sum(y > x for x, y in zip(a[VT], b[VT], strict=True)),
    )
    assert graded.discordant is None


def test_unpaired_cells_are_fishers_and_their_p_is_adjusted_too(cells: tuple[Cells, Cells]) -> None:
    a, b = ({place: c[place] for place in (VT, NIAH, QA)} for c in cells)
    found = compare_runs(both(a, b, seed=1))
    by_hand = []
    for x, y in zip(a.values(), b.values(), strict=True):
        table = [[sum(x), len(x) - sum(x)], [sum(y), len(y) - sum(y)]]
        by_hand.append(scipy_stats.fisher_exact(table).pvalue)
    assert [d.p for d in found] == pytest.approx(by_hand, abs=1e-9)
    assert [d.p_holm for d in found] == pytest.approx(multipletests(by_hand, method="holm")[1], abs=1e-9)


def test_samples_of_one_context_are_tested_as_one() -> None:
    """Four contexts of ten questions, all better: of 2^4 ways to swap systems by context two are as extreme."""
    contexts = [{"context_id": f"document {i // 10}"} for i in range(40)]
    a, b = (run({"softmax": {VT: [s] * 40}}, path, more={VT: contexts}) for path, s in (("a", 0.0), ("b", 1.0)))
    (found,) = compare_runs([a, b])
    assert found.p == 2 / 16
    assert found.n == (40, 40)
    (apart,) = compare_runs([run({"softmax": {VT: [0.0] * 40}}, "a"), run({"softmax": {VT: [1.0] * 40}}, "b")])
    assert apart.p == pytest.approx(2 / 2**40)


def test_a_failed_sample_counts_as_0_and_is_told() -> None:
    a, b = both({VT: [1.0] * 10}, {VT: [1.0] * 7 + ["failed"] * 3})
    (found,) = compare_runs([a, b])
    assert found.scores == (100.0, 70.0)
    assert (found.n, found.failed, found.discordant) == ((10, 10), (0, 3), (3, 0))
    assert found.p == p_by_hand([1.0] * 10, [1.0] * 7 + [0.0] * 3)
    assert "failed and counted as 0: 3 of b" in cell_line(found, 1, 0.05, None)


@pytest.mark.parametrize(
    ("a", "b", "metric", "told"),
    [
        ([1.0, 0.0], ["failed", "failed"], "exact", "all 2 samples of b failed"),
        (["failed", "failed"], [1.0, 0.0], "exact", "all 2 samples of a failed"),
        ([None, None], [None, None], "exact", "there are no labels"),
        ([0.8, 0.9], [0.7, 0.9], "bits_per_byte", "bits_per_byte is no share"),
        ([3.5, 0.9], [0.7, 0.9], "score_of_five", "score_of_five is no share"),
        ([1.0, 0.0], [], "exact", "b: too long"),
    ],
)
def test_what_has_no_comparison_says_why_and_has_no_figures(a: list, b: list, metric: str, told: str) -> None:
    cells = {VT: a, NIAH: [1.0, 0.0]}, {VT: b, NIAH: [1.0, 1.0]}
    one, two = (run({"softmax": c}, path, metric=metric) for c, path in zip(cells, "ab", strict=True))
    found = compare_runs([one, two])[0]
    assert found.na == told
    assert (found.p, found.p_holm, found.difference, found.scores, found.detectable) == (None,) * 5
    assert cell_line(found, 1, 0.05, 2.0) == f"ruler/vt 4k: b against a: n/a, {told}."


def test_cells_without_a_comparison_are_not_adjusted_for() -> None:
    a, b = both({VT: [1.0] * 8, NIAH: [None] * 8}, {VT: [0.0] * 8, NIAH: [None] * 8})
    found = compare_runs([a, b])
    assert found[0].p == found[0].p_holm == 2 / 2**8


def rouge(rng: random.Random, n: int) -> list[dict[str, Any]]:
    return [{"beside": {name: rng.random() for name in ("rouge1", "rouge2", "rougeL")}} for _ in range(n)]


def test_a_metric_of_the_whole_is_compared_by_leaving_contexts_out() -> None:
    """ROUGE's geometric mean: the jackknife by hand, with scipy's t."""
    rng = random.Random(2)
    place, n = ("zero_scrolls/qmsum", 8192), 24
    contexts = [f"document {i // 3}" for i in range(n)]
    beside = rouge(rng, n), rouge(rng, n)
    made = []
    for path, values in zip("ab", beside, strict=True):
        more = [{**v, "context_id": c} for v, c in zip(values, contexts, strict=True)]
        made.append(run({"softmax": {place: [0.5] * n}}, path, metric="zero_scrolls.rouge", more={place: more}))
    (found,) = compare_runs(made)
    a, b = (np.array([list(v["beside"].values()) for v in values]) for values in beside)

    def statistic(kept: np.ndarray) -> float:
        return float(np.prod(b[kept].mean(0)) ** (1 / 3) - np.prod(a[kept].mean(0)) ** (1 / 3))

    every = np.array(contexts)
    without = np.array([statistic(every != c) for c in dict.fromkeys(contexts)])
    k = len(without)
    error = math.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum())
    d = statistic(every == every)
    half = scipy_stats.t.ppf(0.975, k - 1) * error
    assert found.change == pytest.approx((100 * d, 100 * (d - half), 100 * (d + half)), abs=0.01)
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(abs(d) / error, k - 1), abs=1e-3)
    assert found.discordant is None


def whole(path: str, places: Sequence[tuple[str, int | None]], rows: list[dict[str, Any]]) -> Run:
    """The same answers at every place, under ROUGE's geometric mean."""
    more = {p: [{**r, "sample_id": f"{p[0]}:{p[1]}:item {i}"} for i, r in enumerate(rows)] for p in places}
    return run({"softmax": dict.fromkeys(places, [0.5] * len(rows))}, path, metric="zero_scrolls.rouge", more=more)


def test_contexts_that_differ_alike_show_no_more_than_their_number() -> None:
    values = [{"beside": {"rouge1": x, "rouge2": 0.1, "rougeL": 0.3}} for x in (0.2, 0.1)]
    better, worse = (whole(path, [VT], [v] * 4) for path, v in zip("ab", values, strict=True))
    (found,) = compare_runs([better, worse])
    assert found.p == 2 / 2**4
    assert found.change[1] < found.change[0] < 0 < found.change[2]


def test_a_metric_of_the_whole_against_itself_is_equal_pooled_too() -> None:
    rows = rouge(random.Random(3), 6)
    found = compare_runs([whole("a", [VT, NIAH], rows), whole("b", [VT, NIAH], rows)])
    (every,) = pooled_effects(found)
    for x in (*found, every):
        assert (x.difference, x.p) == (0, 1)
        assert x.low is not None and x.low < -10


def test_cells_that_share_items_are_pooled_as_one() -> None:
    """The same answers at three lengths say no more than those at one; of another task, they do."""
    rng = random.Random(4)
    a, b = rouge(rng, 12), rouge(rng, 12)
    lengths = [("zero_scrolls/qmsum", 4096 * k) for k in (1, 2, 4)]
    (alone,) = compare_runs([whole("a", lengths[:1], a), whole("b", lengths[:1], b)])
    (every,) = pooled_effects(compare_runs([whole("a", lengths, a), whole("b", lengths, b)]))
    assert every.change == pytest.approx(alone.change)
    others = [*lengths[:2], ("zero_scrolls/gov_report", 4096), ("zero_scrolls/squality", 4096)]
    (wide,) = pooled_effects(compare_runs([whole("a", others, a), whole("b", others, b)]))
    below = alone.change[0] - alone.change[1]
    assert wide.low == pytest.approx(alone.change[0] - below * math.sqrt(2**2 + 1 + 1) / 4)


def test_a_metric_of_the_whole_over_other_items_is_not_compared() -> None:
    rng = random.Random(2)
    made = [
        run({"softmax": {VT: [0.5] * 9}}, path, metric="zero_scrolls.rouge", more={VT: rouge(rng, 9)}, seed=seed)
        for seed, path in enumerate("ab")
    ]
    (found,) = compare_runs(made)
    assert found.na == (
        "zero_scrolls.rouge is no mean over samples, and the items are not the same: "
        "another seed (0 and 1): other samples"
    )


def test_the_least_detectable_difference_is_found_in_four_of_five_trials() -> None:
    """By simulation: with a true difference as large as said, exact McNemar finds it about as often as said."""
    rng = np.random.default_rng(0)
    n = 400
    a = (rng.random(n) < 0.5).astype(float)
    b = np.where(rng.random(n) < 0.2, 1 - a, a)  # a fifth of the samples discordant
    (found,) = compare_runs(both({VT: a.tolist()}, {VT: b.tolist()}))
    assert found.detectable is not None
    share, effect = 0.2, found.detectable / 100
    hits = 0
    for _ in range(500):
        gained = rng.random(n) < (share + effect) / 2
        lost = ~gained & (rng.random(n) < (share - effect) / 2 / (1 - (share + effect) / 2))
        hits += scipy_stats.binomtest(int(gained.sum()), int(gained.sum() + lost.sum())).pvalue <= 0.05
    assert 0.70 <= hits / 500 <= 0.90


def test_the_samples_needed_find_the_difference_seen_or_two_points() -> None:
    rng = random.Random(4)
    a, b = both({VT: flips(rng, 50, 0.5), NIAH: [1.0, 0.0] * 25}, {VT: flips(rng, 50, 0.55), NIAH: [1.0, 0.0] * 25})
    first, equal = compare_runs([a, b])
    for d, effect in ((first, abs(first.change[0])), (equal, 2.0)):
        assert d.needed is not None and d.needed > 50
        sd = (d.change[2] - d.change[1]) / 2 / stats.Z95 * math.sqrt(50)
        assert stats.detectable(d.needed, sd) <= effect < stats.detectable(d.needed - 2, sd)
        assert f"n = {d.needed:,} would detect {effect:.1f}" in cell_line(d, 2, 0.05, None)


def test_too_few_samples_could_not_have_shown_anything() -> None:
    (found,) = compare_runs(both({VT: [1.0, 0.0]}, {VT: [1.0, 1.0]}))
    assert (found.detectable, found.needed) == (None, None)
    assert "too few to detect any difference" in cell_line(found, 1, 0.05, None)


def test_effects_are_pooled_by_benchmark_and_prompt_source(cells: tuple[Cells, Cells]) -> None:
    a, b = cells
    found = compare_runs(both(a, b))
    ruler, every = pooled_effects(found)
    assert [(e.groups, e.whole, e.cells, e.n) for e in (ruler, every)] == [
        (("ruler",), False, 3, 210),
        (("ruler", "babilong"), True, 4, 260),
    ]
    assert every.difference == pytest.approx(np.mean([d.difference for d in found]))
    by_hand = stats.pooled([(a[place], b[place], None) for place in a])
    assert (every.p, every.change) == (
        by_hand.p,
        tuple(100 * x for x in (by_hand.difference, by_hand.low, by_hand.high)),
    )
    # one stratified sign-flip test over all samples, by scipy: each sample weighs what its cell's size gives it
    x, y = (np.concatenate([np.array(c[place]) / len(c[place]) for place in a]) for c in (a, b))
    difference = lambda x, y, axis: (y - x).sum(axis=axis)  # noqa: E731
    drawn = scipy_stats.permutation_test((x, y), difference, permutation_type="samples", n_resamples=20_000, rng=1)
    assert every.p == pytest.approx(drawn.pvalue, abs=0.01)


def test_an_item_that_is_asked_at_several_lengths_is_one_in_the_pooled_effect() -> None:
    """Four items at two lengths, all better: of 2^4 ways to swap systems by item two are as extreme, not of 2^8."""
    places = [("gsm8k/own", 4096), ("gsm8k/own", 8192)]
    named = {p: [{"sample_id": f"{p[0]}:{p[1]}:{item}"} for item in "wxyz"] for p in places}
    a, b = (run({"softmax": {p: [s] * 4 for p in places}}, f"{s}", more=named) for s in (0.0, 1.0))
    assert pooled_effects(compare_runs([a, b]))[0].p == 2 / 2**4
    a, b = (run({"softmax": {p: [s] * 4 for p in places}}, f"{s}") for s in (0.0, 1.0))
    assert pooled_effects(compare_runs([a, b]))[0].p == 2 / 2**8  # made samples are others at each length


def test_prompt_sources_are_never_pooled() -> None:
    values = [1.0, 0.0] * 10
    places = {place: values for place in (VT, NIAH, QA)}
    made = [run({"softmax": places}, path) for path in "ab"]
    for m in made:
        for c in m.summary["cells"]:
            c["prompt"] = "task" if c["task"] == "babilong/qa1" else "official"
    assert [(e.groups, e.prompt, e.cells) for e in pooled_effects(compare_runs(made))] == [(("ruler",), "official", 2)]


def test_cells_that_are_not_paired_are_pooled_by_their_intervals(cells: tuple[Cells, Cells]) -> None:
    found = compare_runs(both(*cells, seed=1))
    every = pooled_effects(found)[-1]
    mean, low, high = stats.mean_of_means([d.change for d in found])
    assert every.change == pytest.approx((mean, low, high))
    assert every.unpaired == 4
    assert (every.p < 0.05) == (low > 0 or high < 0)
    assert every.p == pytest.approx(2 * scipy_stats.norm.sf(mean / ((mean - low) / scipy_stats.norm.ppf(0.975))))


def test_costs_are_ratios_of_what_both_cells_have() -> None:
    one, two = both({VT: [1.0, 0.0]}, {VT: [1.0, 0.0]})
    one.summary["cells"][0].update(seconds=2.0, flops=1e9, peak_memory_bytes=None)
    two.summary["cells"][0].update(seconds=3.0, peak_memory_bytes=7)
    (found,) = compare_runs([one, two])
    assert found.costs == {"seconds": 1.5, "peak_memory_bytes": None, "flops": None}


verdicts = st.one_of(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 0.5, 0.25, 1.0, "failed"]))
pairs = st.lists(st.tuples(verdicts, verdicts, st.integers(0, 6)), min_size=2, max_size=30)


@given(st.lists(pairs, min_size=1, max_size=3))
def test_swapping_the_runs_negates_differences_and_keeps_p(cells: list[list[tuple[Any, Any, int]]]) -> None:
    places = [(f"ruler/{i}", 4096) for i in range(len(cells))]
    a, b = ({p: [row[side] for row in rows] for p, rows in zip(places, cells, strict=True)} for side in (0, 1))
    more = {p: [{"context_id": f"c{row[2]}"} for row in rows] for p, rows in zip(places, cells, strict=True)}
    one, two = run({"softmax": a}, "a", more=more), run({"softmax": b}, "b", more=more)
    there, back = compare_runs([one, two]), compare_runs([two, one])
    for d, e in zip(there, back, strict=True):
        assert mirrored(d, e)
    for x, y in zip(pooled_effects(there), pooled_effects(back), strict=True):
        assert x.p == pytest.approx(y.p)
        assert x.change == pytest.approx((-y.difference, -y.high, -y.low), abs=1e-6)


def mirrored(d: Difference, e: Difference) -> bool:
    if d.na is not None:
        return e.na is not None
    swapped = (-e.change[0], -e.change[2], -e.change[1])
    assert d.change == pytest.approx(swapped, abs=1e-6)
    assert (d.p, d.p_holm) == pytest.approx((e.p, e.p_holm))
    assert d.discordant == (e.discordant and e.discordant[::-1])
    assert d.failed == e.failed[::-1]
    return True
