"""Many runs -> one table: finds them, reads them by columns, and never pools what is not the same."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lcbench.errors import UsageError
from lcbench.leaderboard.board import Board, Filters, board, chosen
from lcbench.leaderboard.cache import Cache, open_cache
from lcbench.leaderboard.export import export
from lcbench.leaderboard.find import RUNS
from lcbench.leaderboard.rows import Entry, entries
from lcbench.leaderboard.sources import Source


@dataclass(frozen=True)
class Read:
    """The rows of all runs in and below some folders, and their caches. messages: what was left out, and why; damaged:
    how many of these runs have a file that cannot be read.
    """

    rows: list[Entry]
    caches: list[Cache]

    @property
    def messages(self) -> list[str]:
        runs = {id(s): s for e in self.rows for s in e.sources}.values()
        records = sum(len(v.values) for run in runs for v in run.verdicts)
        counts = f"{len(runs)} run{'s' * (len(runs) != 1)}, {records} samples"
        return [*(message for cache in self.caches for message in cache.told), counts]

    @property
    def damaged(self) -> int:
        return sum(cache.damaged for cache in self.caches)


def read(folders: Sequence[Path]) -> Read:
    """Every run once, in the order of the folders and of their places below these; of several folders the names say
    which. Raises UsageError where there is none.
    """
    caches = [open_cache(folder, folders) for folder in folders]
    found: dict[Path, Source] = {}
    for cache in caches:
        for path, source in cache.sources.items():
            label = source.label if len(folders) == 1 else f"{cache.folder}/{source.label}"
            found.setdefault(path, replace(source, label=label))
    if not found:
        told = "".join(f" {message}." for cache in caches for message in cache.told)
        raise UsageError(f"No finished run in {', '.join(map(str, folders))}.{told}", hint="lcbench leaderboard DIR ..")
    return Read(entries(found.values()), caches)


def leaderboard(found: Read, filters: Filters, each_task: bool) -> Board:
    """The board of these rows; what had to be computed is kept in the caches. Raises UsageError where the filters leave
    nothing.
    """
    first = found.caches[0]
    if any(cache.stale for cache in found.caches):
        first.computed.clear()
    known = len(first.computed)
    made = board(found.rows, filters, each_task, first.computed)
    first.stale |= len(first.computed) > known
    for cache in found.caches:
        cache.keep()
    return made


def export_lm_eval(found: Read, filters: Filters, folder: Path) -> list[Path]:
    """The rows that the filters leave, in lm-eval's format. Raises UsageError where they leave none of lcbench, and
    where the folder cannot be written to.
    """
    for cache in found.caches:
        cache.keep()
    return export(chosen(found.rows, filters), folder)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Without Python's search for cycles: nothing here makes any, and over so many small rows the search takes a third
    of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def default_folders() -> list[Path]:
    """What is kept, and what this machine has run. Raises UsageError where there is neither."""
    there = [path for path in (Path("results"), Path("results") / RUNS) if path.is_dir()]
    if not there:
        raise UsageError("No folder results here.", hint="lcbench leaderboard DIR ..")
    return there
