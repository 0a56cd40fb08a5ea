"""Lines -> one table of text: what names a row goes down, what --by names goes across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcbench.leaderboard.board import figure_place, name_place, sequential
from lcbench.leaderboard.sources import Row
from lcbench.lengths import show_length

ACROSS = {
    "benchmark": ("name", "length"),
    "task": ("name", "length"),
    "length": ("length",),
    "attn": ("attn",),
    "model": ("model",),
    "strategy": ("strategy",),
}
KEYS = ("model", "attn", "strategy", "prompt", "settings", "name", "length")
COUNTERS = {"failed": "n_failed", "empty": "n_unextracted", "cut": "n_truncated", "skipped": "n_skipped"}


@dataclass(frozen=True)
class Pivot:
    """header and rows of text; values: the score behind each text of a row, None for names and where there is none;
    names: how many of the first columns name a row.
    """

    header: list[str]
    rows: list[list[str]]
    values: list[list[float | None]]
    names: int


def pivot(lines: Sequence[Row], by: str) -> Pivot:
    """One row a combination of what is not across. The runs stand last where a row is of the same ones throughout."""
    across = ACROSS[by]
    down = [k for k in KEYS if k not in across and (k != "settings" or any(line["settings"] for line in lines))]
    with_runs = not {"attn", "model", "strategy"} & set(across)
    columns = _in_order(lines, across)
    table: dict[tuple[Any, ...], dict[tuple[Any, ...], Row]] = {}
    for line in lines:
        table.setdefault(_key(line, down), {})[_key(line, across)] = line
    rows, values = [], []
    for key in _in_order(lines, down):
        cells = table[key]
        found = [cells.get(column) for column in columns]
        runs = [", ".join(next(iter(cells.values()))["runs"])] if with_runs else []
        names = [v if k == "settings" else t for k, v, t in zip(down, key, _texts(down, key), strict=True)]
        rows.append([*names, *("n/a" if c is None else text(c) for c in found), *runs])
        scores = [None if c is None else _value(c) for c in found]
        values.append([*([None] * len(down)), *scores, *([None] * len(runs))])
    header = [*down, *(_title(across, column) for column in columns), *(["run"] if with_runs else [])]
    return Pivot(header, rows, values, len(down))


def _key(line: Row, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(line[k] for k in keys)


def _in_order(lines: Sequence[Row], keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """The combinations of these keys that there are: names as the board has them, lengths rising."""
    first = {_key(line, keys): line for line in reversed(lines)}

    def order(key: tuple[Any, ...]) -> tuple[Any, ...]:
        line = first[key]
        names = tuple(line[k] or "" for k in keys if k not in ("name", "length"))
        figure = figure_place(line) if "length" in keys else name_place(line)
        return names, figure if "name" in keys else (figure[-1],) if "length" in keys else ()

    return sorted(first, key=order)


def _texts(keys: Sequence[str], values: Sequence[Any]) -> list[str]:
    return [show_length(v) if k == "length" else v or "n/a" for k, v in zip(keys, values, strict=True)]


def _title(across: Sequence[str], column: tuple[Any, ...]) -> str:
    """A figure over lengths, or of a task that ignores them, is called by its name alone."""
    told = _texts(across, column)
    return told[0] if len(told) > 1 and column[-1] is None else " ".join(told)


def _value(line: Row) -> float | None:
    """What a column is sorted by."""
    if line["kind"] == "effective":
        return float(line["effective"]["length"] or 0) if line["effective"] else None
    score: float | None = line["score"]
    return score


def text(line: Row) -> str:
    """`52.0 [33.5, 70.0] n=25, 1 failed`, or why there is no figure."""
    if line["kind"] == "effective":
        return _effective(line)
    marks = ("*" if line["overridden"] else "") + ("†" if line["untrained"] else "")
    marks += "‡" if sequential(line) else ""
    if line["score"] is None:
        return "n/a"
    if line["ci"] is None:
        score = f"{line['score']:.4g}{marks}"
    else:
        score = f"{line['score']:.1f}{marks} [{line['ci'][0]:.1f}, {line['ci'][1]:.1f}]"
    shown = [f"{line[key]} {name}" for name, key in COUNTERS.items() if line[key]]
    n = [] if line["n"] is None else [f"n={line['n']}"]
    return " ".join([score, ", ".join([*n, *([line["split"]] if line["split"] else []), *shown])]).rstrip()


def _effective(line: Row) -> str:
    found = line["effective"]
    if found is None:
        return f"n/a: {line['na']}"
    measured = found["measured"]
    length = found["length"]
    share = found["share"]
    told = f"below {show_length(measured[0])}" if length is None else show_length(length)
    told += "†" if line["untrained"] else ""
    if share is not None:
        agree = 1 - sum(share) if length is None else share[measured.index(length)]
        told += f" ({agree:.0%} of draws)"
    if found["other"] is not None:
        told += f", {show_length(found['other'])} passes by itself"
    return f"{told}, of {', '.join(map(show_length, measured))}"
