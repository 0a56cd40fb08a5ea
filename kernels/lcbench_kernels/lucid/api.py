"""The LUCID preconditioner by the name of its implementation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import torch

from lcbench_kernels.lucid import reference
from lcbench_kernels.lucid.autograd import precondition_with_grad
from lcbench_kernels.lucid.plan import check_limits

IMPLS = ("reference", "triton", "gluon")

Past = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def precondition(
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    past: Past | None = None,
    cu_seqlens: torch.Tensor | None = None,
    impl: str = "auto",
) -> torch.Tensor:
    """The preconditioned values y [B, Hkv, T, Dv] of the newest T tokens in v's dtype, rows of L^-1 V.

    k: [B, Hkv, T, D], v: [B, Hkv, T, Dv]: the newest tokens, after rotary embedding where there is one. Where rows hold
    fewer than T real tokens, padding comes last; it cannot change the rows before it, but for their precision: triton
    and gluon scale the values of a sequence alike, so those of padding may be up to 10^4 times the largest real one.
    past: (K [B, Hkv, S, D], Y [B, Hkv, S, Dv], lengths [B] int64), the tokens before: row b holds lengths[b] real ones,
    and anything finite behind them. Concatenating Y and y gives what one call over all tokens gives.
    cu_seqlens: [n + 1] int32 from 0 to T: the T tokens of the one batch row are n sequences, each solved by itself.
    impl: "reference"; "triton" (CUDA, D = Dv <= 256) and "gluon" (Hopper, D = Dv <= 128), whose products take float16
    operands and add in float32; or "auto": in half precision gluon where it runs, else triton where it runs, else, and
    for gradients with a past, the reference.

    Softmax attention over (k, y) is then LUCID attention (arXiv 2602.10410). Differentiable by k and v; by a past in
    the reference alone. Raises ValueError for an unknown `impl`, for what one asked for by name cannot do, and for
    `cu_seqlens` with a batch or a past, or not rising from 0 to T.
    """
    differentiable = torch.is_grad_enabled() and any(x.requires_grad for x in (k, v, *(past or ())))
    chosen = _choose(k, v, differentiable and past is not None) if impl == "auto" else impl
    if chosen not in IMPLS:
        raise ValueError(f"lucid has no implementation {impl!r}; there are: auto, {', '.join(IMPLS)}")
    if chosen == "reference" or not k.numel():
        return _reference(k, v, past, cu_seqlens)
    if find_spec("triton") is None:
        raise ValueError(f"lucid's {chosen} needs triton, which is not installed")
    if differentiable and past is not None:
        raise ValueError("gradients through a continued sequence (past) need impl=reference")
    solver = _solver(chosen)
    with torch.cuda.device_of(k):  # Triton launches on the current device
        if differentiable:
            return precondition_with_grad(
                k, v, partial(solver, past=None, cu_seqlens=cu_seqlens), cu_seqlens=cu_seqlens
            )
        return solver(k, v, past, cu_seqlens)


def _choose(k: torch.Tensor, v: torch.Tensor, through_past: bool) -> str:
    """What `auto` takes."""
    half = (torch.float16, torch.bfloat16)
    fits = k.is_cuda and k.dtype in half and v.dtype in half and k.shape == v.shape and k.shape[-1] <= 256
    if not fits or through_past or find_spec("triton") is None:
        return "reference"
    if k.shape[-1] <= 128 and torch.cuda.get_device_capability(k.device) == (9, 0):
        return "gluon"
    return "triton"


def _solver(impl: str) -> Callable[..., torch.Tensor]:
    """Imported when first asked for: triton is no dependency of the reference."""
    if impl == "triton":
        from lcbench_kernels.lucid import triton_prefill

        return triton_prefill.precondition
    from lcbench_kernels.lucid import gluon_prefill

    return gluon_prefill.precondition


def _reference(k: torch.Tensor, v: torch.Tensor, past: Past | None, cu_seqlens: torch.Tensor | None) -> torch.Tensor:
    if cu_seqlens is None:
        return reference.precondition(k, v, past)
    limits = cu_seqlens.tolist()
    check_limits(limits, k.shape[0], k.shape[2], past is not None)
    sequences = [slice(*ends) for ends in pairwise(limits)]
    return torch.cat([reference.precondition(k[:, :, one], v[:, :, one], None) for one in sequences], dim=2)
