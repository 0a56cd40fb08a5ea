"""Many cells as one effect: over tasks and lengths, per benchmark and over all of one prompt source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lcbench import stats
from lcbench.compare.differences import Difference, least_detectable
from lcbench.compare.items import clusters, verdict
from lcbench.compare.pairs import Pair, System
from lcbench.figures import CORPUS


@dataclass(frozen=True)
class Effect:
    """The unweighted mean over cells of other - baseline, in points, with its 95% interval. Two prompt sources are
    never pooled.

    groups: the benchmarks in it. whole: whether it is over every cell of the prompt source that has a comparison;
    left_out: how many have none. unpaired: how many of its cells are no means over pairs of samples. n: samples of each
    system, the fewer where they are not paired. p_holm: p adjusted over the effects of this pair of systems of the same
    kind: those that are whole, or those of one benchmark each. detectable: as of a cell.
    """

    baseline: System
    other: System
    groups: tuple[str, ...]
    prompt: str
    whole: bool
    cells: int
    left_out: int
    unpaired: int
    n: int
    scores: tuple[float, float]
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    method: str
    detectable: float | None

    @property
    def change(self) -> tuple[float, float, float]:
        """(difference, low, high)."""
        return self.difference, self.low, self.high

    @property
    def pair(self) -> Pair:
        return self.baseline, self.other


def pooled_effects(differences: Sequence[Difference], alpha: float = 0.05) -> list[Effect]:
    """Per pair of systems and prompt source: an effect over all its cells, after one for each benchmark where there
    are several. One cell alone is no effect.
    """
    found: list[Effect] = []
    for pair in dict.fromkeys(d.pair for d in differences):
        of_pair = [d for d in differences if d.pair == pair]
        parts, wholes = [], []
        for prompt in dict.fromkeys(d.prompt for d in of_pair):
            cells = [d for d in of_pair if d.prompt == prompt]
            groups = dict.fromkeys(d.group for d in cells if d.na is None)
            wholes.append(_effect(cells, True, alpha))
            if len(groups) > 1:
                parts += [_effect([d for d in cells if d.group == g], False, alpha) for g in groups]
        found += _adjusted(parts) + _adjusted(wholes)
    return found


def _effect(cells: Sequence[Difference], whole: bool, alpha: float) -> Effect | None:
    used = [d for d in cells if d.na is None]
    if len(used) < 2:
        return None
    unpaired = [d for d in used if d.unpaired is not None or d.metric in CORPUS]
    found = _mean_of_cells(used) if unpaired else stats.pooled([_stratum(d) for d in used])
    n = sum(min(d.n) for d in used)
    least = least_detectable(n, (found.high - found.low) / 2, alpha)
    scores = [d.scores for d in used if d.scores is not None]
    return Effect(
        baseline=used[0].baseline,
        other=used[0].other,
        groups=tuple(dict.fromkeys(d.group for d in used)),
        prompt=used[0].prompt,
        whole=whole,
        cells=len(used),
        left_out=len(cells) - len(used),
        unpaired=len(unpaired),
        n=n,
        scores=(sum(a for a, _ in scores) / len(scores), sum(b for _, b in scores) / len(scores)),
        difference=100 * found.difference,
        low=100 * found.low,
        high=100 * found.high,
        p=found.p,
        p_holm=found.p,
        method=found.method,
        detectable=None if least is None else 100 * least[0],
    )


def _stratum(d: Difference) -> tuple[list[float], list[float], list[str]]:
    assert d.matched is not None
    a, b = ([verdict(r) or 0.0 for r in rows] for rows in (d.matched.a, d.matched.b))
    return a, b, clusters(d.matched.a)


def _mean_of_cells(cells: Sequence[Difference]) -> stats.Comparison:
    """Where not all cells are means over pairs of samples: the mean of their differences, with the interval recovered
    from theirs (`stats.mean_of_means`) and the p of a normal deviate whose 95% interval that is, on the side of 0.

    Cells that share items are no independent ones: they count as one, as wide as if all moved together.
    """
    groups = _apart(cells)
    share = len(groups) / len(cells) / 100
    parts = [[share * sum(x) for x in zip(*(d.change for d in group), strict=True)] for group in groups]
    mean, low, high = stats.mean_of_means([(m, down, up) for m, down, up in parts])
    half = mean - low if mean > 0 else high - mean
    p = math.erfc(abs(mean) / half * stats.Z95 / math.sqrt(2))
    return stats.Comparison(sum(min(d.n) for d in cells), mean, low, high, p, "mean of cells", False)


def _apart(cells: Sequence[Difference]) -> list[list[Difference]]:
    """Groups of cells no two of which share an item or a context."""
    groups: list[tuple[set[str], list[Difference]]] = []
    for d in cells:
        assert d.matched is not None
        items, members = {*clusters(d.matched.a), *clusters(d.matched.b)}, [d]
        for group in [g for g in groups if g[0] & items]:
            groups.remove(group)
            items, members = items | group[0], group[1] + members
        groups.append((items, members))
    return [members for _, members in groups]


def _adjusted(effects: Sequence[Effect | None]) -> list[Effect]:
    there = [e for e in effects if e is not None]
    return [replace(e, p_holm=p) for e, p in zip(there, stats.holm([e.p for e in there]), strict=True)]
