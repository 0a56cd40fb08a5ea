"""One answer a sample, the likeliest token at every step; or the likelihoods of the options that a sample has."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from lcbench.engines.base import Engine, Generation
from lcbench.records import BatchCost, Completion, Request, Sampling
from lcbench.strategies.base import Answers, Item, add_costs


class Greedy:
    name = "greedy"
    needs = frozenset({"generate"})

    def answer(self, engine: Engine, items: Sequence[Item], sampling: Sampling) -> Answers:
        """One request an item and turn, those of a turn in one batch. All items of a batch are of one kind."""
        if items[0].sample.options:
            return Generation(likelihoods(engine, items))
        requests = [
            Request(
                i.key, i.render(i.sample.messages, i.sample.answer_prefix), i.sample.max_new_tokens, i.stop, sampling
            )
            for i in items
        ]
        if not items[0].sample.later:
            return engine.generate(requests)
        return Generation(turns(engine, items, requests, sampling))


def turns(
    engine: Engine, items: Sequence[Item], requests: Sequence[Request], sampling: Sampling
) -> Generator[Completion, None, BatchCost]:
    """The last turn's completions; those before it ride along as `earlier`, their tokens in front."""
    generation = engine.generate(requests)
    before = {c.key: c for c in generation}
    costs = [generation.cost]
    count = len(items[0].sample.later)
    for k in range(count):
        requests = []
        for i in items:
            turn = i.sample.later[k]
            ids = i.render_turn(turn, (*before[i.key].earlier, before[i.key].text))
            requests.append(Request(i.key, ids, turn.max_new_tokens, turn.stop, sampling))
        generation = engine.generate(requests)
        after = {}
        for completion in generation:
            first = before[completion.key]
            joined = replace(completion, ids=first.ids + completion.ids, earlier=(*first.earlier, first.text))
            after[joined.key] = joined
            if k == count - 1:
                yield joined
        before = after
        costs.append(generation.cost)
    return add_costs(costs)


def likelihoods(engine: Engine, items: Sequence[Item]) -> Generator[Completion, None, BatchCost]:
    """One completion an item: the likelihood of each of its options, the text of the likeliest."""
    requests = [
        Request(f"{i.key}#{k}", context, 0, target=target)
        for i in items
        for k, (context, target) in enumerate(map(i.render_option, i.sample.options))
    ]
    generation = engine.logprobs(requests)
    scored = {c.key: c for c in generation}
    for i in items:
        parts = [scored[f"{i.key}#{k}"] for k in range(len(i.sample.options))]
        found = tuple(c.likelihoods[0] for c in parts)
        best = max(range(len(found)), key=lambda k: found[k][0])
        yield Completion(i.key, i.sample.options[best].continuation, (), "scored", likelihoods=found)
    # the batch is as many samples, however many requests they took: so a run folder knows whether it is whole
    return replace(generation.cost, size=len(items))
