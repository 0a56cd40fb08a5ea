"""The gradient of the LUCID preconditioner by its keys in plain torch, block by block: what defines the kernel's."""

from __future__ import annotations

from itertools import pairwise

import torch

from lcbench_kernels.lucid.constants import EPS

BLOCK = 512


def keys_gradient(
    k: torch.Tensor, y: torch.Tensor, dv: torch.Tensor, cu_seqlens: torch.Tensor | None = None
) -> torch.Tensor:
    """dk [B, H, T, D] in k's dtype, of L(k) y = v, where dv is the gradient by v.

    k: [B, H, T, D]. y, dv: [B, H, T, Dv]. cu_seqlens [S + 1] int: packed sequences; one holds the tokens from
    cu_seqlens[s] up to cu_seqlens[s + 1].
    Computed in float32, in float64 for float64 inputs, at O(T * (D + Dv) + BLOCK^2) memory a head. The mathematics is
    in README.md; L is that of Duvvuri et al., arXiv 2602.10410.
    """
    accumulate = torch.float64 if k.dtype == torch.float64 else torch.float32
    n, y, dv = _normalised(k.to(accumulate)), y.to(accumulate), dv.to(accumulate)
    bounds = [0, k.shape[2]] if cu_seqlens is None else cu_seqlens.tolist()
    dn = torch.zeros_like(n)
    for first, end in pairwise(bounds):
        for start in range(first, end, BLOCK):
            rows = slice(start, min(start + BLOCK, end))
            for before in range(first, start + 1, BLOCK):
                columns = slice(before, min(before + BLOCK, end))
                weights = _weights(n[:, :, rows], n[:, :, columns], dv[:, :, rows], y[:, :, columns])
                if before == start:
                    weights = weights.tril(-1)
                dn[:, :, rows] += weights @ n[:, :, columns]
                dn[:, :, columns] += weights.mT @ n[:, :, rows]
    return _through_the_norm(k.to(accumulate), dn).to(k.dtype)


def _normalised(k: torch.Tensor) -> torch.Tensor:
    return k * torch.rsqrt(k.square().mean(dim=-1, keepdim=True) + EPS)


def _weights(n_rows: torch.Tensor, n_columns: torch.Tensor, dv: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """dL_ij L_ij / sqrt(D), the gradient by n_i . n_j, of a tile of rows i and columns j < i."""
    size = n_rows.shape[-1]
    kernel = torch.exp(n_rows @ n_columns.mT * size**-0.5 - size**0.5)
    return (dv @ y.mT).mul_(kernel).mul_(-(size**-0.5))


def _through_the_norm(k: torch.Tensor, dn: torch.Tensor) -> torch.Tensor:
    """The gradient by k, from the one by n = r k with r = 1 / sqrt(mean(k^2) + EPS): r (dn - n mean(n dn))."""
    n = _normalised(k)
    r = torch.rsqrt(k.square().mean(dim=-1, keepdim=True) + EPS)
    return r * (dn - n * (n * dn).mean(dim=-1, keepdim=True))
