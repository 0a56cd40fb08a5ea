"""What is computed in which order: the batches of a run. They follow from the plan and from recorded verdicts alone, so
that a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lcbench import stopping
from lcbench.attention import AttentionSpec
from lcbench.plan import Plan, PlannedCell
from lcbench.store import RunFolder

MOST_ROWS = 64

Ended = Callable[[AttentionSpec, PlannedCell], None]


@dataclass(frozen=True)
class Batch:
    """Samples [first, last) of one cell under one attention: computed together, recorded together."""

    spec: AttentionSpec
    cell: PlannedCell
    first: int
    last: int

    @property
    def id(self) -> str:
        return f"{self.spec}|{self.cell.id}|{self.first}-{self.last}"

    @property
    def halves(self) -> tuple[Batch, Batch]:
        middle = (self.first + self.last) // 2
        return Batch(self.spec, self.cell, self.first, middle), Batch(self.spec, self.cell, middle, self.last)


def schedule(plan: Plan, folder: RunFolder, settled: dict[str, Any], ended: Ended) -> Iterator[Batch]:
    """Every batch of the run in its order, finished ones too: mechanism by mechanism, or under --until-ci cell by cell.

    What comes next may hang on the verdicts so far: each batch is recorded before the next is asked for. `ended` is
    called with each cell that is finished.
    """
    if plan.config.until_ci is not None:
        yield from until_narrow(plan, plan.config.until_ci, folder, settled, ended)
        return
    for spec in plan.attention:
        for cell in plan.runnable:
            yield from batches(spec, cell, range(cell.n), settled)
            ended(spec, cell)


def until_narrow(
    plan: Plan, until_ci: float, folder: RunFolder, settled: dict[str, Any], ended: Ended
) -> Iterator[Batch]:
    """Cell by cell in rounds, all mechanisms in each, until the intervals of all of them are narrow enough: they end
    together, on the same samples.

    Decided by the verdicts of these batches alone: later ones, of a run that goes on, change nothing.
    """
    specs = plan.attention
    for cell in plan.runnable:
        rows: dict[AttentionSpec, list[dict[str, Any]]] = {spec: [] for spec in specs}
        first = 0
        for last in stopping.rounds(until_ci, cell.n, max(batch_rows(s, cell, settled) for s in specs)):
            for spec in specs:
                for batch in batches(spec, cell, range(first, last), settled):
                    yield batch
                    rows[spec] += rows_of(folder, batch)
            specs = specs[::-1]  # the mechanism that is in the engine comes first
            if all(stopping.enough(until_ci, cell.task.scorer.name, rows[s]) for s in specs):
                break
            first = last
        for spec in plan.attention:
            ended(spec, cell)


def batches(spec: AttentionSpec, cell: PlannedCell, samples: range, settled: dict[str, Any]) -> Iterator[Batch]:
    """These samples of one cell, each batch as many as the token budget holds."""
    rows = batch_rows(spec, cell, settled)
    for first in samples[::rows]:
        yield Batch(spec, cell, first, min(first + rows, samples.stop))


def batch_rows(spec: AttentionSpec, cell: PlannedCell, settled: dict[str, Any]) -> int:
    return max(1, min(MOST_ROWS, settled["attention"][str(spec)]["batch_tokens"] // cell.row_tokens))


def rows_of(folder: RunFolder, batch: Batch) -> list[dict[str, Any]]:
    """The records of a finished batch, or of the parts that it was split into."""
    if batch.id in folder.batches:
        return folder.batches[batch.id]
    return [row for half in batch.halves for row in rows_of(folder, half)]


def done(folder: RunFolder, batch: Batch) -> bool:
    """Whether the batch, or every part that it was split into, is recorded."""
    return batch.id in folder.batches or (
        batch.id in folder.splits and all(done(folder, half) for half in batch.halves)
    )
