"""Which row blocks a LUCID solve has, in which order they are taken, and what each needs.

Tokens stand in blocks. A *line* is one (batch row, KV head) pair, line = b * heads + h; its *columns* are its tokens,
laid out so that every sequence begins at a block. A *chain* is one sequence of one KV head: its blocks need one another
in order, and chains need nothing of one another. Rows of a batch are one chain a line; packed sequences are several.

A past of P columns stands before the new tokens, P a multiple of the block, the past of every row ending at P: so rows
with pasts of different lengths have their new tokens in the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch

BLOCK = 128  # tokens; the kernels take other powers of two from 16 on, for tests

L2 = 131072  # tokens of all chains that are solved at a time, and whose keys and y the cache is to hold
FEW = 8  # chains that are solved at a time, up to which their rows are swept in two parts
REACH = 2.8  # column blocks of a closing sweep, for each program that a chain has at a time
LEAST = 2  # column blocks of an early sweep


@dataclass(frozen=True, eq=False)
class Plan:
    """How the lines are laid out, and `tasks`: int32 [n, 8] on the device, one row a block of new tokens, of

    (line, block, first, fresh, chain, source, rows, number)

    line:   whose columns these are
    block:  the row block; its columns are block * BLOCK to (block + 1) * BLOCK
    first:  the first column block that its rows see
    fresh:  the first block of its chain that this solve makes; first to fresh - 1 are past
    chain:  the chain's number; block j >= fresh of it is made when j - fresh + 1 of its blocks are
    source: where its tokens begin along T of k and v
    rows:   how many of its rows are tokens: BLOCK, or fewer in a chain's last block
    number: of the task itself

    and `sweeps`: int32 [m, 11], for solves that cut tasks in two: the fields of a task, then

    split:   a closing sweep takes the columns from this block on and solves the task; those before it are an early
             sweep's, which leaves their part of the sum. Where it is `first`, there is no early one
    closing: 1 or 0
    slot:    where that sum is left, one of `slots`

    A task needs tasks above it alone, a sweep sweeps, so programs that take them from the top never wait for one that
    nobody has taken. Slots are used again: an early sweep ends behind the solution of the block before its split, whose
    own sum, and all before it, have been read by then.
    """

    lines: int
    heads: int
    columns: int
    chains: int
    past_blocks: int
    block: int
    tasks: torch.Tensor
    sweeps: torch.Tensor
    slots: int


def plan(
    batch: int,
    heads: int,
    steps: int,
    *,
    lengths: Sequence[int] | None = None,
    cu_seqlens: Sequence[int] | None = None,
    group: int | None = None,
    reach: int = 0,
    block: int = BLOCK,
    device: torch.device | str = "cpu",
) -> Plan:
    """The plan for new tokens [batch, heads, steps]. The same arguments give the same object, tables being kept.

    lengths: how many past tokens each batch row has; without it none.
    cu_seqlens: where packed sequences begin and end along `steps`, [0, .., steps]; batch is 1 and there is no past.
    group: chains that are solved at a time, by row block over all of a group, then the next group; all without it.
    Few at a time keep what is read in the cache; enough are needed to keep the device busy while each waits.
    reach: of a row block's columns, how many blocks its closing sweep takes. A chain alone is as slow as its blocks
    follow one another, and its last rows take longest: what can be swept early fills the time when few rows are there,
    and leaves little at the end, when few programs are. 0: everything, and so it is with a past.

    Raises ValueError for packed sequences in a batch or with a past, and for limits that do not rise from 0 to `steps`.
    """
    if cu_seqlens is not None:
        limits = tuple(cu_seqlens)
        check_limits(limits, batch, steps, lengths is not None)
        return _plan(1, heads, limits, (0,), group, reach, block, torch.device(device))
    if lengths is not None and len(lengths) != batch:
        raise ValueError(f"{len(lengths)} lengths of pasts for a batch of {batch}")
    pasts = tuple(lengths or (0,) * batch)
    return _plan(batch, heads, (0, steps), pasts, group, 0 if any(pasts) else reach, block, torch.device(device))


def check_limits(limits: Sequence[int], batch: int, steps: int, past: bool) -> None:
    """Raises ValueError where `limits` cannot be those of packed sequences."""
    if batch != 1 or past:
        raise ValueError("packed sequences (cu_seqlens) stand in one batch row and have no past")
    rising = all(a <= b for a, b in pairwise(limits))
    if len(limits) < 2 or not rising or limits[0] != 0 or limits[-1] != steps:
        raise ValueError(f"cu_seqlens must rise from 0 to the {steps} tokens there are")


def plan_of(
    k: torch.Tensor,
    past: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
    cu_seqlens: torch.Tensor | None,
    *,
    programs: int | None = None,
    block: int = BLOCK,
) -> Plan:
    """The plan for arguments of `api.precondition`. Reading lengths waits for the device.

    programs: how many run at a time. Sequences are then taken a few chains at a time, and rows of few chains swept in
    two parts, by what was measured on an H200 (README.md).
    Raises ValueError as `plan` does, and for lengths beyond the past there is.
    """
    lengths = limits = None
    batch, heads, steps, _ = k.shape
    longest = steps
    if past is not None:
        lengths = past[2].tolist()
        if not all(0 <= length <= past[0].shape[2] for length in lengths):
            raise ValueError(f"lengths of pasts must lie between 0 and the {past[0].shape[2]} tokens given: {lengths}")
        longest += max(lengths, default=0)
    if cu_seqlens is not None:
        limits = cu_seqlens.tolist()
        longest = max((end - begin for begin, end in pairwise(limits)), default=0)
    group, reach = None, 0
    if programs is not None:
        group = max(1, L2 // max(1, longest))
        together = min(group, batch * heads * (1 if limits is None else len(limits) - 1))
        reach = round(REACH * programs / together) if together <= FEW else 0
    return plan(
        batch, heads, steps, lengths=lengths, cu_seqlens=limits, group=group, reach=reach, block=block, device=k.device
    )


@lru_cache(maxsize=64)
def _plan(
    batch: int,
    heads: int,
    limits: tuple[int, ...],
    lengths: tuple[int, ...],
    group: int | None,
    reach: int,
    block: int,
    device: torch.device,
) -> Plan:
    """limits: where the sequences of every line begin and end. Chains are numbered by line, then by sequence."""
    begins = torch.tensor(limits[:-1])
    sizes = torch.tensor(limits[1:]) - begins
    counts = (sizes + block - 1) // block
    ends = counts.cumsum(0)
    past_blocks = -(-max(lengths, default=0) // block)
    lines, sequences = batch * heads, len(counts)

    chain = torch.arange(lines * sequences).repeat_interleave(counts.repeat(lines))
    line, sequence = chain // sequences, chain % sequences
    index = torch.arange(len(chain)) - (line * ends[-1] + (ends - counts)[sequence])  # of the block in its chain
    fresh = past_blocks + (ends - counts)[sequence]
    first = fresh
    if past_blocks:
        first = (past_blocks * block - torch.tensor(lengths)[line // heads]) // block
    rows = (sizes[sequence] - index * block).clamp(max=block)
    fields = (line, fresh + index, first, fresh, chain, begins[sequence] + index * block, rows)

    chains = lines * sequences
    order = torch.argsort(_places(chain, index, chains, group or chains))
    tasks = torch.stack([*(field[order] for field in fields), torch.arange(len(chain))], dim=1).int()
    sweeps, slots = _sweeps(tasks, index[order], counts.repeat(lines), group or chains, reach)
    return Plan(
        lines=lines,
        heads=heads,
        columns=(past_blocks + int(ends[-1])) * block,
        chains=chains,
        past_blocks=past_blocks,
        block=block,
        tasks=tasks.to(device),
        sweeps=sweeps.to(device),
        slots=slots,
    )


def _sweeps(
    tasks: torch.Tensor, index: torch.Tensor, counts: torch.Tensor, group: int, reach: int
) -> tuple[torch.Tensor, int]:
    """`Plan.sweeps` of ordered tasks, whose blocks are the index-th of their chains, and how many slots they use.

    counts: row blocks of each chain.
    """
    chain = tasks[:, 4]
    early = index >= (reach + LEAST if reach else len(index))
    split = torch.where(early, tasks[:, 1] - reach, tasks[:, 2])
    # Slots of a chain: as many as early sweeps can be waiting at a time, and no more than it has.
    room = (counts - reach - LEAST).clamp(0, reach + 1) * (reach > 0)
    slot = torch.where(early, (room.cumsum(0) - room)[chain] + index % room[chain].clamp(min=1), 0).int()
    closing = torch.stack([*tasks.T, split, torch.ones_like(split), slot], dim=1)
    ahead = torch.stack([*tasks.T, split, torch.zeros_like(split), slot], dim=1)[early]
    # An early sweep stands before the closing one of the row block at its split: all that it needs stands above.
    sweeps = torch.cat([closing, ahead])
    places = _places(sweeps[:, 4].long(), torch.cat([index, index[early] - reach]), len(counts), group)
    return sweeps[torch.argsort(2 * places + sweeps[:, 9])], int(room.sum())


def _places(chain: torch.Tensor, index: torch.Tensor, chains: int, group: int) -> torch.Tensor:
    """What the order of row blocks rises with: group, then the block's index in its chain, then chain."""
    longest = index.max() + 1 if len(index) else 1
    return (chain // group * longest + index) * chains + chain
