"""The LUCID preconditioner in plain torch, block by block: what defines it, at O(N * BLOCK) memory."""

from __future__ import annotations

import torch

from lcbench_kernels.lucid.constants import EPS

BLOCK = 512


def precondition(
    k: torch.Tensor, v: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None
) -> torch.Tensor:
    """Solve L y = v - G Y for the newest tokens by block forward substitution. Shapes as in `api.precondition`.

    L is the unit lower triangular kernel matrix among the new tokens, G their kernel matrix against the past. Computed
    in float32, in float64 for float64 inputs. Differentiable; autograd keeps every block, O(N^2) memory.
    """
    out = v.dtype
    accumulate = torch.float64 if out == torch.float64 else torch.float32
    k, v = k.to(accumulate), v.to(accumulate)
    r = _reciprocal_rms(k)
    rows = k * r * k.shape[-1] ** -0.5
    shift = torch.full((1, 1, k.shape[2]), -(k.shape[-1] ** 0.5), dtype=accumulate, device=k.device)
    columns = None if past is None else _columns(*past, accumulate)
    solved = v[:, :, :0]
    for start in range(0, k.shape[2], BLOCK):
        block = slice(start, start + BLOCK)
        rest = v[:, :, block]
        if columns is not None:
            rest = _less_kernel_times(rest, rows[:, :, block], *columns)
        before = slice(0, start)
        rest = _less_kernel_times(
            rest, rows[:, :, block], k[:, :, before], r[:, :, before], shift[:, :, before], solved
        )
        kernel = _kernel(rows[:, :, block], k[:, :, block], r[:, :, block], shift[:, :, block])
        solved_block = torch.linalg.solve_triangular(kernel, rest, upper=False, unitriangular=True)
        solved = torch.cat([solved, solved_block], dim=2)
    return solved.to(out)


def _reciprocal_rms(k: torch.Tensor) -> torch.Tensor:
    """RMSNorm's factor [B, H, S, 1]. The norm in one pass: a decode step reads all of its past here."""
    norm = torch.linalg.vector_norm(k, dim=-1, keepdim=True)
    return torch.rsqrt(norm.square() / k.shape[-1] + EPS)


def _columns(
    k: torch.Tensor, y: torch.Tensor, lengths: torch.Tensor, accumulate: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The past as columns of the kernel matrix: keys, their factors, the exponent's shift (-inf behind a row's
    length), y.
    """
    k = k.to(accumulate)
    tokens = torch.arange(k.shape[2], device=k.device)
    shift = torch.full(tokens.shape, -(k.shape[-1] ** 0.5), dtype=accumulate, device=k.device)
    shift = shift.masked_fill(tokens >= lengths[:, None], -torch.inf)
    return k, _reciprocal_rms(k), shift[:, None, :], y.to(accumulate)


def _kernel(rows: torch.Tensor, k: torch.Tensor, r: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """exp(sqrt(D) (cos - 1)) of every pair, in [0, 1]. rows hold their own factors; columns get theirs after the
    product.

    So the past is read and never written: a normalised copy of it would cost a decode step twice as much.
    """
    return torch.addcmul(shift[:, :, None, :], rows @ k.mT, r.mT).exp_()


def _less_kernel_times(
    rest: torch.Tensor, rows: torch.Tensor, k: torch.Tensor, r: torch.Tensor, shift: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """rest - kernel(rows, columns) y, by blocks of columns: BLOCK * BLOCK kernel entries a head at a time.

    So a single new token takes its whole past, up to BLOCK * BLOCK tokens, in one step.
    """
    width = BLOCK * BLOCK // rows.shape[2]
    for start in range(0, k.shape[2], width):
        tile = slice(start, start + width)
        rest = rest - _kernel(rows, k[:, :, tile], r[:, :, tile], shift[:, :, tile]) @ y[:, :, tile]
    return rest
