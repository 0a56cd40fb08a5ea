"""`.leaderboard.cache` beside the runs: every run of a folder in columns, so that only what has changed is read again.

A line that says of which version it is, with a digest of what follows; then an Arrow IPC file: a row a run, with its
verdicts as lists of lists, one a cell. Its schema carries what was computed over several runs. It is written aside and
put in place whole: a kill at any moment leaves the old one or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcbench import __version__
from lcbench.errors import UsageError
from lcbench.leaderboard import lm_eval, sources
from lcbench.leaderboard.find import Found, find
from lcbench.leaderboard.records import Verdicts
from lcbench.leaderboard.sources import FIELDS, Source

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

NAME = ".leaderboard.cache"
FORMAT = f"lcbench {__version__}: {','.join(FIELDS)}"  # a cache of another one is made anew
READERS = {"lcbench": sources.read, "lm-eval": lm_eval.read}
ABOUT = ("label", "stamp", "kind", "model", "weights", "settings", "trained")


@dataclass
class Cache:
    """The runs of one folder, by their first files. told: what was passed over, and why; damaged: how many runs could
    not be read; computed: results over several runs, by a digest of what they came from; stale: whether the file is not
    what it should be.
    """

    folder: Path
    sources: dict[Path, Source]
    told: list[str]
    damaged: int = 0
    computed: dict[str, Any] = field(default_factory=dict)
    stale: bool = False

    def keep(self) -> None:
        """Write the file where it is stale. A folder that cannot be written to is told."""
        if not self.stale:
            return
        temporary = self.folder / f"{NAME}.{os.getpid()}"
        try:
            try:
                _write(temporary, list(self.sources.values()), self.computed)
                temporary.replace(self.folder / NAME)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            self.told.append(f"{self.folder} keeps no cache, and every call reads it whole: {error.strerror or error}")


def open_cache(folder: Path, others: Collection[Path] = ()) -> Cache:
    """Every run in or below a folder: those that have not changed from the cache, the others from their files. A run
    with a damaged file is left out and told. others: folders that are read beside it. Raises UsageError where there is
    no such folder.
    """
    found, told = find(folder, others)
    known, computed, whole = _read(folder / NAME)
    cache = Cache(folder, {}, told, computed=computed, stale=not whole)
    for one in found:
        old = known.pop(one.label, None)
        try:
            stamp = one.stamp()
        except OSError as error:  # a link to nowhere, or a run that is just being removed
            cache.stale = True
            _left_out(one, f"Cannot read {error.filename}: {error.strerror}.", cache)
            continue
        if old is None or old.stamp != stamp:
            cache.stale = True
            old = _from_files(one, stamp, cache)
        if old is not None:
            cache.sources[one.files[0].resolve()] = old
    if known:  # runs that are no longer there
        cache.stale = True
    return cache


def _from_files(found: Found, stamp: str, cache: Cache) -> Source | None:
    try:
        return READERS[found.kind](found, stamp)
    except UsageError as error:
        _left_out(found, error.message, cache)
    except (LookupError, TypeError, AttributeError, ValueError, OSError) as error:
        _left_out(found, f"{found.files[0]} has not what a run has: {error!r}", cache)
    return None


def _left_out(found: Found, what: str, cache: Cache) -> None:
    cache.damaged += 1
    cache.told.append(f"{found.label} is left out. {what}")


def _read(path: Path) -> tuple[dict[str, Source], dict[str, Any], bool]:
    """The runs of a cache by their labels, what was computed over them, and whether the file could be used."""
    import pyarrow as pa

    try:
        head, _, data = path.read_bytes().partition(b"\n")
    except OSError:  # none yet
        return {}, {}, False
    if head != _head(data):  # of another version, or damaged
        return {}, {}, False
    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    abouts, cells = (table[name].to_pylist() for name in ("about", "cells"))
    verdicts = _split(table)
    found = [
        Source(**json.loads(a), cells=[dict(zip(FIELDS, c, strict=True)) for c in json.loads(rows)], verdicts=v)
        for a, rows, v in zip(abouts, cells, verdicts, strict=True)
    ]
    return {s.label: s for s in found}, json.loads(table.schema.metadata[b"computed"]), True


def _split(table: pa.Table) -> list[list[Verdicts]]:
    """The verdicts of every cell of every run, as views of the columns."""
    verdicts, contexts = (table[name].combine_chunks() for name in ("verdicts", "contexts"))
    values, numbers = _numbers(verdicts.values.values, "f8"), _numbers(contexts.values.values, "i4")
    per_cell, per_run = (_numbers(lists.offsets, "i4").tolist() for lists in (verdicts.values, verdicts))
    cells = [Verdicts(values[a:b], numbers[a:b]) for a, b in pairwise(per_cell)]
    return [cells[a:b] for a, b in pairwise(per_run)]


def _numbers(array: pa.Array, kind: str) -> np.ndarray:
    """A view of an array without nulls. Array.to_numpy would import pandas, which costs more than all the reading."""
    import numpy as np

    buffer = array.buffers()[1]
    return np.frombuffer(buffer, kind, len(array), array.offset * np.dtype(kind).itemsize) if buffer else np.empty(0)


def _write(path: Path, runs: Sequence[Source], computed: dict[str, Any]) -> None:
    import numpy as np
    import pyarrow as pa

    cells = [v for run in runs for v in run.verdicts]
    per_run = np.cumsum([0, *(len(run.verdicts) for run in runs)], dtype=np.int32)
    per_cell = np.cumsum([0, *(len(v.values) for v in cells)], dtype=np.int32)

    def nested(kind: type, column: str) -> pa.Array:
        flat = np.concatenate([np.empty(0, kind), *(np.asarray(getattr(v, column), kind) for v in cells)])
        return pa.ListArray.from_arrays(per_run, pa.ListArray.from_arrays(per_cell, flat))

    table = pa.table({
        "about": [json.dumps({k: getattr(run, k) for k in ABOUT}) for run in runs],
        "cells": [json.dumps([list(cell.values()) for cell in run.cells]) for run in runs],
        "verdicts": nested(np.float64, "values"),
        "contexts": nested(np.int32, "contexts"),
    })  # fmt: skip
    table = table.replace_schema_metadata({"computed": json.dumps(computed)})
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(_head(out.getvalue()) + b"\n" + out.getvalue())


def _head(data: bytes) -> bytes:
    return f"{FORMAT}: {hashlib.sha256(data).hexdigest()}".encode()
