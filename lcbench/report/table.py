"""A run's summary as a table for people, as markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from lcbench.lengths import show_length

Row = dict[str, Any]
CELL_FIELDS = (
    "task", "length", "model", "attn", "strategy", "prompt", "metric", "score", "ci", "n", "n_failed", "n_unextracted",
    "n_truncated", "n_skipped", "tokens_per_s", "ttft_s", "decode_tokens_per_s", "peak_memory_bytes",
)  # fmt: skip


def as_json(summary: Row) -> str:
    """One JSON document: {"run", "cells"}, and where there are any the means over tasks, other metrics and parts."""
    cells = [{k: c[k] for k in _fields(summary)} for c in summary["cells"]]
    more = {k: summary[k] for k in ("averages", "beside", "parts") if summary[k]}
    return json.dumps({"run": summary["run"], "cells": cells, **more}, ensure_ascii=False, indent=1)


def as_csv(summary: Row) -> str:
    """One line a cell; the interval in two columns; what is absent stays empty."""
    fields = [f for x in _fields(summary) for f in (("ci_low", "ci_high") if x == "ci" else (x,))]
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for c in summary["cells"]:
        low, high = c["ci"] or (None, None)
        writer.writerow({**{k: c[k] for k in _fields(summary) if k != "ci"}, "ci_low": low, "ci_high": high})
    return text.getvalue()


def _fields(summary: Row) -> tuple[str, ...]:
    """Under --until-ci a cell says how it ended."""
    return (*CELL_FIELDS, "stopped") if any("stopped" in c for c in summary["cells"]) else CELL_FIELDS


def score_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: task x length down, mechanisms across, each a score with its interval, and n with the
    counters.
    """
    specs = list(dict.fromkeys(c["attn"] for c in summary["cells"]))
    header = ["task", "length", *(x for s in specs for x in (s, "n"))]
    rows = []
    for task, length in dict.fromkeys((c["task"], c["length"]) for c in summary["cells"]):
        cells = {c["attn"]: c for c in summary["cells"] if (c["task"], c["length"]) == (task, length)}
        rows.append([task, show_length(length), *(x for s in specs for x in (show_score(cells[s]), _n(cells[s])))])
    return header, rows


def average_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the means over tasks, mechanisms across."""
    return _across(summary["averages"], "mean", ("name",), lambda r: r["name"])


def beside_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the same answers under other metrics."""
    keys = ("task", "metric")
    return _across(summary["beside"], "task, other metric", keys, lambda r: f"{r['task']}, {r['metric']}")


def part_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: scores broken down by a column of the data."""
    keys = ("task", "by", "value")
    return _across(summary["parts"], "task, part", keys, lambda r: f"{r['task']}, {r['by']} {r['value']}")


def stop_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: how each cell ended under --until-ci, mechanisms across."""
    ended = {(c["task"], c["length"], c["attn"]): c["stopped"] for c in summary["cells"] if c.get("stopped")}
    specs = list(dict.fromkeys(attn for _, _, attn in ended))
    places = dict.fromkeys((task, length) for task, length, _ in ended)
    rows = [
        [task, show_length(length), *(ended.get((task, length, s), "n/a") for s in specs)] for task, length in places
    ]
    return ["stopped", "length", *specs], rows


def _across(
    found: list[Row], first: str, keys: tuple[str, ...], name: Callable[[Row], str]
) -> tuple[list[str], list[list[str]]]:
    specs = list(dict.fromkeys(r["attn"] for r in found))
    header = [first, "length", *(x for s in specs for x in (s, "n"))]
    groups: dict[tuple[Any, ...], dict[str, Row]] = {}
    for r in found:
        groups.setdefault((*(r[k] for k in keys), r["length"]), {})[r["attn"]] = r
    rows = []
    for by_attn in groups.values():
        row = next(iter(by_attn.values()))
        cells = [by_attn.get(s, {"score": None, "n": 0}) for s in specs]
        figures = [x for c in cells for x in (show_score(c), str(c["n"]))]
        rows.append([name(row), show_length(row["length"]), *figures])
    return header, rows


def show_score(cell: Row) -> str:
    if cell["score"] is None:
        return "n/a"
    if cell["ci"] is None:
        return f"{cell['score']:.4g}"
    low, high = cell["ci"]
    mark = "*" if cell.get("overridden") else ""
    return f"{cell['score']:.1f}{mark} [{low:.1f}, {high:.1f}]"


def _n(cell: Row) -> str:
    counters = {"failed": "n_failed", "empty": "n_unextracted", "cut": "n_truncated", "skipped": "n_skipped"}
    shown = [f"{cell[key]} {name}" for name, key in counters.items() if cell[key]]
    split = [cell["split"]] if cell["split"] else []
    return ", ".join([str(cell["n"]), *split, *shown])


def cost_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: what each mechanism cost."""
    header = ["attention", "tokens/s", "time to first token", "decode tokens/s", "peak memory"]
    rows = []
    for m in summary["mechanisms"]:
        peak = m["peak_memory_bytes"]
        rows.append([
            m["attn"],
            _figure(m["tokens_per_s"], ""),
            _figure(m["ttft_s"], " s"),
            _figure(m["decode_tokens_per_s"], ""),
            "n/a" if peak is None else f"{peak / 2**30:.2f} GiB",
        ])  # fmt: skip
    return header, rows


def _figure(value: float | None, unit: str) -> str:
    return "n/a" if value is None else f"{value:.3g}{unit}" if value < 100 else f"{value:.0f}{unit}"


def as_markdown(summary: Row) -> str:
    """All tables that have rows, and the notes."""
    parts = [
        *(_markdown(header, rows) for header, rows in (table(summary) for table in TABLES) if rows),
        "\n".join(f"- {n}" for n in summary["notes"]),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_text(summary: Row) -> str:
    """All tables that have rows, and the notes, for a terminal or a pipe."""
    parts = [
        *(_aligned(header, rows) for header, rows in (table(summary) for table in TABLES) if rows),
        "\n".join(summary["notes"]),
        f"run: {summary['run']}",
    ]
    return "\n\n".join(p for p in parts if p)


def _aligned(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines)


TABLES = (score_rows, stop_rows, average_rows, beside_rows, part_rows, cost_rows)
FORMATS = {"table": as_text, "json": as_json, "csv": as_csv, "md": as_markdown}
