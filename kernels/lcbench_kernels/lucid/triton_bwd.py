"""The backward of the LUCID preconditioner in Triton, but for the solve: the gradient by the keys, and the passes over
what it and the solve read. `backward.py` defines it; the mathematics, and why operands and projection are what they
are, stand in README.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import triton
import triton.language as tl

from lcbench_kernels.lucid.constants import EPS

ELEMENTS = 4096  # of a tile in the kernels that only pass over their operands once

Halved = tuple[torch.Tensor, torch.Tensor]


def gradients(
    k: torch.Tensor,
    y: Halved,
    dy: torch.Tensor,
    solve: Callable[..., torch.Tensor],
    order: torch.Tensor,
    cu_seqlens: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """dk [B, H, T, D] and dv [B, H, T, Dv] in the dtypes of k and dy, for L(k) y = v and dy [B, H, T, Dv].

    y: what `halve` made of it. solve: as in `autograd.precondition_with_grad`. order [T] int64: the token that takes
    each place when every sequence is reversed where it stands. cu_seqlens as in `backward.keys_gradient`.
    Memory O(B H T (D + Dv)). Raises ValueError as `turn` does.
    """
    kn, r, turned_k, turned_dy = turn(k, dy, order)
    halved, dv = halve(solve(turned_k, turned_dy, dtype=torch.float32), dy.dtype, order)
    return keys_gradient(kn, r, y, halved, k.dtype, cu_seqlens), dv


def halve(x: torch.Tensor, dtype: torch.dtype, order: torch.Tensor | None = None) -> tuple[Halved, torch.Tensor]:
    """x [B, H, T, Dv] float32, with an `order` [T] int64 x[:, :, order], as float16 to multiply and in `dtype`.

    The float16 is x times a power of two of the line (one head of one batch row), so that gradients of 1e-8 keep
    float16's 11 bits: a line whose largest magnitude is 2^-100 or more has it in [4, 8). The bits of that magnitude,
    int32 [B, H], go with it: `_powers` makes the factor of them, and the one that takes it back.
    """
    batch, heads, steps, size = x.shape
    x = x.contiguous()
    largest = torch.zeros(batch, heads, dtype=torch.int32, device=x.device)
    half = torch.empty(x.shape, dtype=torch.float16, device=x.device)
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    padded = padded_size(size)
    rows = ELEMENTS // padded
    grid = (triton.cdiv(steps, rows), batch * heads)
    lucid_bwd_largest[grid](x, largest, steps, size, padded, rows)
    lucid_bwd_halve[grid](x, order, largest, half, out, steps, size, padded, rows)
    return (half, largest), out


def turn(k: torch.Tensor, dy: torch.Tensor, order: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """All that is made of k [B, H, T, D] and dy [B, H, T, Dv], of any strides, in one pass:

    kn [B, H, T, D] float16, keys whose products, less sqrt(D) log2(e), are base-2 logarithms of L's entries;
    r [B, H, T] float32, the norm's factor; and k[:, :, order] and dy[:, :, order] for the transposed solve. order [T]
    int64 is its own inverse. Raises ValueError for keys in float64, and for D or Dv beyond 256.
    """
    batch, heads, steps, size = k.shape
    value_size = dy.shape[-1]
    if k.dtype == torch.float64:
        raise ValueError("the LUCID backward kernels work in float16 and float32; float64 needs impl=reference")
    if max(size, value_size) > 256:
        raise ValueError(f"the LUCID backward kernels take head sizes up to 256, not {max(size, value_size)}")
    kn = torch.empty(k.shape, dtype=torch.float16, device=k.device)
    r = torch.empty(batch, heads, steps, dtype=torch.float32, device=k.device)
    turned_k = torch.empty(k.shape, dtype=k.dtype, device=k.device)
    turned_dy = torch.empty(dy.shape, dtype=dy.dtype, device=dy.device)
    padded, value_padded = padded_size(size), padded_size(value_size)
    rows = ELEMENTS // max(padded, value_padded)
    lucid_bwd_turn[(triton.cdiv(steps, rows), batch * heads)](
        k, dy, order, kn, r, turned_k, turned_dy, *k.stride(), *dy.stride(), heads, steps,
        math.log2(math.e) ** 0.5 * size**-0.25, EPS, size, value_size, padded, value_padded, rows,
    )  # fmt: skip
    return kn, r, turned_k, turned_dy


def keys_gradient(
    kn: torch.Tensor,
    r: torch.Tensor,
    y: Halved,
    dv: Halved,
    dtype: torch.dtype,
    cu_seqlens: torch.Tensor | None = None,
    tiles: tuple[int, int, int, int] | None = None,
) -> torch.Tensor:
    """dk [B, H, T, D] in `dtype`; meaning as in `backward.keys_gradient`, kn and r from `turn`, y and dv from `halve`.

    tiles: rows of a program, columns of a step, warps, stages; `choose_tiles` where none are given.
    Products in float16 with float32 accumulation; rows of y and dv, below 8, have products below 64 * 256, so that
    float16 holds them. Reads nothing back from the device.
    """
    batch, heads, steps, size = kn.shape
    value_size = y[0].shape[-1]
    padded, value_padded = padded_size(size), padded_size(value_size)
    rows, columns, warps, stages = tiles or choose_tiles(padded, value_padded)
    blocks = row_blocks(steps, rows, cu_seqlens, kn.device)
    dk = torch.empty(kn.shape, dtype=dtype, device=kn.device)
    lucid_bwd_dk[(len(blocks), batch * heads)](
        kn, r, *y, *dv, dk, blocks, steps, size**0.5 * math.log2(math.e), -(math.log(2) ** 0.5) * size**-0.25, EPS,
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


@triton.jit
def _powers(largest):
    """From the bits of a magnitude the power of two that brings it to [4, 8), and the one that takes it back.

    Below 2^-100 they are those of 2^-100. From inf or NaN the way back is inf, so that nothing of such a line passes
    for a number.
    """
    exponent = tl.maximum(largest >> 23, 27)
    return ((256 - exponent) << 23).to(tl.float32, bitcast=True), (exponent << 23).to(tl.float32, bitcast=True) * 0.25


@triton.jit
def _load(base, first, end, ROWS: tl.constexpr, SIZE: tl.constexpr, PADDED: tl.constexpr):
    """Rows first .. first + ROWS of a contiguous [T, SIZE] tensor, [ROWS, PADDED]; 0 from row `end`, column SIZE on."""
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, PADDED)[None, :]
    mask = row < end - first
    if SIZE < PADDED:
        mask &= column < SIZE
    return tl.load(base + tl.cast(first, tl.int64) * SIZE + (row * SIZE + column), mask=mask, other=0.0)


@triton.jit(do_not_specialize=["steps"])
def lucid_bwd_largest(x, largest, steps, DV: tl.constexpr, BDV: tl.constexpr, ROWS: tl.constexpr):
    """The bits of the largest magnitude of each line of x, float32. Grid: (tiles of ROWS, lines)."""
    line = tl.program_id(1).to(tl.int64)
    tile = _load(x + line * steps * DV, tl.program_id(0) * ROWS, steps, ROWS, DV, BDV)
    bits = tile.to(tl.int32, bitcast=True) & 0x7FFFFFFF  # integers in the order of magnitudes, and NaN above them all
    tl.atomic_max(largest + line, tl.max(tl.max(bits, axis=1), axis=0), sem="relaxed")


@triton.jit(do_not_specialize=["steps"])
def lucid_bwd_halve(
    x, order, largest, half, out, steps, DV: tl.constexpr, BDV: tl.constexpr, ROWS: tl.constexpr
):  # fmt: skip
    """x, or with an order its rows in that order, to half by the line's factor, and to out. Grid: (tiles, lines)."""
    line = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BDV)[None, :]
    there = (row < steps)[:, None] & (column < DV)
    source = row if order is None else tl.load(order + row, mask=row < steps, other=0)
    values = tl.load(x + (line * steps + source)[:, None] * DV + column, mask=there, other=0.0)
    factor, _ = _powers(tl.load(largest + line))
    at = (line * steps + row)[:, None] * DV + column
    tl.store(half + at, (values * factor).to(tl.float16), mask=there)
    tl.store(out + at, values.to(out.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["heads", "steps"])
def lucid_bwd_turn(
    k, dy, order, kn, r, turned_k, turned_dy,
    k_b, k_h, k_t, k_d, dy_b, dy_h, dy_t, dy_d, heads, steps, gain, eps,
    D: tl.constexpr, DV: tl.constexpr, BD: tl.constexpr, BDV: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """What `turn` says, of ROWS tokens of one line. Grid: (tiles, lines)."""
    line = tl.program_id(1).to(tl.int64)
    k += (line // heads) * k_b + (line % heads) * k_h
    dy += (line // heads) * dy_b + (line % heads) * dy_h
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    real = row < steps
    place = line * steps + tl.load(order + row, mask=real, other=0)
    d, there = tl.arange(0, BD)[None, :], real[:, None] & (tl.arange(0, BD) < D)[None, :]
    keys = tl.load(k + row[:, None] * k_t + d * k_d, mask=there, other=0.0)
    tl.store(turned_k + place[:, None] * D + d, keys, mask=there)
    keys = keys.to(tl.float32)
    r_i = tl.rsqrt(tl.sum(keys * keys, axis=1) / D + eps)
    tl.store(r + line * steps + row, r_i, mask=real)
    tl.store(kn + (line * steps + row)[:, None] * D + d, (keys * (r_i * gain)[:, None]).to(tl.float16), mask=there)
    d, there = tl.arange(0, BDV)[None, :], real[:, None] & (tl.arange(0, BDV) < DV)[None, :]
    grads = tl.load(dy + row[:, None] * dy_t + d * dy_d, mask=there, other=0.0)
    tl.store(turned_dy + place[:, None] * DV + d, grads, mask=there)


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
    kn, r, yn, y_largest, dvn, dv_largest, dk, blocks, steps, c0, gain, eps,
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
    _, y_back = _powers(tl.load(y_largest + line))
    _, dv_back = _powers(tl.load(dv_largest + line))
    out = (r_i * (y_back * dv_back * gain))[:, None] * (acc - along[:, None] * n_i)
    there = (token < end)[:, None] & (column < D)
    tl.store(dk + line * steps * D + token[:, None] * D + column, out.to(dk.dtype.element_ty), mask=there)
