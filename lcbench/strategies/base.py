"""How one answer is produced from an engine: what every strategy is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lcbench.engines.base import Engine
from lcbench.records import BatchCost, Completion, Sample, Sampling


@dataclass(frozen=True)
class Item:
    """A sample to answer. key: the sample's id, which keys sampling noise. render: messages and answer prefix ->
    token ids.

    extract: completion -> the answer that a vote would compare.
    """

    key: str
    sample: Sample
    stop: tuple[str, ...]
    render: Callable[[Sequence[dict[str, str]], str], tuple[int, ...]]
    extract: Callable[[str], str | None]


class Answers(Iterator[Completion], Protocol):
    """The answers of one batch as they come; `cost` once they have all come."""

    cost: BatchCost


class Strategy(Protocol):
    """needs: engine capabilities without which the strategy refuses, before a model is loaded."""

    name: str
    needs: frozenset[str]

    def answer(self, engine: Engine, items: Sequence[Item], sampling: Sampling) -> Answers: ...
