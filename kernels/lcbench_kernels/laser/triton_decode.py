"""LASER decode, one query a row, in Triton: softmax decode over exp(v - m), m a running maximum of each column of v.

Split-KV with the query heads of a KV head packed into one tile. A program's sums are taken under two running maxima:
that of its scores, one a query, and that of its values, one a column; where either rises, the sums are scaled down. The
second kernel brings the splits of a query under the maxima of all of them and takes the logarithm, in float32.

Half precision multiplies in bfloat16 whatever the model's dtype: exp(v - m) goes down to e^-87 there, in float16 only
to e^-17. Tiles are transposed as in softmax decode, [tokens, M] and [D, M].
"""

from __future__ import annotations

from math import gcd

import torch
import triton
import triton.language as tl

from lcbench_kernels.common import split_kv
from lcbench_kernels.common.split_kv import LOG2E, LOWEST, PADDING, aligned, await_partials, launch_next, store_partials

TINY = tl.constexpr(1.0e-37)  # where every weight underflows, the output is the maximum of the column less 85


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
    partial = split_kv.partials(k, group + 1, cut.splits)
    layout = [stride for x in (q, k, v) for stride in split_kv.strides(x)]
    columns = max(16, triton.next_power_of_2(group + 1))
    overlap = split_kv.overlap(k)
    tile = {"G": group, "D": size, "DP": split_kv.padded(size), "OVERLAP": bool(overlap)}
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    wide = q.dtype == torch.float32 or not q.is_cuda  # without CUDA it is the interpreter, whose bfloat16 is wrong
    laser_decode_split[(cut.splits, batch * heads)](
        q, k, v, lengths, partial, *layout, heads, cut.splits, cut.chunk, scale * LOG2E.value,
        **tile, M=columns, BLOCK=cut.block, ALIGN=gcd(8, *layout),
        DOT=tl.float32 if wide else tl.bfloat16, num_warps=4, num_stages=cut.stages,
    )  # fmt: skip
    laser_decode_combine[(batch * q.shape[1],)](
        partial, lengths, out, heads, cut.splits, cut.chunk, **tile, SPLITS=split_kv.at_once(size), num_warps=4,
        **overlap,
    )  # fmt: skip
    return out


@triton.jit(do_not_specialize=["splits"])
def laser_decode_split(
    q, k, v, lengths, partial, q_row, q_head, k_row, k_head, k_token, v_row, v_head, v_token, heads, splits, chunk,
    scale_log2, G: tl.constexpr, M: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BLOCK: tl.constexpr,
    ALIGN: tl.constexpr, DOT: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """One split of one line. Partials: G rows of sums under both maxima, and one row, the maxima of the columns."""
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
    highest = tl.full([DP], LOWEST, tl.float32)
    weights = tl.zeros([BLOCK, M], tl.float32)
    sums = tl.zeros([DP, M], tl.float32)
    for start in range(first, last, BLOCK):
        seen = (start + tile < last)[:, None]
        key = tl.load(keys, mask=seen & columns, other=0.0)
        score = tl.dot(key, queries, input_precision="tf32x3") * scale_log2
        score = tl.where(seen, score, float("-inf"))
        raised = tl.maximum(top, tl.max(score, 0))
        before = tl.exp2(top - raised)
        weight = tl.exp2(score - raised[None, :])
        weights = weights * before[None, :] + weight
        value = tl.load(values, mask=seen & columns, other=0.0).to(tl.float32) * LOG2E
        value = tl.where(seen, value, float("-inf"))
        higher = tl.maximum(highest, tl.max(value, 0))
        shrink = tl.exp2(highest - higher)
        value = tl.exp2(value - higher[None, :]).to(DOT)
        sums *= before[None, :] * shrink[:, None]
        sums = tl.dot(tl.trans(value), weight.to(DOT), sums, input_precision="tf32x3")
        top, highest = raised, higher
        keys += BLOCK * k_token
        values += BLOCK * v_token
    sums = tl.where((m == G)[None, :], highest[:, None], sums)
    out = partial + (line.to(tl.int64) * (G + 1) * splits + split) * (D + PADDING)
    store_partials(out, splits, sums, top, tl.sum(weights, 0), m, d, G + 1, D)


@triton.jit(do_not_specialize=["splits"])
def laser_decode_combine(
    partial, lengths, out, heads, splits, chunk, G: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    OVERLAP: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """One query head of one row: its splits under common maxima, summed, their logarithm, and the maximum again."""
    head = tl.program_id(0)
    line, member = head // G, (head % G).to(tl.int64)
    d = tl.arange(0, DP)
    held = tl.cdiv(tl.load(lengths + line // heads).to(tl.int32), chunk)
    WIDTH: tl.constexpr = D + PADDING
    partial += line.to(tl.int64) * (G + 1) * splits * WIDTH

    await_partials(OVERLAP)
    top = tl.full([], LOWEST, tl.float32)
    total = tl.zeros([], tl.float32)
    highest = tl.full([DP], LOWEST, tl.float32)
    sums = tl.zeros([DP], tl.float32)
    for first in range(0, held, SPLITS):
        split = first + tl.arange(0, SPLITS)
        live = split < held
        at = partial + (member * splits + split) * WIDTH
        maxima = partial + (G * splits + split.to(tl.int64)) * WIDTH
        inside = live[:, None] & (d < D)[None, :]
        tops = tl.load(at + D, mask=live, other=LOWEST)
        totals = tl.load(at + D + 1, mask=live, other=0.0)
        tile = tl.load(at[:, None] + d[None, :], mask=inside, other=0.0)
        columns = tl.load(maxima[:, None] + d[None, :], mask=inside, other=LOWEST)
        raised = tl.maximum(top, tl.max(tops, 0))
        higher = tl.maximum(highest, tl.max(columns, 0))
        weights = tl.exp2(tops - raised)
        before = tl.exp2(top - raised)
        total = total * before + tl.sum(totals * weights, 0)
        tile = tile * weights[:, None] * tl.exp2(columns - higher[None, :])
        sums = sums * before * tl.exp2(highest - higher) + tl.sum(tile, 0)
        top, highest = raised, higher
    result = (tl.log2(tl.maximum(sums / total, TINY)) + highest) / LOG2E
    tl.store(out + head.to(tl.int64) * D + d, result.to(out.dtype.element_ty), mask=d < D)
