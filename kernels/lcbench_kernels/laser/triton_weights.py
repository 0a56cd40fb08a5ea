"""The elementwise passes of `weights.py` as Triton kernels, each one read and one write, and running exponents by tile.

All are limited by memory: a program takes a block of tokens of one head, all of its columns, computes in float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from lcbench_kernels.laser import weights

LOG2E = tl.constexpr(weights.LOG2E)
LN2 = tl.constexpr(weights.LN2)
STEEPEST = tl.constexpr(weights.STEEPEST)
NOTHING = tl.constexpr(weights.NOTHING)
TINY = tl.constexpr(2.0**-126)
ROWS = 32


@triton.jit
def power_of_two(exponent):
    """2^exponent in float32 of whole numbers, exactly: 0 below 2^-126; up to 2^127."""
    biased = tl.minimum(tl.maximum(exponent, -127.0), 127.0).to(tl.int32) + 127
    return (biased << 23).to(tl.float32, bitcast=True)


@triton.jit
def log_of(sums, exponents):
    """log(sums 2^exponents), sums at least TINY. Their own exponents join the others before anything is rounded."""
    bits = tl.maximum(sums, TINY).to(tl.int32, bitcast=True)
    own = ((bits >> 23) - 127).to(tl.float32)
    mantissa = ((bits & 0x7FFFFF) | 0x3F800000).to(tl.float32, bitcast=True)
    return (tl.log2(mantissa) + (own + exponents)) * LN2


@triton.jit
def load_tile(base, offsets, columns, stride, held, MASKED: tl.constexpr, D: tl.constexpr):
    """base[offsets * stride + columns], 0 in columns from D on and, where MASKED, in rows of offsets from held on.

    A tile without either limit is loaded without a mask.
    """
    at = base + offsets[:, None] * stride + columns[None, :]
    if MASKED:
        return tl.load(at, mask=(offsets < held)[:, None] & (columns < D)[None, :], other=0.0)
    if columns.shape[0] == D:
        return tl.load(at)
    return tl.load(at, mask=(columns < D)[None, :], other=0.0)


@triton.jit(do_not_specialize=["heads", "total"])
def laser_tile_max(
    v, lengths, out, v_row, v_head, v_token, heads, total, D: tl.constexpr, TILE: tl.constexpr, BLOCK_D: tl.constexpr
):
    """out [B * H, tiles, D] = ceil(max of log2(exp(v))) over the tokens of each tile before the row's length."""
    tile = tl.program_id(0)
    line = tl.program_id(1).to(tl.int64)
    tokens = tile * TILE + tl.arange(0, TILE)
    columns = tl.arange(0, BLOCK_D)
    length = tl.maximum(tl.load(lengths + line // heads), 1)
    held = (tokens < tl.minimum(length, total))[:, None] & (columns < D)[None, :]
    v += (line // heads) * v_row + (line % heads) * v_head + (tile * TILE).to(tl.int64) * v_token
    at = v + tl.arange(0, TILE)[:, None] * v_token + columns[None, :]
    logs = tl.load(at, mask=held, other=0.0).to(tl.float32) * LOG2E
    top = tl.ceil(tl.max(tl.where(held, logs, NOTHING), axis=0))
    to = out + (line * tl.num_programs(0) + tile) * D
    tl.store(to + columns, top, mask=columns < D)


@triton.jit(do_not_specialize=["heads", "total"])
def laser_weigh(
    v,
    lengths,
    exponents,
    w,
    v_row,
    v_head,
    v_token,
    e_head,
    e_tile,
    heads,
    total,
    D: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """w [B * H, S, D] = exp(v) / 2^(exponents of the token's tile), 0 from the row's length on.

    The power of two is multiplied in last: what is rounded before does not depend on the exponents.
    """
    tile = tl.program_id(0)
    line = tl.program_id(1).to(tl.int64)
    tokens = tile * TILE + tl.arange(0, TILE)
    columns = tl.arange(0, BLOCK_D)
    inside = (tokens < total)[:, None] & (columns < D)[None, :]
    offsets = tl.arange(0, TILE)[:, None]
    start = (tile * TILE).to(tl.int64)
    v += (line // heads) * v_row + (line % heads) * v_head + start * v_token
    logs = tl.load(v + offsets * v_token + columns[None, :], mask=inside, other=0.0).to(tl.float32) * LOG2E
    top = tl.load(exponents + line * e_head + tile * e_tile + columns, mask=columns < D, other=0.0)
    whole = tl.floor(logs)
    weight = tl.exp2(logs - whole) * power_of_two(whole - top[None, :])
    length = tl.maximum(tl.load(lengths + line // heads), 1)
    weight = tl.where((tokens < length)[:, None], weight, 0.0)
    w += (line * total + start) * D
    tl.store(w + offsets * D + columns[None, :], weight.to(w.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["heads", "group", "steps"])
def laser_log(
    o,
    exponents,
    out,
    o_row,
    o_head,
    o_token,
    heads,
    group,
    steps,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """out = log(o 2^M), o at least TINY; both [B, Hq, T, D] of the same strides, exponents [B * Hkv, D]."""
    line = tl.program_id(1).to(tl.int64)
    begin = tl.program_id(0) * ROWS
    offsets = tl.arange(0, ROWS)[:, None]
    columns = tl.arange(0, BLOCK_D)
    inside = (begin + offsets < steps) & (columns < D)[None, :]
    base = (line // heads) * o_row + (line % heads) * o_head + begin.to(tl.int64) * o_token
    at = offsets * o_token + columns[None, :]
    sums = tl.load(o + base + at, mask=inside, other=1.0).to(tl.float32)
    top = tl.load(exponents + (line // group) * D + columns, mask=columns < D, other=0.0)
    tl.store(out + base + at, log_of(sums, top[None, :]).to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["heads", "steps"])
def laser_bwd_log(
    grad,
    o,
    steep,
    delta,
    g_row,
    g_head,
    g_token,
    o_row,
    o_head,
    o_token,
    heads,
    steps,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """steep = grad / o, of o's strides, 0 where o underflowed; delta [B * Hq, T] = sum of steep * o over the columns.

    delta takes steep as rounded, as the products of the backward pass do: then their rounding cancels.
    """
    line = tl.program_id(1).to(tl.int64)
    begin = tl.program_id(0) * ROWS
    rows = begin + tl.arange(0, ROWS)
    offsets = tl.arange(0, ROWS)[:, None]
    columns = tl.arange(0, BLOCK_D)
    inside = (rows < steps)[:, None] & (columns < D)[None, :]
    far = begin.to(tl.int64)
    base = (line // heads) * o_row + (line % heads) * o_head + far * o_token
    at = offsets * o_token + columns[None, :]
    sums = tl.load(o + base + at, mask=inside, other=0.0).to(tl.float32)
    grad += (line // heads) * g_row + (line % heads) * g_head + far * g_token
    given = tl.load(grad + offsets * g_token + columns[None, :], mask=inside, other=0.0).to(tl.float32)
    ratio = tl.minimum(tl.maximum(given / tl.maximum(sums, TINY), -STEEPEST), STEEPEST)
    ratio = tl.where(sums > TINY, ratio, 0.0).to(steep.dtype.element_ty)
    tl.store(steep + base + at, ratio, mask=inside)
    tl.store(delta + line * steps + rows, tl.sum(ratio.to(tl.float32) * sums, axis=1), mask=rows < steps)


def weigh(v: torch.Tensor, lengths: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """As `weights.weigh`."""
    v = v if v.stride(-1) == 1 else v.contiguous()
    exponents = _tile_max(v, lengths, ROWS).amax(dim=2, keepdim=True)
    return _weigh(v, lengths, exponents.expand(-1, -1, triton.cdiv(v.shape[2], ROWS), -1), dtype, ROWS), exponents


def weigh_running(
    v: torch.Tensor, lengths: torch.Tensor, dtype: torch.dtype, tile: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """w as `weights.weigh`, but with the exponents M [B, H, tiles, D] of each tile's tokens and all before it.

    Also epochs [B, H, tiles] int32: how often any column of M rose up to that tile, so that tiles of one epoch share M.
    """
    v = v if v.stride(-1) == 1 else v.contiguous()
    exponents = _tile_max(v, lengths, tile).cummax(dim=2).values
    epochs = torch.zeros(exponents.shape[:3], dtype=torch.int32, device=v.device)
    rises = (exponents[:, :, 1:] != exponents[:, :, :-1]).any(dim=-1)
    torch.cumsum(rises, dim=2, dtype=torch.int32, out=epochs[:, :, 1:])
    return _weigh(v, lengths, exponents, dtype, tile), exponents, epochs


def log(o: torch.Tensor, exponents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """As `weights.log`; o's last dimension is contiguous."""
    batch, heads, steps, size = o.shape
    out = torch.empty_strided(o.shape, o.stride(), dtype=dtype, device=o.device)
    grid = (triton.cdiv(steps, ROWS), batch * heads)
    group = heads // exponents.shape[1]
    blocks = {"D": size, "ROWS": ROWS, "BLOCK_D": triton.next_power_of_2(size)}
    laser_log[grid](o, exponents, out, *o.stride()[:3], heads, group, steps, **blocks)
    return out


def log_backward(grad: torch.Tensor, o: torch.Tensor) -> torch.Tensor:
    """As `weights.log_backward`."""
    return steep_and_delta(grad, o, o.dtype)[0]


def steep_and_delta(grad: torch.Tensor, o: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """grad / o as `weights.log_backward`, in `dtype`; its products with o summed over columns, [B, Hq, T] float32."""
    batch, heads, steps, size = o.shape
    if grad.stride(-1) != 1:
        grad = grad.contiguous()
    steep = torch.empty_strided(o.shape, o.stride(), dtype=dtype, device=o.device)
    delta = torch.empty(o.shape[:3], dtype=torch.float32, device=o.device)
    grid = (triton.cdiv(steps, ROWS), batch * heads)
    blocks = {"D": size, "ROWS": ROWS, "BLOCK_D": triton.next_power_of_2(size)}
    laser_bwd_log[grid](grad, o, steep, delta, *grad.stride()[:3], *o.stride()[:3], heads, steps, **blocks)
    return steep, delta


def _tile_max(v: torch.Tensor, lengths: torch.Tensor, tile: int) -> torch.Tensor:
    """[B, H, tiles, D] float32; far below every real number in tiles behind a row's length."""
    batch, heads, total, size = v.shape
    tiles = triton.cdiv(total, tile)
    out = torch.empty(batch, heads, tiles, size, dtype=torch.float32, device=v.device)
    blocks = {"D": size, "TILE": tile, "BLOCK_D": triton.next_power_of_2(size)}
    laser_tile_max[(tiles, batch * heads)](v, lengths, out, *v.stride()[:3], heads, total, **blocks)
    return out


def _weigh(
    v: torch.Tensor, lengths: torch.Tensor, exponents: torch.Tensor, dtype: torch.dtype, tile: int
) -> torch.Tensor:
    """exponents [B, H, tiles, D], its first two dimensions as if one."""
    batch, heads, total, size = v.shape
    w = torch.empty(v.shape, dtype=dtype, device=v.device)
    blocks = {"D": size, "TILE": tile, "BLOCK_D": triton.next_power_of_2(size)}
    strides = (*v.stride()[:3], *exponents.stride()[1:3])
    laser_weigh[(exponents.shape[2], batch * heads)](v, lengths, exponents, w, *strides, heads, total, **blocks)
    return w
