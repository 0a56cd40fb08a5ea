"""What a paired comparison can see: Guenther 1981, The American Statistician 35, 243-244."""

from __future__ import annotations

import math

from lcbench.stats.points import normal


def detectable(n: int, sd: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The least mean difference that n pairs find with this power, their differences having this standard deviation.

    In the unit of sd. Raises ValueError for fewer than two pairs.
    """
    if n < 2:
        raise ValueError("a standard deviation needs at least two pairs")
    z = normal(1 - alpha / 2)
    return (z + normal(power)) * sd / math.sqrt(n - z**2 / 2)


def samples_for(effect: float, sd: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many pairs find a mean difference of this size with this power. Raises ValueError unless effect > 0."""
    if effect <= 0:
        raise ValueError("an effect to be found is greater than 0")
    z = normal(1 - alpha / 2)
    return max(2, math.ceil(((z + normal(power)) * sd / effect) ** 2 + z**2 / 2))
