"""LASER in Triton: exp(v) with running exponents by one pass over v, then attention and its gradients."""

from __future__ import annotations

from typing import Any

import torch

from lcbench_kernels.laser import triton_bwd, triton_fwd, triton_weights
from lcbench_kernels.laser.blocks import Blocks, blocks

WEIGHTS = {torch.float16: torch.bfloat16, torch.bfloat16: torch.bfloat16, torch.float32: torch.float32}


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    past: torch.Tensor,
    *,
    scale: float,
    uniform: bool = False,
    new: torch.Tensor | None = None,
) -> torch.Tensor:
    """Shapes as in `lcbench_kernels.laser.api.attend`; CUDA, D <= 256. O(N D) memory; the device is not waited for.

    The maximum of a column runs from tile to tile of 64 tokens (32 in float32). float16 attends over bfloat16 weights,
    since exp(v) leaves float16's range. `uniform` changes nothing.

    Raises ValueError for other dtypes, a larger D, and tensors that are not on CUDA.
    """
    if q.dtype not in WEIGHTS:
        raise ValueError(f"laser's triton takes float16, bfloat16 and float32, not {q.dtype}")
    if q.shape[-1] > 256:
        raise ValueError(f"laser's triton takes heads of up to 256, not {q.shape[-1]}")
    if not q.is_cuda:
        raise ValueError("laser's triton runs on CUDA devices only")
    lengths = past + (q.shape[2] if new is None else new)
    return attend_in_blocks(q, k, v, past, lengths, scale, blocks(q.shape[-1], q.dtype))


def attend_in_blocks(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    past: torch.Tensor,
    lengths: torch.Tensor,
    scale: float,
    sizes: Blocks,
) -> torch.Tensor:
    """`attend` without its checks, in blocks of given sizes. lengths: [B], past and new."""
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    return _Attend.apply(q, k, v, past, lengths, scale, sizes)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        past: torch.Tensor,
        lengths: torch.Tensor,
        scale: float,
        sizes: Blocks,
    ) -> torch.Tensor:
        w, exponents, epochs = triton_weights.weigh_running(v, lengths, WEIGHTS[q.dtype], sizes.tile)
        save = any(ctx.needs_input_grad)
        out, o, lse = triton_fwd.forward(q, k, w, exponents, epochs, past, scale, save, sizes)
        if save:
            ctx.save_for_backward(q, k, w, exponents, epochs, past, o, lse)
            ctx.scale, ctx.sizes, ctx.v_dtype = scale, sizes, v.dtype
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Each of dQ and (dK, dV) only where it is asked for; both start from grad / o."""
        q, k, w, exponents, epochs, past, o, lse = ctx.saved_tensors
        steep, delta = triton_weights.steep_and_delta(grad, o, w.dtype)
        given = (q, k, w, exponents, epochs, past, steep, lse, delta, ctx.scale, ctx.sizes)
        dq = dk = dv = None
        if ctx.needs_input_grad[0]:
            dq = triton_bwd.backward_q(*given)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            dk, dv = triton_bwd.backward_kv(*given)
            dv = dv.to(ctx.v_dtype)
        return dq, dk, dv, None, None, None, None
