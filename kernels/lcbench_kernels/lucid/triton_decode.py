"""LUCID decode, one token a row, in Triton: one pass over K and Y yields both the new y and the attention output.

Split-KV with the G query heads of a KV head packed into one tile, and the new key as one more query of that tile: where
a query's column of the tile holds softmax weights exp2(score - running maximum), the new key's holds kernel entries

    exp(sqrt(D) (cos(k_new, k_j) - 1)) = exp2(s_j a r_j - c),  s_j = k_new . k_j,  a = r_new log2(e) / sqrt(D),
                                                               c = sqrt(D) log2(e),  r = 1 / sqrt(mean(k^2) + 1e-5)

at most 1, so that c takes the place of the running maximum and nothing is ever rescaled. r_j comes from the tile of
keys in registers. Weights are rounded to the model's dtype for the product with Y. The kernel entries fill two columns,
the rounded entry and what the rounding lost, since thousands of such errors add up: emulated over 6,144 clustered or
correlated keys of size 64 and 128, a bfloat16 entry alone costs an error of 3 to 5% in the new y, float16 0.4 to 0.7%,
the pair of bfloat16 less than 0.01%, which is a twentieth of what storing y in bfloat16 costs.

The second kernel combines the splits, adds the new token's own softmax term, whose value is the new y, and writes that
y. Everything transposed as in softmax decode: [tokens, M] and [D, M], keys and values read by wgmma from shared memory.
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
from lcbench_kernels.lucid.constants import EPS

EPSILON = tl.constexpr(EPS)


def decode(
    q: torch.Tensor,
    k: torch.Tensor,
    y: torch.Tensor,
    lengths: torch.Tensor,
    *,
    scale: float,
    plan: split_kv.Plan | None = None,
) -> torch.Tensor:
    """q [B, Hq, D] over k, y [B, Hkv, S, D]; returns [B, Hq, D] and replaces y at lengths[b] - 1, which holds v.

    plan: another cut of the tokens than `split_kv.plan`'s. Raises ValueError as `split_kv.check` does.
    """
    split_kv.check(q, k, y, lengths)
    batch, heads, _, size = k.shape
    group = q.shape[1] // heads
    cut = plan or split_kv.plan_for(k)
    partial = split_kv.partials(k, group + 1, cut.splits)
    layout = [stride for x in (q, k, y) for stride in split_kv.strides(x)]
    columns = max(16, triton.next_power_of_2(group + 2))
    overlap = split_kv.overlap(k)
    tile = {"G": group, "D": size, "DP": split_kv.padded(size), "OVERLAP": bool(overlap)}
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    lucid_decode_split[(cut.splits, batch * heads)](
        q, k, y, lengths, partial, *layout, heads, cut.splits, cut.chunk, scale * LOG2E.value, size**0.5 * LOG2E.value,
        **tile, M=columns, BLOCK=cut.block, ALIGN=gcd(8, *layout),
        num_warps=4, num_stages=cut.stages,
    )  # fmt: skip
    lucid_decode_combine[(batch * q.shape[1],)](
        q, k, y, lengths, partial, out, *layout, heads, cut.splits, cut.chunk, scale * LOG2E.value,
        **tile, SPLITS=split_kv.at_once(size), num_warps=4, **overlap,
    )  # fmt: skip
    return out


@triton.jit(do_not_specialize=["splits"])
def lucid_decode_split(
    q, k, y, lengths, partial, q_row, q_head, k_row, k_head, k_token, y_row, y_head, y_token, heads, splits, chunk,
    scale_log2, shift, G: tl.constexpr, M: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BLOCK: tl.constexpr,
    ALIGN: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """One split of the past of one line. Columns of the tile: G query heads, the new key, and the new key again.

    Partials: G rows of softmax, and one of the kernel, whose sums over all splits are -y_new (split 0 starts at -v).
    """
    launch_next(OVERLAP)
    split, line = tl.program_id(0), tl.program_id(1)
    row, kv_head = (line // heads).to(tl.int64), (line % heads).to(tl.int64)
    past = tl.load(lengths + row).to(tl.int32) - 1
    first = split * chunk
    last = tl.minimum(first + chunk, past)
    if (first >= past) & (split > 0):
        return
    m, d, tile = tl.arange(0, M), tl.arange(0, DP), tl.arange(0, BLOCK)
    columns = (d < D)[None, :]
    softmax = m < G
    q_head = aligned(q_head, ALIGN)
    q += row * aligned(q_row, ALIGN) + kv_head * G * q_head
    k += row * aligned(k_row, ALIGN) + kv_head * aligned(k_head, ALIGN)
    y += row * aligned(y_row, ALIGN) + kv_head * aligned(y_head, ALIGN)
    k_token, y_token = aligned(k_token, ALIGN), aligned(y_token, ALIGN)
    new_key = tl.load(k + past * k_token + d, mask=d < D, other=0.0)
    new_r = tl.rsqrt(tl.sum(new_key.to(tl.float32) * new_key.to(tl.float32), 0) * (1.0 / D) + EPSILON)
    queries = tl.load(q + m[None, :] * q_head + d[:, None], mask=softmax[None, :] & (d < D)[:, None], other=0.0)
    queries = tl.where(softmax[None, :], queries, new_key[:, None])
    factor = tl.where(softmax, scale_log2, new_r * (shift / D))
    new_value = tl.load(y + past * y_token + d, mask=d < tl.where(split == 0, D, 0), other=0.0)
    keys = k + (first + tile)[:, None] * k_token + d[None, :]
    values = y + (first + tile)[:, None] * y_token + d[None, :]

    top = tl.where(softmax, LOWEST, shift)
    weights = tl.zeros([BLOCK, M], tl.float32)
    sums = tl.where((m == G)[None, :], -new_value.to(tl.float32)[:, None], 0.0)
    for start in range(first, last, BLOCK):
        seen = (start + tile < last)[:, None]
        key = tl.load(keys, mask=seen & columns, other=0.0)
        wide = key.to(tl.float32)
        r = tl.rsqrt(tl.sum(wide * wide, 1) * (1.0 / D) + EPSILON)
        score = tl.dot(key, queries, input_precision="ieee") * factor[None, :]
        score = tl.where(softmax[None, :], score, score * r[:, None])
        score = tl.where(seen, score, float("-inf"))
        raised = tl.where(softmax, tl.maximum(top, tl.max(score, 0)), shift)
        before = tl.exp2(top - raised)
        weight = tl.exp2(score - raised[None, :])
        weights = weights * before[None, :] + weight
        value = tl.load(values, mask=seen & columns, other=0.0)
        rounded = weight.to(value.dtype)
        lost = (weight - rounded.to(tl.float32)).to(value.dtype)
        rounded = tl.where((m > G)[None, :], lost, rounded)
        sums = tl.dot(tl.trans(value), rounded, sums * before[None, :], input_precision="ieee")
        top = raised
        keys += BLOCK * k_token
        values += BLOCK * y_token
    kernel = tl.sum(tl.where((m == G) | (m == G + 1), sums, 0.0), 1)
    sums = tl.where((m == G)[None, :], kernel[:, None], sums)
    out = partial + (line.to(tl.int64) * (G + 1) * splits + split) * (D + PADDING)
    store_partials(out, splits, sums, top, tl.sum(weights, 0), m, d, G + 1, D)


@triton.jit(do_not_specialize=["splits"])
def lucid_decode_combine(
    q, k, y, lengths, partial, out, q_row, q_head, k_row, k_head, k_token, y_row, y_head, y_token, heads, splits, chunk,
    scale_log2, G: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, OVERLAP: tl.constexpr,
    SPLITS: tl.constexpr,
):  # fmt: skip
    """One query head of one row: the splits put together, and the new token behind them. Head 0 of a group writes y.

    Every head of a group makes the same new y from the partials: none reads it where another one writes it.
    """
    head = tl.program_id(0)
    line, member = head // G, (head % G).to(tl.int64)
    row, kv_head = (line // heads).to(tl.int64), (line % heads).to(tl.int64)
    d = tl.arange(0, DP)
    past = tl.load(lengths + row).to(tl.int32) - 1
    held = tl.maximum(tl.cdiv(past, chunk), 1)
    newest = past.to(tl.int64)
    partial += line.to(tl.int64) * (G + 1) * splits * (D + PADDING)
    await_partials(OVERLAP)
    sums, top, total = combine(partial + member * splits * (D + PADDING), held, d, D, SPLITS)
    kernel, _, _ = combine(partial + G * splits * (D + PADDING), held, d, D, SPLITS)
    new_y = (-kernel).to(y.dtype.element_ty)
    if member == 0:
        tl.store(y + row * y_row + kv_head * y_head + newest * y_token + d, new_y, mask=d < D)
    query = tl.load(q + row * q_row + (kv_head * G + member) * q_head + d, mask=d < D, other=0.0)
    key = tl.load(k + row * k_row + kv_head * k_head + newest * k_token + d, mask=d < D, other=0.0)
    score = tl.sum(query.to(tl.float32) * key.to(tl.float32), 0) * scale_log2
    raised = tl.maximum(top, score)
    before, own = tl.exp2(top - raised), tl.exp2(score - raised)
    result = (sums * before + new_y.to(tl.float32) * own) / (total * before + own)
    tl.store(out + head.to(tl.int64) * D + d, result.to(out.dtype.element_ty), mask=d < D)
