"""A run's summary as a table for people, as markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from lcbench.lengths import show_length

Row = dict[str, Any]
CELL_FIELDS = (
    "task", "length", "model", "attn", "strategy", "prompt", "metric", "score", "ci", "n", "n_failed", "n_unextracted",
    "n_truncated", "n_skipped", "tokens_per_s", "ttft_s", "decode_tokens_per_s", "peak_memory_bytes",
)  # fmt: skip


def as_json(summary: Row) -> str:
    """One JSON document: {"run", "cells"}."""
    cells = [{k: c[k] for k in CELL_FIELDS} for c in summary["cells"]]
    return json.dumps({"run": summary["run"], "cells": cells}, ensure_ascii=False, indent=1)


def as_csv(summary: Row) -> str:
    """One line a cell; the interval in two columns; what is absent stays empty."""
    fields = [f for x in CELL_FIELDS for f in (("ci_low", "ci_high") if x == "ci" else (x,))]
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for c in summary["cells"]:
        low, high = c["ci"] or (None, None)
        writer.writerow({**{k: c[k] for k in CELL_FIELDS if k != "ci"}, "ci_low": low, "ci_high": high})
    return text.getvalue()


def score_rows(summary: Row) -> tuple[list[str], list[list[str]]]:
    """Header and rows: task x length down, mechanisms across, each a score with its interval, and n with the
    counters.
    """
    specs = list(dict.fromkeys(c["attn"] for c in summary["cells"]))
    header = ["task", "length", *(x for s in specs for x in (s, "n"))]
    rows = []
    for task, length in dict.fromkeys((c["task"], c["length"]) for c in summary["cells"]):
        cells = {c["attn"]: c for c in summary["cells"] if (c["task"], c["length"]) == (task, length)}
        rows.append([task, show_length(length), *(x for s in specs for x in (_score(cells[s]), _n(cells[s])))])
    return header, rows


def _score(cell: Row) -> str:
    if cell["score"] is None:
        return "n/a"
    low, high = cell["ci"]
    mark = "*" if cell["overridden"] else ""
    return f"{cell['score']:.1f}{mark} [{low:.1f}, {high:.1f}]"


def _n(cell: Row) -> str:
    counters = {"failed": "n_failed", "empty": "n_unextracted", "cut": "n_truncated", "skipped": "n_skipped"}
    shown = [f"{cell[key]} {name}" for name, key in counters.items() if cell[key]]
    return ", ".join([str(cell["n"]), *shown])


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
    """Both tables and the notes."""
    parts = [
        _markdown(*score_rows(summary)),
        _markdown(*cost_rows(summary)),
        "\n".join(f"- {n}" for n in summary["notes"]),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_text(summary: Row) -> str:
    """Both tables and the notes for a terminal or a pipe."""
    parts = [
        _aligned(*score_rows(summary)),
        _aligned(*cost_rows(summary)),
        "\n".join(summary["notes"]),
        f"run: {summary['run']}",
    ]
    return "\n\n".join(p for p in parts if p)


def _aligned(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines)


FORMATS = {"table": as_text, "json": as_json, "csv": as_csv, "md": as_markdown}
