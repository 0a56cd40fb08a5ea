"""Intervals. Each statistic has one home, with its source."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959963984540054


def wilson(values: Sequence[float]) -> tuple[float, float]:
    """The 95% score interval of a mean of verdicts in [0, 1] (Wilson 1927, eq. 4), as shares.

    Exact in form for pass/fail. Graded verdicts vary no more than pass/fail ones of the same mean, so that the
    interval is then on the wide side. Raises ValueError without values.
    """
    n = len(values)
    if n == 0:
        raise ValueError("an interval needs at least one value")
    p = sum(values) / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)
