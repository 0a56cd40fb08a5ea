"""Records -> the figures of a run: one entry a cell, one a mechanism. A figure that cannot be computed is None."""

from __future__ import annotations

from statistics import median
from typing import Any

from lcbench.lengths import show_length
from lcbench.plan import Plan, PlannedCell
from lcbench.stats import wilson
from lcbench.store import RunFolder

Row = dict[str, Any]


def summarise(plan: Plan, folder: RunFolder) -> dict[str, Any]:
    """Everything that a table of this run says. Scores and intervals 0 to 100; times from the batches that made
    them.
    """
    by_cell: dict[str, list[Row]] = {}
    for records in folder.batches.values():
        by_cell.setdefault(records[0]["cell"], []).extend(records)
    cells, costs = [], []
    for spec in plan.attention:
        every: list[Row] = []
        for planned in plan.cells:
            rows = sorted(by_cell.get(f"{spec}|{planned.id}", []), key=lambda r: r["index"])
            every += rows
            cells.append(_cell(plan, str(spec), planned, rows))
        costs.append({"attn": str(spec), **cost(every)})
    return {"run": str(folder.path), "cells": cells, "mechanisms": costs, "notes": notes(plan)}


def _cell(plan: Plan, spec: str, planned: PlannedCell, rows: list[Row]) -> Row:
    values = [r["score"] for r in rows]
    failed = sum(r["finish"] == "failed" for r in rows)
    scored = bool(rows) and failed < len(rows)
    low, high = wilson(values) if scored else (0.0, 0.0)
    return {
        "task": planned.task.name,
        "length": planned.length,
        "model": plan.model.name,
        "attn": spec,
        "strategy": plan.config.strategy,
        "prompt": plan.prompt,
        "metric": planned.task.score,
        "score": round(100 * sum(values) / len(values), 2) if scored else None,
        "ci": [round(100 * low, 2), round(100 * high, 2)] if scored else None,
        "n": len(rows),
        "n_failed": failed,
        "n_unextracted": sum(r["extracted"] is None and r["finish"] != "failed" for r in rows),
        "n_truncated": sum(r["truncated"] for r in rows),
        "n_skipped": planned.skipped,
        "max_new_tokens": planned.max_new_tokens,
        "overridden": planned.max_new_tokens != planned.task.generate.max_new_tokens,
        "na": planned.na,
        **cost(rows),
    }


def cost(rows: list[Row]) -> Row:
    """Speed and memory over the batches of these records. Time to first token is the median over batches."""
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
        if c.n < plan.samples:
            told.append(f"{c.task.name} at {show_length(c.length)}: only {c.n} of {plan.samples} samples to be had.")
        if c.skipped:
            told.append(f"{c.task.name} at {show_length(c.length)}: {c.skipped} items passed over, they do not fit.")
    told += [f"{name}: from {m['source']}." for name, m in plan.materials.items() if name.endswith("/data")]
    if plan.config.max_new_tokens:
        told.append(f"* max_new_tokens is {plan.config.max_new_tokens}, instead of the task's own.")
    if plan.prompt == "builtin":
        told.append("Prompts are lcbench's own wording (builtin): not comparable with published scores.")
    else:
        sources = dict.fromkeys(c.wording.source for c in plan.runnable)
        told.append(f"Prompts are the benchmark's own (official): {', '.join(sources)}.")
    return told
