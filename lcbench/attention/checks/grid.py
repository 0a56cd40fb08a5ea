"""On what kernels are checked: kinds of keys, head sizes, numbers of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from lcbench_kernels.common.inputs import KINDS, make_keys

SIZES = (64, 80, 96, 128, 256)
LENGTHS = (1, 63, 65, 500, 4097)
LONGEST = LENGTHS[-1]
GRIDS = ("full", "reduced")


@dataclass(frozen=True)
class Case:
    """Keys of one kind, a head size, a number of tokens."""

    kind: str
    size: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.kind} d{self.size} n{self.tokens}"


def cases(grid: str) -> list[Case]:
    """full: every kind, head size and length. reduced: every kind at every length but the longest, and at two head
    sizes; the other sizes and the longest once.
    """
    if grid == "full":
        return [Case(kind, size, tokens) for size in SIZES for kind in KINDS for tokens in LENGTHS]
    short = [Case(kind, 64, tokens) for kind in KINDS for tokens in LENGTHS[:-1]]
    wide = [Case(kind, 128, 65) for kind in KINDS]
    return [*short, *wide, *(Case("clustered", size, 65) for size in (80, 96, 256)), Case("clustered", 64, LONGEST)]


def wanted(grid: str, name: str, case: Case) -> bool:
    """Whether the pass of this name is checked on the case. At full length one kind of keys is enough for all but
    forward and decode, and the reduced grid has no more than these two.
    """
    if case.tokens < LONGEST or name in ("forward", "decode"):
        return True
    return grid == "full" and case.kind == "clustered"


@dataclass
class Inputs:
    """Two rows of one case, several query heads on two KV heads, rounded to `dtype`; `double` are the same in float64.

    q, grad: [2, Hq, N, D]; k, v: [2, 2, N, D]. lengths: real tokens of each row where rows are ragged.
    """

    case: Case
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    grad: torch.Tensor
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        return self.q.shape[-1] ** -0.5

    @property
    def lengths(self) -> list[int]:
        return [self.case.tokens, max(1, self.case.tokens // 2)]

    @property
    def starts(self) -> torch.Tensor:
        """`past` of rows without one: [B] zeros."""
        return torch.zeros(self.k.shape[0], dtype=torch.int64, device=self.k.device)

    @cached_property
    def double(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """q, k, v, grad in float64."""
        return self.q.double(), self.k.double(), self.v.double(), self.grad.double()

    def once(self, name: str, compute: Any) -> Any:
        """What `compute()` gave the first time: implementations are compared with one exact answer."""
        if name not in self.memo:
            self.memo[name] = compute()
        return self.memo[name]


def make_inputs(case: Case, device: str, dtype: torch.dtype, group: int) -> Inputs:
    """Inputs of a case, always the same. group: query heads a KV head."""
    shape = (2, 2, case.tokens, case.size)
    k = make_keys(case.kind, *shape, seed=1, dtype=dtype, device=device)
    q, v, grad = (
        make_keys("random", 2, heads, case.tokens, case.size, seed=seed, dtype=dtype, device=device)
        for seed, heads in ((2, 2 * group), (3, 2), (4, 2 * group))
    )
    return Inputs(case, q, k, v, grad)
