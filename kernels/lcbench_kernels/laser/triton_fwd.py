"""LASER forward in Triton: a flash attention sweep over weights whose columns' exponents rise from tile to tile."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from lcbench_kernels.laser import weights
from lcbench_kernels.laser.blocks import Blocks
from lcbench_kernels.laser.triton_weights import load_tile, log_of, power_of_two


@triton.jit
def _sweep(
    acc, total, top, epoch, q, own, k, w, exponents, epochs, k_token, tokens, scale_log2, first, stop,
    MASKED: tl.constexpr, D: tl.constexpr, TILE: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Tiles first..stop - 1: acc = sum of p w / 2^M, M of the tile just taken; total = sum of p; top = running maximum.

    M never falls, so acc is scaled down by a power of two where it rises; epochs tell where.
    """
    offsets = tl.arange(0, TILE)
    columns = tl.arange(0, BLOCK_D)
    for tile in range(first, stop):
        start = tile * TILE
        far = start.to(tl.int64)
        now = tl.load(epochs + tile)
        keys = load_tile(k + far * k_token, offsets, columns, k_token, tokens - start, MASKED, D)
        scores = tl.dot(q, tl.trans(keys), input_precision="tf32x3") * scale_log2
        if MASKED:
            scores = tl.where((start + offsets)[None, :] <= own[:, None], scores, float("-inf"))
        highest = tl.maximum(top, tl.max(scores, axis=1))
        p = tl.exp2(scores - highest[:, None])
        fade = tl.exp2(top - highest)
        total = total * fade + tl.sum(p, axis=1)
        acc = acc * fade[:, None]
        if now != epoch:
            here = exponents + tile * D + columns
            before = tl.load(here - D, mask=columns < D, other=0.0)
            acc = acc * power_of_two(before - tl.load(here, mask=columns < D, other=0.0))[None, :]
        weight = load_tile(w + far * D, offsets, columns, D, tokens - start, MASKED, D)
        acc = tl.dot(p.to(weight.dtype), weight, acc, input_precision="tf32x3")
        top = highest
        epoch = now
    return acc, total, top, epoch


@triton.jit(do_not_specialize=["heads", "group", "steps", "tokens", "tiles"])
def laser_fwd(
    q, k, w, exponents, epochs, past, out, o, lse,
    q_row, q_head, q_token, k_row, k_head, k_token, heads, group, steps, tokens, tiles, scale_log2,
    SAVE: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """ROWS queries of one head. out = log(o) + M ln 2 with o = acc / total; SAVE also stores o, and lse in base 2.

    o stands at the exponents of the last tile that any of the ROWS queries sees. Long sweeps are handed out first.
    """
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    line = tl.program_id(1).to(tl.int64)
    row = line // heads
    kv_line = line // group
    first = block * ROWS
    offsets = tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK_D)
    q += row * q_row + (line % heads) * q_head + first.to(tl.int64) * q_token
    queries = load_tile(q, offsets, columns, q_token, steps - first, True, D)
    k += row * k_row + (line % heads // group) * k_head
    w += kv_line * tokens * D
    exponents += kv_line * tiles * D
    epochs += kv_line * tiles

    begin = tl.load(past + row).to(tl.int32) + first
    own = begin + offsets
    stop = tl.cdiv(tl.minimum(begin + ROWS, tokens), TILE)
    whole = tl.minimum((begin + 1) // TILE, tokens // TILE)  # tiles that every query sees whole
    acc = tl.zeros([ROWS, BLOCK_D], tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], float("-inf"), tl.float32)
    epoch = 0
    acc, total, top, epoch = _sweep(
        acc, total, top, epoch, queries, own, k, w, exponents, epochs, k_token, tokens, scale_log2, 0, whole,
        False, D, TILE, BLOCK_D,
    )  # fmt: skip
    acc, total, top, epoch = _sweep(
        acc, total, top, epoch, queries, own, k, w, exponents, epochs, k_token, tokens, scale_log2, whole, stop,
        True, D, TILE, BLOCK_D,
    )  # fmt: skip

    sums = acc * (1.0 / total)[:, None]
    last = tl.load(exponents + (stop - 1) * D + columns, mask=columns < D, other=0.0)
    result = log_of(sums, last[None, :]).to(out.dtype.element_ty)
    inside = (offsets < steps - first)[:, None] & (columns < D)[None, :]
    base = line * steps + first
    to = offsets[:, None] * D + columns[None, :]
    tl.store(out + base * D + to, result, mask=inside)
    if SAVE:
        tl.store(o + base * D + to, sums, mask=inside)
        tl.store(lse + base + offsets, top + tl.log2(total), mask=offsets < steps - first)


def forward(
    q: torch.Tensor,
    k: torch.Tensor,
    w: torch.Tensor,
    exponents: torch.Tensor,
    epochs: torch.Tensor,
    past: torch.Tensor,
    scale: float,
    save: bool,
    blocks: Blocks,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """out [B, Hq, T, D] in q's dtype; with `save` also o in float32 and lse [B, Hq, T] (base 2), else empty.

    o is not rounded: the backward pass takes its delta from o, and by as much as rounding moved delta, rows of dS would
    miss a sum of 0 and dQ = dS K a multiple of the keys' mean.
    w, exponents and epochs as `triton_weights.weigh_running` makes them with blocks.tile.
    """
    batch, heads, steps, size = q.shape
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    o = torch.empty(q.shape if save else (0,), dtype=torch.float32, device=q.device)
    lse = torch.empty(q.shape[:3] if save else (0,), dtype=torch.float32, device=q.device)
    grid = (triton.cdiv(steps, blocks.forward.rows), batch * heads)
    shape = (heads, heads // k.shape[1], steps, k.shape[2], epochs.shape[2], scale * weights.LOG2E)
    constants = {"SAVE": save, "TILE": blocks.tile, "D": size, "BLOCK_D": max(16, triton.next_power_of_2(size))}
    laser_fwd[grid](
        q,
        k,
        w,
        exponents,
        epochs,
        past,
        out,
        o,
        lse,
        *q.stride()[:3],
        *k.stride()[:3],
        *shape,
        **constants,
        **blocks.forward.options(),
    )
    return out, o, lse
