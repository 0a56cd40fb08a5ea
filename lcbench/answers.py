"""The accepted answers of a task's items, without a tokenizer, and the completion that a task's score must call right.

Tasks over data have answers by the name of the item; those whose samples are made have them in the samples only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lcbench.benchmarks import items, zero_scrolls
from lcbench.benchmarks.templates import template
from lcbench.data import babi, texts
from lcbench.schema import Task

ALL_OF_THEM = ("ruler.match_all", "includes_all")  # scorers that want every reference in the completion

# How a reference is said, for scorers that read no answer in the bare reference.
SAID = {
    "longbench_v2.official": "The correct answer is ({})",
    "math.verify": "\\boxed{{{}}}",
}


@dataclass(frozen=True)
class Answer:
    """What an item is scored against. columns: what a `gold:` template may use."""

    references: tuple[str, ...]
    fields: dict[str, Any]
    columns: Mapping[str, Any]


def known(task: Task) -> dict[str, Answer] | None:
    """The answers of a task over data, by the name of the item; None where samples are made.

    Raises MissingError where the data is not here.
    """
    if task.benchmark in READERS:
        return READERS[task.benchmark](task)
    return None


def unclear_id(task: Task) -> str | None:
    """The id column of a task's data that does not tell its items apart; None where there is no such trouble."""
    return items.unclear_id(items.load(task.data).rows) if task.benchmark in ("items", "longbench_v2") else None


def fields_of(task: Task) -> dict[str, Any]:
    """Fields that are the same for all samples of a task: the labels of BABILong, which are pulled with its prompts."""
    if task.benchmark != "babilong":
        return {}
    labels = texts.load("babilong").strings["TASK_LABELS"]
    return {"labels": list(labels[f"qa{task.params['question']}"])}


def gold(task: Task, references: Sequence[str], columns: Mapping[str, Any]) -> str:
    """A completion that must score 1: what `gold:` says, else the first reference, or all where all are wanted."""
    if task.gold is not None:
        return template(task.name, "gold", task.gold).render({"references": list(references), **columns})
    if task.scorer.name in ALL_OF_THEM:
        return " ".join(references)
    return SAID.get(task.scorer.name, "{}").format(references[0])


def _items(task: Task) -> dict[str, Answer]:
    rows = items.load(task.data).rows
    return {
        name: Answer(items.references_of(task, row), items.fields_of(task, row), row)
        for name, row in zip(items.names_of(rows), rows, strict=True)
    }


def _longbench_v2(task: Task) -> dict[str, Answer]:
    rows = items.load(task.data).rows
    return {name: Answer((str(row["answer"]),), {}, row) for name, row in zip(items.names_of(rows), rows, strict=True)}


def _zero_scrolls(task: Task) -> dict[str, Answer]:
    _, rows = zero_scrolls.rows_of(task)
    return {str(row["id"]): Answer(tuple(row["outputs"]), {}, row) for row in rows}


def _babilong(task: Task) -> dict[str, Answer] | None:
    told = task.params
    if told.get("samples", "made") != "made":
        return None
    shared = fields_of(task)
    found = babi.questions(told["question"], told.get("variant", "en-10k"), told.get("split", "test"))
    return {
        str(i): Answer((q.answer,), {"question": q.question, **shared}, {"question": q.question, "target": q.answer})
        for i, q in enumerate(found)
    }


READERS = {"items": _items, "longbench_v2": _longbench_v2, "zero_scrolls": _zero_scrolls, "babilong": _babilong}
