"""Softmax attention through the FlashAttention-2 that torch carries: CUDA, float16 and bfloat16, full attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    past: torch.Tensor,
    *,
    scale: float,
    window: int | None = None,
    uniform: bool = False,
) -> torch.Tensor:
    """Shapes as in `lcbench_kernels.softmax.api.attend`, with Dv = D <= 256. No mask is ever made.

    Rows of different lengths are computed one by one, which waits for the device once to read `past`.
    Raises ValueError for a window, RuntimeError where torch's kernel refuses the device, the dtype or the head size.
    """
    if window is not None:
        raise ValueError("flash has no sliding window; sdpa and flex have")
    if uniform:
        return _lower_right(q, k, v, scale)
    out = torch.zeros_like(q)
    for row, start in enumerate(past.tolist()):
        steps = min(q.shape[2], k.shape[2] - start)  # queries behind the last token are padding
        one, stop = slice(row, row + 1), start + steps
        out[one, :, :steps] = _lower_right(q[one, :, :steps], k[one, :, :stop], v[one, :, :stop], scale)
    return out


def _lower_right(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """The T queries are the last T of the S tokens. sdpa_kernel makes torch fail rather than take another kernel."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        if q.shape[2] == 1:
            folded = q.reshape(q.shape[0], k.shape[1], -1, q.shape[3])
            return F.scaled_dot_product_attention(folded, k, v, scale=scale).reshape(q.shape)
        causal = causal_lower_right(q.shape[2], k.shape[2])
        return F.scaled_dot_product_attention(q, k, v, attn_mask=causal, scale=scale, enable_gqa=True)
