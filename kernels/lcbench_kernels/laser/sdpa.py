"""LASER through torch's scaled_dot_product_attention over exp(v): cuDNN on CUDA for whole prompts."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

from lcbench_kernels.laser import weights


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
    """Shapes as in `lcbench_kernels.laser.api.attend`. One pass over v before attention, one over its output after it.

    A column has one maximum, that of the row's tokens in this call. Later tokens change no digit of an earlier output
    while the column spreads over up to 60. Beyond, sums of early queries lose terms, and from 87 on an early output may
    come out as the maximum less 87.3, where `triton` and `reference` are right.
    Where q asks for its gradient, keys are taken less their mean over the row: outputs then differ in their rounding
    from those without a gradient, and later tokens may change an earlier output's last digit.
    CUDA: bfloat16 alone. Rows of different lengths are computed one by one, which waits for the device once.
    Raises ValueError for float16, whose range exp(v) leaves, and for other dtypes than bfloat16 on CUDA.
    """
    if q.dtype == torch.float16:
        raise ValueError("laser's sdpa does not take float16: exp(v) leaves its range; triton and reference do")
    if q.is_cuda and q.dtype != torch.bfloat16:
        raise ValueError(f"laser's sdpa takes bfloat16 on CUDA, not {q.dtype}; triton and reference do")
    if uniform:
        return _lower_right(q, k, v, past + q.shape[2], scale)
    out = torch.zeros_like(q)
    held = past + (q.shape[2] if new is None else new)
    for row, start in enumerate(past.tolist()):
        steps = min(q.shape[2], k.shape[2] - start)  # queries behind the last token are padding
        if steps <= 0:
            continue
        one, stop = slice(row, row + 1), start + steps
        out[one, :, :steps] = _lower_right(q[one, :, :steps], k[one, :, :stop], v[one, :, :stop], held[one], scale)
    return out


def _lower_right(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: torch.Tensor, scale: float
) -> torch.Tensor:
    """The T queries are the last T of the S tokens, of which the first lengths[b] reach the maximum."""
    w, exponents = _Weigh.apply(v, lengths)
    if torch.is_grad_enabled() and q.requires_grad:
        k = _centred(k, lengths)
    return _Log.apply(_softmax(q, k, w, scale), exponents)


def _centred(k: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """k less the mean of each head's first lengths[b] keys, which changes no softmax and no gradient but in rounding.

    Attention's backward takes sum_d steep_d o_d from an o that was rounded to q's dtype. All weights are positive, so o
    is large beside what it varies by, and rows of dS = A (dP - sum) miss a sum of 0 by that much: times the keys' mean,
    it would be the largest error of dQ = dS K.
    """
    held = (torch.arange(k.shape[2], device=k.device) < lengths[:, None])[:, None, :, None]
    total = k.detach().where(held, 0).sum(dim=2, keepdim=True, dtype=weights.accumulator(k.dtype))
    return k - (total / lengths.clamp(min=1)[:, None, None, None]).to(k.dtype)


def _softmax(q: torch.Tensor, k: torch.Tensor, w: torch.Tensor, scale: float) -> torch.Tensor:
    """sdpa_kernel makes torch fail rather than keep every score. On CUDA only FLASH takes fewer queries than keys."""
    steps, total = q.shape[2], k.shape[2]
    if steps == total:
        backends = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION]
        if not q.is_cuda:
            return F.scaled_dot_product_attention(q, k, w, is_causal=True, scale=scale, enable_gqa=True)
        with sdpa_kernel(backends, set_priority=True):
            return F.scaled_dot_product_attention(q, k, w, is_causal=True, scale=scale, enable_gqa=True)
    if steps == 1:  # the queries that share a KV head become rows of one small matrix: all see every token
        folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
        return F.scaled_dot_product_attention(folded, k, w, scale=scale).reshape(q.shape)
    causal = causal_lower_right(steps, total)
    if not q.is_cuda:
        return F.scaled_dot_product_attention(q, k, w, attn_mask=causal, scale=scale, enable_gqa=True)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(q, k, w, attn_mask=causal, scale=scale, enable_gqa=True)


class _Weigh(torch.autograd.Function):
    """`weigh` in v's dtype. The derivative of exp is exp: backward needs the weights alone."""

    @staticmethod
    def forward(ctx: Any, v: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        w, exponents = _passes(v).weigh(v, lengths, v.dtype)
        ctx.save_for_backward(w)
        ctx.mark_non_differentiable(exponents)
        return w, exponents

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, None]:
        (w,) = ctx.saved_tensors
        return grad * w, None


class _Log(torch.autograd.Function):
    """`log`, with a gradient that stays finite where o is next to nothing."""

    @staticmethod
    def forward(ctx: Any, o: torch.Tensor, exponents: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(o)
        return _passes(o).log(o, exponents, o.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (o,) = ctx.saved_tensors
        return _passes(o).log_backward(grad, o), None


def _passes(x: torch.Tensor) -> ModuleType:
    """The elementwise passes, three functions of the same names; triton is imported for CUDA alone."""
    if not x.is_cuda:
        return weights
    from lcbench_kernels.laser import triton_weights

    return triton_weights
