"""What a run shows while it goes on: a table of its cells on a terminal, plain lines in a pipe. All of it on stderr."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lcbench.lengths import show_length
from lcbench.plan import Plan, PlannedCell
from lcbench.report.table import show_score
from lcbench.runner import View
from lcbench.schedule import Batch
from lcbench.store import RunFolder
from lcbench.summary import cell_figures

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

MOST_PLACES = 12  # cells shown at once
ABOVE = 4  # of these, before the one at work
AROUND = 4  # lines of the terminal for the table's head, what stands below it, and the cursor
FRAMES_PER_SECOND = 2  # each may compute an interval of the cell at work


@dataclass
class Place:
    """One cell under one attention, as far as it has come.

    rows: its records; pending: answers of the batch at work, which are forgotten where it does not fit and is split.
    figures: those of summary.json over the first `figured` rows.
    """

    plan: Plan
    spec: str
    cell: PlannedCell
    rows: list[dict[str, Any]] = field(default_factory=list)
    pending: int = 0
    failed: int = 0
    ended: bool = False
    figures: dict[str, Any] = field(default_factory=dict)
    figured: int = -1

    def add(self, records: list[dict[str, Any]]) -> None:
        self.rows += records
        self.pending = 0
        self.failed += sum(r["finish"] == "failed" for r in records)

    @property
    def tokens(self) -> int:
        """What was computed of it, at the most that a sample of it can take."""
        return (len(self.rows) + self.pending) * self.cell.row_tokens

    @property
    def most_tokens(self) -> int:
        return self.tokens if self.ended else self.cell.n * self.cell.row_tokens

    def figure(self) -> dict[str, Any]:
        if self.figured != len(self.rows):
            rows = list(self.rows)
            self.figures, self.figured = cell_figures(self.plan, self.spec, self.cell, rows), len(rows)
        return self.figures


class Lines:
    """One plain line a finished cell."""

    def start(self, plan: Plan, folder: RunFolder) -> None:
        self.until_ci = plan.config.until_ci
        pairs = [(spec, cell) for spec in plan.attention for cell in plan.runnable]
        if self.until_ci is not None:  # in the order of work
            pairs = [(spec, cell) for cell in plan.runnable for spec in plan.attention]
        self.places = {f"{spec}|{cell.id}": Place(plan, str(spec), cell) for spec, cell in pairs}
        for records in folder.batches.values():
            self.places[records[0]["cell"]].add(records)
        self.before = {name: len(place.rows) for name, place in self.places.items()}
        asked = sum(place.cell.n for place in self.places.values())
        most = "" if self.until_ci is None else "at most "
        self.say(f"{folder.path}: {most}{asked} samples, {sum(self.before.values())} of them done before")

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def begin(self, batch: Batch) -> None:
        pass

    def sample(self, batch: Batch) -> None:
        self.place(batch.spec, batch.cell).pending += 1

    def split(self, batch: Batch) -> None:
        self.place(batch.spec, batch.cell).pending = 0
        self.say(f"{batch.id} does not fit in memory: going on in halves")

    def recorded(self, batch: Batch, folder: RunFolder) -> None:
        self.place(batch.spec, batch.cell).add(folder.batches[batch.id])

    def ended(self, spec: object, cell: PlannedCell) -> None:
        place = self.place(spec, cell)
        place.ended = True
        if len(place.rows) > self.before[f"{spec}|{cell.id}"]:
            self.finished(place)

    def finished(self, place: Place) -> None:
        """Say how a cell came out that was at work just now."""
        figures = place.figure()
        score = f"{figures['score']:.1f}" if figures["ci"] else show_score(figures)
        told = f"{place.spec}  {place.cell.task.name}  {show_length(place.cell.length)}  {score}"
        failed = f", {place.failed} failed" if place.failed else ""
        stopped = "" if self.until_ci is None else f": {figures['stopped']}"
        self.say(f"{told} over {len(place.rows)} samples{failed}{stopped}")

    def close(self) -> None:
        pass

    def place(self, spec: object, cell: PlannedCell) -> Place:
        return self.places[f"{spec}|{cell.id}"]


class Board(Lines):
    """A table of the cells around the one at work, and below it how far the run is by tokens, and the time left.

    It goes when the run ends: the tables of the run come in its place.
    """

    def __init__(self, console: Console):
        self.console = console
        self.at = 0  # the number of the cell at work
        self.begun: float | None = None  # when the first batch was, on the clock of `monotonic`
        self.end: float | None = None  # when the run is over, as far as one can tell
        self.live: Live | None = None

    def start(self, plan: Plan, folder: RunFolder) -> None:
        from rich.live import Live

        super().start(plan, folder)
        self.tokens_before = self.tokens()
        self.live = Live(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,  # stdout may be a file that is to hold one JSON document
        )
        self.live.start(refresh=True)  # a short run has a first picture too

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, batch: Batch) -> None:
        self.begun = time.monotonic() if self.begun is None else self.begun
        self.at = list(self.places).index(f"{batch.spec}|{batch.cell.id}")

    def sample(self, batch: Batch) -> None:
        super().sample(batch)
        self.end = self.expected_end()

    def ended(self, spec: object, cell: PlannedCell) -> None:
        super().ended(spec, cell)
        self.end = self.expected_end()

    def finished(self, place: Place) -> None:
        """It stands in the table."""

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()

    def tokens(self) -> int:
        return sum(place.tokens for place in self.places.values())

    def most_tokens(self) -> int:
        return sum(place.most_tokens for place in self.places.values())

    def expected_end(self) -> float | None:
        """When the run is over if tokens go on as fast as they have since it began."""
        now, tokens = time.monotonic(), self.tokens()
        if self.begun is None or tokens == self.tokens_before:
            return None
        return now + (self.most_tokens() - tokens) * (now - self.begun) / (tokens - self.tokens_before)

    def render(self) -> RenderableType:
        from rich.console import Group

        return Group(self.table(), self.counts(), self.progress())

    def table(self) -> Table:
        """The cells around the one at work, as many as the terminal has lines for. Names are cut, figures never."""
        from rich.table import Table
        from rich.text import Text

        shown = max(1, min(MOST_PLACES, self.console.height - AROUND))
        first = max(0, min(self.at - ABOVE, len(self.places) - shown))
        places = list(enumerate(self.places.values()))[first : first + shown]
        rows = [self.row(place, number == self.at) for number, place in places]
        header = [name for name in rows[0] if name != "failed" or any(place.failed for _, place in places)]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in header:
            width = max(len(x) for x in (name, *(row[name] for row in rows)))
            if name in ("attention", "task"):
                table.add_column(name, overflow="ellipsis", max_width=width)
            else:
                table.add_column(name, no_wrap=True, min_width=width, justify="right" if name else "left")
        for (number, place), row in zip(places, rows, strict=True):
            style = "bold" if number == self.at else "" if place.rows else "dim"
            # Text: brackets are intervals, no markup
            table.add_row(*(Text(row[name]) for name in header), style=style)
        return table

    def row(self, place: Place, at_work: bool) -> dict[str, str]:
        done = len(place.rows) + place.pending
        return {
            "attention": place.spec,
            "task": place.cell.task.name,
            "length": show_length(place.cell.length),
            "samples": str(done) if place.ended else f"{done}/{place.cell.n}",
            "score": show_score(place.figure()) if place.rows else "",
            "failed": str(place.failed or ""),
            "": self.state(place, at_work),
        }

    def state(self, place: Place, at_work: bool) -> str:
        """Whether a cell has ended, and under --until-ci the half-width of its interval."""
        state = "done" if place.ended else "running" if at_work else ""
        ci = place.figure()["ci"] if place.rows and self.until_ci is not None else None
        return f"±{(ci[1] - ci[0]) / 2:.1f} {state}".strip() if ci else state

    def counts(self) -> str:
        places = self.places.values()
        done = sum(place.ended for place in places)
        failed = sum(place.failed for place in places)
        told = f"{done} of {len(places)} cells done, {sum(len(place.rows) for place in places)} samples"
        return f"{told}, {failed} failed" if failed else told

    def progress(self) -> RenderableType:
        """By tokens. Under --until-ci cells may end sooner: then what is left is the most that it can be."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        tokens, most = self.tokens(), self.most_tokens()
        now = time.monotonic()
        left = "-" if self.end is None else show_time(max(0.0, self.end - now))
        most_left = "" if self.until_ci is None else "at most "
        since = "" if self.begun is None else f"{show_time(now - self.begun)}, "
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=max(1, most), completed=tokens, width=max(4, min(30, self.console.width - 50))),
            f"{100 * tokens / max(1, most):.0f}% of the tokens",
            f"{since}{most_left}{left} left",
        )
        return line


def show_time(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def view(tui: str = "auto") -> View:
    """on: the table. off: lines. auto: the table on a terminal that can move its cursor, lines elsewhere."""
    from rich.console import Console

    console = Console(stderr=True, force_terminal=True if tui == "on" else None)
    able = sys.stderr.isatty() and not console.is_dumb_terminal
    return Board(console) if tui == "on" or (tui == "auto" and able) else Lines()
