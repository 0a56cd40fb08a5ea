"""The mechanisms written down densely, head by head: in float64 what kernels are measured against.

In a lower precision the same lines are the plain PyTorch whose error is the yardstick for kernels of that precision.
They share no code with the references of lcbench_kernels, which are checked against them too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Heads = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]


def softmax_head(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """Causal softmax attention [G, T, Dv] of the last T of S tokens. q: [G, T, D]; k: [S, D], v: [S, Dv]."""
    scores = scale * (q @ k.mT)
    seen = torch.ones(q.shape[1], k.shape[0], dtype=torch.bool, device=q.device).tril(k.shape[0] - q.shape[1])
    return scores.masked_fill_(~seen, -torch.inf).softmax(-1) @ v


def laser_head(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """log(softmax(q k^T) exp(v - m)) + m with m the maximum of each column of v (arXiv 2411.03493, its LWSE trick)."""
    m = v.detach().amax(0)
    return softmax_head(q, k, (v - m).exp(), scale).log() + m


def lucid_head(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """y = L^-1 v of one KV head [S, Dv] (arXiv 2602.10410); L_ij = exp(n_i . n_j / sqrt(D) - sqrt(D)) for j < i and 1
    on the diagonal, with n = k / sqrt(mean(k^2) + 1e-5).
    """
    return torch.linalg.solve_triangular(lucid_kernel(k, k), v, upper=False, unitriangular=True)


def lucid_kernel(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """exp(n_i . n_j / sqrt(D) - sqrt(D)) of every pair of keys: [T, S]."""
    root = rows.shape[-1] ** 0.5
    return torch.exp(_normalised(rows) @ _normalised(columns).mT / root - root)


def attention(head: Heads, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """`head` for every row and KV head in turn, so that one head's scores are in memory: [B, Hq, T, Dv]."""
    groups = q.unflatten(1, (k.shape[1], -1))
    rows = [
        torch.cat([head(groups[b, h], k[b, h], v[b, h], scale) for h in range(k.shape[1])]) for b in range(k.shape[0])
    ]
    return torch.stack(rows)


def gradients(
    head: Heads, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, grad: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """dq, dk, dv of `attention` by autograd, one KV head at a time."""
    dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    groups, grads, dqs = (x.unflatten(1, (k.shape[1], -1)) for x in (q, grad, dq))
    for b in range(k.shape[0]):
        for h in range(k.shape[1]):
            leaves = [x.detach().clone().requires_grad_() for x in (groups[b, h], k[b, h], v[b, h])]
            with torch.enable_grad():
                out = head(leaves[0], leaves[1], leaves[2], scale)
            dqs[b, h], dk[b, h], dv[b, h] = torch.autograd.grad(out, leaves, grads[b, h])
    return dq, dk, dv


def lucid(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """`lucid_head` for every row and KV head: y [B, Hkv, S, Dv]."""
    return torch.stack(
        [torch.stack([lucid_head(*kv) for kv in zip(*row, strict=True)]) for row in zip(k, v, strict=True)]
    )


def lucid_gradients(k: torch.Tensor, v: torch.Tensor, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """dk, dv of `lucid` by autograd, one KV head at a time."""
    dk, dv = torch.empty_like(k), torch.empty_like(v)
    for b in range(k.shape[0]):
        for h in range(k.shape[1]):
            leaves = [x[b, h].detach().clone().requires_grad_() for x in (k, v)]
            with torch.enable_grad():
                y = lucid_head(*leaves)
            dk[b, h], dv[b, h] = torch.autograd.grad(y, leaves, grad[b, h])
    return dk, dv


def _normalised(k: torch.Tensor) -> torch.Tensor:
    return k / (k.square().mean(-1, keepdim=True) + 1e-5).sqrt()
