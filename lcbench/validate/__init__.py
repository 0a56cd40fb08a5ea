"""`lcbench tasks validate`: reads task files, builds what they ask for and scores what must be right and wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lcbench import catalog
from lcbench.errors import UsageError
from lcbench.schema import RunConfig, Task
from lcbench.validate.checks import Report, check, told_of
from lcbench.validate.counting import DEFAULT_MODEL, Counting, counting_with
from lcbench.validate.source import Source

__all__ = ["DEFAULT_MODEL", "Report", "exit_code", "lines", "summary", "validate"]


def validate(names: Sequence[str], config: RunConfig, asked_for_model: bool) -> Iterator[Report]:
    """A report for each task of these names, groups, globs and files, one after the other; of every task without names.

    Raises UsageError for a name that matches nothing.
    """
    chosen = list(targets(names))
    by = counting_with(config, asked_for_model)
    for path, task in chosen:
        report = checked(path, task, by)
        report.counted = by.counts
        yield report


def targets(names: Sequence[str]) -> Iterator[tuple[Path, Task | None]]:
    """The files to check, each with its task where it was found by name and can be read."""
    files = {path: Source(path) for path in every_file()} if not all(map(is_file, names)) or not names else {}
    if not names:
        yield from ((path, None) for path in files)
    for name in names:
        if is_file(name):
            if not Path(name).is_file():
                raise UsageError(f"No task file {name}.")
            yield Path(name), None
            continue
        for selected in catalog.select([name]):
            full = selected.task.name
            homes = [
                p for p, s in files.items() if isinstance(s.content, dict) and s.content.get("name") in _bases(full)
            ]
            yield _shown(homes[0]) if homes else Path(name), selected.task


def is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _bases(name: str) -> tuple[str, str]:
    """A task's name, and the same without the params behind its colon."""
    return name, name.split(":")[0]


def every_file() -> Iterator[Path]:
    """Every task file there is, a user's before ours."""
    for folder in catalog.folders("tasks"):
        yield from (_shown(p) for p in sorted(folder.glob("**/*.yaml")) if not p.name.startswith("_"))


def _shown(path: Path) -> Path:
    """A path as one would write it here."""
    return Path(os.path.relpath(path)) if path.resolve().is_relative_to(Path.cwd()) else path


def checked(path: Path, task: Task | None, by: Counting) -> Report:
    """The report of one file."""
    source = Source(path)
    if task is None:
        task = source.task()
    elif not path.is_file():
        source.failures = []  # a task that stands in no file, of lm-eval
    if task is None or source.failures:
        return Report(str(path), failures=source.failures)
    return check(source, task, by)


def lines(report: Report) -> list[str]:
    """What is printed of a report."""
    state = "broken" if report.failures else "absent" if report.missing else "ok"
    done = "; ".join([*report.done, *report.notes]) if not report.failures else ""
    told = [f"{state:7}{report.name}{': ' + done if done else ''}"]
    told += [f"  {line}" for line in told_of(report.failures)]
    for missing in report.missing if not report.failures else []:
        told += [f"  {missing.message}"] + ([f"  hint: {missing.hint}"] if missing.hint else [])
    return told


def exit_code(reports: Sequence[Report]) -> int:
    """2 where something is broken, else 3 where something is missing, else 0."""
    if any(report.failures for report in reports):
        return 2
    return 3 if any(report.missing for report in reports) else 0


def summary(reports: Sequence[Report]) -> str:
    """The last line, and what was not checked."""
    broken = sum(bool(r.failures) for r in reports)
    absent = sum(bool(r.missing) and not r.failures for r in reports)
    parts = [f"{len(reports) - broken - absent} ok", *([f"{broken} broken"] if broken else [])]
    parts += [f"{absent} without their data"] if absent else []
    told = f"{len(reports)} {'task' if len(reports) == 1 else 'tasks'}: {', '.join(parts)}."
    if not all(r.counted for r in reports):
        told += (
            f"\nBudgets were not checked: there is no tokenizer here. Name one with --model, or pull it:"
            f" lcbench models pull {DEFAULT_MODEL}"
        )
    return told
