"""What a LUCID solve reads besides the values: normalised keys, inverses of the diagonal blocks, the past, a scale.

One program a row block does all of it for the new tokens, so a key is read from memory once. The inverse of the block's
own unit lower triangle is made in fp32: blocks of 16 by substitution, all at once, then by pairs

    [A  .]^-1   [ A^-1          .   ]
    [M  B]    = [-B^-1 M A^-1   B^-1]

up to the whole block. A power series would be shorter and diverges on correlated keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from lcbench_kernels.lucid.constants import EPS
from lcbench_kernels.lucid.plan import Plan

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


@triton.jit
def normalised(k, D: tl.constexpr, gain, eps):
    """Rows of keys [R, DP] (fp32, zeros behind D) as rows of the scratch: RMSNorm, times gain, in fp16."""
    r = tl.rsqrt(tl.sum(k * k, axis=1) / D + eps)
    return (k * (r * gain)[:, None]).to(tl.float16)


@triton.jit
def scale_of(amax):
    """The power of two, and its inverse, that brings the bits of a maximum to [2^4, 2^5)."""
    exponent = tl.maximum(amax >> 23, 5)
    scale = ((258 - exponent) << 23).to(tl.float32, bitcast=True)
    unscale = ((exponent - 4) << 23).to(tl.float32, bitcast=True)
    return scale, unscale


@triton.jit
def halves(x):
    """x in [-2^15, 2^15] as the sum of two fp16 numbers, to 22 bits or 2^-25."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _substitute(kn, inv, tokens, c0, DP: tl.constexpr, BLOCK: tl.constexpr):
    """The inverses of the blocks of 16 on the diagonal, less the identity, to inv; by substitution, all at once."""
    i = tl.arange(0, 16)
    rows = 16 * tl.arange(0, BLOCK // 16)[:, None] + i[None, :]
    gram = tl.zeros((BLOCK // 16, 16, 16), tl.float32)
    for start in tl.static_range(0, DP, 64):  # all of a wide head at once would fill the shared memory
        d = start + tl.arange(0, 64)
        keys = tl.load(kn + rows[:, :, None] * DP + d[None, None, :])
        gram = tl.dot(keys, tl.permute(keys, (0, 2, 1)), gram)
    below = (i[:, None] > i[None, :])[None, :, :] & (rows < tokens)[:, :, None]
    entries = tl.where(below, tl.exp2(gram - c0), 0.0)
    identity = (i[:, None] == i[None, :]).to(tl.float32)[None, :, :]
    x = identity + tl.zeros_like(entries)
    for step in range(15):
        row = tl.sum(tl.where((i == step)[None, :, None], x, 0.0), axis=1)  # of the inverse, final by now
        column = tl.sum(tl.where((i == step)[None, None, :], entries, 0.0), axis=2)
        x -= column[:, :, None] * row[:, None, :]
    high, rest = halves(x - identity)
    at = inv + rows[:, :, None] * BLOCK
    tl.store(at + rows[:, None, :], high)
    if BLOCK > 16:
        far = 16 * (tl.arange(0, BLOCK // 16)[:, None] ^ (BLOCK // 32)) + i[None, :]
        tl.store(at + far[:, None, :], rest)


@triton.jit
def _merge(kn, inv, tokens, c0, size, DP: tl.constexpr, BLOCK: tl.constexpr):
    """From inverses of `size` on the diagonal of inv, less the identity, to inverses of twice the size.

    All pairs at once: the second blocks of the pairs, one below another, are HALF rows, the first ones HALF columns,
    and the matrices of the pairs stand on the diagonal of [HALF, HALF]. While merges go on, the rounding error of every
    number of inv waits in the half of its row that is still free; the last merge fills that half.
    """
    HALF: tl.constexpr = BLOCK // 2
    i = tl.arange(0, HALF)
    pair = tl.max_constancy(i // size, 16)
    together = pair[:, None] == pair[None, :]
    # The compiler cannot see that these are runs of 16, from multiples of 16: that accesses can be 16 bytes wide.
    low = tl.max_contiguous(tl.multiple_of(pair * size + i, 16), 16)
    high = tl.max_contiguous(tl.multiple_of(low + size, 16), 16)
    low_far = tl.max_contiguous(tl.multiple_of(low ^ HALF, 16), 16)
    high_far = tl.max_contiguous(tl.multiple_of(high ^ HALF, 16), 16)
    d = tl.arange(0, DP)
    rows = tl.load(kn + high[:, None] * DP + d[None, :])
    columns = tl.load(kn + low[:, None] * DP + d[None, :])
    m = tl.exp2(tl.dot(rows, tl.trans(columns)) - c0)
    m = tl.where(together & (high < tokens)[:, None], m, 0.0)

    a = inv + low[:, None] * BLOCK
    b = inv + high[:, None] * BLOCK
    a_high = tl.load(a + low[None, :], mask=together, other=0.0)
    a_rest = tl.load(a + low_far[None, :], mask=together, other=0.0)
    b_high = tl.load(b + high[None, :], mask=together, other=0.0)
    b_rest = tl.load(b + high_far[None, :], mask=together, other=0.0)
    tl.debug_barrier()  # all have read what the last merge writes over
    m_high, m_rest = halves(m)
    m = tl.dot(m_high, a_rest, tl.dot(m_rest, a_high, tl.dot(m_high, a_high, m)))
    m_high, m_rest = halves(m)
    m = tl.dot(b_rest, m_high, tl.dot(b_high, m_rest, tl.dot(b_high, m_high, m)))
    m_high, m_rest = halves(-m)
    zeros = tl.zeros_like(m_high)
    tl.store(b + low[None, :], m_high, mask=together)
    tl.store(a + high[None, :], zeros, mask=together)
    if 2 * size < BLOCK:
        tl.store(b + low_far[None, :], m_rest, mask=together)
        tl.store(a + high_far[None, :], zeros, mask=together)


@triton.jit(do_not_specialize=["heads", "chains"])
def lucid_prepare(
    k, v, kn, inv, work, tasks,
    k_b, k_h, k_t, k_d, v_b, v_h, v_t, v_d,
    heads, columns, chains, gain, eps, c0,
    D: tl.constexpr, DP: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One task a program: kn and inv of its block, and its part of the chain's maximum. Grid: the number of tasks.

    CHUNK rows of k and v are in flight at a time.
    """
    task = tl.program_id(0).to(tl.int64)
    tasks += task * 8
    line = tl.load(tasks).to(tl.int64)
    block = tl.load(tasks + 1)
    source = tl.load(tasks + 5).to(tl.int64)
    tokens = tl.load(tasks + 6)
    k += (line // heads) * k_b + (line % heads) * k_h + source * k_t
    v += (line // heads) * v_b + (line % heads) * v_h + source * v_t
    kn += (line * columns + block * BLOCK) * DP
    inv += task * BLOCK * BLOCK

    d = tl.arange(0, DP)
    largest = tl.zeros((CHUNK,), tl.float32)
    for start in tl.static_range(0, BLOCK, CHUNK):
        rows = start + tl.arange(0, CHUNK)
        real = (rows < tokens)[:, None] & (d < D)[None, :]
        rows = rows.to(tl.int64)[:, None]
        tile = tl.load(k + rows * k_t + d[None, :] * k_d, mask=real, other=0.0).to(tl.float32)
        values = tl.load(v + rows * v_t + d[None, :] * v_d, mask=real, other=0.0).to(tl.float32)
        tl.store(kn + rows * DP + d[None, :], normalised(tile, D, gain, eps))
        largest = tl.maximum(largest, tl.max(tl.abs(values), axis=1))
    chain = tl.load(tasks + 4)
    tl.atomic_max(work + 1 + chains + chain, tl.max(largest, axis=0).to(tl.int32, bitcast=True), sem="relaxed")

    tl.debug_barrier()  # kn, and then inv, is read back by other threads than wrote it
    _substitute(kn, inv, tokens, c0, DP, BLOCK)
    size = 16
    while size < BLOCK:
        tl.debug_barrier()
        _merge(kn, inv, tokens, c0, size, DP, BLOCK)
        size *= 2


@triton.jit(do_not_specialize=["heads", "chains"])
def lucid_prepare_past(
    k, y, lengths, kn, work,
    k_b, k_h, k_s, k_d, y_b, y_h, y_s, y_d,
    heads, columns, chains, past_columns, gain, eps,
    D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """kn of ROWS columns of the past, and their part of the maximum. Grid: (past_columns / ROWS, lines).

    Without packed sequences, which have no past, a line is one chain.
    """
    line = tl.program_id(1).to(tl.int64)
    b = line // heads
    column = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    token = (column - past_columns + tl.load(lengths + b)).to(tl.int64)
    d = tl.arange(0, DP)[None, :]
    real = (token >= 0)[:, None] & (d < D)
    k += b * k_b + (line % heads) * k_h + token[:, None] * k_s
    y += b * y_b + (line % heads) * y_h + token[:, None] * y_s
    tile = tl.load(k + d * k_d, mask=real, other=0.0).to(tl.float32)
    values = tl.load(y + d * y_d, mask=real, other=0.0).to(tl.float32)
    kn += line * columns * DP
    tl.store(kn + column.to(tl.int64)[:, None] * DP + d, normalised(tile, D, gain, eps))
    # The values that these y were made from are not known and may be larger: leave them 2^5.
    largest = tl.max(tl.max(tl.abs(values), axis=1), axis=0) * 32.0
    tl.atomic_max(work + 1 + chains + line, largest.to(tl.int32, bitcast=True), sem="relaxed")


@triton.jit(do_not_specialize=["heads", "chains"])
def lucid_gather_past(
    y, lengths, yn, work,
    y_b, y_h, y_s, y_d,
    heads, columns, chains, past_columns,
    D: tl.constexpr, DP: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """yn of ROWS columns of the past, once the line's maximum is known. Grid: (past_columns / ROWS, lines)."""
    line = tl.program_id(1).to(tl.int64)
    b = line // heads
    scale, _ = scale_of(tl.load(work + 1 + chains + line))
    column = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    token = (column - past_columns + tl.load(lengths + b)).to(tl.int64)
    d = tl.arange(0, DP)[None, :]
    real = (token >= 0)[:, None] & (d < D)
    y += b * y_b + (line % heads) * y_h + token[:, None] * y_s
    values = tl.load(y + d * y_d, mask=real, other=0.0).to(tl.float32)
    yn += line * columns * DP
    tl.store(yn + column.to(tl.int64)[:, None] * DP + d, (values * scale).to(tl.float16))


@dataclass(frozen=True, eq=False)
class Scratch:
    """What both solves read, and where they keep their y meanwhile. C columns a line, DP >= D a power of two.

    kn:   fp16 [lines, C, DP], normalised keys such that kn_i . kn_j - c0 is the base-2 logarithm of the kernel matrix;
          zeros behind D and in rows without a token
    inv:  fp16 [tasks, BLOCK, BLOCK], the inverse of each block's own triangle less the identity; zero without tokens.
          With vn its upper right quarter is not written
    yn:   fp16 [lines, C, DP], y times its chain's scale; its past is there, the new blocks are the solve's to write,
          and with vn all their bits are set: a number that no y is, so that a reader sees when y is there
    vn:   None, or v in its dtype [lines, C, DP], laid out like yn; zeros behind D and in rows without a token
    work: int32 [1 + 2 chains]: the ticket and the chains' counters, zero; then the bits of each chain's largest
          value, which `scale_of` makes the scale
    progress: with vn int32 [lines, C / BLOCK, 4], zeros
    """

    kn: torch.Tensor
    inv: torch.Tensor
    yn: torch.Tensor
    vn: torch.Tensor | None
    work: torch.Tensor
    progress: torch.Tensor | None
    c0: float


def prepare(
    k: torch.Tensor,
    v: torch.Tensor,
    past: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
    plan: Plan,
    specialized: Callable[..., None] | None = None,
) -> Scratch:
    """The scratch of a solve for k, v [B, Hkv, T, D] of any strides and `past` as in `api.precondition`, by `plan`.

    specialized: `gluon_prepare.launch`, for a scratch with vn and progress; without it there is neither. Raises
    ValueError where keys and values differ in head size or D is beyond 256, and for other dtypes than float16, bfloat16
    and float32.
    """
    size = k.shape[-1]
    if v.shape != k.shape:
        raise ValueError(f"the solve takes values shaped as the keys, not {tuple(v.shape)} with {tuple(k.shape)}")
    if size > 256 or k.dtype not in DTYPES or v.dtype not in DTYPES:
        raise ValueError(f"the solve takes heads up to 256 in half precision or float32, not {size} in {v.dtype}")
    padded = max(64, triton.next_power_of_2(size))
    tasks = len(plan.tasks)
    kn = torch.empty(plan.lines, plan.columns, padded, dtype=torch.float16, device=k.device)
    inv = torch.empty(tasks, plan.block, plan.block, dtype=torch.float16, device=k.device)
    vn = torch.empty(kn.shape, dtype=v.dtype, device=v.device) if specialized else None
    yn = torch.empty_like(kn)
    marks = plan.lines * (plan.columns // plan.block) * 4 if specialized else 0
    zeros = torch.zeros(marks + 1 + 2 * plan.chains, dtype=torch.int32, device=k.device)  # one launch for both
    work, progress = zeros[marks:], zeros[:marks] if specialized else None
    scratch = Scratch(kn, inv, yn, vn, work, progress, size**0.5 * math.log2(math.e))
    gain = math.log2(math.e) ** 0.5 * size**-0.25

    if past is not None and plan.past_blocks:
        past_k, past_y, lengths = past
        rows, of_past = min(plan.block, 64), plan.past_blocks * plan.block
        grid = (of_past // rows, plan.lines)
        sizes = (plan.heads, plan.columns, plan.chains, of_past)
        lucid_prepare_past[grid](
            past_k, past_y, lengths, kn, work, *past_k.stride(), *past_y.stride(), *sizes, gain, EPS, size, padded, rows
        )
    if specialized is not None:
        specialized(k, v, scratch, plan, gain)
    else:
        lucid_prepare[(tasks,)](
            k, v, kn, inv, work, plan.tasks, *k.stride(), *v.stride(),
            plan.heads, plan.columns, plan.chains, gain, EPS, scratch.c0,
            size, padded, plan.block, **prepare_blocks(padded, plan.block),
        )  # fmt: skip
    if past is not None and plan.past_blocks:
        lucid_gather_past[grid](past_y, lengths, scratch.yn, work, *past_y.stride(), *sizes, size, padded, rows)
    return scratch


def prepare_blocks(padded: int, block: int) -> dict[str, int]:
    """How `lucid_prepare` is cut. With 128 registers a thread, which is enough up to 128 columns, four programs fit a
    multiprocessor, and a sequence of 8192 with 8 KV heads is one wave of them on an H200.
    """
    if padded > 128:
        return {"CHUNK": 16, "num_warps": 8}
    return {"CHUNK": min(block, 4096 // padded), "num_warps": 4, "maxnreg": 128}
