"""Holm's adjustment and the effect over all cells, held against statsmodels and brute force."""

from __future__ import annotations

from itertools import product
from math import sqrt
from statistics import mean, variance

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcbench.stats import holm, paired, pooled, student_t


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_against_statsmodels(ps: list[float]) -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    expected = multitest.multipletests(ps, method="holm")[1].tolist()
    assert holm(ps) == pytest.approx(expected)


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def strata(sizes: tuple[int, ...] = (3, 4, 2), seed: int = 0) -> list[tuple[np.ndarray, np.ndarray, None]]:
    rng = np.random.default_rng(seed)
    return [(rng.random(n), rng.random(n), None) for n in sizes]


def test_the_effect_is_the_mean_of_the_strata_whatever_their_size() -> None:
    found = pooled(strata())
    assert found.difference == pytest.approx(mean(float((b - a).mean()) for a, b, _ in strata()))
    assert (found.n, found.paired, found.method) == (9, True, "stratified-sign-flips")


def test_the_p_of_the_effect_by_all_flips() -> None:
    """2^9 flips of the samples of three strata, each flip a mean of means."""
    each = [b - a for a, b, _ in strata()]
    observed, found = abs(mean(float(d.mean()) for d in each)), []
    for signs in product((1, -1), repeat=9):
        flipped, rest = [], list(signs)
        for d in each:
            flipped.append(float((d * rest[: len(d)]).mean()))
            rest = rest[len(d) :]
        found.append(abs(mean(flipped)) >= observed - 1e-12)
    assert pooled(strata()).p == pytest.approx(mean(found))


def test_the_interval_of_the_effect_by_hand() -> None:
    each = [(b - a).tolist() for a, b, _ in strata((20, 35))]
    parts = [variance(d) / len(d) for d in each]
    degrees = sum(parts) ** 2 / sum(v**2 / (len(d) - 1) for v, d in zip(parts, each, strict=True))
    half = student_t(int(degrees)) * sqrt(sum(parts)) / 2
    found = pooled(strata((20, 35)))
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half))


def test_one_stratum_is_a_paired_comparison() -> None:
    (a, b, _), clusters = strata((12,))[0], [0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 6, 7]
    for shared in (None, clusters):
        found, expected = pooled([(a, b, shared)]), paired(a, b, shared)
        assert (found.difference, found.p) == pytest.approx((expected.difference, expected.p))
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.06)


def test_a_context_of_two_strata_is_one_draw() -> None:
    """The same samples as two tasks: no more is known than of one. Told apart they would count twice."""
    a, b, _ = strata((30,), seed=1)[0]
    names = [f"context {i}" for i in range(30)]
    once, twice = pooled([(a, b, names)]), pooled([(a, b, names), (a, b, names)])
    assert (twice.difference, twice.p) == pytest.approx((once.difference, once.p))
    apart = pooled([(a, b, names), (a, b, [f"other {n}" for n in names])])
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / sqrt(2), rel=0.05)
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.05)


def test_strata_without_a_difference_have_an_interval() -> None:
    same = [1.0, 0.0, 1.0, 1.0]
    found = pooled([(same, same, None), (same, same, None)])
    assert (found.difference, found.p) == (0.0, 1.0)
    assert -0.5 < found.low < 0 < found.high < 0.5
    better = pooled([([0.0] * 4, [1.0] * 4, None)])
    assert (better.difference, better.high) == (1.0, 1.0)
    assert better.low < 0.3


def test_a_stratum_of_one_context_widens_the_interval() -> None:
    several = strata((40, 40))
    one = ([1.0, 0.0, 1.0], [1.0, 1.0, 1.0], ["same"] * 3)
    assert pooled([*several, one]).high - pooled([*several, one]).low > 1
    assert pooled(several).high - pooled(several).low < 0.4


def test_no_strata_and_strata_that_do_not_pair() -> None:
    with pytest.raises(ValueError, match="at least one stratum"):
        pooled([])
    with pytest.raises(ValueError, match="at least one value"):
        pooled([([], [], None)])
    with pytest.raises(ValueError, match="cannot be paired"):
        pooled([([1.0], [1.0, 0.0], None)])
