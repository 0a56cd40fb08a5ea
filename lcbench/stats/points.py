"""Percentage points of the normal distribution and of Student's."""

from __future__ import annotations

from statistics import NormalDist

Z95 = 1.959963984540054


def normal(p: float) -> float:
    """The point below which a standard normal variable falls with probability p."""
    return NormalDist().inv_cdf(p)


def student_t(degrees: int) -> float:
    """The 97.5% point of Student's t: exact for 1 and 2 degrees, else the expansion of Abramowitz and Stegun 26.7.5,
    whose error is below 0.005 from 3 degrees on.
    """
    if degrees <= 2:
        return (12.706204736174694, 4.302652729749462)[degrees - 1]
    z, v = Z95, float(degrees)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v ** (i + 1) for i, term in enumerate(terms))
