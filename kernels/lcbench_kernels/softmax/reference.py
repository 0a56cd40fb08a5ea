"""What softmax attention over a state is. Everything else is measured against this."""

from __future__ import annotations

import torch

from lcbench_kernels.common.visibility import visible


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
    """softmax(scale q k^T + mask) v in float32 (float64 for float64), with every score in memory: [B, Hq, T, S].

    Shapes as in `lcbench_kernels.softmax.api.attend`. `uniform` changes nothing: the mask always comes from `past`.
    """
    accumulate = torch.float64 if q.dtype == torch.float64 else torch.float32
    group = q.shape[1] // k.shape[1]
    keys = k.to(accumulate).repeat_interleave(group, dim=1)
    values = v.to(accumulate).repeat_interleave(group, dim=1)
    scores = scale * (q.to(accumulate) @ keys.mT)
    scores = scores.masked_fill(~visible(past, q.shape[2], k.shape[2], window), -torch.inf)
    return (scores.softmax(dim=-1) @ values).to(q.dtype)
