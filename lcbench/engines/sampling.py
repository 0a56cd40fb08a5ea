"""From logits to tokens, and from tokens to the text of a completion: greedy or seeded draws, stop strings, the end.

Nothing here depends on which rows share a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lcbench.records import Completion, Request, Sampling
from lcbench.seeds import seed_of


def uniform(seed: int, key: str, position: int) -> float:
    """The noise of one token, in [0, 1) with 53 bits. No batch and no order can change it."""
    return (seed_of(seed, key, position) >> 11) / 2**53


def draw(logits: torch.Tensor, samplings: Sequence[Sampling], noise: Sequence[float]) -> torch.Tensor:
    """One token a row from logits [B, V] by inverse CDF over falling probabilities, in fp64. Returns [B] int64.

    temperature, then the top_k likeliest (0: all), then the shortest head of what remains that reaches top_p, as
    transformers orders its warpers. Rows of temperature 0 take the largest logit. Ties go to the lowest id.
    """

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    vocabulary = logits.shape[1]
    temperature = column([sampling.temperature for sampling in samplings])
    scaled = logits.double() / temperature.where(temperature > 0, 1.0)
    chances, ids = scaled.softmax(-1).sort(dim=-1, descending=True, stable=True)
    kept = column([sampling.top_k or vocabulary for sampling in samplings])
    chances = chances.where(torch.arange(vocabulary, device=logits.device) < kept, 0.0)
    chances = chances / chances.sum(-1, keepdim=True)
    before = chances.cumsum(-1) - chances
    chances = chances.where(before < column([sampling.top_p for sampling in samplings]), 0.0)
    heights = chances.cumsum(-1)
    rank = (heights <= column(list(noise)) * heights[:, -1:]).sum(-1, keepdim=True)
    return torch.where(temperature[:, 0] > 0, ids.gather(1, rank)[:, 0], logits.argmax(-1))


class Row:
    """One request on its way: the tokens so far and, once it is over, why."""

    def __init__(self, request: Request, eos: frozenset[int], tokenizer: Any):
        self.request = request
        self.eos = eos
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self.finish: str | None = None
        # A token carries at least a byte, so a stop string that has just been completed lies within as many tokens as
        # it has bytes; a few more, because decoders treat the first token of a text in their own way.
        self.tail = 8 + max((len(stop.encode()) for stop in request.stop), default=0)

    def take(self, token: int) -> bool:
        """Append a token; whether the row is finished."""
        self.ids.append(token)
        if token in self.eos:
            self.finish = "eos"
        elif self.request.stop and self._cut(self._text(self.ids[-self.tail :])) and self._cut(self._text(self.ids)):
            self.finish = "stop"
        elif len(self.ids) == self.request.max_new_tokens:
            self.finish = "length"
        return self.finish is not None

    def completion(self) -> Completion:
        """Text ends before the first stop string; ids are all that were generated, an end of sequence included."""
        text, finish = self._text(self.ids), self.finish
        cut = self._cut(text)
        if cut:
            text, finish = text[: cut[0]], "stop"
        return Completion(self.request.key, text, tuple(self.ids), str(finish))

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def _cut(self, text: str) -> list[int]:
        """Where stop strings begin in the text, the first of them first."""
        return sorted(at for at in map(text.find, self.request.stop) if at >= 0)


def choose(logits: torch.Tensor, rows: list[Row]) -> list[int]:
    """The next token of each row from logits [B, V]. Waits for the device."""
    samplings = [row.request.sampling for row in rows]
    if all(sampling.temperature == 0 for sampling in samplings):
        return logits.argmax(-1).tolist()
    noise = [uniform(row.request.sampling.seed, row.request.key, len(row.ids)) for row in rows]
    return draw(logits, samplings, noise).tolist()
