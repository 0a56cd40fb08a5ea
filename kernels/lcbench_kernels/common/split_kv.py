"""Split-KV decode: one new token a row against a long cache, read by many programs at once. What all decodes share.

A *line* is one (row, KV head) pair; its G query heads read the same keys and values, and are packed into one tile. The
tokens of a line are cut into splits; a program each leaves a partial result, and a second kernel combines them
("Flash-Decoding", Dao et al., 2023).

Partials are one float32 tensor [lines, R, splits, D + PADDING], R rows of the tile: D sums, the maximum that they were
taken under (base 2), the sum of the weights, and two unused numbers that keep partials aligned to 16 bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl

PADDING = tl.constexpr(4)
LOWEST = tl.constexpr(-1.0e38)  # the maximum over nothing: finite, so that the difference of two is
LOG2E = tl.constexpr(1.4426950408889634)

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
TILE_BYTES = 16384  # of keys, and as many of values
STAGES = 3  # tiles of keys and values that a program holds: one it computes on, the others on their way
PROGRAMS = 2  # a multiprocessor's: with tiles of 16 KB that keeps 128 KB on their way
START_TILES = 2  # what it costs to start a program and to combine its partial, in tiles
BATCH_WAVES = 4
SMALL_BYTES = 8192  # of shared memory beside the tiles of keys and values: weights, reductions; more with wide heads


class Device(NamedTuple):
    """multiprocessors, and bytes of shared memory that one program may have on them."""

    multiprocessors: int
    shared: int


class Plan(NamedTuple):
    """How the tokens of every line are cut: `splits` pieces of `chunk` tokens, a piece taken in tiles of `block`, of
    which `stages` are held.
    """

    block: int
    chunk: int
    splits: int
    stages: int = 1


@lru_cache(maxsize=64)
def plan(batch: int, heads: int, total: int, size: int, itemsize: int, device: Device) -> Plan:
    """The cut of batch * heads lines of at most `total` tokens that keeps every multiprocessor busy to the end.

    A wave is as many programs as run at a time. The number of splits fills one wave or several, whichever takes least:
    waves * (tiles of a program + START_TILES). Rows of a batch may be much shorter than `total`, and the programs
    behind their end have nothing to do: a batch is cut into BATCH_WAVES waves or more, so that what is left still fills
    the device.
    """
    block = max(32, TILE_BYTES // (itemsize * padded(size)))
    stage_bytes = 2 * block * padded(size) * itemsize
    beside = SMALL_BYTES + 28 * padded(size) * itemsize  # what LASER, which needs most, was seen to hold in float32
    stages = max(1, min(STAGES, (device.shared - beside) // stage_bytes))
    programs = max(1, min(PROGRAMS, device.shared // (stages * stage_bytes + SMALL_BYTES)))

    tiles = triton.cdiv(total, block)
    lines, wave = batch * heads, device.multiprocessors * programs
    best, least = 1, None
    first = 1 if batch == 1 else BATCH_WAVES
    for waves in range(first, first + 8):
        splits = min(max(1, waves * wave // lines), tiles)
        each = triton.cdiv(tiles, splits)
        time = triton.cdiv(lines * triton.cdiv(tiles, each), wave) * (each + START_TILES)
        if least is None or time < least:
            best, least = each, time
    return Plan(block, best * block, triton.cdiv(tiles, best), stages)


def padded(size: int) -> int:
    """Head sizes as tiles have them: the next power of two, 64 at least."""
    return max(64, triton.next_power_of_2(size))


def at_once(size: int) -> int:
    """Splits that the second kernel takes in one step: 32 KB of partials, all of a wave's at head size 128."""
    return 8192 // padded(size)


def plan_for(k: torch.Tensor) -> Plan:
    """The plan for keys [B, Hkv, S, D] on a CUDA device, S the longest length."""
    batch, heads, total, size = k.shape
    return plan(batch, heads, total, size, k.dtype.itemsize, _device(k.device))


@lru_cache
def _device(device: torch.device) -> Device:
    found = triton.runtime.driver.active.utils.get_device_properties(device.index)
    return Device(found["multiprocessor_count"], found["max_shared_mem"])


@lru_cache
def _overlaps(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)


def overlap(k: torch.Tensor) -> dict[str, bool]:
    """What launches the second kernel while the first one still runs, from compute capability 9.0 on, else nothing. It
    then waits on the device for the partials (`await_partials`).
    """
    return {"launch_pdl": True} if _overlaps(k.device) else {}


def partials(k: torch.Tensor, rows: int, splits: int) -> torch.Tensor:
    """Room for the partials of `rows` rows of every line's tile."""
    batch, heads, _, size = k.shape
    return torch.empty(batch * heads, rows, splits, size + PADDING.value, dtype=torch.float32, device=k.device)


def check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: torch.Tensor) -> None:
    """Raises ValueError where shapes or layouts are not what the decode kernels take."""
    batch, heads, _, size = k.shape
    if q.shape[0] != batch or q.shape[1] % heads or q.shape[2:] != (size,) or lengths.shape != (batch,):
        raise ValueError(
            f"q {tuple(q.shape)}, lengths {tuple(lengths.shape)} and k {tuple(k.shape)} do not belong together: "
            "they are [B, Hq, D], [B] and [B, Hkv, S, D], Hq a multiple of Hkv"
        )
    if v.shape != k.shape:
        raise ValueError(f"k {tuple(k.shape)} and v {tuple(v.shape)} have to be of one shape")
    if size > 256:
        raise ValueError(f"a head size of {size} is more than the 256 that the decode kernels take")
    if q.dtype not in DTYPES or not q.dtype == k.dtype == v.dtype:
        raise ValueError(f"q, k and v are {q.dtype}, {k.dtype}, {v.dtype}; they have to be of one of {DTYPES}")
    if any(x.stride(-1) != 1 for x in (q, k, v)):
        raise ValueError("the D numbers of a token have to stand side by side in memory, in q, k and v")
    if not q.is_cuda and not triton.knobs.runtime.interpret:
        raise ValueError(f"the Triton kernels run on CUDA devices only, not on {q.device}")


def strides(x: torch.Tensor) -> list[int]:
    """Strides of all dimensions but the last; 0 where there is one element, since torch leaves any number there."""
    return [stride if count > 1 else 0 for count, stride in zip(x.shape[:-1], x.stride()[:-1], strict=True)]


@triton.jit
def launch_next(OVERLAP: tl.constexpr):
    """In the first kernel: the second one may be launched, as soon as every program has come here."""
    if OVERLAP:
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def await_partials(OVERLAP: tl.constexpr):
    """In the second kernel, before it reads or writes what the first one works on."""
    if OVERLAP:
        tl.extra.cuda.gdc_wait()


@triton.jit
def aligned(stride, ALIGN: tl.constexpr):
    """A stride in int64, known to the compiler to be a multiple of ALIGN: loads of 16 bytes need 8 numbers."""
    return tl.multiple_of(stride.to(tl.int64), ALIGN)


@triton.jit
def store_partials(out, splits, sums, top, total, row, d, ROWS: tl.constexpr, D: tl.constexpr):
    """Write one split's partials: sums [DP, M], top and total [M] of the tile's rows `row` < ROWS, columns d < D.

    out: pointer to the partial of row 0 of this line and split.
    """
    WIDTH: tl.constexpr = D + PADDING
    at = out + row.to(tl.int64) * splits * WIDTH
    kept = row < ROWS
    tl.store(at[None, :] + d[:, None], sums, mask=kept[None, :] & (d < D)[:, None])
    tl.store(at + D, top, mask=kept)
    tl.store(at + D + 1, total, mask=kept)


@triton.jit
def combine(partial, splits, d, D: tl.constexpr, SPLITS: tl.constexpr):
    """The splits of one row put together: sums [DP], their common maximum and the sum of the weights.

    partial: pointer to split 0 of the row. splits: how many hold something; they are taken SPLITS at a time.
    """
    WIDTH: tl.constexpr = D + PADDING
    top = tl.full([], LOWEST, tl.float32)
    total = tl.zeros([], tl.float32)
    sums = tl.zeros([d.shape[0]], tl.float32)
    for first in range(0, splits, SPLITS):
        split = first + tl.arange(0, SPLITS)
        live = split < splits
        at = partial + split.to(tl.int64) * WIDTH
        tops = tl.load(at + D, mask=live, other=LOWEST)
        totals = tl.load(at + D + 1, mask=live, other=0.0)
        tile = tl.load(at[:, None] + d[None, :], mask=live[:, None] & (d < D)[None, :], other=0.0)
        raised = tl.maximum(top, tl.max(tops, 0))
        weights = tl.exp2(tops - raised)
        before = tl.exp2(top - raised)
        total = total * before + tl.sum(totals * weights, 0)
        sums = sums * before + tl.sum(tile * weights[:, None], 0)
        top = raised
    return sums, top, total
