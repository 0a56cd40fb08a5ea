"""The LUCID preconditioner in plain torch, block by block: what defines it, at O(N * BLOCK) memory."""

from __future__ import annotations

import torch

BLOCK = 512
EPS = 1e-5


def precondition(
    k: torch.Tensor, v: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None
) -> torch.Tensor:
    """Solve L y = v - G Y for the newest tokens by block forward substitution. Shapes as in `api.precondition`.

    L is the unit lower triangular kernel matrix among the new tokens, G their kernel matrix against the past. Computed
    in float32, in float64 for float64 inputs. Differentiable; autograd keeps every block, O(N^2) memory.
    """
    accumulate = torch.float64 if v.dtype == torch.float64 else torch.float32
    keys, values = _normalise(k.to(accumulate)), v.to(accumulate)
    past_keys, past_y = keys[:, :, :0], values[:, :, :0]
    if past is not None:
        past_keys, past_y = _normalise(past[0].to(accumulate)), _real(past[1].to(accumulate), past[2])
    solved = values[:, :, :0]
    for start in range(0, k.shape[2], BLOCK):
        rows = keys[:, :, start : start + BLOCK]
        rest = values[:, :, start : start + BLOCK]
        rest = _less_kernel_times(rest, rows, past_keys, past_y)
        rest = _less_kernel_times(rest, rows, keys[:, :, :start], solved)
        block = torch.linalg.solve_triangular(_kernel(rows, rows), rest, upper=False, unitriangular=True)
        solved = torch.cat([solved, block], dim=2)
    return solved.to(v.dtype)


def _normalise(k: torch.Tensor) -> torch.Tensor:
    """RMSNorm without gain, times D^(-1/4): the product of two such keys is sqrt(D) times their cosine."""
    return k * torch.rsqrt(k.square().mean(dim=-1, keepdim=True) + EPS) * k.shape[-1] ** -0.25


def _real(y: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """y with zeros behind each row's length: a token whose y is zero takes no part in any later y."""
    tokens = torch.arange(y.shape[2], device=y.device)
    return y.masked_fill((tokens >= lengths[:, None])[:, None, :, None], 0)


def _kernel(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """exp(sqrt(D) (cos - 1)) of every pair, in (0, 1]. In place, which autograd allows: it needs the result alone."""
    return (rows @ columns.mT).sub_(rows.shape[-1] ** 0.5).exp_()


def _less_kernel_times(rest: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """rest - kernel(rows, columns) y, by blocks of columns: BLOCK * BLOCK kernel entries a head at a time.

    So a single new token takes its whole past, up to BLOCK * BLOCK tokens, in one step.
    """
    width = BLOCK * BLOCK // rows.shape[2]
    for start in range(0, columns.shape[2], width):
        rest = rest - _kernel(rows, columns[:, :, start : start + width]) @ y[:, :, start : start + width]
    return rest
