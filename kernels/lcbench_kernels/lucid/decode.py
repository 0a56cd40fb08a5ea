"""LUCID decode, one token a row, by the name of its implementation: the new y and the attention output together."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from lcbench_kernels.lucid.constants import EPS


def decode(
    q: torch.Tensor, k: torch.Tensor, y: torch.Tensor, lengths: torch.Tensor, *, scale: float, impl: str
) -> torch.Tensor:
    """One step of LUCID (arXiv 2602.10410): y_new = v_new - sum_j L_new,j y_j over the tokens before, then softmax
    attention of the new query over (k, y), the new token included. Returns what has q's shape and dtype.

    y is read and written: at position lengths[b] - 1 of row b it holds v_new, and y_new takes its place, rounded to y's
    dtype. Nothing else is written.

    q: [B, Hq, D] or [B, Hq, 1, D]. k, y: [B, Hkv, S, D], any strides between tokens, heads and rows, k_new in its place
    already; query head h reads KV head h // (Hq // Hkv). lengths: [B] int64, how many tokens row b has, the new one
    included, 1 to S; behind them stands anything finite. S is best the longest length: the work is cut by it.
    scale: multiplies q k^T (the softmax's; the kernel of the keys has its own).
    impl: "reference", or "triton": one split-KV pass on CUDA, float16, bfloat16 and float32, D <= 256.

    Without gradients. Raises ValueError for an unknown `impl`, and where an implementation cannot do what is asked.
    """
    one = q.squeeze(2) if q.dim() == 4 else q
    if impl == "reference":
        return _reference(one, k, y, lengths, scale).reshape(q.shape)
    if impl != "triton":
        raise ValueError(f"lucid has no decode {impl!r}; there are: reference, triton")
    if find_spec("triton") is None:
        raise ValueError("lucid's triton decode needs triton, which is not installed")
    from lcbench_kernels.lucid import triton_decode

    with torch.cuda.device_of(q):  # Triton launches on the current device
        return triton_decode.decode(one, k, y, lengths, scale=scale).reshape(q.shape)


def _reference(q: torch.Tensor, k: torch.Tensor, y: torch.Tensor, lengths: torch.Tensor, scale: float) -> torch.Tensor:
    """What a step is, in float32 (float64 for float64), as `lucid.reference` and `softmax.reference` would make it."""
    accumulate = torch.float64 if q.dtype == torch.float64 else torch.float32
    size, group = k.shape[-1], q.shape[1] // k.shape[1]
    rows, newest = torch.arange(len(lengths), device=k.device), lengths - 1
    tokens = torch.arange(k.shape[2], device=k.device)
    keys, values = k.to(accumulate), y.to(accumulate)

    normed = keys * torch.rsqrt(keys.square().mean(-1, keepdim=True) + EPS)
    cosines = (normed @ normed[rows, :, newest][..., None])[..., 0] / size
    kernel = torch.exp(size**0.5 * (cosines - 1)).masked_fill((tokens >= newest[:, None])[:, None], 0)
    new = values[rows, :, newest] - (kernel[:, :, None] @ values)[:, :, 0]
    y[rows, :, newest] = new.to(y.dtype)

    keys, values = (x.repeat_interleave(group, dim=1) for x in (keys, y.to(accumulate)))
    scores = scale * (keys @ q.to(accumulate)[..., None])[..., 0]
    weights = scores.masked_fill((tokens >= lengths[:, None])[:, None], -torch.inf).softmax(-1)
    return (weights[:, :, None] @ values)[:, :, 0].to(q.dtype)
