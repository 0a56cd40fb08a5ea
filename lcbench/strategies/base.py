"""How one answer is produced from an engine: what every strategy is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lcbench.engines.base import Engine
from lcbench.records import BatchCost, Completion, Option, Sample, Sampling, Turn


@dataclass(frozen=True)
class Item:
    """A sample to answer. key: the sample's id, which keys sampling noise. render: messages and answer prefix ->
    token ids. render_turn: a later turn and what was answered before it -> token ids. render_option: an option ->
    token ids of what comes before it, and of the option itself.

    extract: completion -> the answer that a vote would compare.
    """

    key: str
    sample: Sample
    stop: tuple[str, ...]
    render: Callable[[Sequence[dict[str, str]], str], tuple[int, ...]]
    render_turn: Callable[[Turn, Sequence[str]], tuple[int, ...]]
    render_option: Callable[[Option], tuple[tuple[int, ...], tuple[int, ...]]]
    extract: Callable[[str], str | None]


def add_costs(costs: Sequence[BatchCost]) -> BatchCost:
    """What several batches over the same rows cost together. Memory is the highest of them."""
    peaks = [c.peak_memory_bytes for c in costs if c.peak_memory_bytes is not None]
    return BatchCost(
        size=costs[0].size,
        prompt_tokens=sum(c.prompt_tokens for c in costs),
        new_tokens=sum(c.new_tokens for c in costs),
        prefill_s=sum(c.prefill_s for c in costs),
        decode_s=sum(c.decode_s for c in costs),
        decode_steps=sum(c.decode_steps for c in costs),
        peak_memory_bytes=max(peaks) if peaks else None,
    )


class Answers(Iterator[Completion], Protocol):
    """The answers of one batch as they come; `cost` once they have all come."""

    cost: BatchCost


class Strategy(Protocol):
    """needs: engine capabilities without which the strategy refuses, before a model is loaded."""

    name: str
    needs: frozenset[str]

    def answer(self, engine: Engine, items: Sequence[Item], sampling: Sampling) -> Answers: ...
