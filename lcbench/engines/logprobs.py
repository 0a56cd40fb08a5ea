"""How likely given texts are: the sum of log p over a target's tokens, and whether greedy decoding would write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from lcbench.records import Request

Places = list[tuple[int, int]]  # (slot, position) pairs
Passes = Callable[[Sequence[tuple[int, ...]], Sequence[int]], Iterator[tuple[Places, torch.Tensor]]]


def likelihoods(requests: Sequence[Request], passes: Passes) -> list[tuple[float, bool]]:
    """(log p of the target in nats, all its tokens are the likeliest) of each request, in their order.

    passes: sequences, longest first, and each one's first place whose logits are wanted -> places and logits, pass by
    pass. Position i predicts token i + 1, so that the last token of a target is never put in. An empty target is
    certain.
    """
    inputs = [request.ids + request.target[:-1] for request in requests]
    order = sorted(range(len(requests)), key=lambda i: -len(inputs[i]))
    first = [len(requests[i].ids) - bool(requests[i].target) for i in order]
    sums, greedy = [0.0] * len(requests), [True] * len(requests)
    for places, logits in passes([inputs[i] for i in order], first):
        wanted = [requests[order[slot]].target[at - first[slot]] for slot, at in places]
        chances, likeliest = at_targets(logits, torch.tensor(wanted, device=logits.device))
        for (slot, _), chance, best in zip(places, chances.tolist(), likeliest.tolist(), strict=True):
            sums[order[slot]] += chance
            greedy[order[slot]] &= best
    return list(zip(sums, greedy, strict=True))


def at_targets(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """logits [N, V], token ids [N] -> their log p, in fp32 at least, and whether each is the likeliest token."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    chances = exact.gather(1, targets[:, None])[:, 0] - exact.logsumexp(1)
    return chances, exact.argmax(1) == targets
