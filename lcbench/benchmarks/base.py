"""What every benchmark is given (a Brief) and what it gives back (a Cell of samples). Benchmarks know nothing of
engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lcbench.errors import CannotBuild
from lcbench.prompting import CONTEXT, Fitter, Frame, Prompter
from lcbench.records import Completion, Sample, Score
from lcbench.schema import Task
from lcbench.seeds import seed_of

ATTEMPTS = 16  # draws of a cell's first sample, which decides whether the length is below the task's least
PATIENCE = 4096  # draws of the later ones, so that what one sample fits all of them do


@dataclass(frozen=True)
class Wording:
    """The prompt strings of a task. prompt: "official" for the benchmark's own, "builtin" for ours, "task" for those
    that the task's file holds.

    entry: the task's entry of the texts, strings: all of them. `sha256` of the entry goes into run.json.
    """

    prompt: Literal["official", "builtin", "task"]
    source: str
    sha256: str
    entry: Any = None
    strings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def template(self) -> str:
        return str(self.entry["template"])

    @property
    def answer_prefix(self) -> str:
        return str(self.entry["answer_prefix"])


@dataclass(frozen=True)
class Brief:
    """All that decides a cell's samples: nothing else may.

    length: what was asked for, None for a task that ignores it. limit: the most tokens that prompt and answer may have
    together: the length, else the model's context, None where neither is known. context: the model's.
    overridden: max_new_tokens was asked for, and is not the task's own.
    """

    task: Task
    prompter: Prompter
    length: int | None
    limit: int | None
    max_new_tokens: int
    seed: int
    wording: Wording
    context: int | None = None
    overridden: bool = False

    def seed_for(self, index: int, attempt: int = 0) -> int:
        """The seed of one sample, independent of every other."""
        parts = (self.seed, self.task.name, self.task.version, self.length, index)
        return seed_of(*parts) if attempt == 0 else seed_of(*parts, attempt)

    @property
    def filled(self) -> int:
        """The length of a task that fills one."""
        assert self.length is not None, f"{self.task.name} fills a length, and there is none"
        return self.length

    def fitter(self) -> Fitter:
        return Fitter(self.prompter, self.task.name, self.filled, self.max_new_tokens)

    def sample_id(self, item: str | int) -> str:
        """The id of a sample: task, length, and the item's name in its data, or the index of one that is made."""
        return f"{self.task.name}:{'-' if self.length is None else self.length}:{item}"


def endless(samples: int) -> tuple[int, int]:
    """A generated task has as many samples as one likes, and passes none over."""
    return samples, 0


@dataclass(frozen=True)
class Cell:
    """The samples of one task at one length. sample(i) is the same whatever else was asked for.

    prepare(n) -> (how many of n samples there are, how many items were passed over because they do not fit the length).
    materials: name -> {source, sha256} of the texts and data they are made of. verdict: for samples whose benchmark
    scores them itself, in place of the task's scorers. wording: whose the prompts are, where the data decides that.
    bounded: its samples keep to the length; ready-made ones may not.
    """

    sample: Callable[[int], Sample]
    prepare: Callable[[int], tuple[int, int]] = endless
    materials: dict[str, dict[str, Any]] = field(default_factory=dict)
    verdict: Callable[[Sample, Completion], Score] | None = None
    wording: Wording | None = None
    bounded: bool = True


def fill(template: str, **fields: str) -> str:
    """`template` with its {fields} filled in one pass, so that braces inside a value stay what they are."""
    return template.format_map(fields)


def literal(text: str) -> str:
    """`text` as part of a template: its braces stay braces."""
    return text.replace("{", "{{").replace("}", "}}")


def frame(brief: Brief, template: str, answer_prefix: str, **fields: str) -> Frame:
    """The frame around the haystack, which stands where {context} does, with the answer prefix filled in."""
    return brief.prompter.frame(fill(template, context=CONTEXT, **fields), fill(answer_prefix, **fields))


def redrawn(brief: Brief, index: int, draw: Callable[[int], Sample]) -> Sample:
    """draw(seed), drawn again where the drawn words happen not to fit a length near the task's least.

    Raises CannotBuild where none of them fits.
    """
    for attempt in range(PATIENCE if index else ATTEMPTS):
        try:
            return draw(brief.seed_for(index, attempt))
        except CannotBuild as error:
            reason = error
    raise reason
