"""LASER attention by the name of its implementation."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import torch

IMPLS = ("reference", "triton", "sdpa")
MODULES = {"reference": "reference", "triton": "triton_attend", "sdpa": "sdpa"}


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    past: torch.Tensor,
    *,
    scale: float,
    uniform: bool = False,
    new: torch.Tensor | None = None,
    impl: str = "auto",
) -> torch.Tensor:
    """log(softmax(scale q k^T) exp(v)), causal and elementwise: equations 8 and 9 of arXiv 2411.03493. Returns
    [B, Hq, T, D] in q's dtype.

    q: [B, Hq, T, D], the newest T queries of each row. k, v: [B, Hkv, S, D], finite everywhere, |v| < 1e38, the newest
    tokens included; Hq is a multiple of Hkv and query head h reads KV head h // (Hq // Hkv).
    past: [B] int64. Query t of row b stands at position past[b] + t and sees the positions up to its own.
    scale: multiplies q k^T. uniform: promises past[b] = S - T in every row and no padding.
    new: [B] int64, how many of row b's T tokens are real; the rest is padding on the right, whose values must not reach
    the maximum of a column. None: all of them. What padding queries return is finite and means nothing.
    impl: "reference", "triton", "sdpa", or "auto": sdpa for bfloat16 on CUDA and for whatever a CPU has but float16,
    triton for float16 and float32 on CUDA, else reference.

    Differentiable in q, k and v; only where q alone asks for its gradient does triton compute that alone.
    Every implementation equals its own arithmetic in float64 to rounding where a column of v spreads over up to 60
    (max - min of the tokens that a query's tile, chunk or call holds; see README.md), and is finite beyond.

    Raises ValueError for an unknown `impl`, and where an implementation cannot do what is asked.
    """
    chosen = auto(q.device.type, q.dtype) if impl == "auto" else impl
    if chosen not in IMPLS:
        raise ValueError(f"laser has no implementation {impl!r}; there are: auto, {', '.join(IMPLS)}")
    if (chosen == "triton" or (q.is_cuda and chosen == "sdpa")) and find_spec("triton") is None:
        raise ValueError(f"laser's {chosen} needs triton, which is not installed")
    module = import_module(f"lcbench_kernels.laser.{MODULES[chosen]}")
    with torch.cuda.device_of(q):  # Triton launches on the current device
        return module.attend(q, k, v, past, scale=scale, uniform=uniform, new=new)


def auto(device: str, dtype: torch.dtype) -> str:
    """What "auto" takes on a "cuda" or "cpu" device."""
    if device == "cuda":
        return {torch.bfloat16: "sdpa", torch.float16: "triton", torch.float32: "triton"}.get(dtype, "reference")
    return "reference" if dtype == torch.float16 else "sdpa"
