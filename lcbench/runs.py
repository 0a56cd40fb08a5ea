"""A run folder as those read it who write nothing there. Without a lock: a run may go on beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lcbench.errors import UsageError
from lcbench.store import whole_batches

Row = dict[str, Any]
Place = tuple[str, str, int | None]  # attention, task, length


@dataclass(frozen=True)
class Run:
    """What a run folder holds: run.json, summary.json, and its records by (attention, task, length), in the order of
    their index.
    """

    path: Path
    about: Row
    summary: Row
    rows: dict[Place, list[Row]] = field(default_factory=dict)

    @property
    def identity(self) -> Row:
        return self.about["identity"]

    def cell(self, place: Place) -> Row:
        """The figures of one cell, as in summary.json."""
        return next(c for c in self.summary["cells"] if (c["attn"], c["task"], c["length"]) == place)


def read_run(path: Path) -> Run:
    """A finished run. Raises UsageError where the folder holds none, or one without records."""
    about, summary = (_read(path, name) for name in ("run.json", "summary.json"))
    samples = path / "samples.jsonl"
    if not samples.exists():
        raise UsageError(f"{path} has no samples.jsonl: its figures are there, its samples are not.")
    found: dict[Place, list[Row]] = {(c["attn"], c["task"], c["length"]): [] for c in summary["cells"]}
    with samples.open("rb") as file:
        for records, _ in whole_batches(file):
            place = place_of(records[0]["cell"])
            if place not in found:
                raise UsageError(f"{path}: {records[0]['cell']} is not in its summary.", hint="run it again to the end")
            found[place] += records
    return Run(path, about, summary, {k: sorted(v, key=lambda r: r["index"]) for k, v in found.items()})


def place_of(cell: str) -> Place:
    """`softmax|ruler/vt:4096`, as records name their cell, in its parts."""
    attn, _, rest = cell.partition("|")
    task, _, length = rest.rpartition(":")
    return attn, task, None if length == "-" else int(length)


def _read(path: Path, name: str) -> Row:
    file = path / name
    if not file.exists():
        raise UsageError(
            f"{path} holds no finished run: {name} is missing.", hint=f"lcbench run --out {path} .. to finish it"
        )
    try:
        content: Row = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{file} is damaged: {error}.", hint="run it again to the end") from error
    return content
