"""The minimum detectable effect, held against statsmodels and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.stats import detectable, samples_for


@pytest.mark.parametrize("n", [10, 20, 50, 200, 500, 5000])
@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.01, 0.9), (0.05 / 65, 0.8)])
def test_detectable_against_statsmodels(n: int, alpha: float, power: float) -> None:
    """The noncentral t. Within 1%, or 4% below 50 pairs and 15% where ten pairs meet a level of 0.001."""
    stats = pytest.importorskip("statsmodels.stats.power")
    expected = float(stats.TTestPower().solve_power(nobs=n, alpha=alpha, power=power))
    near = 0.01 if n >= 50 else 0.04 if alpha >= 0.01 else 0.15
    assert detectable(n, 0.3, alpha, power) == pytest.approx(0.3 * expected, rel=near)


@pytest.mark.parametrize("effect", [0.01, 0.03, 0.1, 0.25])
def test_samples_for_against_statsmodels(effect: float) -> None:
    stats = pytest.importorskip("statsmodels.stats.power")
    expected = float(stats.TTestPower().solve_power(effect_size=effect / 0.4, alpha=0.05, power=0.8))
    assert abs(samples_for(effect, 0.4) - expected) <= 1.5


@pytest.mark.parametrize("n", [5, 30, 100, 1234])
def test_the_two_are_inverse(n: int) -> None:
    assert samples_for(detectable(n, 0.5) * (1 + 1e-9), 0.5) == n
    assert samples_for(detectable(n, 0.5) * (1 - 1e-6), 0.5) == n + 1


def test_the_power_is_what_it_says() -> None:
    """Of a t test of 60 pairs that differ by what is detectable; 4,000 trials, whose own error is 0.6 points."""
    stats = pytest.importorskip("scipy.stats")
    drawn = np.random.default_rng(0).normal(detectable(60, 0.4), 0.4, (4000, 60))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05).mean() == pytest.approx(0.8, abs=0.02)


def test_pairs_that_do_not_differ_need_no_samples() -> None:
    assert detectable(50, 0.0) == 0.0
    assert samples_for(0.1, 0.0) == 2


def test_what_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="at least two pairs"):
        detectable(1, 0.4)
    for effect in (0.0, -0.1):
        with pytest.raises(ValueError, match="greater than 0"):
            samples_for(effect, 0.4)
