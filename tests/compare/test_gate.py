"""`--fail-if-worse`: fails where a loss is shown, and never on equals."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.compare import Gate, compare_runs, gate, pooled_effects
from lcbench.compare.tables import compare
from lcbench.compare.words import gate_lines
from lcbench.errors import UsageError
from tests.compare.folders import run

PLACES = [(f"ruler/{name}", 4096) for name in ("vt", "niah", "cwe", "fwe", "qa")]


def judged(
    a: dict[Any, list[Any]], b: dict[Any, list[Any]], margin: float = 2, alpha: float = 0.05, **of_b: Any
) -> Gate:
    found = compare_runs([run({"softmax": a}, "a"), run({"softmax": b}, "b", **of_b)], alpha=alpha)
    return gate(found, pooled_effects(found, alpha), margin, alpha)


def losing(n: int, lost: int) -> tuple[list[float], list[float]]:
    """Half of n are right; of these the other system loses some and gains none."""
    a = [1.0, 0.0] * (n // 2)
    return a, [0.0 if x and i < 2 * lost else x for i, x in enumerate(a)]


def test_a_loss_that_is_shown_fails() -> None:
    a, b = losing(200, 20)
    found = judged({PLACES[0]: a, PLACES[1]: a}, {PLACES[0]: b, PLACES[1]: a})
    assert not found.passed
    told = gate_lines(found)
    assert told[0] == "significant losses of 2 points or more as measured: 2 (failed)."
    assert told[1].startswith("  ruler/vt 4k: b worse than a by 10.0 points [")
    assert any(line.startswith("  pooled over 2 cells of ruler (official): b worse than a by 5.0") for line in told)


def test_a_loss_below_the_margin_passes_however_sure_it_is() -> None:
    a, b = losing(1000, 15)
    assert judged({PLACES[0]: a}, {PLACES[0]: b}, margin=2).passed
    assert not judged({PLACES[0]: a}, {PLACES[0]: b}, margin=1).passed


def test_a_loss_that_the_samples_cannot_show_passes_and_is_no_proof_of_the_contrary() -> None:
    a, b = losing(20, 4)
    found = judged({PLACES[0]: a}, {PLACES[0]: b})
    assert found.passed
    assert (len(found.open), len(found.shown)) == (1, 0)
    told = gate_lines(found)
    assert told[1] == "not worse by 2 points or more: shown for 0 of 1."
    assert told[2].startswith("a cell could show a loss of ")


def test_one_cell_of_many_is_judged_by_its_adjusted_p() -> None:
    """Six samples lost and none gained: p = 0.031, and five times that among five cells."""
    a, b = losing(40, 6)
    alone = judged({PLACES[0]: a}, {PLACES[0]: b})
    among = judged({p: a for p in PLACES}, {p: b if p == PLACES[0] else a for p in PLACES})
    assert not alone.passed
    assert PLACES[0] not in [(x.task, x.length) for x in among.failures if hasattr(x, "task")]


def test_a_small_loss_in_every_cell_fails_by_the_pooled_effect_alone() -> None:
    a, b = losing(40, 4)
    found = judged({p: a for p in PLACES}, {p: b for p in PLACES})
    (effect,) = found.failures
    assert effect.difference == pytest.approx(-10)


def test_a_gain_never_fails_and_shows_that_nothing_is_lost() -> None:
    b, a = losing(200, 20)
    found = judged({PLACES[0]: a}, {PLACES[0]: b}, margin=0)
    assert found.passed
    assert len(found.shown) == 1


def test_a_cell_that_broke_down_fails_and_one_that_was_broken_before_does_not() -> None:
    fine, broken = [1.0, 0.0] * 5, ["failed"] * 10
    found = judged({PLACES[0]: fine, PLACES[1]: fine}, {PLACES[0]: broken, PLACES[1]: fine})
    assert gate_lines(found)[:2] == [
        "significant losses of 2 points or more as measured: 1 (failed).",
        "  ruler/vt 4k: all 10 samples of b failed.",
    ]
    before = judged({PLACES[0]: broken, PLACES[1]: fine}, {PLACES[0]: broken, PLACES[1]: fine})
    assert before.passed
    assert gate_lines(before)[-1] == "not judged: ruler/vt 4k (all 10 samples of a failed)."


def test_a_cell_without_labels_that_broke_down_says_so() -> None:
    unlabelled, broken = [None] * 3, ["failed"] * 3
    found = judged({PLACES[0]: unlabelled}, {PLACES[0]: broken})
    assert gate_lines(found)[1] == "  ruler/vt 4k: all 3 samples of b failed."


def test_a_cell_that_the_baseline_has_not_is_not_broken() -> None:
    fine = [1.0, 0.0] * 5
    found = judged({PLACES[0]: [], PLACES[1]: fine}, {PLACES[0]: ["failed"] * 3, PLACES[1]: fine})
    assert found.passed
    assert gate_lines(found)[-1] == "not judged: ruler/vt 4k (a: too long)."


def test_a_cell_that_the_other_has_not_answered_fails() -> None:
    fine = [1.0, 0.0] * 5
    found = judged({PLACES[0]: fine, PLACES[1]: fine}, {PLACES[0]: [], PLACES[1]: fine})
    assert gate_lines(found)[1] == "  ruler/vt 4k: b: too long."


@pytest.mark.parametrize(
    ("b", "margin", "told"),
    [
        ([None] * 3, 2.0, "nothing to judge: ruler/vt 4k: there are no labels"),
        ([0.0], float("nan"), "--fail-if-worse nan is no number"),
    ],
)
def test_a_gate_that_cannot_judge_is_refused(b: list[Any], margin: float, told: str) -> None:
    a = [None] * 3 if None in b else [1.0]
    runs = [run({"softmax": {PLACES[0]: values}}, path) for path, values in (("a", a), ("b", b))]
    with pytest.raises(UsageError, match=told):
        compare(runs, (), 0.05, margin)


scores = st.lists(st.sampled_from([0.0, 0.3, 1.0, "failed"]), min_size=1, max_size=20)


@given(st.lists(scores, min_size=1, max_size=5), st.sampled_from([0, 1]), st.sampled_from([0.0, 2.0]))
def test_identical_runs_never_fail(cells: list[list[Any]], seed: int, margin: float) -> None:
    same = dict(zip(PLACES, cells, strict=False))
    assert judged(same, same, margin, alpha=0.5, seed=seed).passed


def test_equals_fail_in_no_more_than_one_of_twenty_comparisons() -> None:
    """Five cells and the pooled effect together, at the margin that fails the most: none."""
    rng = random.Random(0)
    failed = 0
    for _ in range(100):
        a, b = ({p: [float(rng.random() < 0.5) for _ in range(50)] for p in PLACES} for _ in range(2))
        failed += not judged(a, b, margin=0).passed
    assert failed / 100 <= 0.05
    assert failed > 0, "a gate that never fails shows nothing"


def test_several_pairs_share_alpha() -> None:
    """A loss with p just below 5% fails alone, and not beside another pair."""
    a, b = losing(40, 6)  # 6 : 0 discordant, p = 1/32
    two = [run({"softmax": {PLACES[0]: a}, "lucid": {PLACES[0]: a}}, "a"), run({"softmax": {PLACES[0]: b}}, "b")]
    alone, beside = compare_runs(two), compare_runs([two[0], two[1], run({"lucid": {PLACES[0]: a}}, "c")])
    assert [len({d.pair for d in found}) for found in (alone, beside)] == [1, 2]
    assert [gate(found, [], 2).passed for found in (alone, beside)] == [False, True]
