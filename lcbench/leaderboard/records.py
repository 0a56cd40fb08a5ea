"""samples.jsonl -> the verdicts of each cell, by columns: only what the leaderboard needs is parsed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lcbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Verdicts(NamedTuple):
    """The records of one cell: verdicts 0 to 1 (NaN without labels), and a number for each one's context."""

    values: Sequence[float] | np.ndarray = ()
    contexts: Sequence[int] | np.ndarray = ()


def read_verdicts(path: Path, cells: Sequence[str]) -> list[Verdicts]:
    """The verdicts of these cells, named as records name theirs; a failed sample has 0. A batch that is not whole is
    left out, as a resumed run would cut it off.

    Raises UsageError where the file is damaged.
    """
    import pyarrow.compute as pc

    table = _whole_batches(_parse(path))
    failed = pc.equal(table["finish"], "failed")
    values = pc.if_else(failed, 0.0, table["score"]).to_numpy()
    contexts = _numbered(table["context_id"])
    names = table["cell"].combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy()
    order = codes.argsort(kind="stable")
    ends = codes[order].searchsorted(range(len(names.dictionary) + 1))
    rows = {name: order[a:b] for name, (a, b) in zip(names.dictionary.to_pylist(), pairwise(ends), strict=True)}
    return [Verdicts(values[rows[c]], contexts[rows[c]]) if c in rows else Verdicts() for c in cells]


def _parse(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json

    cost = pa.struct([("size", pa.int64())])
    strings = ("cell", "batch", "finish", "context_id")
    schema = pa.schema([*((name, pa.string()) for name in strings), ("score", pa.float64()), ("cost", cost)])
    data = path.read_bytes()
    data = data[: data.rfind(b"\n") + 1]  # a line that a kill cut short
    if not data:
        return schema.empty_table()
    try:
        return json.read_json(
            pa.BufferReader(data),
            read_options=json.ReadOptions(block_size=len(data) + 1),
            parse_options=json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path} is damaged: {error}.") from error


def _whole_batches(table: pa.Table) -> pa.Table:
    """Without the last batch, where records of it are missing."""
    import pyarrow.compute as pc

    if not table.num_rows:
        return table
    last = table.slice(table.num_rows - 1)
    size = last["cost"][0]["size"].as_py()
    there = pc.sum(pc.equal(table["batch"], last["batch"][0])).as_py()
    return table if there == size else table.slice(0, table.num_rows - there)


def _numbered(contexts: pa.ChunkedArray) -> pa.Array:
    """A number for each record's context; a record that names none has one of its own."""
    import numpy as np

    codes = contexts.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy().copy()
    alone = codes < 0
    codes[alone] = -1 - np.arange(alone.sum())
    return codes
