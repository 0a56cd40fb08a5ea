"""What counts the tokens of prompts while tasks are checked: a model's tokenizer, or nothing where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcbench import models
from lcbench.errors import CannotBuild
from lcbench.models.fetch import alias_present
from lcbench.plan import context_length, open_cell, prompter_of
from lcbench.prompting import Prompter
from lcbench.records import Sample
from lcbench.schema import RunConfig, Task

DEFAULT_MODEL = "smollm2-135m"
FIRST, LAST = 2048, 65536  # lengths tried for a task that fills one and was given none


@dataclass(frozen=True)
class Counting:
    """Where samples are built: the configuration, what counts, and the model's context, None where it has none.

    `counts` is False without a tokenizer: then prompts are rendered and no budget is checked.
    """

    config: RunConfig
    prompter: Prompter
    context: int | None
    counts: bool


class Uncounted:
    """In the place of a Prompter where there is no tokenizer: renders messages plainly, and nothing has tokens."""

    offsets: tuple[tuple[int, int], ...] = ()

    @property
    def backend(self) -> Uncounted:
        return self

    def encode(self, text: str, add_special_tokens: bool = True) -> Uncounted:
        return self

    def conversation(self, content: str) -> tuple[dict[str, str], ...]:
        return ({"role": "user", "content": content},)

    def render(self, messages: Sequence[dict[str, str]], answer_prefix: str) -> str:
        return "\n\n".join(m["content"] for m in messages) + answer_prefix

    def count(self, text: str) -> int:
        return 0


def counting_with(config: RunConfig, asked: bool) -> Counting:
    """The tokenizer of the configuration's model. Where it was not asked for by name, only one that is here is taken.

    Raises LcbenchError where a model that was asked for cannot be had.
    """
    if not asked and not alias_present(config.model):
        nothing: Any = Uncounted()
        return Counting(config, nothing, None, counts=False)
    model = models.resolve(config.model, config.model_args, tokenizer_only=True)
    return Counting(config, prompter_of(model, config), context_length(model, config), counts=True)


def lengths_of(task: Task, by: Counting) -> list[int | None]:
    """The lengths to check a task at: those asked for, else the model's context for texts of their own length, and for
    a task that fills one the least of 2k, 4k .. 64k at which it has a sample.

    Raises CannotBuild where it has none at any of them.
    """
    if task.lengths == "ignored":
        return [None]
    if by.config.lengths:
        return list(by.config.lengths)
    if task.lengths == "budget":
        return [by.context]
    length = FIRST
    while True:
        try:
            first_sample(task, length, by)
            return [length]
        except CannotBuild:
            if length >= LAST:
                raise
            length *= 2


def first_sample(task: Task, length: int | None, by: Counting, index: int = 0) -> Sample:
    """A sample of the task, by default its first. Raises CannotBuild where there is none."""
    brief, cell = open_cell(task, length, by.prompter, by.config, by.context)
    n, _ = cell.prepare(index + 1)
    if n <= index:
        raise CannotBuild(f"only {n} of its items fit {brief.limit} tokens" if n else "none of its items fits")
    return cell.sample(index)
