"""What every benchmark is given (a Brief) and what it gives back (a Cell of samples). Benchmarks know nothing of
engines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lcbench.errors import CannotBuild
from lcbench.prompting import CONTEXT, Fitter, Frame, Prompter
from lcbench.records import Sample
from lcbench.schema import Task
from lcbench.seeds import seed_of

ATTEMPTS = 16  # draws of a cell's first sample, which decides whether the length is below the task's least
PATIENCE = 4096  # draws of the later ones, so that what one sample fits all of them do


@dataclass(frozen=True)
class Wording:
    """The prompt strings of a task: official ones as pulled, or our own. `sha256` of their content goes into
    run.json.
    """

    template: str
    answer_prefix: str
    prompt: str
    source: str
    sha256: str


@dataclass(frozen=True)
class Brief:
    """All that decides a cell's samples: nothing else may."""

    task: Task
    prompter: Prompter
    length: int
    max_new_tokens: int
    seed: int
    wording: Wording

    def seed_for(self, index: int, attempt: int = 0) -> int:
        """The seed of one sample, independent of every other."""
        parts = (self.seed, self.task.name, self.task.version, self.length, index)
        return seed_of(*parts) if attempt == 0 else seed_of(*parts, attempt)

    def fitter(self) -> Fitter:
        return Fitter(self.prompter, self.task.name, self.length, self.max_new_tokens)


def endless(samples: int) -> tuple[int, int]:
    """A generated task has as many samples as one likes, and passes none over."""
    return samples, 0


@dataclass(frozen=True)
class Cell:
    """The samples of one task at one length. sample(i) is the same whatever else was asked for.

    prepare(n) -> (how many of n samples there are, how many items were passed over because they do not fit the length).
    materials: name -> {source, sha256} of the texts and data they are made of.
    """

    sample: Callable[[int], Sample]
    prepare: Callable[[int], tuple[int, int]] = endless
    materials: dict[str, dict[str, Any]] = field(default_factory=dict)


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
