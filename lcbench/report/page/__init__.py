"""A report: one HTML file that opens offline. What it shows is gathered here and drawn by the page's own script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lcbench.compare import every_system
from lcbench.errors import UsageError
from lcbench.report.page import build, differences, gather, samples, takeaways
from lcbench.report.writing import writing
from lcbench.runs import Run


def report(runs: Sequence[Run]) -> tuple[str, dict[str, Any]]:
    """The page's HTML, and the data of its figures.

    Raises UsageError where runs have a task in another version or with another prompt source, and where one is named
    twice.
    """
    known: dict[Path, Path] = {}
    for run in runs:
        place = run.path.resolve()
        if place in known:
            raise UsageError(f"{run.path} is the same run as {known[place]}.", hint="name each run once")
        known[place] = run.path
    systems = every_system(runs)
    compared = differences.compared(runs)
    found = {**gather.figures(systems), "forests": differences.forests(systems, compared)}
    figures = takeaways.tell(found)
    return build.page(figures, samples.items(systems, compared)), figures


def write(out: Path, page: str) -> None:
    """Raises UsageError where the file cannot be written."""
    with writing(out, "-o FILE.html"):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
