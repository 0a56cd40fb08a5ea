"""The gradient of the LUCID preconditioner by its keys, in Triton. `backward.py` defines it; the mathematics, and why
operands and projection are what they are, stand in README.md.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from lcbench_kernels.lucid.constants import EPS

EXPONENT = 0x7F800000  # its bits in a float32

Halved = tuple[torch.Tensor, torch.Tensor]


def halve(x: torch.Tensor) -> Halved:
    """x [B, H, T, Dv] float32 as float16 times a power of two, and what multiplies it back: [B, H, 1, 1] float32.

    The factor is the line's own (a line is one head of one batch row), from its largest magnitude, so that gradients
    of 1e-8 keep float16's 11 bits: a line of any value but zeros has its largest in [4, 8).
    """
    largest = torch.linalg.vector_norm(x, torch.inf, dim=(2, 3), keepdim=True)
    power = (largest.view(torch.int32) & EXPONENT).view(torch.float32)  # 2^e, where 2^e <= largest < 2^(e + 1)
    back = power.clamp_(min=2.0**-100).mul_(0.25)
    return torch.div(x, back, out=torch.empty(x.shape, dtype=torch.float16, device=x.device)), back


def keys_gradient(
    k: torch.Tensor,
    y: Halved,
    dv: Halved,
    cu_seqlens: torch.Tensor | None = None,
    tiles: tuple[int, int, int, int] | None = None,
) -> torch.Tensor:
    """dk [B, H, T, D] in k's dtype; shapes and meaning as in `backward.keys_gradient`, y and dv from `halve`.

    tiles: rows of a program, columns of a step, warps, stages; `choose_tiles` where none are given.
    Products in float16 with float32 accumulation; rows of y and dv, below 8, have products below 64 * 256, so that
    float16 holds them. Memory O(B H T (D + Dv)). Reads nothing back from the device.
    Raises ValueError for float64, and for D or Dv beyond 256.
    """
    batch, heads, steps, size = k.shape
    value_size = y[0].shape[-1]
    if k.dtype == torch.float64:
        raise ValueError("the LUCID backward kernel works in float16 and float32; float64 needs impl=reference")
    if max(size, value_size) > 256:
        raise ValueError(f"the LUCID backward kernel takes head sizes up to 256, not {max(size, value_size)}")
    padded, value_padded = padded_size(size), padded_size(value_size)
    rows, columns, warps, stages = tiles or choose_tiles(padded, value_padded)
    blocks = row_blocks(steps, rows, cu_seqlens, k.device)
    kn, r = _normalised_half(k)
    back = y[1] * dv[1] * (-(math.log(2) ** 0.5) * size**-0.25)
    dk = torch.empty((batch, heads, steps, size), dtype=k.dtype, device=k.device)
    lucid_bwd_dk[(len(blocks), batch * heads)](
        kn, r, y[0].contiguous(), dv[0].contiguous(), back, dk, blocks, steps, size**0.5 * math.log2(math.e), EPS,
        size, value_size, padded, value_padded, rows, columns, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return dk


def padded_size(size: int) -> int:
    return max(16, triton.next_power_of_2(size))


def choose_tiles(size: int, value_size: int) -> tuple[int, int, int, int]:
    """(rows, columns, warps, stages) for padded head sizes: the fastest tried (README.md) whose loops spill nothing."""
    widest = max(size, value_size)
    if widest <= 64:
        return 64, 64, 4, 3
    return (128, 64, 8, 3) if widest <= 128 else (128, 32, 8, 2)


def row_blocks(steps: int, rows: int, cu_seqlens: torch.Tensor | None, device: torch.device) -> torch.Tensor:
    """int32 [n, 3]: first token of a row block, first token of its sequence, the sequence's end.

    A row block lies in one sequence. Without reading cu_seqlens on the host there are up to S blocks too many: they
    start at their sequence's end.
    """
    if cu_seqlens is None:
        first = torch.arange(0, steps, rows, dtype=torch.int32, device=device)
        return torch.stack([first, torch.zeros_like(first), torch.full_like(first, steps)], dim=1)
    begin, end = cu_seqlens[:-1].long(), cu_seqlens[1:].long()
    last = torch.cumsum((end - begin + rows - 1) // rows, dim=0)  # one behind the last block of each sequence
    block = torch.arange(-(-steps // rows) + len(begin), device=device)
    sequence = torch.searchsorted(last, block, right=True).clamp(max=len(begin) - 1)
    begin, end, last = begin[sequence], end[sequence], last[sequence]
    first = end.minimum(begin + rows * (block - last + (end - begin + rows - 1) // rows))
    return torch.stack([first, begin, end], dim=1).int()


def _normalised_half(k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Float16 keys whose products, less sqrt(D) log2(e), are base-2 logarithms of L's entries; and the norm's r."""
    size = k.shape[-1]
    norm = torch.linalg.vector_norm(k, dim=-1, keepdim=True, dtype=torch.float32)
    r = torch.rsqrt(norm.square() / size + EPS)
    half = torch.empty(k.shape, dtype=torch.float16, device=k.device)
    return torch.mul(k, r * (math.log2(math.e) ** 0.5 * size**-0.25), out=half), r


@triton.jit
def _load(base, first, end, ROWS: tl.constexpr, SIZE: tl.constexpr, PADDED: tl.constexpr):
    """Rows first .. first + ROWS of a contiguous [T, SIZE] tensor, [ROWS, PADDED]; 0 from row `end`, column SIZE on."""
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, PADDED)[None, :]
    mask = row < end - first
    if SIZE < PADDED:
        mask &= column < SIZE
    return tl.load(base + tl.cast(first, tl.int64) * SIZE + (row * SIZE + column), mask=mask, other=0.0)


@triton.jit
def _sweep(
    acc, own_kn, own, kn, theirs, first, last, own_first, end, c0,
    D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr, BDV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    SIDE: tl.constexpr,
):  # fmt: skip
    """acc + sum over columns j of [first, last) of (own_i . theirs_j) L_ij kn_j: all, only j < i, or only j > i."""
    for start in tl.range(first, last, BN):
        kn_j = _load(kn, start, end, BN, D, BD)
        weights = tl.dot(own, tl.trans(_load(theirs, start, end, BN, DV, BDV)))
        weights *= tl.exp2(tl.dot(own_kn, tl.trans(kn_j)) - c0)
        row, column = own_first + tl.arange(0, BM)[:, None], start + tl.arange(0, BN)[None, :]
        if SIDE == "before":
            weights = tl.where(column < row, weights, 0.0)
        if SIDE == "behind":
            weights = tl.where(column > row, weights, 0.0)
        acc = tl.dot(weights.to(tl.float16), kn_j, acc)
    return acc


@triton.jit(do_not_specialize=["blocks", "steps"])
def lucid_bwd_dk(
    kn, r, yn, dvn, back, dk, blocks, steps, c0, eps,
    D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr, BDV: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dk of one row block of one line. Grid: (row blocks, lines).

    Every program sweeps its whole sequence: columns before a row through dv_i y_j, those behind it through y_i dv_j.
    """
    entry = blocks + tl.program_id(0) * 3
    first, begin, end = tl.load(entry), tl.load(entry + 1), tl.load(entry + 2)
    if first >= end:
        return
    line = tl.program_id(1).to(tl.int64)
    kn += line * steps * D
    yn += line * steps * DV
    dvn += line * steps * DV
    kn_i = _load(kn, first, end, BM, D, BD)
    dv_i = _load(dvn, first, end, BM, DV, BDV)
    acc = tl.zeros((BM, BD), tl.float32)
    acc = _sweep(acc, kn_i, dv_i, kn, yn, begin, first, first, end, c0, D, DV, BD, BDV, BM, BN, "all")
    acc = _sweep(acc, kn_i, dv_i, kn, yn, first, first + BM, first, end, c0, D, DV, BD, BDV, BM, BN, "before")
    y_i = _load(yn, first, end, BM, DV, BDV)
    acc = _sweep(acc, kn_i, y_i, kn, dvn, first, first + BM, first, end, c0, D, DV, BD, BDV, BM, BN, "behind")
    acc = _sweep(acc, kn_i, y_i, kn, dvn, first + BM, end, first, end, c0, D, DV, BD, BDV, BM, BN, "all")

    # What follows is r (dn - n mean(n dn)). The direction of n is taken from the rounded keys that acc was made of, so
    # that what equal keys contribute along it vanishes; mean(n n) = 1 - eps r^2 does not come from them.
    n_i = _load(kn, first, end, BM, D, BD).to(tl.float32)
    token, column = first + tl.arange(0, BM), tl.arange(0, BD)[None, :]
    r_i = tl.load(r + line * steps + token, mask=token < end, other=0.0)
    along = (1.0 - eps * r_i * r_i) * tl.sum(n_i * acc, 1) / tl.maximum(tl.sum(n_i * n_i, 1), 1e-30)
    out = (r_i * tl.load(back + line))[:, None] * (acc - along[:, None] * n_i)
    there = (token < end)[:, None] & (column < D)
    tl.store(dk + line * steps * D + token[:, None] * D + column, out.to(dk.dtype.element_ty), mask=there)
