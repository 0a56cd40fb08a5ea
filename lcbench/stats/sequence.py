"""A confidence sequence: intervals that hold for all n at once, so that one may look, and stop, at any time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lcbench.stats.clusters import Values

TUNED = 0.9  # of the capital bets for the n that `most` says, the rest for all n alike


def hoeffding(half_width: float, alpha: float = 0.05) -> int:
    """How many values in [0, 1] give a mean to within half_width whatever they are (Hoeffding 1963, theorem 1)."""
    return math.ceil(math.log(2 / alpha) / (2 * half_width**2))


def confidence_sequence(values: Values, most: int | None = None, alpha: float = 0.05) -> tuple[float, float]:
    """The interval of the mean of values in [0, 1], in the order in which they were drawn.

    With probability 1 - alpha the intervals of all n hold at once. Hedged capital of Waudby-Smith and Ramdas 2024
    (JRSS B 86, theorem 3): the means against which betting has not yet won 2 / alpha, either way. most: tunes the bets
    to where the interval is wanted, `hoeffding` of the half-width that is to be reached (by default 3 points). It has
    to be the same at every look. Raises ValueError without values.
    """
    x = np.asarray(values, dtype=float)
    if len(x) == 0:
        raise ValueError("an interval needs at least one value")
    bets = stakes(x, hoeffding(0.03) if most is None else most, alpha)
    return lower_end(x, bets, alpha), 1 - lower_end(1 - x, bets, alpha)


def stakes(x: np.ndarray, most: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Two bets on each value, from those before it alone.

    The first is the paper's for an interval at one n; the n is `most` in proportion to the variance so far, as a
    half-width takes samples in proportion to it. The second is the paper's for all n alike (eq. 26).
    """
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = np.concatenate([[0.25], (0.25 + np.cumsum((x - mean) ** 2))[:-1] / t[1:]])
    target = np.maximum(4 * variance * most, np.maximum(t, 30))
    reach = 2 * math.log(2 / alpha) / variance
    return np.sqrt(reach / target), np.sqrt(reach / (t * np.log1p(t)))


def lower_end(x: np.ndarray, bets: tuple[np.ndarray, np.ndarray], alpha: float) -> float:
    """The least mean that betting on greater values has not refuted: the capital falls as the mean rises."""
    outside, inside, bound = 1e-9, float(x.mean()), math.log(2 / alpha)
    if log_capital(x, bets, outside, np.sum) < bound:
        return 0.0
    for _ in range(30):
        middle = (outside + inside) / 2
        refuted = log_capital(x, bets, middle, np.sum) >= bound
        outside, inside = (middle, inside) if refuted else (outside, middle)
    return outside


def log_capital(
    x: np.ndarray, bets: tuple[np.ndarray, np.ndarray], mean: float, add: Callable[[np.ndarray], Any] = np.cumsum
) -> Any:
    """[n]: the log of what 1 has become after each value, betting that they lie above this mean. A bet never puts more
    than 3/4 at stake, as in the paper. add: np.sum where only what it is after the last is wanted.
    """
    tuned, steady = (add(np.log1p(np.minimum(bet, 0.75 / mean) * (x - mean))) for bet in bets)
    return np.logaddexp(math.log(TUNED) + tuned, math.log(1 - TUNED) + steady)
