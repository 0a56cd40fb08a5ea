"""A comparison in sentences: what a line says of a cell, of an effect, of costs and of the gate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lcbench.compare.differences import NOTEWORTHY, Difference
from lcbench.compare.gate import Gate, not_worse
from lcbench.compare.pairs import Pair, System
from lcbench.compare.pooling import Effect
from lcbench.lengths import show_length

COSTS = {"seconds": "seconds a sample", "peak_memory_bytes": "peak memory", "flops": "FLOPs a sample"}


def cell_name(d: Difference) -> str:
    return d.task if d.length is None else f"{d.task} {show_length(d.length)}"


def effect_name(e: Effect) -> str:
    return f"pooled over {e.cells} cells of {', '.join(e.groups)} ({e.prompt})"


def name(x: Difference | Effect) -> str:
    return cell_name(x) if isinstance(x, Difference) else effect_name(x)


def cell_line(d: Difference, cells: int, alpha: float, margin: float | None) -> str:
    """The verdict on one cell; `cells`: how many p is adjusted over."""
    if d.na is not None:
        return f"{cell_name(d)}: {d.other.name} against {d.baseline.name}: n/a, {d.na}."
    p = f"{show_p(d.p)} ({_holm(d, 'cell', cells, alpha)})"
    parts = [f"{_change(d)}, {p}, {_n(d)}", *_failed(d), *_power(d, alpha), *_not_worse(d, margin)]
    return f"{cell_name(d)}: {'; '.join(parts)}."


def effect_line(e: Effect, peers: int, alpha: float, margin: float | None) -> str:
    """The verdict on a pooled effect; `peers`: how many p is adjusted over."""
    kind = "prompt source" if e.whole else "benchmark"
    assert e.p_holm is not None
    tested = _holm(e, kind, peers, alpha) if peers > 1 else _significant(e.p_holm, alpha)
    n = f"n = {e.n:,}, {e.unpaired} of the cells no means over pairs" if e.unpaired else f"n = {e.n:,} paired"
    left = [f"{e.left_out} more without a comparison"] if e.left_out else []
    parts = [f"{_change(e)}, {show_p(e.p)} ({tested}), {n}", *left, *_detectable(e), *_not_worse(e, margin)]
    return f"{effect_name(e)}: {'; '.join(parts)}."


def cost_line(pair: Pair, differences: Sequence[Difference]) -> str:
    """The geometric mean over cells of what the other system costs, as a multiple of the baseline."""
    told = []
    for key, what in COSTS.items():
        ratio, cells = mean_ratio(differences, key)
        told.append(f"{what} n/a" if ratio is None else f"{what} x{ratio:.3g} over {cells} cells")
    return f"cost of {pair[1].name} against {pair[0].name}: {', '.join(told)}."


def mean_ratio(differences: Sequence[Difference], key: str) -> tuple[float | None, int]:
    """(geometric mean of the cells' ratios, how many have one)."""
    ratios = [r for d in differences if (r := d.costs.get(key))]
    return (math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None), len(ratios)


def notes(pair: Pair, differences: Sequence[Difference]) -> list[str]:
    """What a reader has to know beside the figures of a pair."""
    told = []
    for one, two in (pair, pair[::-1]):
        alone = [p for p in one.places if p not in two.places]
        if alone:
            told.append(f"Only in {one.name}: {', '.join(f'{t} {show_length(n)}' for t, n in alone)}.")
    told += dict.fromkeys(line for s in pair if (line := _untrained(s)) is not None)
    machines = [s.run.about.get("machine") for s in pair]
    if machines[0] != machines[1] and any(d.costs.get("seconds") for d in differences):
        told.append("Seconds were measured on different machines.")
    return told


def _untrained(system: System) -> str | None:
    trained = system.run.about.get("model", {}).get("trained_attention")
    if not trained or trained.partition(":")[0] == system.attn.partition(":")[0]:
        return None
    model = system.run.identity["model"]
    attn = system.attn.partition(":")[0]
    told = f"its scores under {system.attn} say nothing about {attn} attention in a model trained for it"
    return f"{model} was trained under {trained}: {told}."


def gate_lines(g: Gate) -> list[str]:
    """What the gate came to, why, and what the samples could have shown."""
    outcome = "none (passed)" if g.passed else f"{len(g.failures)} (failed)"
    told = [f"significant losses of {g.margin:g} points or more as measured: {outcome}."]
    told += [f"  {name(x)}: {_reason(x)}" for x in g.failures]
    judged = [x for x in (*g.failures, *g.shown, *g.open) if isinstance(x, Effect) or x.na is None]
    told.append(f"not worse by {g.margin:g} points or more: shown for {len(g.shown)} of {len(judged)}.")
    for kind, what in ((Difference, "a cell"), (Effect, "a pooled effect")):
        least = sorted(x.detectable for x in judged if isinstance(x, kind) and x.detectable is not None)
        if least:
            span = f"{least[0]:.1f}" if len(least) == 1 else f"{least[0]:.1f} to {least[-1]:.1f}"
            told.append(f"{what} could show a loss of {span} points (power 80%, before the adjustment of p).")
    if g.untold:
        told.append(f"not judged: {', '.join(f'{cell_name(d)} ({d.na})' for d in g.untold)}.")
    return told


def _reason(x: Difference | Effect) -> str:
    if isinstance(x, Difference) and x.na is not None:
        return f"{x.na}."
    return f"{_change(x)}, Holm {show_p(x.p_holm)}."


def show_p(p: float | None) -> str:
    return "p n/a" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _change(x: Difference | Effect) -> str:
    """`lucid worse than softmax by 4.2 points [1.0, 7.3]`: the interval is that of the loss."""
    difference, low, high = x.change
    if round(difference, 9) == 0:
        return f"{x.other.name} equal to {x.baseline.name}: 0.0 points [{low:.1f}, {high:.1f}]"
    how = "better"
    if difference < 0:
        how, low, high = "worse", -high, -low
    return f"{x.other.name} {how} than {x.baseline.name} by {abs(difference):.1f} points [{low:.1f}, {high:.1f}]"


def _holm(x: Difference | Effect, what: str, of: int, alpha: float) -> str:
    assert x.p_holm is not None
    shown = "< 0.001" if x.p_holm < 0.001 else f"{x.p_holm:.2g}"
    return f"Holm over {of} {what}{'s' if of > 1 else ''} {shown}: {_significant(x.p_holm, alpha)}"


def _significant(p: float, alpha: float) -> str:
    return "significant" if p <= alpha else "not significant"


def _n(d: Difference) -> str:
    a, b = d.n
    if d.unpaired is not None:
        return f"n = {a:,} and {b:,} unpaired ({d.unpaired})"
    left = [f"{k:,} of {s.name}" for k, s in zip(d.left, d.pair, strict=True) if k]
    return f"n = {a:,} paired" + (f", without partner and left out: {' and '.join(left)}" if left else "")


def _failed(d: Difference) -> list[str]:
    told = [f"{k} of {s.name}" for k, s in zip(d.failed, d.pair, strict=True) if k]
    return [f"failed and counted as 0: {' and '.join(told)}"] if told else []


def _detectable(x: Difference | Effect) -> list[str]:
    if x.detectable is None:
        return ["too few to detect any difference"]
    return [f"could detect {x.detectable:.1f} points"]


def _power(d: Difference, alpha: float) -> list[str]:
    told = _detectable(d)
    assert d.p_holm is not None and d.difference is not None
    if d.p_holm > alpha and d.needed is not None and d.needed > min(d.n):
        told.append(f"n = {d.needed:,} would detect {max(abs(d.difference), NOTEWORTHY):.1f}")
    return told


def _not_worse(x: Difference | Effect, margin: float | None) -> list[str]:
    if margin is None:
        return []
    return [f"not worse by {margin:g} points or more: {'shown' if not_worse(x, margin) else 'not shown'}"]
