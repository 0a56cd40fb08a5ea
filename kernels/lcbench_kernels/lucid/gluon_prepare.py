"""All that a LUCID solve on Hopper reads, in Gluon: keys, inverses and scale as `triton_prepare.lucid_prepare` makes
them, the values laid out beside, and `yn` with all bits set.

One program a row block of 128 tokens, 4 warps of at most 128 registers, so that a multiprocessor holds four of them.
Keys are read once; rounded as they go to the scratch, they stay in shared memory, and all that follows is made of them.

**Substitution without talking.** The block's unit lower triangle L has four blocks of 32 on its diagonal, one a warp.
X L = I is solved row by row of X, a row a lane: its 32 numbers are registers of that lane, and the row of L that a step
needs is the same for all lanes, so that one load from shared memory brings four numbers to the whole warp. There is no
reduction, no exchange between lanes and no barrier; 496 multiply-adds a lane are nearly all there is.

**Two merges.** From inverses I + N_A and I + N_B of blocks A and B to that of [[A, 0], [M, B]],

    T = M + M N_A,    X = -(T + N_B T),    M the kernel entries of B's keys against A's,

first for the two pairs of 32, then for the pair of 64. A number is the sum of two fp16 numbers, `high` and `rest`, and
three products of tensor cores keep 22 bits. They stand in shared memory as [128, 64], N of the upper half above N of
the lower half. In the first merge T waits where X is to stand.

**Copies under the arithmetic.** Values pass through registers, a quarter at a time: each is on its way while something
is computed, and is stored behind it. Of registers there are just enough, and the compiler is held from carrying over
what can be had again; each such place says so.
"""

from __future__ import annotations

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import mma_v2
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, warpgroup_mma, warpgroup_mma_wait

from lcbench_kernels.common.gluon import barrier, reinterpret
from lcbench_kernels.lucid.constants import EPS
from lcbench_kernels.lucid.plan import Plan
from lcbench_kernels.lucid.triton_prepare import Scratch, halves


@gluon.jit
def _load(x, x_t, x_d, first, tokens, ROWS: gl.constexpr, D: gl.constexpr, SIZE: gl.constexpr):
    """Rows first .. first + ROWS - 1 of x, 16 bytes a thread and load; zeros behind SIZE and `tokens`.

    They are [passes, rows of a pass, D], so that a thread needs one address, and constants from there.
    """
    WIDE: gl.constexpr = gl.BlockedLayout([1, 1, 8], [1, 256 // D, D // 8], [1, 4, 1], [2, 1, 0])
    begin = (
        first + 1024 // D * gl.arange(0, ROWS * D // 1024, gl.SliceLayout(1, gl.SliceLayout(2, WIDE)))[:, None, None]
    )
    row = gl.arange(0, 1024 // D, gl.SliceLayout(0, gl.SliceLayout(2, WIDE)))[None, :, None]
    d = gl.arange(0, D, gl.SliceLayout(0, gl.SliceLayout(1, WIDE)))[None, None, :]
    at = x + (row.to(gl.int64) * x_t + d * x_d) + begin.to(gl.int64) * x_t
    return gl.load(at, mask=(row < tokens - begin) & (d < SIZE), other=0.0)


@gluon.jit
def _store(x, tile, ROWS: gl.constexpr, STRIDE: gl.constexpr, D: gl.constexpr):
    """Such a tile to ROWS rows from x on, STRIDE numbers apart."""
    WIDE: gl.constexpr = gl.BlockedLayout([1, 1, 8], [1, 256 // D, D // 8], [1, 4, 1], [2, 1, 0])
    begin = 1024 // D * gl.arange(0, ROWS * D // 1024, gl.SliceLayout(1, gl.SliceLayout(2, WIDE)))[:, None, None]
    row = gl.arange(0, 1024 // D, gl.SliceLayout(0, gl.SliceLayout(2, WIDE)))[None, :, None]
    d = gl.arange(0, D, gl.SliceLayout(0, gl.SliceLayout(1, WIDE)))[None, None, :]
    gl.store(x + (row * STRIDE + d) + begin * STRIDE, tile)


@gluon.jit
def _largest(tile, ROWS: gl.constexpr, D: gl.constexpr):
    """Of such a tile: the largest magnitude of each thread's numbers, [1024 / D, D / 8] fp32."""
    runs = gl.abs(tile.to(gl.float32)).reshape([ROWS * D // 1024, 1024 // D, D // 8, 8])
    return gl.max(gl.max(runs, axis=3), axis=0)


@gluon.jit
def _pass_on(vn, largest, values, AT: gl.constexpr, ROWS: gl.constexpr, D: gl.constexpr):
    """The AT-th tile of values to its rows of vn, and its largest, thread by thread, to `largest` (shared).

    In a register it would not be made before the end, and the compiler would keep the values until then.
    """
    _store(vn + AT * ROWS * D, values, ROWS, D, D)
    largest.index(AT).store(_largest(values, ROWS, D))


@gluon.jit
def _normalised(k, SIZE: gl.constexpr, gain, eps):
    """`normalised` of a tile of keys (fp32)."""
    r = gl.rsqrt(gl.sum(k * k, axis=2) / SIZE + eps)
    return (k * (r * gain)[:, :, None]).to(gl.float16)


@gluon.jit
def _set_bits(yn, D: gl.constexpr):
    """All bits of yn [128, D]."""
    LINES: gl.constexpr = gl.BlockedLayout([4], [32], [4], [0])
    words = yn.to(gl.pointer_type(gl.int32), bitcast=True)
    gl.store(words + gl.arange(0, 64 * D, LINES), gl.full([64 * D], -1, gl.int32, LINES))


@gluon.jit
def _product(a_high, a_rest, b_high, b_rest, acc):
    """a b + acc, each operand the sum of two fp16 numbers; the product of the rests is below what is kept."""
    acc = mma_v2(a_high, b_high, acc)
    acc = mma_v2(a_high, b_rest, acc)
    return mma_v2(a_rest, b_high, acc)


@gluon.jit
def _wide_product(a_high, a_rest, b_high, b_rest, acc):
    """The same by the warpgroup, b in shared memory."""
    acc = warpgroup_mma(a_high, b_high, acc, is_async=True)
    acc = warpgroup_mma(a_high, b_rest, acc, is_async=True)
    acc = warpgroup_mma(a_rest, b_high, acc, is_async=True)
    return warpgroup_mma_wait(0, deps=[acc])


@gluon.jit
def _diagonal(keys, tokens, c0, D: gl.constexpr):
    """The kernel entries below the diagonal of the four blocks of 32, fp32 [4, 32, 32], one a warp."""
    BLOCKS: gl.constexpr = gl.NVMMADistributedLayout([2, 0], [4, 1, 1], [1, 16, 8])
    rows = keys.reshape([4, 32, D]).load(gl.DotOperandLayout(0, BLOCKS, 2))
    # A thread's part of the keys as left operand is its part of their transpose as right operand.
    columns = gl.convert_layout(rows.permute((0, 2, 1)), gl.DotOperandLayout(1, BLOCKS, 2), assert_trivial=True)
    s = mma_v2(rows, columns, gl.zeros([4, 32, 32], gl.float32, BLOCKS))
    block = gl.arange(0, 4, gl.SliceLayout(1, gl.SliceLayout(2, BLOCKS)))[:, None, None]
    row = gl.arange(0, 32, gl.SliceLayout(0, gl.SliceLayout(2, BLOCKS)))[None, :, None]
    column = gl.arange(0, 32, gl.SliceLayout(0, gl.SliceLayout(1, BLOCKS)))[None, None, :]
    return gl.where((row > column) & (32 * block + row < tokens), gl.exp2(s - c0), 0.0)


@gluon.jit
def _keep_order():
    """Keeps the compiler from moving loads from shared memory up to before this point, beyond what registers hold."""
    gl.inline_asm_elementwise("bar.warp.sync -1; mov.b32 $0, 0;", "=r", [], dtype=gl.int32, is_pure=False, pack=1)


@gluon.jit
def _substitute(entries):
    """The inverses of I + entries (shared, fp32 [4, 32, 32], zero but below the diagonal), less I: a row a lane."""
    ROWS: gl.constexpr = gl.BlockedLayout([1, 1, 32], [1, 32, 1], [4, 1, 1], [2, 1, 0])
    row = gl.arange(0, 32, gl.SliceLayout(0, gl.SliceLayout(2, ROWS)))[None, :, None]
    column = gl.arange(0, 32, gl.SliceLayout(0, gl.SliceLayout(1, ROWS)))[None, None, :]
    n = gl.zeros([4, 32, 32], gl.float32, ROWS)
    for at in gl.static_range(31, 0, -1):
        # Column `at` of the inverse, which is final: one register a lane, picked by what is constant to the compiler.
        bits = gl.reduce_or(gl.where(column == at, n.to(gl.int32, bitcast=True), 0), axis=2, keep_dims=True)
        final = gl.where(row == at, 1.0, bits.to(gl.float32, bitcast=True))
        if at % 8 == 0:
            _keep_order()
        n = gl.where(column < at, n - final * entries.slice(at, 1, dim=1).load(ROWS), n)
    return n


@gluon.jit
def _store_diagonal(n, x):
    """x [4, 32, 32] to n (shared, [128, 64]): blocks 0 and 1 on the diagonal of its first 64 rows, zeros above."""
    ROWS: gl.constexpr = x.type.layout
    block = gl.arange(0, 4, gl.SliceLayout(1, gl.SliceLayout(2, ROWS)))[:, None, None]
    for half in gl.static_range(2):
        n.reshape([4, 32, 64]).slice(32 * half, 32, dim=2).store(gl.where(block % 2 == half, x, 0.0).to(gl.float16))


@gluon.jit
def _quadrant(n, ROW: gl.constexpr, COLUMN: gl.constexpr):
    """A quadrant of both squares of n (shared, [128, 64]), [2, 32, 32]."""
    return n.reshape([2, 64, 64]).slice(32 * ROW, 32, dim=1).slice(32 * COLUMN, 32, dim=2)


@gluon.jit
def _entries_of_pairs(keys, tokens, c0, D: gl.constexpr):
    """The kernel entries fp32 [2, 32, 32] of the second 32 rows of each half against its first 32."""
    PAIRS: gl.constexpr = gl.NVMMADistributedLayout([2, 0], [2, 2, 1], [1, 16, 8])
    both = keys.reshape([2, 64, D])
    rows = both.slice(32, 32, dim=1).load(gl.DotOperandLayout(0, PAIRS, 2))
    columns = both.permute((0, 2, 1)).slice(0, 32, dim=2).load(gl.DotOperandLayout(1, PAIRS, 2))
    s = mma_v2(rows, columns, gl.zeros([2, 32, 32], gl.float32, PAIRS))
    half = gl.arange(0, 2, gl.SliceLayout(1, gl.SliceLayout(2, PAIRS)))[:, None, None]
    row = gl.arange(0, 32, gl.SliceLayout(0, gl.SliceLayout(2, PAIRS)))[None, :, None]
    return gl.where(64 * half + 32 + row < tokens, gl.exp2(s - c0), 0.0)


@gluon.jit
def _merge_pairs(m, high, rest):
    """The lower left quadrants of both squares of high and rest, from those on the diagonal and the entries m."""
    LEFT: gl.constexpr = gl.DotOperandLayout(0, m.type.layout, 2)
    RIGHT: gl.constexpr = gl.DotOperandLayout(1, m.type.layout, 2)
    m_high, m_rest = halves(m)
    m_high = gl.convert_layout(m_high, LEFT)
    m_rest = gl.convert_layout(m_rest, LEFT)
    t = _product(m_high, m_rest, _quadrant(high, 0, 0).load(RIGHT), _quadrant(rest, 0, 0).load(RIGHT), m)
    t_high, t_rest = halves(t)
    _quadrant(high, 1, 0).store(t_high)
    _quadrant(rest, 1, 0).store(t_rest)
    t_high = _quadrant(high, 1, 0).load(RIGHT)
    t_rest = _quadrant(rest, 1, 0).load(RIGHT)
    x = _product(_quadrant(high, 1, 1).load(LEFT), _quadrant(rest, 1, 1).load(LEFT), t_high, t_rest, t)
    x_high, x_rest = halves(-x)
    _quadrant(high, 1, 0).store(x_high)
    _quadrant(rest, 1, 0).store(x_rest)


@gluon.jit
def _entries_of_halves(keys, tokens, c0, D: gl.constexpr):
    """The kernel entries fp32 [64, 64] of the second 64 rows against the first.

    Not by wgmma, whose descriptor of the keys ptxas (12.8) would use again, spoiled, for `high` in their place.
    """
    HALVES: gl.constexpr = gl.NVMMADistributedLayout([2, 0], [4, 1], [16, 8])
    WIDE: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    s = gl.zeros([64, 64], gl.float32, HALVES)
    for start in gl.static_range(0, D, 16):
        part = keys.slice(start, 16, dim=1)
        rows = part.slice(64, 64).load(gl.DotOperandLayout(0, HALVES, 2))
        columns = part.slice(0, 64).permute((1, 0)).load(gl.DotOperandLayout(1, HALVES, 2))
        s = mma_v2(rows, columns, s)
    s = gl.convert_layout(s, WIDE, assert_trivial=True)
    row = 64 + gl.arange(0, 64, gl.SliceLayout(1, WIDE))[:, None]
    return gl.where(row < tokens, gl.exp2(s - c0), 0.0)


@gluon.jit
def _merge_halves(m, high, rest):
    """The lower left square, fp16 [64, 64], of the whole inverse, from those on the diagonal and the entries m."""
    LEFT: gl.constexpr = gl.DotOperandLayout(0, m.type.layout, 2)
    SQUARE: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16)
    m_high, m_rest = halves(m)
    m_high = gl.convert_layout(m_high, LEFT)
    m_rest = gl.convert_layout(m_rest, LEFT)
    t = _wide_product(m_high, m_rest, high.slice(0, 64), rest.slice(0, 64), m)
    t_high, t_rest = halves(t)
    t_high = gl.allocate_shared_memory(gl.float16, [64, 64], SQUARE, t_high)
    t_rest = gl.allocate_shared_memory(gl.float16, [64, 64], SQUARE, t_rest)
    fence_async_shared()
    barrier()
    return -_wide_product(high.slice(64, 64), rest.slice(64, 64), t_high, t_rest, t)


@gluon.jit(do_not_specialize=["heads", "chains"])
def lucid_prepare_inverses(
    k, v, kn, vn, yn, inv, work, tasks,
    k_b, k_h, k_t, k_d, v_b, v_h, v_t, v_d,
    heads, columns, chains, gain, eps, c0,
    SIZE: gl.constexpr, D: gl.constexpr,
):  # fmt: skip
    """One task a program: kn, vn and inv of its block, and its part of the chain's maximum. Grid: the number of tasks.

    Of inv it writes the squares of 64 that the solve reads: not the upper right one. v is fp16 or bf16.
    """
    task = gl.program_id(0).to(gl.int64)
    tasks += task * 8
    line = gl.load(tasks)
    block = gl.load(tasks + 1)
    source = gl.load(tasks + 5).to(gl.int64)
    tokens = gl.load(tasks + 6)
    b = (line // heads).to(gl.int64)
    h = (line % heads).to(gl.int64)
    k += b * k_b + h * k_h + source * k_t
    v += b * v_b + h * v_h + source * v_t
    row = line.to(gl.int64) * columns + block * 128
    kn += row * D
    vn += row * D
    yn += row * D
    inv += task * 128 * 128

    ROWS: gl.constexpr = 512 // k.dtype.element_ty.primitive_bitwidth  # twice as many are in flight
    keys = gl.allocate_shared_memory(gl.float16, [128, D], gl.NVMMASharedLayout.get_default_for([128, D], gl.float16))
    upcoming = _load(k, k_t, k_d, 0, tokens, ROWS, D, SIZE)
    for start in gl.static_range(0, 128, ROWS):
        tile = upcoming
        if start + ROWS < 128:
            upcoming = _load(k, k_t, k_d, start + ROWS, tokens, ROWS, D, SIZE)
        tile = _normalised(tile.to(gl.float32), SIZE, gain, eps)
        keys.reshape([D // 8, 1024 // D, D]).slice(start * D // 1024, ROWS * D // 1024).store(tile)
        _store(kn + start * D, tile, ROWS, D, D)
    fence_async_shared()

    _set_bits(yn, D)
    tokens = gl.load(tasks + 6)  # again, here and below: else the compiler keeps a predicate a row, and has no room
    largest = gl.allocate_shared_memory(gl.float32, [4, 1024 // D, D // 8], gl.SwizzledSharedLayout(1, 1, 1, [1, 0]))
    values = _load(v, v_t, v_d, 0, tokens, 32, D, SIZE)
    PADDED: gl.constexpr = gl.PaddedSharedLayout.with_identity_for([[32, 4]], [4, 32, 32], [2, 1, 0])
    entries = gl.allocate_shared_memory(gl.float32, [4, 32, 32], PADDED, _diagonal(keys, tokens, c0, D))
    _pass_on(vn, largest, values, 0, 32, D)

    values = _load(v, v_t, v_d, 32, tokens, 32, D, SIZE)
    n_high, n_rest = halves(_substitute(entries))
    # They wait in the place of the entries, for that of the keys, which are still needed.
    WAITING: gl.constexpr = gl.SwizzledSharedLayout(8, 2, 4, [2, 1, 0])
    waiting_high = gl.allocate_shared_memory(gl.float16, [4, 32, 32], WAITING, n_high)
    waiting_rest = gl.allocate_shared_memory(gl.float16, [4, 32, 32], WAITING, n_rest)
    _pass_on(vn, largest, values, 1, 32, D)

    barrier()  # or the compiler carries what the substitution has loaded into what follows
    tokens = gl.load(tasks + 6)
    of_halves = _entries_of_halves(keys, tokens, c0, D)
    of_pairs = _entries_of_pairs(keys, tokens, c0, D)
    values = _load(v, v_t, v_d, 64, tokens, 32, D, SIZE)
    SQUARES: gl.constexpr = gl.NVMMASharedLayout(swizzle_byte_width=64, element_bitwidth=16, rank=2)  # in halves of 32
    high = gl.allocate_shared_memory(gl.float16, [128, 64], SQUARES)
    rest = gl.allocate_shared_memory(gl.float16, [128, 64], SQUARES)
    _store_diagonal(high, waiting_high.load(n_high.type.layout))
    _store_diagonal(rest, waiting_rest.load(n_high.type.layout))
    _merge_pairs(of_pairs, high, rest)
    fence_async_shared()
    barrier()
    _pass_on(vn, largest, values, 2, 32, D)

    values = _load(v, v_t, v_d, 96, tokens, 32, D, SIZE)
    lower = _merge_halves(of_halves, high, rest).to(gl.float16)
    _pass_on(vn, largest, values, 3, 32, D)
    STORE: gl.constexpr = gl.BlockedLayout([1, 1, 8], [1, 4, 8], [1, 4, 1], [2, 1, 0])
    _store(inv, high.reshape([8, 16, 64]).slice(0, 4).load(STORE), 64, 128, 64)
    _store(inv + 64 * 128 + 64, high.reshape([8, 16, 64]).slice(4, 4).load(STORE), 64, 128, 64)
    _store(inv + 64 * 128, gl.convert_layout(lower.reshape([4, 16, 64]), STORE), 64, 128, 64)
    NUMBERS: gl.constexpr = gl.BlockedLayout([1], [32], [4], [0])
    largest = reinterpret(largest, gl.float32, [512], gl.SwizzledSharedLayout(1, 1, 1, [0])).load(NUMBERS)
    amax = gl.max(largest, axis=0).to(gl.int32, bitcast=True)
    gl.atomic_max(work + 1 + chains + gl.load(tasks + 4), amax, sem="relaxed")


def launch(k: torch.Tensor, v: torch.Tensor, scratch: Scratch, plan: Plan, gain: float) -> None:
    """The new tokens' part of a scratch with vn, as `prepare` allots it; k, v [B, Hkv, T, D <= 128], v of 2 bytes."""
    lucid_prepare_inverses[(len(plan.tasks),)](
        k, v, scratch.kn, scratch.vn, scratch.yn, scratch.inv, scratch.work, plan.tasks, *k.stride(), *v.stride(),
        plan.heads, plan.columns, plan.chains, gain, EPS, scratch.c0,
        SIZE=k.shape[-1], D=scratch.kn.shape[-1], num_warps=4, maxnreg=128,
    )  # fmt: skip
