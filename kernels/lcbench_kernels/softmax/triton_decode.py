"""Softmax decode, one query a row, in Triton: split-KV with the query heads of a KV head packed into one tile.

Scores and sums are kept transposed, [tokens, M] and [D, M] for the M packed heads: keys and values are then the large
operands of both products, which Hopper's wgmma reads straight from shared memory, where they arrive asynchronously.
"""

from __future__ import annotations

from math import gcd

import torch
import triton
import triton.language as tl

from lcbench_kernels.common import split_kv
from lcbench_kernels.common.split_kv import (
    LOG2E,
    LOWEST,
    PADDING,
    aligned,
    await_partials,
    combine,
    launch_next,
    store_partials,
)


def decode(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    lengths: torch.Tensor,
    *,
    scale: float,
    plan: split_kv.Plan | None = None,
) -> torch.Tensor:
    """q [B, Hq, D] against k, v [B, Hkv, S, D], row b against its first lengths[b] tokens, 1 or more. [B, Hq, D].

    plan: another cut of the tokens than `split_kv.plan`'s. Raises ValueError as `split_kv.check` does.
    """
    split_kv.check(q, k, v, lengths)
    batch, heads, _, size = k.shape
    group = q.shape[1] // heads
    cut = plan or split_kv.plan_for(k)
    partial = split_kv.partials(k, group, cut.splits)
    layout = [stride for x in (q, k, v) for stride in split_kv.strides(x)]
    columns = max(16, triton.next_power_of_2(group))
    overlap = split_kv.overlap(k)
    tile = {"G": group, "D": size, "DP": split_kv.padded(size), "OVERLAP": bool(overlap)}
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    softmax_decode_split[(cut.splits, batch * heads)](
        q, k, v, lengths, partial, *layout, heads, cut.splits, cut.chunk, scale * LOG2E.value,
        **tile, M=columns, BLOCK=cut.block, ALIGN=gcd(8, *layout),
        num_warps=4, num_stages=cut.stages,
    )  # fmt: skip
    softmax_decode_combine[(batch * q.shape[1],)](
        partial, lengths, out, heads, cut.splits, cut.chunk, **tile, SPLITS=split_kv.at_once(size), num_warps=4,
        **overlap,
    )  # fmt: skip
    return out


@triton.jit(do_not_specialize=["splits"])
def softmax_decode_split(
    q, k, v, lengths, partial, q_row, q_head, k_row, k_head, k_token, v_row, v_head, v_token, heads, splits, chunk,
    scale_log2, G: tl.constexpr, M: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BLOCK: tl.constexpr,
    ALIGN: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """One split of one line: online softmax over its tiles, the newest of M = G packed query heads."""
    launch_next(OVERLAP)
    split, line = tl.program_id(0), tl.program_id(1)
    row, kv_head = (line // heads).to(tl.int64), (line % heads).to(tl.int64)
    length = tl.load(lengths + row).to(tl.int32)
    first = split * chunk
    last = tl.minimum(first + chunk, length)
    if first >= length:
        return
    m, d, tile = tl.arange(0, M), tl.arange(0, DP), tl.arange(0, BLOCK)
    columns = (d < D)[None, :]
    q_head = aligned(q_head, ALIGN)
    q += row * aligned(q_row, ALIGN) + kv_head * G * q_head
    queries = tl.load(q + m[None, :] * q_head + d[:, None], mask=(m < G)[None, :] & (d < D)[:, None], other=0.0)
    k_token, v_token = aligned(k_token, ALIGN), aligned(v_token, ALIGN)
    keys = (
        k
        + row * aligned(k_row, ALIGN)
        + kv_head * aligned(k_head, ALIGN)
        + (first + tile)[:, None] * k_token
        + d[None, :]
    )
    values = (
        v
        + row * aligned(v_row, ALIGN)
        + kv_head * aligned(v_head, ALIGN)
        + (first + tile)[:, None] * v_token
        + d[None, :]
    )

    top = tl.full([M], LOWEST, tl.float32)
    weights = tl.zeros([BLOCK, M], tl.float32)
    sums = tl.zeros([DP, M], tl.float32)
    for start in range(first, last, BLOCK):
        seen = (start + tile < last)[:, None]
        key = tl.load(keys, mask=seen & columns, other=0.0)
        score = tl.dot(key, queries, input_precision="ieee") * scale_log2
        score = tl.where(seen, score, float("-inf"))
        raised = tl.maximum(top, tl.max(score, 0))
        before = tl.exp2(top - raised)
        weight = tl.exp2(score - raised[None, :])
        weights = weights * before[None, :] + weight
        value = tl.load(values, mask=seen & columns, other=0.0)
        sums = tl.dot(tl.trans(value), weight.to(value.dtype), sums * before[None, :], input_precision="ieee")
        top = raised
        keys += BLOCK * k_token
        values += BLOCK * v_token
    out = partial + (line.to(tl.int64) * G * splits + split) * (D + PADDING)
    store_partials(out, splits, sums, top, tl.sum(weights, 0), m, d, G, D)


@triton.jit(do_not_specialize=["splits"])
def softmax_decode_combine(
    partial, lengths, out, heads, splits, chunk, G: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    OVERLAP: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """One query head of one row: its splits put together."""
    head = tl.program_id(0)
    d = tl.arange(0, DP)
    held = tl.cdiv(tl.load(lengths + head // (heads * G)).to(tl.int32), chunk)
    await_partials(OVERLAP)
    sums, _, total = combine(partial + head.to(tl.int64) * splits * (D + PADDING), held, d, D, SPLITS)
    tl.store(out + head.to(tl.int64) * D + d, (sums / total).to(out.dtype.element_ty), mask=d < D)
