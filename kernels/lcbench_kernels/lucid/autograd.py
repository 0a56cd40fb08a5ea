"""The LUCID preconditioner as a differentiable function around any of its solves. The mathematics is in README.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from lcbench_kernels.lucid import backward

Solve = Callable[..., torch.Tensor]


def precondition_with_grad(
    k: torch.Tensor,
    v: torch.Tensor,
    solve: Solve,
    *,
    cu_seqlens: torch.Tensor | None = None,
) -> torch.Tensor:
    """y [B, H, T, Dv] in v's dtype, as `solve` makes it, differentiable by k [B, H, T, D] and v [B, H, T, Dv].

    solve(k, v, dtype=...) -> y in that dtype, rounded once: any forward implementation, with its cu_seqlens bound. It
    is called with k and v as they are, once here and once in the backward, where it solves the transposed system: L is
    symmetric but for its triangle, so that L^T over tokens in reverse order is L of the reversed keys. Where k has a
    gradient it is asked for float32 (float64 for a v of float64), else for v's dtype.
    cu_seqlens [S + 1] int: packed sequences, which tile the T tokens of the one batch row.

    Memory O(T (D + Dv)) a head, the backward included. On CUDA the gradient by k is the Triton kernels', but for
    float64; elsewhere it is that of `backward.py`. Gradients of gradients are refused by torch (RuntimeError).
    """
    return Precondition.apply(k, v, solve, cu_seqlens)


class Precondition(torch.autograd.Function):
    """y = L(k)^-1 v; the gradients dv = L^-T dy, and dk from dL = -tril(dv y^T, -1)."""

    @staticmethod
    def forward(
        ctx: Any, k: torch.Tensor, v: torch.Tensor, solve: Solve, cu_seqlens: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.solve = solve
        kept: tuple[torch.Tensor, ...] = ()
        if not ctx.needs_input_grad[0]:
            y = solve(k, v, dtype=v.dtype)
        elif _by_kernels(k):
            from lcbench_kernels.lucid import triton_bwd

            kept, y = triton_bwd.halve(solve(k, v, dtype=torch.float32), v.dtype)
        else:
            kept = (solve(k, v, dtype=_wide(v)),)
            y = kept[0].to(v.dtype)
        ctx.save_for_backward(k, None if cu_seqlens is None else cu_seqlens.to(k.device), *kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        k, cu_seqlens, *kept = ctx.saved_tensors
        order = _reversed_order(cu_seqlens, k.shape[2], k.device)
        dk = None
        if not ctx.needs_input_grad[0]:
            dv = _transposed(ctx.solve, k, dy, order, dy.dtype)
        elif _by_kernels(k):
            from lcbench_kernels.lucid import triton_bwd

            y, largest = kept
            dk, dv = triton_bwd.gradients(k, (y, largest), dy, ctx.solve, order, cu_seqlens)
        else:
            wide = _transposed(ctx.solve, k, dy, order, _wide(dy))
            dk, dv = backward.keys_gradient(k, kept[0], wide, cu_seqlens), wide.to(dy.dtype)
        return dk, dv if ctx.needs_input_grad[1] else None, None, None


def _wide(x: torch.Tensor) -> torch.dtype:
    """float32, float64 for float64: y and dv are products' operands later, and rounding to bfloat16 first would cost
    the gradient by k as much as all else together.
    """
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _by_kernels(k: torch.Tensor) -> bool:
    return k.is_cuda and k.dtype != torch.float64


def _transposed(
    solve: Solve, k: torch.Tensor, dy: torch.Tensor, order: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """dv = L^-T dy in `dtype`."""
    return solve(k.index_select(2, order), dy.index_select(2, order), dtype=dtype).index_select(2, order)


def _reversed_order(cu_seqlens: torch.Tensor | None, steps: int, device: torch.device) -> torch.Tensor:
    """The token that takes each place [T] int64 when every sequence is reversed where it stands."""
    if cu_seqlens is None:
        return torch.arange(steps - 1, -1, -1, device=device)
    bounds = cu_seqlens.long()
    token = torch.arange(steps, device=device)
    sequence = torch.searchsorted(bounds, token, right=True) - 1
    return bounds[sequence] + bounds[sequence + 1] - 1 - token
