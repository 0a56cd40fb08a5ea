"""`lcbench tasks show`: what a task is, and its first finished prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lcbench import answers
from lcbench.benchmarks.wording import wording
from lcbench.lengths import show_length
from lcbench.plan import check_texts
from lcbench.prompting import Prompter
from lcbench.records import Sample, Score
from lcbench.schema import RunConfig, Task
from lcbench.score import one_task
from lcbench.scoring import bind
from lcbench.validate.checks import short
from lcbench.validate.counting import counting_with, first_sample, lengths_of

ENDS = 1500  # characters of each end of a long prompt that are shown
MARK = re.compile("\ue001(\\d+)\ue001")  # records.answer_mark


def show(name: str, config: RunConfig, index: int = 0, full: bool = False) -> Iterator[str]:
    """The lines that describe one task, and a finished sample of it; the first come before anything is built.

    Raises UsageError for a name that is not one task, LcbenchError where the sample cannot be built.
    """
    task = one_task(name)
    yield from described(task)
    check_texts([task], config)
    by = counting_with(config, asked=True)
    length = lengths_of(task, by)[0]
    sample = first_sample(task, length, by, index)
    yield ""
    yield from finished(task, sample, by.prompter, full)
    yield f"prompt: {wording(task, config.prompt).prompt}"
    if task.benchmark != "lm_eval":
        yield from judged(task, sample)


def described(task: Task) -> Iterator[str]:
    """What the task's file says about it."""
    yield f"{task.name}, version {task.version}"
    told: dict[str, Any] = {
        "": task.description,
        "source": task.source,
        "also": ", ".join(task.aliases),
        "data": task.data
        if isinstance(task.data, tuple)
        else task.data.file or f"{task.data.hub}@{task.data.revision}",
        "benchmark": task.benchmark,
        "params": ", ".join(f"{k}={v}" for k, v in task.params.items()),
        "lengths": task.lengths,
        "answer": f"up to {task.generate.max_new_tokens} tokens",
        "score": _scorer(task),
        "beside": ", ".join(s.name for s in task.scorers_beside),
    }
    for key, value in told.items():
        text = " or ".join(value) if isinstance(value, tuple) else value
        if text:
            yield f"  {key}: {text}" if key else f"  {text}"
    for divergence in task.divergences:
        yield f"  differs: {divergence}"


def _scorer(task: Task) -> str:
    told = ", ".join(f"{k}={v!r}" for k, v in task.scorer.arguments.items())
    return f"{task.scorer.name}({told})" if told else task.scorer.name


def finished(task: Task, sample: Sample, prompter: Prompter, full: bool) -> Iterator[str]:
    """The prompt as the model gets it, and what it takes of the length."""
    whole = sample.prompt_tokens + sample.max_new_tokens
    at = f", of {show_length(sample.length)}" if sample.length else ""
    yield f"--- {sample.id}"
    yield _elided(prompter.render(sample.messages, sample.answer_prefix), full)
    for i, turn in enumerate(sample.later, 2):
        text = prompter.render(turn.messages, turn.answer_prefix)
        yield f"--- request {i}, up to {turn.max_new_tokens} tokens"
        yield _elided(MARK.sub(lambda m: f"[answer {int(m[1]) + 1}]", text), full)
    for option in sample.options:
        yield f"--- option {option.continuation!r}"
    yield "---"
    cut = ", cut to fit" if sample.truncated else ""
    yield f"tokens: {sample.prompt_tokens} of prompt + {sample.max_new_tokens} of answer = {whole}{at}{cut}"


def _elided(text: str, full: bool) -> str:
    left_out = len(text) - 2 * ENDS
    if full or left_out <= 0:
        return text
    return f"{text[:ENDS]}\n[.. {left_out:,} characters left out; --full shows them ..]\n{text[-ENDS:]}"


def judged(task: Task, sample: Sample) -> Iterator[str]:
    """What the sample is scored against, and how its gold completion and the empty one score."""
    if not sample.references:
        yield "references: none, the data has no labels"
        return
    yield f"references: {', '.join(map(short, sample.references))}"
    score = bind(task.scorer.name, task.scorer.arguments)
    item = sample.id.split(":", task.name.count(":") + 2)[-1]
    answer = (answers.known(task) or {}).get(item)
    gold = answers.gold(task, sample.references, answer.columns if answer else {})
    verdicts = [score(text, sample.references, sample.fields) for text in (gold, "")]
    yield f"gold: {short(gold)} scores {_value(verdicts[0])}, an empty completion {_value(verdicts[1])}"


def _value(score: Score) -> str:
    return "n/a" if score.value is None else f"{score.value:g}"
