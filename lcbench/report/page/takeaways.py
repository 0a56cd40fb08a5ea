"""One sentence beside each figure: what it says, in the figures it shows."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from lcbench.compare.words import show_p
from lcbench.lengths import show_length
from lcbench.report.page.costs import in_common, order

Row = dict[str, Any]
MOST_TOLD = 4  # systems that a sentence lists
OUTER = (0, 1, 8, 9)  # bands of depth: the first and the last fifth of the context


def tell(figures: Row) -> Row:
    """The same figures with a `takeaway` in each, and `headline`, `lead` and `hardest` of the whole."""
    names = [s["name"] for s in figures["systems"]]
    headline, lead = decision(figures, names)
    costs = [
        {**axis, "lengths": [{**x, "takeaway": cost(x["points"], names)} for x in axis["lengths"]]}
        for axis in figures["costs"]
    ]
    maps = [{**m, "takeaway": depth(m, names)} for m in figures["depths"]["maps"]]
    return {
        **figures,
        "headline": headline,
        "lead": lead,
        "hardest": hardest(figures["cells"], names),
        "curves": [{**c, "takeaway": curve(c["points"], names)} for c in figures["curves"]],
        "depths": {**figures["depths"], "maps": maps},
        "costs": costs,
        "forests": [{**f, "takeaway": forest(f, names)} for f in figures["forests"]],
    }


def decision(figures: Row, names: Sequence[str]) -> tuple[str, str]:
    """Which system scores highest over the cells that all have, and whether its lead is shown."""
    overall, what, prompt = means(figures["cells"], len(names))
    if overall is None:
        return "The systems have no common score", f"{what} The figures below show each on its own."
    ranked = sorted(range(len(names)), key=lambda i: -overall[i])
    best = ranked[0]
    if len(names) == 1:
        return f"{names[0]} scores {overall[0]:.1f}", f"{what}."
    scores = few([f"{names[i]} {overall[i]:.1f}" for i in ranked])
    pair = next((f for i in ranked[1:] for f in figures["forests"] if {f["a"], f["b"]} == {best, i}), None)
    effect = pair and effect_of(pair, prompt)
    if pair is None or effect is None:
        return "No lead is tested", f"{what}: {scores}. No pair of them can be compared."
    second = names[pair["b"] if pair["a"] == best else pair["a"]]
    lead = f"{what}: {scores}. {pooled(effect, pair, names)}"
    if not effect["shown"]:
        return f"No difference is shown between {names[best]} and {second}", lead
    if (effect["difference"] > 0) != (pair["b"] == best):  # over cells of these two that another system lacks
        return f"{second} scores higher than {names[best]} where both are scored", lead
    return f"{names[best]} scores {'highest' if len(names) > 2 else f'higher than {second}'}", lead


def effect_of(pair: Row, prompt: str | None) -> Row | None:
    """The effect over all cells of a pair under a prompt source; where it has one cell that can be compared, that."""
    known = [{**r, "cells": 1} for r in pair["rows"] if r["difference"] is not None]
    if len(known) == 1:
        return known[0]
    return next((e for e in pair["pooled"] if e["whole"] and e["prompt"] == prompt), None)


def means(cells: Sequence[Row], systems: int) -> tuple[list[float] | None, str, str | None]:
    """Each system's unweighted mean over the cells that all have, None without any; what it is a mean of, and under
    which prompt source.
    """
    shares = [c for c in cells if c["share"]]
    places = {x: in_common([c for c in shares if c["length"] == x], systems) for x in order(shares)}
    common = [c for c in shares if c["task"] in places[c["length"]]]
    if not common:
        return None, "No task and length is scored for all of them.", None
    if len({c["prompt"] for c in common}) > 1:
        return None, "Scores under prompts of two sources are not averaged.", None
    found = [fmean(c["score"] for c in common if c["system"] == i) for i in range(systems)]
    tasks, lengths = len({c["task"] for c in common}), [show_length(x) for x, of in places.items() if of]
    return found, f"Mean over {count(tasks, 'task')} at {', '.join(lengths)}", common[0]["prompt"]


def pooled(effect: Row, pair: Row, names: Sequence[str]) -> str:
    difference = f"{signed(effect['difference'])} points [{signed(effect['low'])}, {signed(effect['high'])}]"
    told = (
        f"{names[pair['b']]} − {names[pair['a']]}: {difference} over {count(effect['cells'], 'cell')}, "
        f"{show_p(effect['p_holm'])}"
    )
    if effect["shown"] or effect["detectable"] is None:
        return f"{told}."
    return f"{told}; a difference of {effect['detectable']:.1f} points would have been found four times in five."


def signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−") if f"{abs(points):.1f}" != "0.0" else "0.0"


def curve(points: Sequence[Row], names: Sequence[str]) -> str:
    """From the shortest length to the longest, system by system."""
    lengths = order(points)
    whole = span(lengths)
    told = []
    for i, name in enumerate(names):
        mine = sorted((p for p in points if p["system"] == i), key=lambda p: p["length"])
        if mine:
            ends = " → ".join(f"{p['score']:.1f}" for p in ([mine[0], mine[-1]] if len(mine) > 1 else mine))
            own = span([p["length"] for p in mine])
            told.append(f"{name} {ends}" + (f" ({own})" if own != whole else ""))
    return f"{whole[0].upper()}{whole[1:]}: {few(told)}."


def span(lengths: Sequence[int | None]) -> str:
    first, last = show_length(lengths[0]), show_length(lengths[-1])
    return f"at {first}" if first == last else f"from {first} to {last}"


def hardest(cells: Sequence[Row], names: Sequence[str]) -> str:
    shares = [c for c in cells if c["share"]]
    if not shares:
        return "No cell has a score that is a share of 100."
    least, most = (pick(shares, key=lambda c: c["score"]) for pick in (min, max))
    low, high = (
        f"{c['score']:.1f}, {names[c['system']]} on {c['task']} at {show_length(c['length'])}" for c in (least, most)
    )
    return f"Lowest: {low}; highest: {high}."


def depth(of: Row, names: Sequence[str]) -> str:
    told = []
    for i, name in enumerate(names):
        mine = [c for c in of["cells"] if c["system"] == i]
        parts = [[c for c in mine if (c["band"] in OUTER) == outer] for outer in (True, False)]
        if all(parts):
            outer, middle = (sum(c["score"] * c["n"] for c in p) / sum(c["n"] for c in p) for p in parts)
            told.append(f"{name} {outer:.1f} | {middle:.1f}")
    return f"Evidence in the outer fifths of the context | between: {few(told)}." if told else ""


def cost(points: Sequence[Row], names: Sequence[str]) -> str:
    """Who is on the front, and who is beaten by whom."""
    if len(points) < 2:
        return "Fewer than two systems have both figures: there is nothing to weigh."
    told = []
    for p in points:
        if not p["front"]:
            better = next(q for q in points if q["front"] and q["cost"] <= p["cost"] and q["score"] >= p["score"])
            told.append(f"{names[p['system']]} is no better and no cheaper than {names[better['system']]}")
    best = [names[p["system"]] for p in points if p["front"]]
    return f"On the front: {few(best)}{'; ' if told else ''}{few(told)}."


def forest(of: Row, names: Sequence[str]) -> str:
    """The pooled effects, then how many cells differ."""
    rows = [r for r in of["rows"] if r["difference"] is not None]
    if not rows:
        return f"No cell of {names[of['a']]} and {names[of['b']]} can be compared."
    above, below = (sum(r["shown"] and (r["difference"] > 0) == up for r in rows) for up in (True, False))
    cells = (
        f"Of {count(len(rows), 'cell')} {names[of['b']]} is above {names[of['a']]} in {above}, below it in {below}; "
        f"in {len(rows) - above - below} no difference is shown."
    )
    return " ".join([*(pooled(e, of, names) for e in of["pooled"] if e["whole"]), cells])


def few(told: Sequence[str]) -> str:
    """A list that stays short: the figure has the others."""
    return ", ".join(told if len(told) <= MOST_TOLD else [*told[:MOST_TOLD], f"and {len(told) - MOST_TOLD} more"])


def count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
