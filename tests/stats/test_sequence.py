"""Confidence sequences: held against the definition on a grid, and their coverage under looking all the time."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcbench.stats import confidence_sequence, hoeffding, wilson
from lcbench.stats.coverage import never_refuted
from lcbench.stats.sequence import log_capital, stakes


def test_the_interval_is_what_betting_has_not_refuted() -> None:
    """By the definition, sample by sample in plain Python, on a grid of means."""
    x = np.random.default_rng(0).beta(2, 3, 150).tolist()
    most, kept = 400, []
    for step in range(1, 500):
        m = step / 500
        for_more, for_less = [1.0, 1.0], [1.0, 1.0]  # capital of the two bets, either way
        total, squares = 0.5, 0.25
        variance = 0.25
        for t, value in enumerate(x, 1):
            reach = 2 * math.log(2 / 0.05) / variance
            bets = math.sqrt(reach / max(4 * variance * most, t, 30)), math.sqrt(reach / (t * math.log(1 + t)))
            for i, bet in enumerate(bets):
                for_more[i] *= 1 + min(bet, 0.75 / m) * (value - m)
                for_less[i] *= 1 - min(bet, 0.75 / (1 - m)) * (value - m)
            total += value
            squares += (value - total / (t + 1)) ** 2
            variance = squares / (t + 1)
        capital = max(0.9 * c[0] + 0.1 * c[1] for c in (for_more, for_less))
        if capital < 2 / 0.05:
            kept.append(m)
    low, high = confidence_sequence(x, most)
    assert (low, high) == pytest.approx((min(kept), max(kept)), abs=1 / 500 + 1e-6)
    assert all(low <= m <= high for m in kept)


def test_bets_know_nothing_of_what_they_bet_on() -> None:
    """Which is what the guarantee rests on: another future, the same bets so far."""
    x = np.random.default_rng(1).random(60)
    other = np.concatenate([x[:30], 1 - x[30:]])
    for bets, changed in zip(stakes(x, 100, 0.05), stakes(other, 100, 0.05), strict=True):
        assert bets[:31] == pytest.approx(changed[:31])
        assert bets[31:] != pytest.approx(changed[31:])


def test_a_bet_never_loses_all() -> None:
    for x in (np.zeros(300), np.ones(300)):
        for m in (1e-9, 0.3, 1 - 1e-9):
            assert np.isfinite(log_capital(x, stakes(x, 50, 0.05), m)).all()


def test_capital_is_fair_at_the_true_mean() -> None:
    """Its expectation is 1, by enumeration of all outcomes of ten samples: so Ville's inequality holds."""
    for p in (0.1, 0.5, 0.8):
        expected = 0.0
        for outcome in range(2**10):
            x = np.array([outcome >> i & 1 for i in range(10)], dtype=float)
            likely = p ** x.sum() * (1 - p) ** (10 - x.sum())
            expected += likely * math.exp(log_capital(x, stakes(x, 100, 0.05), p)[-1])
        assert expected == pytest.approx(1.0)


def test_never_refuted_is_the_interval_at_every_n() -> None:
    """The coverage study's shortcut against `confidence_sequence` itself, at all n, for means near the edge."""
    x = (np.random.default_rng(2).random(120) < 0.7).astype(float)
    intervals, said = [confidence_sequence(x[:n]) for n in range(1, 121)], []
    for mean in np.linspace(0.3, 0.95, 30):
        always = all(low <= mean <= high for low, high in intervals)
        assert never_refuted(x, mean) == always
        said.append(always)
    assert True in said and False in said


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_looking_at_every_sample_costs_no_coverage(p: float) -> None:
    """600 trials of 1,500 looks: at least 95%, less 3 standard errors of the simulation. Wilson's hold far less."""
    rng, n, looks = np.random.default_rng(3), np.arange(1, 1501), 0
    naive = 0
    for _ in range(600):
        x = (rng.random(1500) < p).astype(float)
        looks += never_refuted(x, p)
        naive += bool((np.abs(np.cumsum(x) / n - p) <= 1.96 * np.sqrt(p * (1 - p) / n))[19:].all())
    assert looks / 600 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 600)
    assert naive / 600 < 0.8


def test_graded_verdicts_vary_less_and_take_fewer_samples() -> None:
    rng = np.random.default_rng(4)
    low, high = confidence_sequence(rng.beta(4, 4, 1000))
    coarse = confidence_sequence((rng.random(1000) < 0.5).astype(float))
    assert high - low < 0.6 * (coarse[1] - coarse[0])


def test_it_is_wider_than_wilson_s_and_gets_there() -> None:
    x = (np.random.default_rng(5).random(3000) < 0.9).astype(float)
    for n in (100, 1000, 3000):
        low, high = confidence_sequence(x[:n])
        fixed = wilson(x[:n].tolist())
        assert low < fixed[0] and fixed[1] < high
        assert high - low < 3 * (fixed[1] - fixed[0])
    low, high = confidence_sequence(x[:1200])
    assert high - low <= 0.06


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_values_that_do_not_differ(value: float) -> None:
    low, high = confidence_sequence([value] * 40)
    assert low <= value <= high
    assert 0.02 < high - low < 0.5
    assert (low == 0.0) == (value == 0.0)
    assert (high == 1.0) == (value == 1.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(1, 5000))
def test_intervals_hold_their_mean_and_mirror(values: list[float], most: int) -> None:
    low, high = confidence_sequence(values, most)
    mean = sum(values) / len(values)
    assert 0 <= low <= mean + 1e-9 and mean - 1e-9 <= high <= 1
    mirrored = confidence_sequence([1 - v for v in values], most)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_a_thousand_values_take_milliseconds() -> None:
    x = (np.random.default_rng(6).random(1000) < 0.8).astype(float).tolist()
    confidence_sequence(x)
    began = time.perf_counter()
    for _ in range(10):
        confidence_sequence(x)
    assert (time.perf_counter() - began) / 10 < 0.05


def test_hoeffding_s_n() -> None:
    assert hoeffding(0.03) == 2050
    assert 2 * math.exp(-2 * 2050 * 0.03**2) <= 0.05 < 2 * math.exp(-2 * 2049 * 0.03**2)


def test_a_sequence_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        confidence_sequence([])
