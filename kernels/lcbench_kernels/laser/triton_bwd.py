"""LASER backward in Triton: dQ on its own, and dK with dV. No atomics: the same bits every time.

With o = sum_j a_j w_j at the exponents M of the query's block, steep = dOut / o is the gradient by o, and attention's
own backward follows over w and steep. What is new is that query block and key tile stand at different exponents: their
ratio is a power of two of at most 1 a column, since M never falls. Both kernels go from late to early, so that what is
scaled down and underflows has no part in what comes after it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from lcbench_kernels.laser import weights
from lcbench_kernels.laser.blocks import Blocks
from lcbench_kernels.laser.triton_weights import load_tile, power_of_two


@triton.jit
def exponents_at(exponents, tile, columns, D: tl.constexpr):
    return tl.load(exponents + tile * D + columns, mask=columns < D, other=0.0)


@triton.jit
def _sweep_q(
    dq, steep, epoch, q, own, lse, delta, k, w, exponents, epochs, k_token, tokens, scale_log2, last, count,
    MASKED: tl.constexpr, D: tl.constexpr, TILE: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Tiles last, last - 1, .. of which there are `count`; steep stands at the exponents of the tile just taken."""
    offsets = tl.arange(0, TILE)
    columns = tl.arange(0, BLOCK_D)
    for step in range(0, count):
        tile = last - step
        start = tile * TILE
        far = start.to(tl.int64)
        now = tl.load(epochs + tile)
        keys = load_tile(k + far * k_token, offsets, columns, k_token, tokens - start, MASKED, D)
        scores = tl.dot(q, tl.trans(keys), input_precision="tf32x3") * scale_log2
        p = tl.exp2(scores - lse[:, None])
        if MASKED:
            p = tl.where((start + offsets)[None, :] <= own[:, None], p, 0.0)
        if now != epoch:
            fall = exponents_at(exponents, tile, columns, D) - exponents_at(exponents, tile + 1, columns, D)
            steep = (steep.to(tl.float32) * power_of_two(fall)[None, :]).to(steep.dtype)
        weight = load_tile(w + far * D, offsets, columns, D, tokens - start, MASKED, D)
        dp = tl.dot(steep, tl.trans(weight), input_precision="tf32x3")
        ds = p * (dp - delta[:, None])
        dq = tl.dot(ds.to(keys.dtype), keys, dq, input_precision="tf32x3")
        epoch = now
    return dq, steep, epoch


@triton.jit(do_not_specialize=["heads", "group", "steps", "tokens", "tiles"])
def laser_bwd_dq(
    q, k, w, exponents, epochs, past, steep, lse, delta, dq,
    q_row, q_head, q_token, k_row, k_head, k_token, heads, group, steps, tokens, tiles, scale, scale_log2,
    D: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, HOME: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """dq of ROWS queries of one head. steep, dq: [B, Hq, T, D]. HOME: ROWS of the forward pass, a multiple of ROWS."""
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    line = tl.program_id(1).to(tl.int64)
    row = line // heads
    kv_line = line // group
    columns = tl.arange(0, BLOCK_D)
    offsets = tl.arange(0, ROWS)
    begin = block * ROWS
    left = steps - begin
    queries = load_tile(
        q + row * q_row + (line % heads) * q_head + begin.to(tl.int64) * q_token,
        offsets,
        columns,
        q_token,
        left,
        True,
        D,
    )
    at = (line * steps + begin) * D
    steeps = load_tile(steep + at, offsets, columns, D, left, True, D)
    sums = tl.load(lse + line * steps + begin + offsets, mask=offsets < left, other=float("inf"))
    deltas = tl.load(delta + line * steps + begin + offsets, mask=offsets < left, other=0.0)
    k += row * k_row + (line % heads // group) * k_head
    w += kv_line * tokens * D
    exponents += kv_line * tiles * D
    epochs += kv_line * tiles

    before = tl.load(past + row).to(tl.int32)
    position = before + begin
    stop = tl.cdiv(tl.minimum(position + ROWS, tokens), TILE)
    whole = tl.minimum((position + 1) // TILE, tokens // TILE)
    home = tl.cdiv(tl.minimum(before + (begin // HOME + 1) * HOME, tokens), TILE) - 1
    fall = exponents_at(exponents, stop - 1, columns, D) - exponents_at(exponents, home, columns, D)
    steeps = (steeps.to(tl.float32) * power_of_two(fall)[None, :]).to(steeps.dtype)
    epoch = tl.load(epochs + stop - 1)
    acc = tl.zeros([ROWS, BLOCK_D], tl.float32)
    own = position + offsets
    acc, steeps, epoch = _sweep_q(
        acc, steeps, epoch, queries, own, sums, deltas, k, w, exponents, epochs, k_token, tokens, scale_log2,
        stop - 1, stop - whole, True, D, TILE, BLOCK_D,
    )  # fmt: skip
    acc, steeps, epoch = _sweep_q(
        acc, steeps, epoch, queries, own, sums, deltas, k, w, exponents, epochs, k_token, tokens, scale_log2,
        whole - 1, whole, False, D, TILE, BLOCK_D,
    )  # fmt: skip
    to = dq + at + (offsets[:, None] * D + columns[None, :])
    tl.store(to, (acc * scale).to(dq.dtype.element_ty), mask=(offsets < left)[:, None] & (columns < D)[None, :])


@triton.jit
def _weights_at(home, tile, w, exponents, tokens, D: tl.constexpr, TILE: tl.constexpr, BLOCK_D: tl.constexpr):
    """w [TILE, BLOCK_D] of a tile, brought from its own exponents down to those of tile `home`, which is no earlier."""
    offsets = tl.arange(0, TILE)
    columns = tl.arange(0, BLOCK_D)
    start = tile * TILE
    weight = load_tile(w + start.to(tl.int64) * D, offsets, columns, D, tokens - start, True, D)
    fall = exponents_at(exponents, tile, columns, D) - exponents_at(exponents, home, columns, D)
    return (weight.to(tl.float32) * power_of_two(fall)[None, :]).to(weight.dtype)


@triton.jit
def _sweep_kv(
    dk, dw, weight, home, keys, tile, q, w, exponents, epochs, steep, lse, delta, q_head, q_token, before, group,
    steps, tokens, scale_log2, last, count,
    MASKED: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, HOME: tl.constexpr,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """`count` blocks of queries, last and before it, each under every head of the group.

    `weight` and dw stand at the exponents of tile `home`, those of the query block just taken.
    """
    offsets = tl.arange(0, ROWS)
    places = tile * TILE + tl.arange(0, TILE)
    columns = tl.arange(0, BLOCK_D)
    for step in range(0, count * group):
        begin = (last - step // group) * ROWS
        head = (step % group).to(tl.int64)
        left = steps - begin
        far = begin.to(tl.int64)
        now = tl.cdiv(tl.minimum(before + (begin // HOME + 1) * HOME, tokens), TILE) - 1
        risen = tl.load(epochs + now) != tl.load(epochs + home)
        queries = load_tile(q + head * q_head + far * q_token, offsets, columns, q_token, left, True, D)
        sums = tl.load(lse + head * steps + begin + offsets, mask=offsets < left, other=float("inf"))
        p = tl.exp2(tl.dot(keys, tl.trans(queries), input_precision="tf32x3") * scale_log2 - sums[None, :])
        if MASKED:
            p = tl.where(places[:, None] <= (before + begin + offsets)[None, :], p, 0.0)
        if risen:
            fall = exponents_at(exponents, now, columns, D) - exponents_at(exponents, home, columns, D)
            dw = dw * power_of_two(fall)[None, :]
            weight = _weights_at(now, tile, w, exponents, tokens, D, TILE, BLOCK_D)
        home = now
        steeps = load_tile(steep + (head * steps + far) * D, offsets, columns, D, left, True, D)
        dw = tl.dot(p.to(steeps.dtype), steeps, dw, input_precision="tf32x3")
        dp = tl.dot(weight, tl.trans(steeps), input_precision="tf32x3")
        deltas = tl.load(delta + head * steps + begin + offsets, mask=offsets < left, other=0.0)
        ds = p * (dp - deltas[None, :])
        dk = tl.dot(ds.to(queries.dtype), queries, dk, input_precision="tf32x3")
    return dk, dw, weight, home


@triton.jit(do_not_specialize=["heads", "group", "steps", "tokens", "tiles"])
def laser_bwd_dkv(
    q, k, w, exponents, epochs, past, steep, lse, delta, dk, dv,
    q_row, q_head, q_token, k_row, k_head, k_token, heads, group, steps, tokens, tiles, scale, scale_log2,
    D: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, HOME: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """dk and dv = dw * w [B, Hkv, S, D] of one tile of one KV head, over its whole group of query heads."""
    tile = tl.program_id(0)
    line = tl.program_id(1).to(tl.int64)
    row = line // heads
    kv_head = line % heads
    columns = tl.arange(0, BLOCK_D)
    start = tile * TILE
    offsets = tl.arange(0, TILE)
    keys = load_tile(
        k + row * k_row + kv_head * k_head + start.to(tl.int64) * k_token,
        offsets,
        columns,
        k_token,
        tokens - start,
        True,
        D,
    )
    q += row * q_row + kv_head * group * q_head
    steep += line * group * steps * D
    lse += line * group * steps
    delta += line * group * steps
    w += line * tokens * D
    exponents += line * tiles * D
    epochs += line * tiles

    before = tl.load(past + row).to(tl.int32)
    count = tl.cdiv(steps, ROWS)
    first = tl.minimum(tl.maximum(start - before, 0) // ROWS, count)  # the first block with a query that sees a token
    full = tl.maximum(start + TILE - 1 - before, 0)
    full = tl.minimum(tl.maximum(tl.cdiv(full, ROWS), first), count)  # the first whose queries all see every token
    home = tl.cdiv(tl.minimum(before + tl.cdiv(count * ROWS, HOME) * HOME, tokens), TILE) - 1
    weight = _weights_at(home, tile, w, exponents, tokens, D, TILE, BLOCK_D)
    grad_k = tl.zeros([TILE, BLOCK_D], tl.float32)
    grad_w = tl.zeros([TILE, BLOCK_D], tl.float32)
    grad_k, grad_w, weight, home = _sweep_kv(
        grad_k, grad_w, weight, home, keys, tile, q, w, exponents, epochs, steep, lse, delta, q_head, q_token, before,
        group, steps, tokens, scale_log2, count - 1, count - full, False, D, ROWS, TILE, HOME, BLOCK_D,
    )  # fmt: skip
    grad_k, grad_w, weight, home = _sweep_kv(
        grad_k, grad_w, weight, home, keys, tile, q, w, exponents, epochs, steep, lse, delta, q_head, q_token, before,
        group, steps, tokens, scale_log2, full - 1, full - first, True, D, ROWS, TILE, HOME, BLOCK_D,
    )  # fmt: skip
    base = (line * tokens + start) * D
    at = offsets[:, None] * D + columns[None, :]
    held = (offsets < tokens - start)[:, None] & (columns < D)[None, :]
    tl.store(dk + base + at, (grad_k * scale).to(dk.dtype.element_ty), mask=held)
    tl.store(dv + base + at, (grad_w * weight.to(tl.float32)).to(dv.dtype.element_ty), mask=held)


def backward_q(
    q: torch.Tensor,
    k: torch.Tensor,
    w: torch.Tensor,
    exponents: torch.Tensor,
    epochs: torch.Tensor,
    past: torch.Tensor,
    steep: torch.Tensor,
    lse: torch.Tensor,
    delta: torch.Tensor,
    scale: float,
    blocks: Blocks,
) -> torch.Tensor:
    """dQ [B, Hq, T, D] in q's dtype. steep and delta as `triton_weights.steep_and_delta` makes them, in w's dtype.

    The rest as `triton_fwd.forward` took and gave it.
    """
    batch, heads, steps, size = q.shape
    dq = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    constants = {**_constants(size, blocks), **blocks.dq.options()}
    shape = (heads, heads // k.shape[1], steps, k.shape[2], epochs.shape[2], scale, scale * weights.LOG2E)
    laser_bwd_dq[(triton.cdiv(steps, blocks.dq.rows), batch * heads)](
        q, k, w, exponents, epochs, past, steep, lse, delta, dq, *q.stride()[:3], *k.stride()[:3], *shape, **constants
    )
    return dq


def backward_kv(
    q: torch.Tensor,
    k: torch.Tensor,
    w: torch.Tensor,
    exponents: torch.Tensor,
    epochs: torch.Tensor,
    past: torch.Tensor,
    steep: torch.Tensor,
    lse: torch.Tensor,
    delta: torch.Tensor,
    scale: float,
    blocks: Blocks,
) -> tuple[torch.Tensor, torch.Tensor]:
    """dK and dV [B, Hkv, S, D] in k's dtype. Arguments as of `backward_q`."""
    batch, heads, steps, size = q.shape
    kv_heads, tokens = k.shape[1:3]
    dk, dv = (torch.empty(k.shape, dtype=k.dtype, device=k.device) for _ in range(2))
    constants = {**_constants(size, blocks), **blocks.dkv.options()}
    shape = (kv_heads, heads // kv_heads, steps, tokens, epochs.shape[2], scale, scale * weights.LOG2E)
    laser_bwd_dkv[(triton.cdiv(tokens, blocks.tile), batch * kv_heads)](
        q,
        k,
        w,
        exponents,
        epochs,
        past,
        steep,
        lse,
        delta,
        dk,
        dv,
        *q.stride()[:3],
        *k.stride()[:3],
        *shape,
        **constants,
    )
    return dk, dv


def _constants(size: int, blocks: Blocks) -> dict[str, int]:
    padded = max(16, triton.next_power_of_2(size))
    return {"D": size, "BLOCK_D": padded, "TILE": blocks.tile, "HOME": blocks.forward.rows}
