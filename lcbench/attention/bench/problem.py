"""What is timed on: one layer's q, k and v."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from lcbench_kernels import lucid
from lcbench_kernels.common.inputs import make_keys


@dataclass(frozen=True)
class Shape:
    """B rows, Hq query heads, Hkv KV heads, N tokens, head size D."""

    batch: int
    q_heads: int
    kv_heads: int
    tokens: int
    size: int


@dataclass
class Problem:
    """One pass over N tokens. q: [B, Hq, N, D], one newest token for decode; k, v: [B, Hkv, N, D]; grad: as q."""

    shape: Shape
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    grad: torch.Tensor

    @property
    def scale(self) -> float:
        return self.shape.size**-0.5

    @cached_property
    def past(self) -> torch.Tensor:
        """[B] zeros."""
        return torch.zeros(self.shape.batch, dtype=torch.int64, device=self.k.device)

    @cached_property
    def lengths(self) -> torch.Tensor:
        """[B], N tokens each."""
        return self.past + self.shape.tokens

    @cached_property
    def y(self) -> torch.Tensor:
        """LUCID's cache before a decode step: y of all tokens, and the value itself for the newest."""
        y = lucid.precondition(self.k, self.v)
        y[:, :, -1] = self.v[:, :, -1]
        return y

    def first(self, tokens: int) -> Problem:
        """The same problem with its first tokens alone."""
        if tokens >= self.shape.tokens:
            return self
        tensors = {name: getattr(self, name)[:, :, :tokens].contiguous() for name in ("q", "k", "v", "grad")}
        return Problem(replace(self.shape, tokens=tokens), **tensors)


def make_problem(shape: Shape, one_query: bool, keys: str, dtype: torch.dtype, device: str) -> Problem:
    """Random queries and values on keys of the kind; the same for the same arguments."""
    queries = 1 if one_query else shape.tokens
    heads = ((2, shape.q_heads, queries), (3, shape.kv_heads, shape.tokens), (4, shape.q_heads, queries))
    q, v, grad = (
        make_keys("random", shape.batch, h, n, shape.size, seed=seed, dtype=dtype, device=device)
        for seed, h, n in heads
    )
    k = make_keys(keys, shape.batch, shape.kv_heads, shape.tokens, shape.size, seed=1, dtype=dtype, device=device)
    return Problem(shape, q, k, v, grad)
