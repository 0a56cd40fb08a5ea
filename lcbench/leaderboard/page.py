"""A board as one page: a table that sorts by any of its columns, and no request to anywhere."""

from __future__ import annotations

from html import escape

from lcbench.leaderboard.board import Board
from lcbench.leaderboard.pivot import pivot

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem; color: #111; background: #fff; }
.wide { overflow: auto; max-height: 85vh; }
table { border-collapse: collapse; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ccc; text-align: left; white-space: nowrap; }
thead th { position: sticky; top: 0; background: #eee; }
th button { font: inherit; font-weight: 600; border: 0; background: none; cursor: pointer; padding: 0; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
"""

# Figures sort by data-value, names by their text; what has no figure comes last either way.
SCRIPT = """
const body = document.querySelector("tbody"), headers = [...document.querySelectorAll("thead th")];
function order(a, b, sign) {
  const x = a.dataset.value, y = b.dataset.value;
  if (x && y) return sign * (x - y);
  if (x || y) return x ? -1 : 1;
  return sign * a.textContent.localeCompare(b.textContent, undefined, {numeric: true});
}
headers.forEach((th, i) => th.firstElementChild.addEventListener("click", () => {
  const sort = th.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  headers.forEach(other => other.removeAttribute("aria-sort"));
  th.setAttribute("aria-sort", sort);
  body.append(...[...body.rows].sort((a, b) => order(a.cells[i], b.cells[i], sort === "ascending" ? 1 : -1)));
}));
"""


def as_html(board: Board, by: str) -> str:
    """A whole document, with everything that a run can say escaped."""
    table = pivot(board.lines, by)
    header = "".join(f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in table.header)
    rows = [
        "<tr>" + "".join(_cell(*cell) for cell in zip(row, values, strict=True)) + "</tr>"
        for row, values in zip(table.rows, table.values, strict=True)
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in board.notes)
    return "\n".join([
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>lcbench leaderboard</title>\n<style>{STYLE}</style>\n<h1>lcbench leaderboard</h1>",
        '<div class="wide" tabindex="0" role="region" aria-label="Leaderboard">',
        f"<table>\n<thead><tr>{header}</tr></thead>\n<tbody>",
        *rows,
        f"</tbody></table></div>\n<ul>{notes}</ul>\n<script>{SCRIPT}</script>\n</html>\n",
    ])  # fmt: skip


def _cell(text: str, value: float | None) -> str:
    return f"<td>{escape(text)}</td>" if value is None else f'<td data-value="{value:g}">{escape(text)}</td>'
