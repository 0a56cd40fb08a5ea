"""Softmax attention by the name of its implementation."""

from __future__ import annotations

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
