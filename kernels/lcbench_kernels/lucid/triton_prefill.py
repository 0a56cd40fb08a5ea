"""The LUCID solve in plain Triton: one kernel over all row blocks, each sweeping the finished blocks before it.

    R   = V_r - sum_(j < r) 2^(kn_r kn_j^T - c0) Y_j       kernel entries are made tile by tile and never stored
    Y_r = R + N R                                          N: the inverse of the block's own triangle, less the identity

Keys of trained models point a common way, so that the kernel entries of a row are much alike, and rounding them to
fp16 would be most of the error. Each row takes their mean c, as found in one tile, off them, and only what is left is
rounded: sum_j P_j Y_j = sum_j (P_j - c) Y_j + c sum_j Y_j, with the sums of Y handed on from block to block.

Row block r of a chain needs every block before it. Programs take tasks by a ticket in the plan's order, in which a task
needs earlier ones alone: whoever waits, waits for a program that runs already, so the first unfinished one always can.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from lcbench_kernels.lucid.plan import BLOCK, plan_of
from lcbench_kernels.lucid.triton_prepare import prepare, scale_of


@triton.jit
def _await_columns(counter, done, column, fresh, BLOCK: tl.constexpr):
    """Blocks of the chain made so far, at least those up to `column`; every y of theirs can be read afterwards."""
    needed = column // BLOCK - fresh + 1
    while done < needed:
        done = tl.atomic_add(counter, 0, sem="acquire")
    return done


@triton.jit
def _entries(own, kn, start, c0, DP: tl.constexpr, BLOCK_N: tl.constexpr):
    """The kernel entries of the own rows against BLOCK_N columns, in fp32."""
    column = (start + tl.arange(0, BLOCK_N)).to(tl.int64)
    keys = tl.load(kn + column[:, None] * DP + tl.arange(0, DP)[None, :])
    return tl.exp2(tl.dot(own, tl.trans(keys)) - c0)


@triton.jit
def _sweep(acc, own, mean, kn, yn, begin, end, c0, DP: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr):
    """acc + (entries - mean) y over the columns begin to end, all of whose y are made."""
    for start in tl.range(begin, end, BLOCK_N, num_stages=STAGES):
        entries = _entries(own, kn, start, c0, DP, BLOCK_N) - mean[:, None]
        column = (start + tl.arange(0, BLOCK_N)).to(tl.int64)
        y = tl.load(yn + column[:, None] * DP + tl.arange(0, DP)[None, :])
        acc = tl.dot(entries.to(tl.float16), y, acc)
    return acc


@triton.jit(do_not_specialize=["heads", "chains"])
def lucid_prefill_ticketed(
    kn, inv, yn, sums, work, tasks, v, y,
    v_b, v_h, v_t, v_d, y_b, y_h, y_t, y_d,
    heads, columns, chains, c0,
    D: tl.constexpr, DP: tl.constexpr, BLOCK: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """One task a program, of the scratch of `triton_prepare`. Grid: the number of tasks.

    v in, y out [B, heads, T, D]. sums: fp32 [lines, columns / BLOCK, DP], yn summed over the columns of a chain up to
    the end of a block; that of the last past block is there. BLOCK_N columns are swept at a time, a divisor of BLOCK.
    """
    task = tl.atomic_add(work, 1, sem="relaxed").to(tl.int64)
    tasks += task * 8
    line = tl.load(tasks).to(tl.int64)
    block = tl.load(tasks + 1)
    first = tl.load(tasks + 2)
    fresh = tl.load(tasks + 3)
    chain = tl.load(tasks + 4)
    counter = work + 1 + chain
    source = tl.load(tasks + 5).to(tl.int64)
    tokens = tl.load(tasks + 6)
    scale, unscale = scale_of(tl.load(work + 1 + chains + chain))
    v += (line // heads) * v_b + (line % heads) * v_h + source * v_t
    y += (line // heads) * y_b + (line % heads) * y_h + source * y_t
    kn += line * columns * DP
    yn += line * columns * DP
    sums += line * (columns // BLOCK) * DP

    row = tl.arange(0, BLOCK)
    rows = row.to(tl.int64)[:, None]
    d = tl.arange(0, DP)[None, :]
    real = (row < tokens)[:, None] & (d < D)
    here = (block * BLOCK + row).to(tl.int64)[:, None] * DP + d
    own = tl.load(kn + here)
    mean = tl.sum(_entries(own, kn, (first + block) // 2 * BLOCK, c0, DP, BLOCK_N), axis=1) / BLOCK_N
    acc = tl.load(v + rows * v_t + d * v_d, mask=real, other=0.0).to(tl.float32) * -scale

    end = block * BLOCK
    begin = first * BLOCK
    done = 0
    total = tl.zeros((1, DP), tl.float32)
    while begin < end:
        # All that was ready when last looked at goes in one sweep; the counter is read only when nothing is left of it.
        if begin >= fresh * BLOCK:
            done = _await_columns(counter, done, begin, fresh, BLOCK)
        ready = tl.minimum((fresh + done) * BLOCK, end)
        total = tl.load(sums + (ready // BLOCK - 1).to(tl.int64) * DP + d)
        acc = _sweep(acc, own, mean, kn, yn, begin, ready, c0, DP, BLOCK_N, STAGES)
        begin = ready

    inverse = tl.load(inv + task * BLOCK * BLOCK + rows * BLOCK + row[None, :])
    rest = -(acc + mean[:, None] * total)
    rest = tl.dot(inverse, rest.to(tl.float16), rest)
    rounded = rest.to(tl.float16)
    tl.store(yn + here, rounded)
    total += tl.sum(rounded.to(tl.float32), axis=0)[None, :]
    tl.store(sums + block.to(tl.int64) * DP + d, total)
    tl.debug_barrier()  # every thread's part is written before one of them says so
    tl.atomic_add(counter, 1, sem="release")
    tl.store(y + rows * y_t + d * y_d, (rest * unscale).to(y.dtype.element_ty), mask=real)


def prefill_blocks(padded: int, block: int) -> dict[str, int]:
    """How `lucid_prefill_ticketed` is cut: nothing spills, and the tiles in flight fit the shared memory of Hopper."""
    wide = padded > 128
    return {"BLOCK_N": min(block, 32 if wide else 64), "STAGES": 2 if wide else 3, "num_warps": 8}


def precondition(
    k: torch.Tensor,
    v: torch.Tensor,
    past: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
    cu_seqlens: torch.Tensor | None,
    *,
    dtype: torch.dtype | None = None,
    block: int = BLOCK,
) -> torch.Tensor:
    """Arguments as in `api.precondition`. dtype: of y, v's where none is given. block: rows that are solved at a time,
    a power of two from 16 on.

    Operands of products are rounded to fp16 whatever the dtype; sums and exponentials are fp32. Memory O(N D), no
    gradients. Values that are padding share the scale of their sequence: they may exceed the real ones by 10^4, not
    more. Lengths of pasts and of sequences are read on the host, which waits for the device.

    Raises ValueError for tensors that are not on a CUDA device, and as `prepare` and `plan_of` do.
    """
    if not (k.is_cuda or triton.knobs.runtime.interpret):
        raise ValueError(f"the triton solve runs on CUDA devices, not on {k.device}")
    plan = plan_of(k, past, cu_seqlens, block=block)
    y = torch.empty(v.shape, dtype=dtype or v.dtype, device=v.device)
    if not len(plan.tasks):
        return y
    scratch = prepare(k, v, past, plan)
    padded = scratch.kn.shape[-1]
    sums = torch.empty(plan.lines, plan.columns // block, padded, dtype=torch.float32, device=v.device)
    if plan.past_blocks:
        sums[:, plan.past_blocks - 1] = scratch.yn[:, : plan.past_blocks * block].sum(1, dtype=torch.float32)
    lucid_prefill_ticketed[(len(plan.tasks),)](
        scratch.kn, scratch.inv, scratch.yn, sums, scratch.work, plan.tasks, v, y, *v.stride(), *y.stride(),
        plan.heads, plan.columns, plan.chains, scratch.c0, k.shape[-1], padded, block, **prefill_blocks(padded, block),
    )  # fmt: skip
    return y
