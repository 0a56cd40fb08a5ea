"""The LUCID preconditioner on Hopper: the preparation of `gluon_prepare.py`, the solve of `gluon_solve.py`."""

from __future__ import annotations

import torch
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from lcbench_kernels.lucid import gluon_prepare
from lcbench_kernels.lucid.gluon_solve import lucid_prefill_specialized
from lcbench_kernels.lucid.plan import BLOCK, Plan, plan_of
from lcbench_kernels.lucid.triton_prepare import Scratch, prepare

STAGES = 4  # tiles of a ring: 222 KB of shared memory at 128 columns, of 227

Past = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def precondition(
    k: torch.Tensor,
    v: torch.Tensor,
    past: Past | None,
    cu_seqlens: torch.Tensor | None,
    *,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Arguments as in `api.precondition`; D = Dv <= 128, on a device of compute capability 9.0. Memory O(N D).

    dtype: of y, v's where none is given. Operands of products are fp16 whatever the dtypes, sums and exponentials fp32.
    Lengths of pasts and of sequences are read on the host, which waits for the device. No gradients: `autograd.py` has
    them.

    Raises ValueError where that is not what is given, and as `prepare` and `plan_of` do.
    """
    if not k.is_cuda or torch.cuda.get_device_capability(k.device) != (9, 0):
        raise ValueError("the gluon solve runs on CUDA devices of compute capability 9.0 (Hopper)")
    if k.shape[-1] > 128:
        raise ValueError(f"the gluon solve takes heads up to 128, not {k.shape[-1]}; impl=triton takes up to 256")
    programs = torch.cuda.get_device_properties(k.device).multi_processor_count
    plan = plan_of(k, past, cu_seqlens, programs=programs)
    y = torch.empty(v.shape, dtype=dtype or v.dtype, device=v.device)
    if not len(plan.tasks):
        return y
    exponent = None
    if v.dtype == torch.float32:  # which the tiles of shared memory do not hold
        exponent = _exponent(v, past)
        v = torch.ldexp(v, -exponent).half()
        past = None if past is None else (past[0], torch.ldexp(past[1].float(), -exponent).half(), past[2])
    launch(prepare(k, v, past, plan, gluon_prepare.launch), plan, y)
    return y if exponent is None else y.ldexp_(exponent)


def _exponent(v: torch.Tensor, past: Past | None) -> torch.Tensor:
    """[B, Hkv, 1, 1] int32: the power of two that leaves the values of a head, and y of its past, below 2^5."""
    largest = v.abs().amax(dim=(2, 3), keepdim=True)
    if past is not None and past[1].shape[2]:
        _, y, lengths = past
        real = torch.arange(y.shape[2], device=y.device) < lengths[:, None]
        largest = torch.maximum(largest, y.abs().float().mul(real[:, None, :, None]).amax(dim=(2, 3), keepdim=True))
    return torch.frexp(largest).exponent - 5


def launch(scratch: Scratch, plan: Plan, y: torch.Tensor) -> None:
    """The solve: y [B, Hkv, T, D] contiguous, of any floating dtype, from a scratch that keeps the values."""
    assert scratch.vn is not None and scratch.progress is not None
    padded = scratch.kn.shape[-1]
    blocks = plan.columns // BLOCK
    totals = torch.empty(plan.lines, blocks, padded, dtype=torch.float32, device=y.device)
    if plan.past_blocks:
        past = scratch.yn[:, : plan.past_blocks * BLOCK].view(plan.lines, plan.past_blocks, BLOCK, padded)
        by_block = past.sum(2, dtype=torch.float32)
        last = by_block[:, -3:]  # the sums behind these blocks are all that new blocks look back to
        rest = (by_block.sum(1) - last.sum(1))[:, None]
        totals[:, plan.past_blocks - last.shape[1] : plan.past_blocks] = rest + last.cumsum(1)
    early = torch.empty(plan.slots, BLOCK, padded, dtype=torch.float32, device=y.device)
    lucid_prefill_specialized[(len(plan.sweeps),)](
        _tiles(scratch.kn), _tiles(scratch.inv, 64), _tiles(scratch.yn), _tiles(scratch.vn), scratch.yn, y, totals,
        early, plan.sweeps, scratch.work, scratch.progress, plan.chains, plan.columns, y.shape[2], scratch.c0,
        D=padded, STAGES=STAGES, V_TYPE=gl.bfloat16 if scratch.vn.dtype == torch.bfloat16 else gl.float16,
        SIZE=y.shape[3], num_warps=4,
    )  # fmt: skip


def _tiles(x: torch.Tensor, width: int | None = None) -> TensorDescriptor:
    """The rows of a matrix [.., columns] for the copy engine, 64 at a time, all columns or `width` of them."""
    rows = x.view(-1, x.shape[-1])
    box = [64, width or rows.shape[1]]
    layout = gl.NVMMASharedLayout.get_default_for(box, gl.float16)
    return TensorDescriptor(rows, list(rows.shape), list(rows.stride()), box, layout)
