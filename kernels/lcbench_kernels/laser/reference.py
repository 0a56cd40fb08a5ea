"""What LASER attention is, in plain torch. Everything else is measured against this."""

from __future__ import annotations

import torch

from lcbench_kernels.common.visibility import visible
from lcbench_kernels.laser import weights

CHUNK = 128


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
    """log(softmax(scale q k^T + mask) exp(v)) in float32 (float64 for float64), CHUNK queries at a time: O(CHUNK S)
    memory a head, under autograd O(T S).

    Shapes as in `lcbench_kernels.laser.api.attend`. The maximum of a column runs: each chunk of queries has its own, of
    the tokens up to its last query. Differentiable in q, k and v, and nothing is approximated but sums that underflow.
    """
    steps, total = q.shape[2], k.shape[2]
    accumulate = weights.accumulator(q.dtype)
    group = q.shape[1] // k.shape[1]
    keys = k.to(accumulate).repeat_interleave(group, dim=1)
    out = []
    for start in range(0, steps, CHUNK):
        stop = min(start + CHUNK, steps)
        held = past + (stop if new is None else new.clamp(max=stop))
        w, exponents = weights.weigh(v, held, accumulate)
        scores = scale * (q[:, :, start:stop].to(accumulate) @ keys.mT)
        seen = visible(past + start, stop - start, total, None)
        attention = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1)
        out.append(weights.log(attention @ w.repeat_interleave(group, dim=1), exponents, q.dtype))
    return torch.cat(out, dim=2)
