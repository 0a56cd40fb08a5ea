"""What RULER reports over lengths: the weighted averages, and the effective length with its uncertainty.

Only of all 13 tasks under RULER's own prompts: a row that has less is told why it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lcbench import catalog
from lcbench.leaderboard.rows import Entry
from lcbench.leaderboard.sources import Row
from lcbench.lengths import show_length
from lcbench.seeds import digest
from lcbench.stats import effective_length, mean_of_means, weighted_averages

EFFECTIVE = "ruler, effective length"


def ruler_figures(entry: Entry, means: Sequence[Row], computed: dict[str, Any]) -> list[Row]:
    """The figures over lengths of a row with any task of RULER; nothing for others. means: those of the row.
    `computed` keeps the bootstrap of the effective length, by a digest of what it is made of.
    """
    average = next(a for a in catalog.averages() if all(task.startswith("ruler/") for task in a.tasks))
    lengths = [x for x in entry.lengths(average.tasks) if _scored(entry, average.tasks, x)]
    if not entry.lengths(average.tasks):
        return []
    about = {"edition": entry.edition(average.tasks), "length": None, "score": None, "ci": None, "metric": None}
    figure = {"kind": "effective", "name": EFFECTIVE, "group": "ruler", **about}
    why = _refusal(entry, average.tasks, lengths)
    if why is not None:
        return [{**figure, "edition": None, "na": why}]
    by_length = {m["length"]: m for m in means if m["name"] == average.name and m["length"] in lengths}
    return [
        *_weighted(by_length, about),
        {**figure, "na": None, "effective": _effective(entry, average.tasks, lengths, computed)},
    ]


def _scored(entry: Entry, tasks: Sequence[str], length: int | None) -> int:
    """How many of these tasks have a score at a length."""
    return sum((t, length) in entry.cells and entry.cells[t, length][0]["score"] is not None for t in tasks)


def _refusal(entry: Entry, tasks: Sequence[str], lengths: Sequence[int | None]) -> str | None:
    """Why a row has no effective length. A length at which no task has a score was not measured."""
    if entry.prompt != "official":
        return f"{entry.prompt} prompts"
    if not lengths:
        return "no scores"
    for length in lengths:
        if _scored(entry, tasks, length) < len(tasks):
            return f"{_scored(entry, tasks, length)} of {len(tasks)} tasks at {show_length(length)}"
    return None


def _weighted(by_length: dict[int, Row], about: Row) -> list[Row]:
    """RULER's wAvg (inc) and (dec) over several lengths, weights rising or falling linearly with them. They are linear
    in the means, so that each weight is the average of a single 1, and the interval that of a mean of weighted means.
    """
    lengths = sorted(by_length)
    if len(lengths) < 2:
        return []
    weights = [weighted_averages({x: float(x == length) for x in lengths}) for length in lengths]
    over = ", ".join(map(show_length, lengths))
    found = []
    for which, name in enumerate(("inc", "dec")):
        scale = [len(lengths) * w[which] for w in weights]
        means = [(by_length[x]["score"], *by_length[x]["ci"]) for x in lengths]
        parts = [(s * mean, s * low, s * high) for s, (mean, low, high) in zip(scale, means, strict=True)]
        score, low, high = (round(x, 2) for x in mean_of_means(parts))
        n = sum(by_length[x]["n"] for x in lengths)
        overridden = any(by_length[x]["overridden"] for x in lengths)
        stopped = "; ".join(filter(None, (by_length[x]["stopped"] for x in lengths))) or None
        marked = {"overridden": overridden, "stopped": stopped}
        shown = {"score": score, "ci": [low, high], "metric": "weighted mean", "n": n, **marked}
        name = f"ruler, wAvg ({name}) of {over}"
        found.append({"kind": "weighted", "name": name, "group": "ruler", **about, **shown, "na": None})
    return found


def _effective(entry: Entry, tasks: Sequence[str], lengths: Sequence[int | None], computed: dict[str, Any]) -> Row:
    """As stats.EffectiveLength, over the lengths `measured`; `share` is of each of these, None where the records of a
    cell are not there.
    """
    cells = {x: {t: entry.cells[t, x] for t in tasks} for x in lengths if x is not None}
    every = [cell for by_task in cells.values() for cell in by_task.values()]
    key = digest([[s.stamp for s in entry.sources], entry.name, [s.label for s in entry.sources]])
    if key not in computed:
        whole = all(len(v.values) == c["n"] for c, v in every)  # a run that goes on has more records than it summed up
        values = {
            x: {t: v.values if whole else [c["score"] / 100] for t, (c, v) in by_task.items()}
            for x, by_task in cells.items()
        }
        alone = not whole or all(len(set(v.contexts)) == len(v.contexts) for _, v in every)
        shared = None if alone else {x: {t: list(v.contexts) for t, (_, v) in ts.items()} for x, ts in cells.items()}
        found = effective_length(values, clusters=shared)
        computed[key] = {
            "length": found.length,
            "other": found.other,
            "threshold": found.threshold,
            "measured": sorted(cells),
            "share": [found.share[x] for x in sorted(cells)] if whole else None,
        }
    result: Row = computed[key]
    return result
