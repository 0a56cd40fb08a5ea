"""A task of lm-eval at work: its items, which examples stand before each, and which of its metrics is the score."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcbench.benchmarks.lm_eval.data import Splits, splits_of
from lcbench.benchmarks.lm_eval.find import locate
from lcbench.errors import LcbenchError, MissingError, UsageError
from lcbench.schema import LmEvalParams
from lcbench.seeds import digest

FEWSHOT_SEED = 1234  # what lm-eval's evaluator gives every task, defaults.py DEFAULT_OTHER_SEED
SEEDS = (0, 1234)  # of `random` and numpy, which it sets before it loads tasks: some shuffle choices as they load
ROLLING = "bits_per_byte"  # has a value for each text of a task of rolling likelihoods
ONE_BY_ONE = {"mean", "nanmean"}  # aggregations over which an item has a value of its own
CHATTY = ("lm_eval", "huggingface_hub")
LIBRARIES = ("httpx", "requests", "huggingface_hub", "datasets")


@dataclass(frozen=True)
class Loaded:
    """task: lm-eval's own object. docs: its items in their order. metric, filter: which of its verdicts is the score;
    metric is None for rolling likelihoods, which have none.
    """

    name: str
    task: Any
    docs: Sequence[Any]
    shots: int
    metric: str | None
    filter: str
    materials: dict[str, dict[str, Any]]


class Shots:
    """Stands in for a task's sampler of few-shot examples, so that an item's do not depend on which items are taken:
    item i has the i-th draw of the generator, as in a run of lm-eval over all items.
    """

    def __init__(self, task: Any, docs: Sequence[Any], n: int):
        task.set_fewshot_seed(FEWSHOT_SEED)
        self.sampler, self.docs, self.n = task.sampler, docs, n
        # lm-eval api/task.py, fewshot_context: an item is not its own example
        self.exclude = task.fewshot_cfg.split == task.config.test_split
        self.drawn: list[Sequence[Any]] = []
        self.item = 0

    def turn_to(self, item: int) -> None:
        """From now on `sample` gives this item's examples."""
        while len(self.drawn) <= item:
            doc = self.docs[len(self.drawn)]
            self.drawn.append(self.sampler.sample(n=self.n, eval_doc=doc if self.exclude else None))
        self.item = item

    def sample(self, n: int, eval_doc: Any = None, df: Any = None, **more: Any) -> Sequence[Any]:
        """What lm-eval calls."""
        return self.drawn[self.item]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings of lm-eval and of the hub, and without the progress bars of `datasets`."""
    import datasets

    loggers, shown = [logging.getLogger(name) for name in CHATTY], datasets.is_progress_bar_enabled()
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            datasets.enable_progress_bars()


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """With the generators of the process as lm-eval's evaluator sets them, and as they were afterwards."""
    kept, kept_numpy = random.getstate(), np.random.get_state()
    random.seed(SEEDS[0])
    np.random.seed(SEEDS[1])
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_numpy)


def load(params: LmEvalParams) -> Loaded:
    """A task of the installed lm-eval with its data.

    Raises MissingError for data or packages that are not here, UsageError for what cannot run as asked.
    """
    path, name = locate(params.task)
    with quietly(), seeded():
        task, splits, shots = _task(path, name, params.num_fewshot)
        docs = _docs(name, task)
        if shots:
            _draw_first(name, task, docs, shots)
    metric, chosen = score_of(name, task), filter_of(task)
    return Loaded(name, task, docs, shots, metric, chosen, materials_of(path, task, docs, splits, shots))


def _task(path: Path, name: str, asked: int | None) -> tuple[Any, Splits | None, int]:
    """lm-eval's task object, its data set replaced by one that is found here, and the number of its examples."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(path.parent), include_defaults=False)
    if name not in manager.task_index:
        raise UsageError(f"{path} cannot be read by lm-eval as the task {name}.")
    config = manager.task_index[name].cfg or {}
    _refuse(name, config)
    splits = splits_of(config)
    shots = _shots(name, config.get("num_fewshot"), asked)
    changes: dict[str, Any] = {} if splits is None else {"custom_dataset": lambda **_: splits}
    if not shots:  # then their split is not read, and need not be here
        changes |= {"fewshot_split": None, "fewshot_config": {"samples": []}}
    # a group made on the spot, because only members of groups take changes
    group = {"group": "lcbench", "task": [{"task": name, **changes}]}
    try:
        return manager.load([group])["tasks"][name], splits, shots
    except LcbenchError:
        raise
    except Exception as error:  # a task runs what its author wrote
        raise explained(name, error) from error


def _refuse(name: str, config: dict[str, Any]) -> None:
    """Raises UsageError for kinds of tasks that this engine cannot answer or this harness will not score."""
    why = {
        "class": "is written as a Python class, and only tasks that are YAML can be given data and examples from here",
        "unsafe_code": "runs the code that the model writes",
        "doc_to_image": "shows pictures to the model",
        "doc_to_audio": "plays sounds to the model",
    }
    for key, reason in why.items():
        if config.get(key):
            raise UsageError(f"lm_eval:{name} {reason}: not supported.")


def explained(name: str, error: Exception) -> LcbenchError:
    """What went wrong inside lm-eval, as something that a person can mend."""
    told = " ".join(str(error).split())[:300] or type(error).__name__
    if "antlr4" in told:
        return MissingError(
            f"lm_eval:{name} needs the version of antlr4-python3-runtime that sympy reads LaTeX with.",
            hint="pip install 'antlr4-python3-runtime==4.11.*'",
        )
    if isinstance(error, ImportError):
        hint = f"pip install {error.name}" if error.name else None
        return MissingError(f"lm_eval:{name} needs a package that is not here: {told}.", hint)
    if isinstance(error, OSError) or type(error).__module__.startswith(LIBRARIES):
        return MissingError(f"The data of lm_eval:{name}, which lm-eval reads by itself, cannot be had: {told}.")
    return UsageError(f"lm-eval cannot load {name}: {type(error).__name__}: {told}.")


def _shots(name: str, own: int | None, asked: int | None) -> int:
    """How many examples stand before each item: those asked for, else the task's own number."""
    if asked is not None and asked != own and own == 0:
        raise UsageError(f"lm_eval:{name} fixes num_fewshot at 0.")
    return int(asked if asked is not None else own or 0)


def _docs(name: str, task: Any) -> Sequence[Any]:
    docs = list(task.eval_docs)
    if not docs:
        raise UsageError(f"lm_eval:{name} has no items.")
    return docs


def _draw_first(name: str, task: Any, docs: Sequence[Any], shots: int) -> None:
    """Put our sampler in place. Raises UsageError where there are not enough examples."""
    drawing = Shots(task, docs, shots)
    try:
        drawing.turn_to(0)
    except (AssertionError, ValueError) as error:
        raise UsageError(f"lm_eval:{name}: num_fewshot={shots}: {error}.") from error
    task.sampler = drawing


def score_of(name: str, task: Any) -> str | None:
    """The metric that is the score: the task's first that every item has a value of its own in, and more is better.

    Raises UsageError where all are computed over the whole set, like a corpus BLEU: a record has a verdict of its own.
    """
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return None
    better, aggregations = task.higher_is_better(), task.aggregation()
    for metric, aggregate in aggregations.items():
        if getattr(aggregate, "__name__", "") in ONE_BY_ONE and better.get(metric, True):
            return str(metric)
    metrics = ", ".join(map(str, aggregations))
    raise UsageError(f"lm_eval:{name} is scored by {metrics}, computed over all items at once: not supported.")


def filter_of(task: Any) -> str:
    """The filter whose verdict is the score: one that is called flexible, else the task's first."""
    names = [str(ensemble.name) for ensemble in task._filters]
    return next((n for n in names if "flexible" in n), names[0])


def notes_of(task: Any) -> list[str]:
    """What of the task is not done here."""
    notes = []
    how = task.config.generation_kwargs or {}
    if task.OUTPUT_TYPE == "generate_until" and (how.get("do_sample") or how.get("temperature")):
        notes.append(
            f"lm-eval samples its answers (temperature {how.get('temperature', 1.0)}); the strategy decides here"
        )
    whole = [m for m, f in task.aggregation().items() if getattr(f, "__name__", "") not in ONE_BY_ONE]
    if task.OUTPUT_TYPE == "loglikelihood_rolling" and ROLLING in whole:
        whole.remove(ROLLING)
        notes.append(f"{ROLLING} is the mean over texts; lm-eval weighs each by its bytes")
    if whole:
        notes.append(f"computed over all items at once, and not here: {', '.join(map(str, whole))}")
    return notes


def materials_of(
    path: Path, task: Any, docs: Sequence[Any], splits: Splits | None, shots: int
) -> dict[str, dict[str, Any]]:
    """What the samples are made of: the items, the examples, and lm-eval itself."""
    import lm_eval

    version = {"source": f"lm-eval {lm_eval.__version__}", "task_version": str(task.VERSION), "num_fewshot": shots}
    found = {"lm_eval": {**version, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "notes": notes_of(task)}}
    if splits is None:
        told = json.dumps(docs, sort_keys=True, default=str)
        origin = task.config.dataset_path or "the task itself"
        return {**found, "data": {"source": f"lm-eval's own reading of {origin}", "sha256": digest(told)}}
    tested = task.config.test_split or task.config.validation_split
    for split, rows in splits.used.items():
        if split == tested or shots:
            key = "data" if split == tested else f"data_{re.sub(r'[^0-9a-zA-Z]+', '_', split)}"
            found[key] = {"source": rows.source, "revision": rows.revision, "sha256": rows.sha256}
    return found
