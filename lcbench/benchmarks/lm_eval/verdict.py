"""A completion -> what lm-eval's own filters and metrics say of it (evaluator.py, evaluate: one item of its loop)."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

from lcbench.benchmarks.lm_eval.loading import ONE_BY_ONE, ROLLING, Loaded, explained, quietly
from lcbench.records import Completion, Sample, Score

NOTHING = "[invalid]"  # what its regex filters give where they find nothing: filters/extraction.py

Metrics = dict[tuple[str, str], Any]  # (metric, filter) -> its value for one item


def verdict_of(loaded: Loaded) -> Callable[[Sample, Completion], Score]:
    """The verdict of a task: its main metric under its main filter, all others beside it as `metric,filter`."""

    def verdict(sample: Sample, completion: Completion) -> Score:
        try:
            metrics, filtered = measured(loaded, sample.fields["doc"], responses_of(loaded, completion))
            if loaded.metric is None:
                return Score(None, completion.text, (), rolling(loaded, metrics))
            main = main_of(loaded, metrics)
            values, flags = shares(loaded, metrics)
            if main not in values:
                return Score(0.0, None, (f"metric failed: {','.join(main)} is {metrics.get(main)!r}", *flags))
            beside = {",".join(key): value for key, value in values.items() if key != main}
            return Score(values[main], extracted_of(loaded, completion, filtered[loaded.filter]), flags, beside)
        except Exception as error:  # a metric runs what its author wrote, on whatever a model says
            told = " ".join(str(error).split())[:200]
            return Score(0.0, None, (f"metric failed: {type(error).__name__}: {told}",))

    return verdict


def responses_of(loaded: Loaded, completion: Completion) -> list[list[Any]]:
    """What lm-eval's model would have answered: for each request its answers, as often as the task asks for them."""
    repeats = int(loaded.task.config.repeats or 1)
    if loaded.task.OUTPUT_TYPE == "generate_until":
        return [[completion.text] * repeats]
    if loaded.task.OUTPUT_TYPE == "loglikelihood_rolling":
        return [[completion.likelihoods[0][0]] * repeats]
    return [[likelihood] * repeats for likelihood in completion.likelihoods]


def measured(loaded: Loaded, item: int, responses: list[list[Any]]) -> tuple[Metrics, dict[str, Any]]:
    """Every metric of an item under every filter, and what each filter made of the first request's answers."""
    from lm_eval.api.instance import Instance

    task, doc = loaded.task, loaded.docs[item]
    kind = "loglikelihood" if task.OUTPUT_TYPE == "multiple_choice" else task.OUTPUT_TYPE
    instances = [
        Instance(kind, doc, (), k, (loaded.name, item, len(answers)), list(answers))
        for k, answers in enumerate(responses)
    ]
    metrics: Metrics = {}
    with quietly():
        for ensemble in task._filters:
            ensemble.apply(instances)
        for name in instances[0].filtered_resps:
            found = task.process_results(doc, [instance.filtered_resps[name] for instance in instances])
            metrics.update({(str(metric), name): value for metric, value in found.items()})
    return metrics, instances[0].filtered_resps


def main_of(loaded: Loaded, metrics: Metrics) -> tuple[str, str]:
    """The metric and filter of the score. A metric that gives several (pass_at_k: pass@1, ..) is its first."""
    assert loaded.metric is not None
    names = [metric for metric, name in metrics if name == loaded.filter]
    return (loaded.metric if loaded.metric in names or not names else names[0]), loaded.filter


def shares(loaded: Loaded, metrics: Metrics) -> tuple[dict[tuple[str, str], float], tuple[str, ...]]:
    """The metrics that are a share of this item, 0 to 1; flags name those that are another number."""
    aggregations = loaded.task.aggregation()
    values, flags = {}, []
    for (metric, name), value in metrics.items():
        if getattr(aggregations.get(metric), "__name__", "mean") not in ONE_BY_ONE:
            continue  # meant for the whole set: `notes` of the materials names it
        single = isinstance(value, Real) or getattr(value, "shape", None) == ()
        if single and 0 <= float(value) <= 1:
            values[metric, name] = float(value)
        else:
            flags.append(f"{metric},{name} is not between 0 and 1")
    return values, tuple(flags)


def rolling(loaded: Loaded, metrics: Metrics) -> dict[str, float]:
    """Bits per byte of one text, by lm-eval's own aggregation over it alone."""
    aggregate = loaded.task.aggregation().get(ROLLING)
    if aggregate is None:
        return {}
    return {f"{ROLLING},{name}": float(aggregate([v])) for (metric, name), v in metrics.items() if metric == ROLLING}


def extracted_of(loaded: Loaded, completion: Completion, filtered: Any) -> str | None:
    """The answer that was scored; None where the filter found none."""
    if loaded.task.OUTPUT_TYPE != "generate_until":
        return completion.text.strip()
    answer = filtered[0] if isinstance(filtered, (list, tuple)) and filtered else filtered
    return None if answer in (NOTHING, "", [], None) else str(answer)


def check_packages(loaded: Loaded) -> None:
    """Score an empty answer once, so that a package that the metric lacks is missed before a model is loaded."""
    count = len(loaded.task.doc_to_choice(loaded.docs[0])) if loaded.task.config.doc_to_choice else 1
    nothing = Completion("", "", (), "scored", likelihoods=((-1.0, False),) * count)
    try:
        measured(loaded, 0, responses_of(loaded, nothing))
    except ImportError as error:
        raise explained(loaded.name, error) from error
    except Exception:  # an empty answer may be more than a metric bears
        return
