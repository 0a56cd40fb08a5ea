"""results_DATE.json of lm-eval -> Source. The format is that of lm-eval 0.4.13 (lm_eval/result_schema.py): values under
`metric,filter`, their standard errors under `metric_stderr,filter`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lcbench.errors import UsageError
from lcbench.figures import has_unit
from lcbench.leaderboard.find import Found
from lcbench.leaderboard.records import Verdicts
from lcbench.leaderboard.sources import FIELDS, Source, load
from lcbench.stats import Z95, mean_interval, wilson

Row = dict[str, Any]
PROMPT = "lm-eval"
ABSENT = -1  # what lm-eval's RULER reports at a length that was not run
# Metrics on a scale of their own even where a value lies between 0 and 1.
UNITS = ("perplexity", "word_perplexity", "byte_perplexity", "bleu", "chrf", "chrf++", "ter", "brier_score", "bypass")
WEIGHTS = ("model_sha", "model_revision", "model_source", "chat_template_sha")
SETTINGS = ("system_instruction_sha", "fewshot_as_multiturn", "lm_eval_version")
CONFIG = ("model_args", "model_dtype", "gen_kwargs", "random_seed", "numpy_seed", "torch_seed", "fewshot_seed")


def read(found: Found, stamp: str) -> Source:
    """One results file of lm-eval, with the verdicts of its samples where they lie beside it. Attention and strategy
    are not known. Raises UsageError where a file cannot be read.
    """
    results = load(found.files[0])
    date = found.files[0].name.removeprefix("results_").removesuffix(".json")
    samples = {p.name.removeprefix("samples_").removesuffix(f"_{date}.jsonl"): p for p in found.files[1:]}
    cells, verdicts = [], []
    for task in results["results"]:
        rows = _rows(samples[task]) if task in samples else []
        for metric, name in _shown(results, task):
            known = _verdicts(rows, metric, name)
            cells.append(_cell(results, task, metric, name, known))
            verdicts.append(Verdicts(known, range(len(known))))
    config = results.get("config", {})
    settings = {**{k: results.get(k) for k in SETTINGS}, **{k: config.get(k) for k in CONFIG}}
    return Source(
        label=found.label,
        stamp=stamp,
        kind=found.kind,
        model=results.get("model_name") or config["model"],
        weights={k: results.get(k, config.get(k)) for k in WEIGHTS},
        settings={k: v for k, v in settings.items() if v is not None},
        trained=None,
        cells=cells,
        verdicts=verdicts,
    )


def _shown(results: Row, task: str) -> list[tuple[str, str]]:
    """(metric, filter) of the figures that are shown: RULER's, one a length; else the first of the task's own list,
    under the filter called flexible, else under the first.
    """
    values = {k: v for k, v in results["results"][task].items() if "," in k and "_stderr," not in k}
    keys = [(metric, name) for metric, _, name in (k.partition(",") for k in values)]
    lengths = [(m, f) for m, f in keys if m.isdigit()]
    if lengths:
        return [(m, f) for m, f in lengths if not _is_absent(results, task, f"{m},{f}")]
    listed = [m["metric"] for m in results.get("configs", {}).get(task, {}).get("metric_list") or ()]
    first = next((m for m in listed if any(m == k for k, _ in keys)), keys[0][0] if keys else None)
    under = [(m, f) for m, f in keys if m == first]
    return sorted(under, key=lambda key: "flexible" not in key[1])[:1]


def _is_absent(results: Row, task: str, key: str) -> bool:
    """Whether a length was not run: for a group, where it was not run for one of its tasks, whose -1 is in the mean."""
    members = [task, *results.get("group_subtasks", {}).get(task, ())]
    return any(results["results"].get(m, {}).get(key, ABSENT) == ABSENT for m in members)


def _cell(results: Row, task: str, metric: str, name: str, verdicts: Sequence[float]) -> Row:
    metrics = results["results"][task]
    value, error = metrics[f"{metric},{name}"], metrics.get(f"{metric}_stderr,{name}")
    known = isinstance(value, int | float) and math.isfinite(value)
    better = results.get("higher_is_better", {}).get(task, {}).get(metric)
    is_share = known and 0 <= value <= 1 and metric not in UNITS and not has_unit(metric) and better is not False
    n = len(verdicts) or _n(results, task, metric, name)
    interval = _interval(value, error, n, verdicts) if is_share else None
    version, shots = results.get("versions", {}).get(task), results.get("n-shot", {}).get(task)
    cell = {
        "task": f"lm_eval:{task}",
        "edition": ", ".join([f"lm-eval's version {version}", *([] if shots is None else [f"{shots} shots"])]),
        "length": int(metric) if metric.isdigit() else None,
        "prompt": PROMPT,
        "metric": f"{metric},{name}",
        "score": None if not known else round(100 * value, 2) if is_share else round(value, 4),
        "ci": None if interval is None else [round(100 * x, 2) for x in interval],
        "n": n,
        "overridden": False,
        "na": None if known else "lm-eval gives no number",
    }
    return {k: cell.get(k) for k in FIELDS}


def _n(results: Row, task: str, metric: str, name: str) -> int | None:
    """How many samples a value is of. One of a length is of an unknown part of the task's."""
    metrics = results["results"][task]
    if metric.isdigit():
        return None
    n: int | None = metrics.get("sample_count", {}).get(f"{metric},{name}")  # of a group
    return n or results.get("n-samples", {}).get(task, {}).get("effective") or metrics.get("sample_len")


def _interval(value: float, error: Any, n: int | None, verdicts: Sequence[float]) -> tuple[float, float] | None:
    """Of the verdicts where the value is their mean, else from lm-eval's standard error; Wilson's where that is 0 or
    not there; none without n.
    """
    if verdicts and abs(sum(verdicts) / len(verdicts) - value) < 1e-9:
        interval = mean_interval(verdicts)
        return interval.low, interval.high
    if isinstance(error, float) and error > 0:
        return max(0.0, value - Z95 * error), min(1.0, value + Z95 * error)
    return wilson([value] * n) if n else None


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}.") from error


def _verdicts(rows: Sequence[Row], metric: str, name: str) -> list[float]:
    """The values of one metric, one a sample. RULER gives a sample -1 at every length but its own."""
    found = [row[metric] for row in rows if row.get("filter", name) == name and metric in row]
    if not all(isinstance(v, int | float) for v in found):  # a metric over all samples at once keeps pairs or texts
        return []
    return [float(v) for v in found if not (metric.isdigit() and v == ABSENT)]
