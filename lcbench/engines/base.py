"""What an engine is: something that turns a batch of requests into completions, and says what the batch cost."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

from lcbench.records import BatchCost, Completion, Request


class Generation(Iterator[Completion]):
    """The completions of one batch, each as soon as its row finishes. `cost` is there once the iterator is exhausted.

    Built on a generator that yields completions and returns the cost. Nothing runs before the first `next`, and time
    that the consumer spends between two completions is not in the cost.
    """

    cost: BatchCost

    def __init__(self, rows: Generator[Completion, None, BatchCost]):
        self._rows = rows

    def __next__(self) -> Completion:
        try:
            return next(self._rows)
        except StopIteration as end:
            if end.value is not None:
                self.cost = end.value
            raise


class Engine(Protocol):
    """capabilities: the calls it answers beyond `warm_up`, today "generate". A strategy that needs another refuses."""

    name: str
    version: str
    capabilities: frozenset[str]

    def generate(self, requests: Sequence[Request]) -> Generation:
        """Exactly these requests as one batch. Iterating raises EngineOutOfMemory when it does not fit."""

    def logprobs(self, requests: Sequence[Request]) -> Generation:
        """The likelihood of each request's `target` after its ids, as completions whose `likelihoods` hold one entry.
        In capabilities as "logprobs".
        """

    def warm_up(self) -> None:
        """Small untimed passes, so that the first batch does not pay for what happens once."""
