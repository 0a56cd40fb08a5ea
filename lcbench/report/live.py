"""What a run shows while it goes on: a progress bar by tokens on a terminal, plain lines in a pipe. All of it on
stderr.
"""

from __future__ import annotations

import sys
from typing import Any

from lcbench.lengths import show_length
from lcbench.plan import Plan
from lcbench.records import Sample
from lcbench.runner import Batch, View
from lcbench.store import RunFolder


def running(scores: list[float | None]) -> str:
    """The mean so far, 0 to 100; n/a where nothing is scored."""
    known = [s for s in scores if s is not None]
    return f"{100 * sum(known) / len(known):.1f}" if known else "n/a"


def cell_of(batch: Batch) -> str:
    return f"{batch.spec}|{batch.cell.id}"


class Lines:
    """One plain line a finished cell."""

    def __init__(self) -> None:
        self.scores: dict[str, list[float | None]] = {}  # of batches that are recorded, by cell
        self.pending: list[float | None] = []  # of the batch at work: forgotten where it does not fit and is split

    def start(self, plan: Plan, folder: RunFolder) -> None:
        for records in folder.batches.values():
            self._count(records)
        asked = sum(c.n for c in plan.runnable) * len(plan.attention)
        done = sum(map(len, self.scores.values()))
        self.say(f"{folder.path}: {asked} samples, {done} of them done before")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def sample(self, batch: Batch, sample: Sample, score: float | None) -> None:
        self.pending.append(score)

    def recorded(self, batch: Batch, folder: RunFolder) -> None:
        self.pending = []
        self._count(folder.batches[batch.id])
        scores = self.scores[cell_of(batch)]
        if len(scores) == batch.cell.n:
            where = f"{batch.spec}  {batch.cell.task.name}  {show_length(batch.cell.length)}"
            self.say(f"{where}  {running(scores)} over {len(scores)} samples")

    def split(self, batch: Batch) -> None:
        self.pending = []
        self.say(f"{batch.id} does not fit in memory: going on in halves")

    def close(self) -> None:
        pass

    def _count(self, records: list[dict[str, Any]]) -> None:
        self.scores.setdefault(records[0]["cell"], []).extend(r["score"] for r in records)


class Bar(Lines):
    """A progress bar by tokens with the time left and the running score of the cell at work."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}%"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=Console(stderr=True))

    def start(self, plan: Plan, folder: RunFolder) -> None:
        super().start(plan, folder)
        self.lengths = {f"{spec}|{c.id}": c.row_tokens for spec in plan.attention for c in plan.runnable}
        total = sum(c.n * c.row_tokens for c in plan.runnable) * len(plan.attention)
        self.bar = self.progress.add_task("", total=total, completed=self._tokens())
        self.progress.start()

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)

    def sample(self, batch: Batch, sample: Sample, score: float | None) -> None:
        super().sample(batch, sample, score)
        scores = self.scores.get(cell_of(batch), []) + self.pending
        where = f"{batch.spec} {sample.task} {show_length(sample.length)}"
        told = f"{where}  {running(scores)}"
        self.progress.update(
            self.bar, completed=self._tokens() + len(self.pending) * batch.cell.row_tokens, description=told
        )

    def close(self) -> None:
        self.progress.stop()

    def _tokens(self) -> int:
        return sum(len(scores) * self.lengths[cell] for cell, scores in self.scores.items())


def view() -> View:
    """The bar on a terminal, lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()
