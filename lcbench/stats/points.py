"""Percentage points of the normal distribution and of Student's."""

from __future__ import annotations

from statistics import NormalDist

Z95 = 1.959963984540054


def normal(p: float) -> float:
    """The point below which a standard normal variable falls with probability p."""
    return NormalDist().inv_cdf(p)


def student_t(degrees: int) -> float:
    """The 97.5% point of Student's t."""
    from scipy.special import stdtrit  # a quarter of a second, which not every command needs

    return float(stdtrit(degrees, 0.975))
