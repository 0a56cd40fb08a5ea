"""exp(v) as weights of at most 1 and whole binary exponents, and the way back: plain torch, any device.

exp(v) = w 2^M with one whole number M a column, at least as large as log2(exp(v)) of every token it stands for. Raising
M divides w by a power of two, which no rounding notices: tokens that raise it change no digit of what is computed from
the tokens before them, as long as those do not underflow.
"""

from __future__ import annotations

import math

import torch

LOG2E = math.log2(math.e)
LN2 = math.log(2)
STEEPEST = 2.0**110  # of a gradient by attention's output; weights are at most 1, so 2^17 products of both fit float32
NOTHING = -1e30  # stands for log2(exp(v)) of a token that is not there


def accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def weigh(v: torch.Tensor, lengths: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """w [B, H, S, D] in `dtype` and M [B, H, 1, D] in float32 (float64 for float64): exp(v) = w 2^M, 0 <= w <= 1.

    v: [B, H, S, D]. lengths: [B] int64; tokens from there on (but for the first of all) weigh 0 and do not reach M.
    Differentiable in v.
    """
    tokens = torch.arange(v.shape[2], device=v.device)
    absent = (tokens >= lengths.clamp(min=1)[:, None])[:, None, :, None]
    logs = (v.to(accumulator(v.dtype)) * LOG2E).masked_fill(absent, NOTHING)
    exponents = logs.detach().amax(dim=2, keepdim=True).ceil()
    whole = logs.detach().floor()
    return (torch.exp2(logs - whole) * torch.exp2(whole - exponents)).to(dtype), exponents


def log(o: torch.Tensor, exponents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """log(o 2^M) in `dtype`, [B, Hq, T, D], with M [B, Hkv, 1, D] of each group of query heads.

    o counts as at least the smallest normal number: sums that underflowed come out as M ln 2 - 87.3 in float32.
    Its own exponent is added to M before anything is rounded: a large M costs the logarithm no digit.
    """
    exponents = exponents.repeat_interleave(o.shape[1] // exponents.shape[1], dim=1)
    mantissa, own = torch.frexp(o.to(exponents.dtype).clamp(min=torch.finfo(exponents.dtype).tiny))
    return ((mantissa.log2() + (own + exponents)) * LN2).to(dtype)


def log_backward(grad: torch.Tensor, o: torch.Tensor) -> torch.Tensor:
    """The gradient of `log` by o, in o's dtype: grad / o, 0 where o underflowed, cut off at STEEPEST."""
    wide = o.to(accumulator(o.dtype))
    tiny = torch.finfo(wide.dtype).tiny
    steep = (grad.to(wide.dtype) / wide.clamp(min=tiny)).clamp(-STEEPEST, STEEPEST)
    return steep.masked_fill(wide <= tiny, 0).to(o.dtype)
