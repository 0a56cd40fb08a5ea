"""The figures of a report as PNG and SVG, for a paper: drawn by matplotlib from the data that the page draws."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lcbench.errors import MissingError
from lcbench.report.page.depths import BANDS
from lcbench.report.writing import writing

Row = dict[str, Any]
# Okabe and Ito 2008: told apart with every kind of colour vision
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b77a00", "#3d93c9", "#5c6670")
MARKERS = ("o", "s", "^", "D", "v", "P")
QUIET = "#59626d"
STYLE: Any = {
    "svg.hashsalt": "lcbench",  # the same figures give the same file
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def save(data: Row, folder: Path) -> list[Path]:
    """Write every figure that the runs have data for; the files written. data: of `lcbench.report.page.report`.

    Raises MissingError where matplotlib is not installed, and UsageError where the folder cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError("--figures needs matplotlib.", hint="pip install 'lcbench[figures]'") from error
    written = []
    with writing(folder, "--figures DIR"), matplotlib.rc_context(STYLE):
        folder.mkdir(parents=True, exist_ok=True)
        for drawing in drawings(data):
            figure = Figure(figsize=drawing.inches, layout="constrained")
            drawing.draw(figure, data, *drawing.of)
            for kind, dated in (("png", {}), ("svg", {"Date": None})):
                written.append(folder / f"{drawing.name}.{kind}")
                figure.savefig(written[-1], dpi=200, metadata=dated)
    return written


class Drawing(NamedTuple):
    """A figure: its file's name, width and height, and what draws it: draw(figure, data, *of)."""

    name: str
    inches: tuple[float, float]
    draw: Callable[..., None]
    of: tuple[Row, ...] = ()


def drawings(data: Row) -> Iterator[Drawing]:
    """Every figure that there is data for: the first of each choice of the page, costs at the longest length."""
    wide = len(data["systems"]) * (0.7 + 0.6 * len(data["lengths"]))
    if data["curves"]:
        yield Drawing("score-by-length", (6, 3.5), curves)
    if any(c["share"] for c in data["cells"]):
        yield Drawing("task-by-length", (2 + wide, 1 + 0.32 * len(data["tasks"])), heat)
    if data["depths"]["maps"]:
        yield Drawing("depth-by-length", (1 + wide, 4), depth)
    for axis in data["costs"]:
        at = next((x for x in reversed(axis["lengths"]) if x["points"]), None)
        if at is not None:
            yield Drawing(f"score-against-{axis['key'].replace('_', '-')}", (5, 3.5), cost, (axis, at))
    for pair in data["forests"]:
        rows = len(pair["rows"]) + len(pair["pooled"])
        yield Drawing(f"differences-{pair['b']}-{pair['a']}", (6.5, 1 + 0.25 * rows), forest, (pair,))


def plain(text: str) -> str:
    """A name without halves of surrogate pairs and control characters, which no SVG can hold."""
    return re.sub(r"[\x00-\x1f\ufffe\uffff]", "?", text.encode("utf-8", "replace").decode("utf-8"))


def look(system: int) -> Row:
    return {"color": COLOURS[system % len(COLOURS)], "marker": MARKERS[system % len(MARKERS)]}


def score_axis(axes: Any) -> None:
    axes.set(ylim=(-2, 102), ylabel="score")
    axes.grid(axis="y", color="#dde1e5")
    axes.set_axisbelow(True)


def curves(figure: Any, data: Row) -> None:
    axes, curve = figure.subplots(), data["curves"][0]
    lengths = [x for x in data["lengths"] if any(p["length"] == x["tokens"] for p in curve["points"])]
    places = {x["tokens"]: k for k, x in enumerate(lengths)}
    for i, system in enumerate(data["systems"]):
        points = sorted((p for p in curve["points"] if p["system"] == i), key=lambda p: places[p["length"]])
        if points:
            x = [places[p["length"]] + 0.05 * (i - (len(data["systems"]) - 1) / 2) for p in points]
            y = [p["score"] for p in points]
            axes.errorbar(x, y, yerr=whiskers(points), label=plain(system["name"]), capsize=2, **look(i))
    axes.set_xticks(range(len(lengths)), [x["name"] for x in lengths])
    axes.set(xlabel="length, tokens", title=plain(curve["name"]))
    score_axis(axes)
    axes.legend(frameon=False)


def whiskers(points: Sequence[Row]) -> list[list[float]]:
    """Distances below and above, as `errorbar` takes them."""
    return [[max(0.0, p["score"] - p["ci"][0]) for p in points], [max(0.0, p["ci"][1] - p["score"]) for p in points]]


def heat(figure: Any, data: Row) -> None:
    cells = [c for c in data["cells"] if c["share"]]
    found = {(c["system"], c["task"], c["length"]): c["score"] for c in cells}
    maps(figure, data, data["tasks"], data["lengths"], found, "")


def depth(figure: Any, data: Row) -> None:
    chosen = data["depths"]["maps"][0]
    lengths = [x for x in data["lengths"] if any(c["length"] == x["tokens"] for c in chosen["cells"])]
    found = {(c["system"], c["band"], c["length"]): c["score"] for c in chosen["cells"]}
    maps(figure, data, range(BANDS), lengths, found, "depth of the evidence")


def maps(
    figure: Any, data: Row, rows: Sequence[Any], columns: Sequence[Row], found: dict[tuple[Any, ...], float], side: str
) -> None:
    """A heat-map a system, its figures printed in the cells; what is absent stays white."""
    names = [f"{10 * r}–{10 * r + 10}%" if isinstance(r, int) else plain(r) for r in rows]
    every = figure.subplots(1, len(data["systems"]), sharey=True, squeeze=False)[0]
    for i, (axes, system) in enumerate(zip(every, data["systems"], strict=True)):
        grid = [[found.get((i, r, c["tokens"]), float("nan")) for c in columns] for r in rows]
        axes.imshow(grid, cmap="viridis", vmin=0, vmax=100, aspect="auto")
        for y, line in enumerate(grid):
            for x, score in enumerate(line):
                if score == score:  # not NaN
                    ink = "white" if score < 55 else "black"
                    axes.text(x, y, f"{score:.1f}", ha="center", va="center", fontsize=7.5, color=ink)
        axes.set_xticks(range(len(columns)), [c["name"] for c in columns])
        axes.set_yticks(range(len(rows)), names)
        axes.set_title(plain(system["name"]))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    every[0].set_ylabel(side)


def cost(figure: Any, data: Row, axis: Row, at: Row) -> None:
    axes, names = figure.subplots(), [plain(s["name"]) for s in data["systems"]]
    for p in at["points"]:
        filled = {} if p["front"] else {"markerfacecolor": "white"}
        axes.errorbar(
            p["cost"],
            p["score"],
            yerr=whiskers([p]),
            capsize=2,
            label=names[p["system"]],
            **look(p["system"]),
            **filled,
        )
    best = sorted((p["cost"], p["score"]) for p in at["points"] if p["front"])
    axes.step(*zip(*best, strict=True), where="post", color=QUIET, linestyle=":", zorder=0)
    axes.set(xlabel=f"{axis['name']}, {axis['unit']}", title=at["name"])
    axes.set_xlim(0, 1.15 * max(p["cost"] for p in at["points"]) or 1)
    score_axis(axes)
    axes.legend(frameon=False)


def forest(figure: Any, data: Row, pair: Row) -> None:
    axes, names = figure.subplots(), [plain(s["name"]) for s in data["systems"]]
    lengths = {x["tokens"]: x["name"] for x in data["lengths"]}
    pooled = [("all" if e["whole"] else ", ".join(e["groups"]), "D", e) for e in reversed(pair["pooled"])]
    rows = [*pooled, *((f"{r['task']} {lengths[r['length']]}", "s", r) for r in pair["rows"])]
    for y, (_, marker, r) in enumerate(rows):
        if r["difference"] is None:
            axes.text(0, y, "n/a", ha="center", va="center", color=QUIET, fontsize=8)
            continue
        higher = pair["b"] if r["difference"] > 0 else pair["a"]
        colour = look(higher)["color"] if r["shown"] else QUIET
        axes.plot([r["low"], r["high"]], [y, y], color=colour)
        axes.plot(r["difference"], y, marker, color=colour, markerfacecolor=colour if r["shown"] else "white")
    axes.axvline(0, color=QUIET, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(rows)), [plain(name) for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlabel=f"points; left: {names[pair['a']]} higher, right: {names[pair['b']]} higher")
