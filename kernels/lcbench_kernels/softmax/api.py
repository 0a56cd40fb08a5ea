"""Softmax attention by the name of its implementation."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from lcbench_kernels.softmax import flash, flex, reference, sdpa

IMPLS = {"reference": reference.attend, "sdpa": sdpa.attend, "flash": flash.attend, "flex": flex.attend}


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    past: torch.Tensor,
    *,
    scale: float,
    window: int | None = None,
    uniform: bool = False,
    impl: str,
) -> torch.Tensor:
    """The newest T queries of each row against its S tokens, the newest included. Returns [B, Hq, T, Dv] in q's dtype.

    q: [B, Hq, T, D]. k: [B, Hkv, S, D], v: [B, Hkv, S, Dv], finite everywhere; Hq is a multiple of Hkv and query head h
    reads KV head h // (Hq // Hkv).
    past: [B] int64. Query t of row b stands at position past[b] + t and sees the positions up to its own, with a window
    only the last `window` of them. What padding queries return is finite and means nothing.
    scale: multiplies q k^T. uniform: promises past[b] = S - T in every row, which spares implementations the mask.

    Raises ValueError for an unknown `impl`, and where an implementation cannot do what is asked (flash: window).
    """
    if impl not in IMPLS:
        raise ValueError(f"softmax has no implementation {impl!r}; there are: {', '.join(IMPLS)}")
    return IMPLS[impl](q, k, v, past, scale=scale, window=window, uniform=uniform)


def decode(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: torch.Tensor, *, scale: float, impl: str
) -> torch.Tensor:
    """One query a row against the row's tokens, its own included. Returns what has q's shape and dtype.

    q: [B, Hq, D] or [B, Hq, 1, D]. k, v: [B, Hkv, S, D], any strides between tokens, heads and rows; query head h reads
    KV head h // (Hq // Hkv). lengths: [B] int64, how many tokens of row b are seen, 1 to S; behind them stands anything
    finite. S is best the longest length: the work is cut by it, so that nothing waits for the device.
    scale: multiplies q k^T.
    impl: "reference", or "triton": split-KV on CUDA, float16, bfloat16 and float32, D <= 256.

    Without gradients. Raises ValueError for an unknown `impl`, and where an implementation cannot do what is asked.
    """
    one = q.squeeze(2) if q.dim() == 4 else q
    if impl == "reference":
        return reference.attend(one[:, :, None], k, v, lengths - 1, scale=scale).reshape(q.shape)
    if impl != "triton":
        raise ValueError(f"softmax has no decode {impl!r}; there are: reference, triton")
    if find_spec("triton") is None:
        raise ValueError("softmax's triton decode needs triton, which is not installed")
    from lcbench_kernels.softmax import triton_decode

    with torch.cuda.device_of(q):  # Triton launches on the current device
        return triton_decode.decode(one, k, v, lengths, scale=scale).reshape(q.shape)
