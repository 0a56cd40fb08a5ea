"""The LUCID preconditioner as a differentiable function around any of its solves. The mathematics is in README.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from lcbench_kernels.lucid import backward

Solve = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def precondition_with_grad(
    k: torch.Tensor,
    v: torch.Tensor,
    solve: Solve,
    *,
    cu_seqlens: torch.Tensor | None = None,
) -> torch.Tensor:
    """y [B, H, T, Dv] in v's dtype, as `solve` makes it, differentiable by k [B, H, T, D] and v [B, H, T, Dv].

    solve(k, v) -> y in v's dtype: any forward implementation, with its cu_seqlens bound. It is called with v in float32
    (float64 for float64) beside k in its own dtype, once here and once in the backward, where it solves the transposed
    system: L is symmetric but for its triangle, so that L^T over tokens in reverse order is L of the reversed keys.
    cu_seqlens [S + 1] int: packed sequences, which tile the T tokens of the one batch row.

    Memory O(T (D + Dv)) a head, the backward included. On CUDA the gradient by k is the Triton kernel's, but for
    float64; elsewhere it is that of `backward.py`. Gradients of gradients are refused by torch (RuntimeError).
    """
    return Precondition.apply(k, v, solve, cu_seqlens)


class Precondition(torch.autograd.Function):
    """y = L(k)^-1 v; the gradients dv = L^-T dy, and dk from dL = -tril(dv y^T, -1)."""

    @staticmethod
    def forward(
        ctx: Any, k: torch.Tensor, v: torch.Tensor, solve: Solve, cu_seqlens: torch.Tensor | None
    ) -> torch.Tensor:
        if cu_seqlens is not None:
            cu_seqlens = cu_seqlens.to(k.device)
        y = solve(k, _wide(v))
        ctx.solve = solve
        kept = _kept(k, y) if ctx.needs_input_grad[0] else ()
        ctx.save_for_backward(k, cu_seqlens, *kept)
        return y.to(v.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        k, cu_seqlens, *kept = ctx.saved_tensors
        order = None if cu_seqlens is None else _reversed_order(cu_seqlens, k.shape[2])
        dv = _reverse(ctx.solve(_reverse(k, order), _reverse(_wide(dy), order)), order)
        dk = _keys_gradient(k, kept, dv, cu_seqlens) if ctx.needs_input_grad[0] else None
        return dk, dv.to(dy.dtype) if ctx.needs_input_grad[1] else None, None, None


def _wide(x: torch.Tensor) -> torch.Tensor:
    """In float32, float64 for float64: y and dv are products' operands later, and rounding to bfloat16 first would
    cost the gradient by k as much as all else together.
    """
    return x if x.dtype == torch.float64 else x.float()


def _by_kernel(k: torch.Tensor) -> bool:
    return k.is_cuda and k.dtype != torch.float64


def _kept(k: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the backward needs of y: for the kernel, the float16 it multiplies."""
    if not _by_kernel(k):
        return (y,)
    from lcbench_kernels.lucid import triton_bwd

    return triton_bwd.halve(y)


def _keys_gradient(
    k: torch.Tensor, kept: list[torch.Tensor], dv: torch.Tensor, cu_seqlens: torch.Tensor | None
) -> torch.Tensor:
    if not _by_kernel(k):
        return backward.keys_gradient(k, kept[0], dv, cu_seqlens)
    from lcbench_kernels.lucid import triton_bwd

    y, scale = kept
    return triton_bwd.keys_gradient(k, (y, scale), triton_bwd.halve(dv), cu_seqlens)


def _reversed_order(cu_seqlens: torch.Tensor, steps: int) -> torch.Tensor:
    """The token that takes each place [T] int64 when every packed sequence is reversed where it stands."""
    bounds = cu_seqlens.long()
    token = torch.arange(steps, device=bounds.device)
    sequence = torch.searchsorted(bounds, token, right=True) - 1
    return bounds[sequence] + bounds[sequence + 1] - 1 - token


def _reverse(x: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    return x.flip(2) if order is None else x.index_select(2, order)
