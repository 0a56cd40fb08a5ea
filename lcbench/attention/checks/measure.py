"""How far an output is from the exact one, and how far it may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# LUCID's solve has no half-precision PyTorch to be compared with. In half precision the bound is that of float16
# operands and of y rounded to the model's dtype; in float32 it leaves room for exponents of sqrt(D) times a cosine.
SOLVE = {torch.float32: (5e-5, 5e-5), torch.float16: (8e-3, 4e-3), torch.bfloat16: (8e-3, 4e-3)}
GRADIENT = {torch.float32: 5e-4, torch.float16: 2e-2, torch.bfloat16: 2e-2}
# One float32 order of sums may be several times better than another, and plain PyTorch's is as good as any by chance.
LEAST = {torch.float32: 1e-5, torch.float16: 0.0, torch.bfloat16: 0.0}


def by_row(out: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest relative error of one token's output [.., D]: a wrong row shows whatever stands in the others."""
    error = torch.linalg.vector_norm(out.double() - exact, dim=-1)
    size = torch.linalg.vector_norm(exact, dim=-1)
    return (error / size.clamp(min=torch.finfo(exact.dtype).tiny)).max().item()


def by_head(out: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest relative Frobenius error of one head's [T, D]."""
    return _relative(out, exact, torch.finfo(exact.dtype).tiny)


def of_gradient(out: torch.Tensor, exact: torch.Tensor) -> float:
    """`by_head` for gradients [.., T, D] of inputs of unit scale, which have T^-1/2 a number where nothing cancels.

    Where much does (one token has no choice: dq = dk = 0), the error is relative to a third of that.
    """
    return _relative(out, exact, 0.3 * exact.shape[-1] ** 0.5)


def _relative(out: torch.Tensor, exact: torch.Tensor, least: float) -> float:
    error = torch.linalg.matrix_norm(out.double() - exact)
    return (error / torch.linalg.matrix_norm(exact).clamp(min=least)).max().item()


def largest(errors: Iterable[float]) -> float:
    """max that NaN does not get past."""
    return torch.tensor(list(errors), dtype=torch.float64).max().item()


def tightest(judged: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Of several (error, bound) the one that has used up most of its bound; NaN before all others."""
    return max(judged, key=lambda one: math.inf if math.isnan(one[0]) else one[0] / one[1])


def solve_bound(size: int, dtype: torch.dtype) -> float:
    """For y: relative Frobenius error, by head size. Few dimensions make large entries of L, and larger errors."""
    small, large = SOLVE[dtype]
    return small if size <= 80 else large


def gradient_bound(plain: float, dtype: torch.dtype) -> float:
    """For gradients: where plain PyTorch itself is worse, as for outputs."""
    return max(GRADIENT[dtype], yardstick(plain, dtype))


def yardstick(plain: float, dtype: torch.dtype) -> float:
    """Twice the error of plain PyTorch in the same dtype and the rounding of the output; in float32 1e-5 at least."""
    return max(LEAST[dtype], 2 * plain + torch.finfo(dtype).eps)


@contextmanager
def poisoned() -> Iterator[None]:
    """Memory that torch leaves uninitialised holds NaN: what a kernel does not write cannot look right by chance."""
    # Dispatch modes would do this too, but would stand between a kernel's launcher and its tensors.
    owners: list[tuple[Any, str]] = [(torch, "empty"), (torch, "empty_like"), (torch, "empty_strided")]
    owners += [(torch.Tensor, "new_empty")]
    originals = [getattr(owner, name) for owner, name in owners]

    def filled(original: Any) -> Any:
        def make(*args: Any, **kwargs: Any) -> torch.Tensor:
            x = original(*args, **kwargs)
            return x.fill_(torch.nan) if x.is_floating_point() else x

        return make

    try:
        for (owner, name), original in zip(owners, originals, strict=True):
            setattr(owner, name, filled(original))
        yield
    finally:
        for (owner, name), original in zip(owners, originals, strict=True):
            setattr(owner, name, original)
