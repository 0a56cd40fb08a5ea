"""A board as a table for people, as markdown, CSV, JSON or a page; and a file in which only the board is replaced."""

from __future__ import annotations

import csv
import io
import json
from html import escape
from pathlib import Path

from lcbench.errors import UsageError
from lcbench.leaderboard.board import LINE, Board
from lcbench.leaderboard.page import as_html
from lcbench.leaderboard.pivot import pivot

START, END = "<!-- leaderboard -->", "<!-- /leaderboard -->"


def as_text(board: Board, by: str) -> str:
    """One table in aligned columns, and the notes."""
    table = pivot(board.lines, by)
    lines = [table.header, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.header))]
    lines.insert(1, ["-" * w for w in widths])
    told = ["  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*told, "", *board.notes]).rstrip() + "\n"


def as_markdown(board: Board, by: str) -> str:
    """One table, and the notes as a list."""
    table = pivot(board.lines, by)
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    told = ["| " + " | ".join(map(_escaped, line)) + " |" for line in lines]
    notes = [f"- {_escaped(note)}".replace("- * ", "- \\* ") for note in board.notes]
    return "\n".join([*told, *([""] if notes else []), *notes]) + "\n"


def _escaped(text: str) -> str:
    """As one cell of a markdown table, or one line, whatever a model is called."""
    return escape(text, quote=False).replace("|", "\\|").replace("\n", " ")


def as_csv(board: Board, by: str) -> str:
    """One line a figure; the interval in two columns, runs separated by spaces; what is absent stays empty."""
    fields = [f for k in LINE for f in (("ci_low", "ci_high") if k == "ci" else (k,))]
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    for line in board.lines:
        low, high = line["ci"] or (None, None)
        effective = line["effective"] and json.dumps(line["effective"])
        told = {**line, "runs": " ".join(line["runs"]), "effective": effective, "ci_low": low, "ci_high": high}
        writer.writerow({k: told[k] for k in fields})
    return out.getvalue()


def as_json(board: Board, by: str) -> str:
    """{"lines": [..], "notes": [..]}, one line a figure."""
    return json.dumps({"lines": board.lines, "notes": board.notes}, ensure_ascii=False, indent=1) + "\n"


FORMATS = {"table": as_text, "md": as_markdown, "csv": as_csv, "json": as_json, "html": as_html}


def renew(path: Path, text: str) -> None:
    """Write a board into a file. Where the file has a line START and a line END, only what stands between them is
    replaced. Raises UsageError where it has one of them alone, and where it cannot be written.
    """
    content = _renewed(path, text)
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.", hint="-o FILE") from error


def is_stale(path: Path, text: str) -> bool:
    """Whether `renew` would change the file."""
    return not path.exists() or _read(path) != _renewed(path, text)


def _renewed(path: Path, text: str) -> str:
    old = _read(path) if path.is_file() else ""
    before, start, rest = old.partition(f"{START}\n")
    _, end, after = rest.partition(END)
    if not start and END not in old:
        return text
    if not start or not end:
        raise UsageError(f"{path} has {START if start else END} alone.", hint=f"{START} .. {END}, each on its own line")
    return f"{before}{START}\n\n{text}\n{END}{after}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"Cannot write into {path}: {why}.", hint="-o FILE") from error
