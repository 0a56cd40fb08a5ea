"""A decision for machines: is the other system worse than the baseline by so many points?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lcbench.compare.differences import Difference
from lcbench.compare.pooling import Effect


@dataclass(frozen=True)
class Gate:
    """What `--fail-if-worse` came to. failures: cells and whole effects that are worse, or broken down; shown: those
    that are demonstrably not worse by as much; open: those of which neither is demonstrated; untold: cells without a
    comparison.
    """

    margin: float
    alpha: float
    failures: list[Difference | Effect]
    shown: list[Difference | Effect]
    open: list[Difference | Effect]
    untold: list[Difference]

    @property
    def passed(self) -> bool:
        return not self.failures


def gate(differences: Sequence[Difference], effects: Sequence[Effect], margin: float, alpha: float = 0.05) -> Gate:
    """Failed by each cell and each whole effect that is worse (adjusted p <= alpha) by `margin` points or more, and by
    a cell of which the baseline alone answered any sample.

    Only one direction fails, so that cells and effects together fail wrongly in at most alpha of comparisons of equals:
    alpha / 2 over all cells, by Holm's procedure, and alpha / 2 over the effects, both shared out evenly among the
    pairs of systems. Not worse is shown where the whole 95% interval lies above -margin, the usual test of
    non-inferiority at a level of 2.5%.
    """
    found = Gate(margin, alpha, [], [], [], [])
    level = alpha / max(1, len({d.pair for d in differences}))
    judged: list[Difference | Effect] = [*differences, *(e for e in effects if e.whole)]
    for x in judged:
        if isinstance(x, Difference) and x.na is not None:
            (found.failures if x.broken else found.untold).append(x)
        elif worse(x, margin, level):
            found.failures.append(x)
        else:
            (found.shown if not_worse(x, margin) else found.open).append(x)
    return found


def worse(x: Difference | Effect, margin: float, alpha: float) -> bool:
    """Whether it is demonstrated to be worse, and seen to be so by `margin` points or more."""
    assert x.p_holm is not None
    return x.p_holm <= alpha and x.change[0] < 0 and x.change[0] <= -margin


def not_worse(x: Difference | Effect, margin: float) -> bool:
    """Whether a loss of `margin` points or more is ruled out."""
    return x.change[1] > -margin
