"""Folders -> what a leaderboard can be made of: run folders, reference results, and results of lm-eval."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lcbench.errors import UsageError

RUNS = "runs"  # what `lcbench run` fills, below results/: no place for what is kept


@dataclass(frozen=True)
class Found:
    """One run on disk. label: its place below the folder that was asked for. files: run.json, summary.json and, where
    it is there, samples.jsonl; of lm-eval the results and the samples of each task.
    """

    label: str
    kind: str  # "lcbench" or "lm-eval"
    files: tuple[Path, ...]

    def stamp(self) -> str:
        """Another one as soon as one of the files has changed."""
        stats = [(path.name, path.stat()) for path in self.files]
        return " ".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats)


def find(folder: Path, others: Collection[Path] = ()) -> tuple[list[Found], list[str]]:
    """Every run in or below a folder, in the order of their places, and what was passed over and why. Folders called
    `runs` are passed over unless they are asked for themselves: results/ is kept, results/runs/ is one machine's own.
    others: folders that are asked for beside it.

    Raises UsageError where there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"No folder {folder}.", hint="lcbench leaderboard DIR ..")
    found: list[Found] = []
    told = []
    for place, below, names in os.walk(folder):
        if RUNS in below:
            below.remove(RUNS)
            if not any(other.is_dir() and other.samefile(Path(place) / RUNS) for other in others):
                told.append(f"{Path(place) / RUNS} is left out: name it to have it read")
        below[:] = sorted(name for name in below if not name.startswith("."))
        label = os.path.relpath(place, folder)
        label = folder.resolve().name if label == "." else label
        found += _of_lcbench(Path(place), label, names)
        found += _of_lm_eval(Path(place), label, names)
        if "run.json" in names and "summary.json" not in names:
            told.append(f"{place} is left out: it has not come to its end")
    return found, told


def _of_lcbench(place: Path, label: str, names: Sequence[str]) -> Iterator[Found]:
    """A run folder, and runs whose files stand side by side under names such as 1k-run.json and 1k-summary.json."""
    there = set(names)
    for name in sorted(names):
        stem = name.removesuffix("run.json")
        if name.endswith("run.json") and (not stem or stem.endswith("-")) and f"{stem}summary.json" in there:
            files = [name, f"{stem}summary.json", *({f"{stem}samples.jsonl"} & there)]
            part = f"{label}/{stem.removesuffix('-')}" if stem else label
            yield Found(part, "lcbench", tuple(place / file for file in files))


def _of_lm_eval(place: Path, label: str, names: Sequence[str]) -> Iterator[Found]:
    """results_DATE.json as lm-eval's EvaluationTracker names them, with samples_TASK_DATE.jsonl of the same date."""
    for name in sorted(names):
        if name.startswith("results_") and name.endswith(".json"):
            date = name.removeprefix("results_").removesuffix(".json")
            samples = sorted(n for n in names if n.startswith("samples_") and n.endswith(f"_{date}.jsonl"))
            yield Found(f"{label}/{name}", "lm-eval", (place / name, *(place / n for n in samples)))
