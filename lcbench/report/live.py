"""What a run shows while it goes on: a progress bar by tokens on a terminal, plain lines in a pipe. All of it on
stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lcbench.lengths import show_length
from lcbench.plan import Plan
from lcbench.records import Sample
from lcbench.runner import Batch, View


class Lines:
    """One plain line a finished cell."""

    def __init__(self) -> None:
        self.scores: dict[str, list[float]] = {}  # of batches that are recorded, by cell
        self.pending: dict[str, list[float]] = {}  # of a batch at work: lost where it does not fit and is split

    def start(self, path: Path, plan: Plan, done: int) -> None:
        asked = sum(c.n for c in plan.runnable) * len(plan.attention)
        self.say(f"{path}: {asked} samples, {done} of them done before")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def sample(self, batch: Batch, sample: Sample, score: float) -> None:
        self.pending.setdefault(batch.id, []).append(score)

    def recorded(self, batch: Batch) -> None:
        scores = self.scores.setdefault(f"{batch.spec}|{batch.cell.id}", [])
        scores += self.pending.pop(batch.id, [])
        if batch.last == batch.cell.n and scores:
            where = f"{batch.spec}  {batch.cell.task.name}  {show_length(batch.cell.length)}"
            self.say(f"{where}  {100 * sum(scores) / len(scores):.1f} over {len(scores)} samples")

    def close(self) -> None:
        pass


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

    def start(self, path: Path, plan: Plan, done: int) -> None:
        super().start(path, plan, done)
        asked = sum(c.n * c.length for c in plan.runnable) * len(plan.attention)
        every = sum(c.n for c in plan.runnable) * len(plan.attention)
        self.bar = self.progress.add_task("", total=asked, completed=asked * done // max(every, 1))
        self.progress.start()

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)

    def sample(self, batch: Batch, sample: Sample, score: float) -> None:
        super().sample(batch, sample, score)
        scores = self.scores.get(f"{batch.spec}|{batch.cell.id}", []) + self.pending[batch.id]
        where = f"{batch.spec} {sample.task} {show_length(sample.length)}"
        running = f"{where}  {100 * sum(scores) / len(scores):.1f}"
        self.progress.update(self.bar, advance=batch.cell.length, description=running)

    def close(self) -> None:
        self.progress.stop()


def view() -> View:
    """The bar on a terminal, lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()
