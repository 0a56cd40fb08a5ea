"""The LUCID solve on Hopper, in Gluon: two solving warpgroups, one warp that sums and one that copies.

What is solved, and the scratch, are those of `plan.py` and `triton_prepare.py`. Row block r of a chain has the kernel
entries P_rj of its keys against those of block j, and N_r = (inverse of its diagonal block) - I. This kernel is about
three things.

**Copies, products and exponentials overlap.** The copying warp fills two rings of 64-token tiles by TMA: keys ahead of
time, y as soon as it is ready. One warpgroup takes exponentials while the products of the other keep the tensor cores
busy.

**A short chain.** Block r needs y of block r-1, and for a single sequence nothing else hides that wait. So all that
does not need it is done before it is there,

    M_r = (I + N_r) P_(r,r-1)                               before the sweep
    Z_r = (I + N_r) (V_r - sum_(j < r-1) P_rj Y_j)          behind the sweep
    Y_r = Z_r - M_r Y_(r-1)

and it is handed over without a flag: all bits of `yn` are set beforehand, which no fp16 number that is stored has (a
NaN is stored as 7fff), and who waits for it loads it again and again until none is left. A flag would cost a fence on
either side and a round trip more; the copy engine, which cannot look at what it copies, needs one.

**Rows in two parts.** A row block whose sweep is long is swept by two programs: an early one takes the columns up to
its split and leaves their sum in `early`, a closing one starts from that. So what is long is done ahead of time, while
the chain is still too short to keep all programs busy, and the last rows end soon after one another.

**Entries less their mean.** Keys of trained models point a common way, so that the entries of a row are much alike, and
rounding them to fp16 is most of the error. Each warpgroup takes c, the mean of its entries over its first tile, off all
of them but those of block r-2: sum_j P_j Y_j = sum_j (P_j - c) Y_j + c sum_j Y_j, and one warp keeps the sums of y.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from lcbench_kernels.common.gluon import (
    await_words,
    barrier,
    fence_async_global,
    load_acquire,
    load_acquire_least,
    reinterpret,
    tma_load,
)
from lcbench_kernels.lucid.triton_prepare import scale_of

# Barriers: 0 own keys and inverse are there; 1, 2 entries of block r-1 are there, are read; 3, 4 the rest is there, is
# read; 5 the sum before is there; 6 the sums of this block are; 7 y of block r-1 is there. Then, STAGES each: a tile of
# keys is there, is read; a tile of y is there, is read.
BARS = gl.constexpr(8)


@gluon.jit
def _slot(index, STAGES: gl.constexpr):
    """Where the index-th tile that passes through a ring stands, and the parity of the turn."""
    return index % STAGES, (index // STAGES) & 1


@gluon.jit
def _entries(own, ring, bars, ki, c0, STAGES: gl.constexpr, ENTRIES: gl.constexpr):
    """The kernel entries [64, 64] in fp32 of this warpgroup's rows against the next tile of keys."""
    at, parity = _slot(ki, STAGES)
    zeros = gl.zeros([64, 64], gl.float32, ENTRIES)
    mbarrier.wait(bars.index(BARS + at), parity)
    s = warpgroup_mma(own, ring.index(at).permute((1, 0)), zeros, use_acc=False, is_async=True)
    s = warpgroup_mma_wait(0, deps=[s])
    mbarrier.arrive(bars.index(BARS + STAGES + at), count=1)
    return gl.exp2(s - c0)


@gluon.jit
def _hand_over(bar):
    """This warpgroup's part of the shared memory is written: tell the other one."""
    fence_async_shared()
    barrier()
    mbarrier.arrive(bar, count=1)


@gluon.jit
def _sweep(
    acc, mine, ring, bars, lead, tiles, apart, c0, STAGES: gl.constexpr, ENTRIES: gl.constexpr, LEFT: gl.constexpr,
):  # fmt: skip
    """acc + (entries - c) y over the next `tiles` of both rings, behind `lead` tiles of keys; and c.

    The last `apart` tiles are swept with all of their entries. c is 0 where there are no others.
    """
    Y_FULL: gl.constexpr = BARS + 2 * STAGES
    Y_EMPTY: gl.constexpr = BARS + 3 * STAGES
    c = 0.0
    if tiles > 0:
        entries = _entries(mine, ring, bars, lead, c0, STAGES, ENTRIES)
        c = gl.where(tiles > apart, gl.sum(gl.sum(entries, axis=1), axis=0) / 4096, 0.0)
        p = gl.convert_layout((entries - c).to(gl.float16), LEFT)
        for t in range(1, tiles):
            at, parity = _slot(t + lead, STAGES)
            zeros = gl.zeros([64, 64], gl.float32, ENTRIES)
            mbarrier.wait(bars.index(BARS + at), parity)
            s = warpgroup_mma(mine, ring.index(at).permute((1, 0)), zeros, use_acc=False, is_async=True)
            y_at, parity = _slot(t - 1, STAGES)
            mbarrier.wait(bars.index(Y_FULL + y_at), parity)
            acc = warpgroup_mma(p, ring.index(STAGES + y_at), acc, is_async=True)
            s = warpgroup_mma_wait(1, deps=[s])
            mbarrier.arrive(bars.index(BARS + STAGES + at), count=1)
            shift = gl.where(t < tiles - apart, c, 0.0)
            upcoming = gl.convert_layout((gl.exp2(s - c0) - shift).to(gl.float16), LEFT)
            acc = warpgroup_mma_wait(0, deps=[acc])
            mbarrier.arrive(bars.index(Y_EMPTY + y_at), count=1)
            p = upcoming
        y_at, parity = _slot(tiles - 1, STAGES)
        mbarrier.wait(bars.index(Y_FULL + y_at), parity)
        acc = warpgroup_mma(p, ring.index(STAGES + y_at), acc, is_async=True)
        acc = warpgroup_mma_wait(0, deps=[acc])
        mbarrier.arrive(bars.index(Y_EMPTY + y_at), count=1)
    return acc, c


@gluon.jit
def _sweep_early(
    W: gl.constexpr, D: gl.constexpr, STAGES: gl.constexpr,
    own, ring, sums, bars, progress, early, slot, line, block, first, split, columns, c0,
):  # fmt: skip
    """The part of the columns before `split` in the sum of rows 64 W .. 64 W + 63 of the row block, to `early`."""
    ENTRIES: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    VALUES: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, D, 16])
    LEFT: gl.constexpr = gl.DotOperandLayout(0, VALUES, 2)
    mbarrier.wait(bars.index(0), 0)
    acc = gl.zeros([64, D], gl.float32, VALUES)
    acc, c = _sweep(acc, own.index(W), ring, bars, 0, 2 * (split - first), 0, c0, STAGES, ENTRIES, LEFT)
    mbarrier.wait(bars.index(5), 0)
    acc += (c * sums.index(0).load(gl.SliceLayout(0, VALUES)))[None, :]
    gl.store(_rows_of(early + slot.to(gl.int64) * (128 * D), W, D, VALUES), acc)
    barrier()
    gl.atomic_add(progress + (line * (columns // 128) + block) * 4 + 3, 1, sem="release", scope="gpu")


@gluon.jit
def _rows_of(tile, W: gl.constexpr, D: gl.constexpr, VALUES: gl.constexpr):
    """Pointers to rows 64 W .. 64 W + 63 of [128, D]."""
    row = W * 64 + gl.arange(0, 64, gl.SliceLayout(1, VALUES))[:, None]
    return tile + row * D + gl.arange(0, D, gl.SliceLayout(0, VALUES))[None, :]


@gluon.jit
def _solve(
    W: gl.constexpr, D: gl.constexpr, STAGES: gl.constexpr, V_TYPE: gl.constexpr, SIZE: gl.constexpr,
    own, squares, ring, sums, bars, yn, y, amax, progress, early, slot, line, block, first, fresh, split, source, rows,
    columns, steps, c0,
):  # fmt: skip
    """Rows 64 W .. 64 W + 63 of the row block, from what the early sweep left of them, if there is one."""
    ENTRIES: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    VALUES: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, D, 16])
    LEFT: gl.constexpr = gl.DotOperandLayout(0, VALUES, 2)
    WORDS: gl.constexpr = gl.BlockedLayout([1, 4], [256 // D, D // 8], [4, 1], [1, 0])
    TILE_OF_WORDS: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, D // 2], gl.int32)
    TILE: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, D], gl.float16)
    of_v = reinterpret(ring, V_TYPE, [2 * STAGES, 64, D], TILE)
    mine = own.index(W)
    blocks = block - first
    scale, unscale = scale_of(gl.load(amax))
    at_block = line * (columns // 128) + block
    index = block - fresh

    # M, negated, into squares 3..: zero where there is no block before
    mbarrier.wait(bars.index(0), 0)
    p0 = _entries(mine, ring, bars, 0, c0, STAGES, ENTRIES)
    p1 = _entries(mine, ring, bars, 1, c0, STAGES, ENTRIES)
    squares.index(3 + 2 * W).store(p0.to(gl.float16))
    squares.index(4 + 2 * W).store(p1.to(gl.float16))
    _hand_over(bars.index(1))
    mbarrier.wait(bars.index(1), 0)
    for half in gl.static_range(W + 1):
        p0 = warpgroup_mma(squares.index(W + half), squares.index(3 + 2 * half), p0, is_async=True)
        p1 = warpgroup_mma(squares.index(W + half), squares.index(4 + 2 * half), p1, is_async=True)
    p0, p1 = warpgroup_mma_wait(0, deps=[p0, p1])
    mbarrier.arrive(bars.index(2), count=1)
    mbarrier.wait(bars.index(2), 0)
    there = gl.where(blocks > 0, -1.0, 0.0)
    squares.index(3 + 2 * W).store((p0 * there).to(gl.float16))
    squares.index(4 + 2 * W).store((p1 * there).to(gl.float16))

    # The sweep
    tiles = gl.maximum(2 * (block - 1 - split), 0)
    acc = gl.zeros([64, D], gl.float32, VALUES)
    if split > first:
        while load_acquire(progress + at_block * 4 + 3) < 2:
            pass
        acc = gl.load(_rows_of(early + slot.to(gl.int64) * (128 * D), W, D, VALUES))
    acc, c = _sweep(acc, mine, ring, bars, 2, tiles, 2, c0, STAGES, ENTRIES, LEFT)

    # Z
    for half in gl.static_range(2):
        at, parity = _slot(2 + tiles + half, STAGES)
        mbarrier.wait(bars.index(BARS + at), parity)
        if half == W:
            rest = of_v.index(at).load(VALUES).to(gl.float32) * scale - acc
            barrier()
        mbarrier.arrive(bars.index(BARS + STAGES + at), count=1)
    mbarrier.wait(bars.index(5), 0)
    rest -= (c * sums.index(0).load(gl.SliceLayout(0, VALUES)))[None, :]
    mine.store(rest.to(gl.float16))  # over its keys, which are behind us
    _hand_over(bars.index(3))
    if W == 1:
        mbarrier.wait(bars.index(3), 0)
    for half in gl.static_range(W + 1):
        rest = warpgroup_mma(squares.index(W + half), own.index(half), rest, is_async=True)
    rest = warpgroup_mma_wait(0, deps=[rest])
    mbarrier.arrive(bars.index(4), count=1)

    # y of the block before, half by each warpgroup, then this block's
    row = W * 64 + gl.arange(0, 64, gl.SliceLayout(1, VALUES))[:, None]
    column = gl.arange(0, D, gl.SliceLayout(0, VALUES))[None, :]
    chain = progress + (at_block - index) * 4
    mbarrier.wait(bars.index(4), 0)
    if blocks > 0:
        other = W * 64 - 128 + gl.arange(0, 64, gl.SliceLayout(1, WORDS))[:, None]
        word = gl.arange(0, D // 2, gl.SliceLayout(0, WORDS))[None, :]
        other = at_block.to(gl.int64) * (64 * D) + other * (D // 2) + word
        # a thread's runs are a pass of the warpgroup apart: 128 threads x 16 bytes
        words = await_words(yn.to(gl.pointer_type(gl.int32), bitcast=True) + other, D // 4, 2048)
        reinterpret(mine, gl.int32, [64, D // 2], TILE_OF_WORDS).store(words)
    _hand_over(bars.index(7))
    mbarrier.wait(bars.index(7), 0)
    for half in gl.static_range(2):
        rest = warpgroup_mma(squares.index(3 + 2 * W + half), own.index(half), rest, is_async=True)
    rest = warpgroup_mma_wait(0, deps=[rest])
    gl.store(_rows_of(yn + at_block.to(gl.int64) * (128 * D), W, D, VALUES), rest.to(gl.float16))
    barrier()
    gl.atomic_add(chain + W, 1, sem="release", scope="gpu")
    sums.index(1 + W).store(gl.sum(rest, axis=0))
    _hand_over(bars.index(6))
    out = (line.to(gl.int64) * steps + source + row) * SIZE + column
    gl.store(y + out, (rest * unscale).to(y.dtype.element_ty), mask=(row < rows) & (column < SIZE))


@gluon.jit
def _sum(D: gl.constexpr, sums, bars, totals, progress, line, block, first, fresh, split, closing, columns):
    """The sums of y: `totals` holds, block by block, the sum of all y of a chain up to that block's last.

    A closing sweep needs the sum from its split up to three blocks before its own; behind it, this block's y are added
    to the chain. An early one needs the sum up to its split.
    """
    ROW: gl.constexpr = gl.BlockedLayout([D // 32], [32], [1], [0])
    index = block - fresh
    at_block = line * (columns // 128) + block
    chain = progress + (at_block - index) * 4
    here = totals + at_block.to(gl.int64) * D + gl.arange(0, D, ROW)
    end = gl.where(closing, block - 2, split)
    before = gl.zeros([D], gl.float32, ROW)
    if end > gl.where(closing, split, first):
        while load_acquire(chain + 2) < end - fresh:
            pass
        before = gl.load(here - (block - end + 1) * D)
        if closing & (split > first):
            before -= gl.load(here - (block - split + 1) * D)
    sums.index(0).store(before)
    barrier()
    mbarrier.arrive(bars.index(5), count=1)
    if closing:
        mbarrier.wait(bars.index(6), 0)
        total = sums.index(1).load(ROW) + sums.index(2).load(ROW)
        if block > first:
            while load_acquire(chain + 2) < index:
                pass
            total += gl.load(here - D)
        gl.store(here, total)
        barrier()
        gl.atomic_add(chain + 2, 1, sem="release", scope="gpu")


@gluon.jit
def _load_tile(
    desc, row, ring, bars, BASE: gl.constexpr, AT: gl.constexpr, index, D: gl.constexpr, STAGES: gl.constexpr
):
    """64 rows of a matrix of D columns as the next tile of a ring. BASE: its barriers; AT: where it begins."""
    at, parity = _slot(index, STAGES)
    mbarrier.wait(bars.index(BASE + STAGES + at), parity ^ 1)
    mbarrier.expect(bars.index(BASE + at), 64 * D * 2)
    tma_load(desc, [row, 0], bars.index(BASE + at), ring.index(AT + at))


@gluon.jit
def _load_y(
    t, done, desc, start, need, chain, ring, bars, Y_FULL: gl.constexpr, D: gl.constexpr, STAGES: gl.constexpr,
):  # fmt: skip
    """Tile t of the sweep's y, once both halves of its block are published. Returns the count of such blocks."""
    need += t // 2
    if done < need:
        while done < need:
            done = load_acquire_least(chain)
        fence_async_global()
    _load_tile(desc, start + t * 64, ring, bars, Y_FULL, STAGES, t, D, STAGES)
    return done


@gluon.jit
def _copy(
    D: gl.constexpr, STAGES: gl.constexpr, V_TYPE: gl.constexpr,
    kn_desc, inv_desc, yn_desc, v_desc, own, squares, ring, bars, progress, line, block, first, fresh, split, closing,
    task, columns,
):  # fmt: skip
    """The copying warp: every tile, in the order in which it is used."""
    TILE: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, D], gl.float16)
    Y_FULL: gl.constexpr = BARS + 2 * STAGES
    of_v = reinterpret(ring, V_TYPE, [2 * STAGES, 64, D], TILE)
    row = line * columns + block * 128
    before = gl.where(closing, split, first)  # where the sweep begins
    start = line * columns + before * 128
    chain = progress + (line * (columns // 128) + fresh) * 4
    lead = gl.where(closing, 2, 0)
    tiles = gl.where(closing, gl.maximum(2 * (block - 1 - split), 0), 2 * (split - first))

    if closing:
        mbarrier.expect(bars.index(0), 2 * 64 * D * 2 + 3 * 64 * 64 * 2)
    else:
        mbarrier.expect(bars.index(0), 2 * 64 * D * 2)
    tma_load(kn_desc, [row, 0], bars.index(0), own.index(0))
    tma_load(kn_desc, [row + 64, 0], bars.index(0), own.index(1))
    if closing:
        for i in gl.static_range(2):
            _load_tile(kn_desc, gl.maximum(row - 128, start) + i * 64, ring, bars, BARS, 0, i, D, STAGES)
        tma_load(inv_desc, [task * 128, 0], bars.index(0), squares.index(0))
        tma_load(inv_desc, [task * 128 + 64, 0], bars.index(0), squares.index(1))
        tma_load(inv_desc, [task * 128 + 64, 64], bars.index(0), squares.index(2))
    need = before - fresh + 1
    done = 0
    for t in range(tiles):
        _load_tile(kn_desc, start + t * 64, ring, bars, BARS, 0, lead + t, D, STAGES)
        if t > 0:
            done = _load_y(t - 1, done, yn_desc, start, need, chain, ring, bars, Y_FULL, D, STAGES)
    if closing:
        for half in gl.static_range(2):
            at, parity = _slot(2 + tiles + half, STAGES)
            mbarrier.wait(bars.index(BARS + STAGES + at), parity ^ 1)
            mbarrier.expect(bars.index(BARS + at), 64 * D * 2)
            tma_load(v_desc, [row + half * 64, 0], bars.index(BARS + at), of_v.index(at))
    if tiles > 0:
        _load_y(tiles - 1, done, yn_desc, start, need, chain, ring, bars, Y_FULL, D, STAGES)


@gluon.jit
def _solve_or_sweep(
    W: gl.constexpr, D: gl.constexpr, STAGES: gl.constexpr, V_TYPE: gl.constexpr, SIZE: gl.constexpr,
    own, squares, ring, sums, bars, yn, y, amax, progress, early, slot, line, block, first, fresh, split, closing,
    source, rows, columns, steps, c0,
):  # fmt: skip
    if closing:
        _solve(
            W, D, STAGES, V_TYPE, SIZE,
            own, squares, ring, sums, bars, yn, y, amax, progress, early, slot, line, block, first, fresh, split,
            source, rows, columns, steps, c0,
        )  # fmt: skip
    else:
        _sweep_early(W, D, STAGES, own, ring, sums, bars, progress, early, slot, line, block, first, split, columns, c0)


@gluon.jit(do_not_specialize=["chains", "steps"])
def lucid_prefill_specialized(
    kn_desc, inv_desc, yn_desc, v_desc, yn, y, totals, early, sweeps, work, progress, chains, columns, steps, c0,
    D: gl.constexpr, STAGES: gl.constexpr, V_TYPE: gl.constexpr, SIZE: gl.constexpr,
):  # fmt: skip
    """One sweep a program, taken by ticket in the table's order. Grid: the number of sweeps.

    progress: int32 [lines, columns / 128, 4]. In a chain's first block: the halves of its blocks that are solved, each
    half by itself, and the blocks that `totals` has; then, in every row block, the halves that are swept early.
    early: fp32 [slots, 128, D], the early sums of row blocks.
    """
    TILE: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, D], gl.float16)
    SQUARE: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16)
    own = gl.allocate_shared_memory(gl.float16, [2, 64, D], TILE)
    squares = gl.allocate_shared_memory(gl.float16, [7, 64, 64], SQUARE)
    ring = gl.allocate_shared_memory(gl.float16, [2 * STAGES, 64, D], TILE)
    sums = gl.allocate_shared_memory(gl.float32, [3, D], gl.SwizzledSharedLayout(1, 1, 1, [0]))
    bars = gl.allocate_shared_memory(gl.int64, [BARS + 4 * STAGES, 1], mbarrier.MBarrierLayout())
    for i in gl.static_range(BARS):
        mbarrier.init(bars.index(i), count=1 if i == 0 or i == 5 else 2)
    for i in gl.static_range(STAGES):
        mbarrier.init(bars.index(BARS + i), count=1)
        mbarrier.init(bars.index(BARS + STAGES + i), count=2)
        mbarrier.init(bars.index(BARS + 2 * STAGES + i), count=1)
        mbarrier.init(bars.index(BARS + 3 * STAGES + i), count=2)
    fence_async_shared()

    fields = sweeps + gl.atomic_add(work, 1, sem="relaxed", scope="gpu") * 11
    line = gl.load(fields)
    block = gl.load(fields + 1)
    first = gl.load(fields + 2)
    fresh = gl.load(fields + 3)
    source = gl.load(fields + 5)
    rows = gl.load(fields + 6)
    task = gl.load(fields + 7)
    split = gl.load(fields + 8)
    closing = gl.load(fields + 9) > 0
    slot = gl.load(fields + 10)
    amax = work + 1 + chains + gl.load(fields + 4)
    # Tuples are added, for the compiler of triton 3.6 unpacks none.
    where = (line, block, first, fresh, split, closing)
    shared = (own, squares, ring, sums, bars)
    solve = shared + (yn, y, amax, progress, early, slot) + where + (source, rows, columns, steps, c0)  # noqa: RUF005
    copy = (kn_desc, inv_desc, yn_desc, v_desc, own, squares, ring, bars, progress) + where + (task, columns)  # noqa: RUF005
    gl.warp_specialize(
        [
            (_solve_or_sweep, (gl.constexpr(0), D, STAGES, V_TYPE, SIZE) + solve),  # noqa: RUF005
            (_solve_or_sweep, (gl.constexpr(1), D, STAGES, V_TYPE, SIZE) + solve),  # noqa: RUF005
            (_sum, (D, sums, bars, totals, progress) + where + (columns,)),  # noqa: RUF005
            (_copy, (D, STAGES, V_TYPE) + copy),  # noqa: RUF005
        ],
        [4, 1, 1],
        [208, 88, 88],
    )
