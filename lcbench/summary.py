"""Records -> the figures of a run: one entry a cell, one a mechanism. A figure that cannot be computed is None."""

from __future__ import annotations

from statistics import median
from typing import Any

from lcbench import catalog, stopping
from lcbench.attention import parse
from lcbench.figures import figures, has_unit
from lcbench.flops import answer_flops, decoder
from lcbench.lengths import show_length
from lcbench.plan import Plan, PlannedCell
from lcbench.stats import mean_of_means
from lcbench.store import RunFolder

Row = dict[str, Any]
PROMPTS = {
    "official": "Prompts{tasks} are the benchmark's own (official): {sources}.",
    "builtin": "Prompts{tasks} are lcbench's own wording (builtin): not comparable with published scores.",
    "task": "Prompts{tasks} are those of the task's file (task).",
}


def summarise(plan: Plan, folder: RunFolder) -> dict[str, Any]:
    """Everything that a table of this run says. Scores and intervals 0 to 100; times from the batches that made
    them.
    """
    by_cell: dict[str, list[Row]] = {}
    for records in folder.batches.values():
        by_cell.setdefault(records[0]["cell"], []).extend(records)
    cells, costs, beside, parts = [], [], [], []
    for spec in plan.attention:
        every: list[Row] = []
        for planned in plan.cells:
            rows = sorted(by_cell.get(f"{spec}|{planned.id}", []), key=lambda r: r["index"])
            every += rows
            cells.append(cell_figures(plan, str(spec), planned, rows))
            place = {"task": planned.task.name, "length": planned.length, "attn": str(spec)}
            beside += [{**place, **row} for row in _beside(rows)]
            parts += [{**place, **row} for row in _parts(planned.task.scorer.name, rows)]
        costs.append({"attn": str(spec), **cost(every)})
    return {
        "run": str(folder.path),
        "cells": cells,
        "averages": _averages(cells),
        "beside": beside,
        "parts": parts,
        "mechanisms": costs,
        "notes": notes(plan),
    }


def _figures(metric: str, rows: list[Row], verdicts: list[float | None] | None = None) -> Row:
    """Score, interval and n over records. A failed sample scores 0 under every metric; if all failed there is none."""
    if not any(r["finish"] != "failed" for r in rows):
        return {"score": None, "ci": None, "n": len(rows)}
    names = {name for r in rows for name in r["beside"]}
    beside = [r["beside"] if r["finish"] != "failed" else dict.fromkeys(names, 0.0) for r in rows]
    values = [r["score"] for r in rows] if verdicts is None else verdicts
    return figures(metric, values, beside, [r["context_id"] for r in rows])


def _beside(rows: list[Row]) -> list[Row]:
    """The same answers under the metrics that stand beside the score. A failed sample has 0 of a share, but no bits."""
    metrics = dict.fromkeys(name for r in rows for name in r["beside"])
    failed = {m: None if has_unit(m) else 0.0 for m in metrics}
    verdicts = {m: [failed[m] if r["finish"] == "failed" else r["beside"].get(m) for r in rows] for m in metrics}
    return [{"metric": m, **_figures(m, rows, verdicts[m])} for m in metrics]


def _parts(metric: str, rows: list[Row]) -> list[Row]:
    """The score by each column that the task is broken down by."""
    found = []
    for column in dict.fromkeys(column for r in rows for column in r["tags"]):
        values = sorted({r["tags"][column] for r in rows if column in r["tags"]})
        for value in values:
            members = [r for r in rows if r["tags"].get(column) == value]
            found.append({"by": column, "value": value, **_figures(metric, members)})
    return found


def _averages(cells: list[Row]) -> list[Row]:
    """The means over tasks that benchmarks report, for every length and mechanism at which the run has all of them."""
    found = []
    for average in catalog.averages():
        members = {name: [c for c in cells if c["task"] == name] for name in average.tasks}
        for length, attn in dict.fromkeys((c["length"], c["attn"]) for c in members[average.tasks[0]]):
            at = [c for name in average.tasks for c in members[name] if (c["length"], c["attn"]) == (length, attn)]
            if len(at) < len(average.tasks):
                continue
            prompts = dict.fromkeys(c["prompt"] for c in at)
            whole = all(c["score"] is not None for c in at) and len(prompts) == 1  # two wordings are never averaged
            mean, low, high = mean_of_means([(c["score"], *c["ci"]) for c in at]) if whole else (None, None, None)
            found.append({
                "name": average.name, "length": length, "attn": attn, "n": sum(c["n"] for c in at),
                "score": None if mean is None else round(mean, 2),
                "ci": None if low is None or high is None else [round(low, 2), round(high, 2)],
                "prompt": ", ".join(prompts),
            })  # fmt: skip
    return found


def cell_figures(plan: Plan, spec: str, planned: PlannedCell, rows: list[Row]) -> Row:
    """One cell's entry in the summary, of the records that there are so far."""
    values = _figures(planned.task.scorer.name, rows)
    if (until_ci := plan.config.until_ci) is not None:
        values |= stopping.ending(until_ci, planned.task.scorer.name, rows, planned.n, plan.samples)
    return {
        "task": planned.task.name,
        "length": planned.length,
        "model": plan.model.name,
        "attn": spec,
        "strategy": plan.config.strategy,
        "prompt": planned.wording.prompt,
        "metric": planned.task.scorer.name,
        **values,
        "n_failed": sum(r["finish"] == "failed" for r in rows),
        "n_unextracted": sum(r["extracted"] is None and r["finish"] != "failed" for r in rows),
        "n_truncated": sum(r["truncated"] for r in rows),
        "n_skipped": planned.skipped,
        "max_new_tokens": planned.max_new_tokens,
        "overridden": plan.config.max_new_tokens not in (None, planned.task.generate.max_new_tokens),
        "split": planned.task.split,
        "na": planned.na or _unlabelled(planned, rows),
        **cost(rows),
        "flops": _flops(plan, spec, rows),
    }


def _flops(plan: Plan, spec: str, rows: list[Row]) -> int | None:
    """The mean FLOPs of an answer. None where the model or the mechanism is not counted, and for answers that are no
    single completion of their prompt.
    """
    answered = [r for r in rows if r["finish"] != "failed"]
    if not answered or any(r["earlier"] or r["likelihoods"] for r in answered):
        return None
    config, mechanism = decoder(plan.model.config), parse(spec)
    each = [answer_flops(config, mechanism, r["prompt_tokens"], r["new_tokens"]) for r in answered]
    known = [x for x in each if x is not None]
    return sum(known) // len(known) if len(known) == len(each) else None


def _unlabelled(planned: PlannedCell, rows: list[Row]) -> str | None:
    if not rows or not all(r["score"] is None for r in rows):
        return None
    if planned.task.benchmark == "lm_eval":
        return "no metric of it is a share of 1: its figures stand beside"
    return f"its labels are not public: lcbench tasks export {planned.task.group} writes the answers"


def cost(rows: list[Row]) -> Row:
    """Speed and memory over the batches of these records. Time to first token is the median over batches; seconds are
    those of one sample, as its batch shared them.
    """
    batches = list({r["batch"]: r["cost"] for r in rows if r["finish"] != "failed"}.values())
    prefill, decode = sum(b["prefill_s"] for b in batches), sum(b["decode_s"] for b in batches)
    tokens = sum(b["prompt_tokens"] + b["new_tokens"] for b in batches)
    later = sum(b["new_tokens"] - b["size"] for b in batches)
    peaks = [b["peak_memory_bytes"] for b in batches if b["peak_memory_bytes"] is not None]
    return {
        "tokens_per_s": round(tokens / (prefill + decode), 1) if prefill + decode > 0 else None,
        "ttft_s": round(median(b["prefill_s"] for b in batches), 4) if batches else None,
        "decode_tokens_per_s": round(later / decode, 1) if decode > 0 and later > 0 else None,
        "peak_memory_bytes": max(peaks) if peaks else None,
        "seconds": round((prefill + decode) / sum(b["size"] for b in batches), 4) if batches else None,
    }


def notes(plan: Plan) -> list[str]:
    """What a reader has to know beside the figures."""
    told = []
    for spec in plan.attention:
        if spec.name != plan.model.trained_attention.partition(":")[0]:
            told.append(
                f"{plan.model.name} was trained under {plan.model.trained_attention}: "
                f"its scores under {spec} say nothing about {spec.name} attention in a model trained for it."
            )
    told += [f"{c.task.name} at {show_length(c.length)}: n/a, {c.na}." for c in plan.cells if c.na]
    for c in plan.runnable:
        if c.n < plan.samples and plan.config.until_ci is None:
            told.append(f"{c.task.name} at {show_length(c.length)}: only {c.n} of {plan.samples} samples to be had.")
        if c.skipped:
            told.append(f"{c.task.name} at {show_length(c.length)}: {c.skipped} items passed over, they do not fit.")
    told += [f"{name}: from {m['source']}." for name, m in plan.materials.items() if name.endswith("/data")]
    told += [f"{name.rpartition('/')[0]}: {n}." for name, m in plan.materials.items() for n in m.get("notes", ())]
    if plan.config.max_new_tokens:
        told.append(f"* max_new_tokens is {plan.config.max_new_tokens}, instead of the task's own.")
    until = "up to " if plan.config.until_ci is not None else ""
    told += [f"{c.task.name}: {c.task.split}, n={until}{c.n}." for c in plan.runnable if c.task.split]
    told += _stopping(plan)
    for kind, what in PROMPTS.items():
        of_kind = [c for c in plan.runnable if c.wording.prompt == kind]
        if of_kind:
            sources = dict.fromkeys(c.wording.source for c in of_kind)
            told.append(what.format(tasks=_groups(plan, of_kind), sources=", ".join(sources)))
    return told


def _stopping(plan: Plan) -> list[str]:
    if plan.config.until_ci is None:
        return []
    half = plan.config.until_ci
    return [
        f"Each task and length took samples until every mechanism's interval was at most {2 * half:g} points wide "
        f"(half-width {half:g}), its data ended, or it had {plan.samples}. Their scores have confidence sequences, "
        "which cover at least 95% whenever one stops; what is not watched has the interval of a fixed n."
    ]


def _groups(plan: Plan, cells: list[PlannedCell]) -> str:
    """` of ruler, babilong`: groups, or tasks of a group that is only partly meant; nothing for all of the run."""
    if len(cells) == len(plan.runnable):
        return ""
    others = {c.task.group for c in plan.runnable if c not in cells}
    return " of " + ", ".join(dict.fromkeys(c.task.name if c.task.group in others else c.task.group for c in cells))
