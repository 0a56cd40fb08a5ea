"""Two systems cell by cell: scores, their difference with interval and p, and what the samples could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lcbench import stats
from lcbench.compare import corpus
from lcbench.compare.items import Matched, clusters, match, refuse, verdict
from lcbench.compare.pairs import Pair, System, systems
from lcbench.errors import UsageError
from lcbench.figures import CORPUS, has_unit
from lcbench.runs import Row, Run

NOTEWORTHY = 2.0  # points: the least difference that a number of samples is named for
FEWEST = 10  # samples: below, the normal approximation says nothing of what they could have shown
COSTS = ("seconds", "peak_memory_bytes", "flops")


@dataclass(frozen=True)
class Difference:
    """One cell of two systems, other - baseline; scores, differences and intervals (95%) in points, 0 to 100.

    na: why there is no comparison; then its figures are None. broken: the baseline alone answered any sample.
    unpaired: why items are not paired, None where they are. n: samples of each that are compared; left: those of each
    without a partner. failed: how many of n failed, and count 0. p_holm: p adjusted over the cells of this pair of
    systems (Holm 1979). discordant: samples that only the baseline, and only the other, has right; None for graded
    verdicts and unpaired items. detectable: the difference found with a power of 80%. needed: the samples that find the
    difference seen, or `NOTEWORTHY` points where it is smaller. costs: other / baseline of what both cells have.
    """

    baseline: System
    other: System
    task: str
    length: int | None
    prompt: str
    metric: str
    na: str | None = None
    broken: bool = False
    unpaired: str | None = None
    n: tuple[int, int] = (0, 0)
    left: tuple[int, int] = (0, 0)
    failed: tuple[int, int] = (0, 0)
    scores: tuple[float, float] | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    method: str | None = None
    discordant: tuple[int, int] | None = None
    detectable: float | None = None
    needed: int | None = None
    costs: dict[str, float | None] = field(default_factory=dict)
    matched: Matched | None = field(default=None, repr=False)

    @property
    def pair(self) -> Pair:
        return self.baseline, self.other

    @property
    def change(self) -> tuple[float, float, float]:
        """(difference, low, high) of a cell that has a comparison."""
        assert self.difference is not None and self.low is not None and self.high is not None
        return self.difference, self.low, self.high

    @property
    def group(self) -> str:
        """The benchmark that the task is of."""
        return self.task.split("/")[0].split(":")[0]


def compare_runs(runs: Sequence[Run], attn: Sequence[str] = (), alpha: float = 0.05) -> list[Difference]:
    """Every cell that both systems of a pair have, pair by pair (`systems`), in the order of the baseline.

    Raises UsageError where tasks are of another version or prompt source, and where a pair shares no cell.
    """
    return [d for pair in systems(runs, attn) for d in compare_pair(pair, alpha)]


def compare_pair(pair: Pair, alpha: float = 0.05) -> list[Difference]:
    """The cells of one pair of systems, with p adjusted over them."""
    baseline, other = pair
    there = set(other.places)
    shared = [place for place in baseline.places if place in there]
    if not shared:
        one, two = (f"{s.run.path} under {s.attn}" for s in pair)
        raise UsageError(f"{one} and {two} have no task and length in common.")
    for task, length in shared:
        refuse(baseline, other, task, length)
    found = [_difference(baseline, other, task, length, alpha) for task, length in shared]
    adjusted = iter(stats.holm([d.p for d in found if d.p is not None]))
    return [d if d.p is None else replace(d, p_holm=next(adjusted)) for d in found]


def least_detectable(n: int, half_width: float, alpha: float) -> tuple[float, float] | None:
    """(minimum detectable effect, standard deviation of a sample's difference) as shares, from the half-width of a
    95% interval, which knows of clusters and of unpaired items. None where n is too small to find any difference.
    """
    if n < FEWEST:
        return None
    sd = half_width / stats.Z95 * math.sqrt(n)
    least = stats.detectable(n, sd, alpha)
    return (least, sd) if 0 < least <= 1 else None


def _difference(baseline: System, other: System, task: str, length: int | None, alpha: float) -> Difference:
    cells = [s.cell(task, length) for s in (baseline, other)]
    metric = cells[0]["metric"]
    costs = {name: _ratio(*(c.get(name) for c in cells)) for name in COSTS}
    empty = Difference(baseline, other, task, length, cells[0]["prompt"], metric, costs=costs)
    matched = match(baseline, other, task, length)
    na = _not_comparable(baseline, other, cells, matched)
    if na is not None:
        return replace(empty, na=na, broken=_answered(matched.a) and not _answered(matched.b))
    compared = _compare(metric, matched)
    a, b = ([v for r in rows if (v := verdict(r)) is not None] for rows in (matched.a, matched.b))
    least = least_detectable(min(len(a), len(b)), (compared.high - compared.low) / 2, alpha)
    seen = max(abs(compared.difference), NOTEWORTHY / 100)
    passes = matched.unpaired is None and metric not in CORPUS and {*a, *b} <= {0, 1}
    return replace(
        empty,
        unpaired=matched.unpaired,
        n=(len(a), len(b)),
        left=matched.left,
        failed=_failed(matched),
        scores=_scores(metric, matched),
        difference=100 * compared.difference,
        low=100 * compared.low,
        high=100 * compared.high,
        p=compared.p,
        method=compared.method,
        discordant=(_only(a, b), _only(b, a)) if passes else None,
        detectable=None if least is None else 100 * least[0],
        needed=None if least is None else stats.samples_for(seen, least[1], alpha),
        matched=matched,
    )


def _not_comparable(baseline: System, other: System, cells: list[Row], matched: Matched) -> str | None:
    metric = cells[0]["metric"]
    for system, cell, rows in zip((baseline, other), cells, (matched.a, matched.b), strict=True):
        if cell.get("na"):
            return f"{system.name}: {cell['na']}"
        if not rows:
            return f"{system.name} has no samples"
        if _all_failed(rows):
            return f"all {len(rows)} samples of {system.name} failed"
    for rows in (matched.a, matched.b):
        if any(verdict(r) is None for r in rows):
            return "there are no labels"
        if has_unit(metric) or not all(0 <= (verdict(r) or 0.0) <= 1 for r in rows):
            return f"{metric} is no share"
    if metric in CORPUS and matched.unpaired is not None:
        return f"{metric} is no mean over samples, and the items are not the same: {matched.unpaired}"
    return None


def _compare(metric: str, matched: Matched) -> stats.Comparison:
    if metric in CORPUS:
        return corpus.compare(CORPUS[metric], matched)
    a, b = ([float(verdict(r) or 0.0) for r in rows] for rows in (matched.a, matched.b))
    if matched.unpaired is None:
        return stats.paired(a, b, clusters(matched.a))
    return stats.unpaired(a, b, clusters(matched.a), clusters(matched.b))


def _scores(metric: str, matched: Matched) -> tuple[float, float]:
    """Both scores over the samples that are compared."""
    if metric in CORPUS:
        of_a, of_b = (100 * CORPUS[metric](corpus.beside(rows)) for rows in (matched.a, matched.b))
        return of_a, of_b
    a, b = (100 * sum(verdict(r) or 0.0 for r in rows) / len(rows) for rows in (matched.a, matched.b))
    return a, b


def _all_failed(rows: Sequence[Row]) -> bool:
    return bool(rows) and all(r["finish"] == "failed" for r in rows)


def _answered(rows: Sequence[Row]) -> bool:
    return any(r["finish"] != "failed" for r in rows)


def _failed(matched: Matched) -> tuple[int, int]:
    a, b = (sum(r["finish"] == "failed" for r in rows) for rows in (matched.a, matched.b))
    return a, b


def _only(a: Sequence[float], b: Sequence[float]) -> int:
    """Samples that a has right and b has not."""
    return sum(x > y for x, y in zip(a, b, strict=True))


def _ratio(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None or a <= 0 else b / a
