"""One completion a sample, the likeliest token at every step."""

from __future__ import annotations

from collections.abc import Sequence

from lcbench.engines.base import Engine
from lcbench.records import Request, Sampling
from lcbench.strategies.base import Answers, Item


class Greedy:
    name = "greedy"
    needs = frozenset({"generate"})

    def answer(self, engine: Engine, items: Sequence[Item], sampling: Sampling) -> Answers:
        """One request an item, all in one batch."""
        requests = [
            Request(
                i.key, i.render(i.sample.messages, i.sample.answer_prefix), i.sample.max_new_tokens, i.stop, sampling
            )
            for i in items
        ]
        return engine.generate(requests)
