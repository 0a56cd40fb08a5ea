"""Inputs of the LASER tests, and LASER without exp(v): log sum_j a_ij exp(v_j) as one logsumexp a query and column."""

from collections.abc import Callable
from itertools import pairwise

import torch
from lcbench_kernels.common.inputs import make_keys

SCALE = 0.3


def inputs(
    steps: int, total: int, *, batch=1, heads=2, group=2, size=16, spread=4.0, dtype=torch.float64, device="cpu", seed=0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k, v; keys around 8 centres; each column of v spreads over `spread`, from its first token to its second."""
    q = make_keys("random", batch, heads * group, steps, size, seed=seed, device=device)
    k = make_keys("clustered", batch, heads, total, size, seed=seed + 1, device=device)
    v = make_keys("random", batch, heads, total, size, seed=seed + 2, device=device)
    v = spread * (torch.special.ndtr(v) - 0.5)
    v[:, :, 0] = -spread / 2
    v[:, :, 1:2] = spread / 2
    return tuple(x.to(dtype) for x in (q, k, v))


def exact(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, past: torch.Tensor, scale: float = SCALE) -> torch.Tensor:
    """fp64 [B, Hq, T, D], differentiable; a few queries at a time, each of their T x S x D sums in memory."""
    q, k, v = (x.double() for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))
    own = past[:, None] + torch.arange(q.shape[2], device=q.device)
    seen = torch.arange(k.shape[2], device=q.device) <= own[:, None, :, None]
    logits = (scale * q @ k.mT).masked_fill(~seen, -torch.inf).log_softmax(-1)
    step = max(1, 2**22 // (logits[:, :, 0].numel() * v.shape[-1]))
    bounds = [*range(0, q.shape[2], step), q.shape[2]]
    parts = [(logits[:, :, start:stop, :, None] + v[:, :, None]).logsumexp(dim=3) for start, stop in pairwise(bounds)]
    return torch.cat(parts, dim=2)


def error(out: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative Frobenius error; NaN stays NaN and passes no bound."""
    return ((out.double() - expected).norm() / expected.norm()).item()


def nan_filled(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch.empty and the like, with NaN for memory that a kernel has yet to write."""

    def made(*args, **kwargs) -> torch.Tensor:
        x = make(*args, **kwargs)
        return x.fill_(torch.nan) if x.is_floating_point() else x

    return made
