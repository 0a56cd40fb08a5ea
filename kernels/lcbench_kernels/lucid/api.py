"""The LUCID preconditioner by the name of its implementation."""

from __future__ import annotations

import torch

from lcbench_kernels.lucid import reference

IMPLS = {"reference": reference.precondition}


def precondition(
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    past: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
    impl: str = "auto",
) -> torch.Tensor:
    """The preconditioned values y [B, Hkv, T, Dv] of the newest T tokens in v's dtype, rows of L^-1 V.

    k: [B, Hkv, T, D], v: [B, Hkv, T, Dv]: the newest tokens, after rotary embedding where there is one. Where rows hold
    fewer than T real tokens, padding comes last; it cannot change the rows before it.
    past: (K [B, Hkv, S, D], Y [B, Hkv, S, Dv], lengths [B] int64), the tokens before: row b holds lengths[b] real ones,
    and anything finite behind them. Concatenating Y and y gives what one call over all tokens gives.
    impl: "reference", or "auto", which takes it: there is no other yet.

    Softmax attention over (k, y) is then LUCID attention. Raises ValueError for an unknown `impl`.
    """
    chosen = "reference" if impl == "auto" else impl
    if chosen not in IMPLS:
        raise ValueError(f"lucid has no implementation {impl!r}; there are: auto, {', '.join(IMPLS)}")
    return IMPLS[chosen](k, v, past)
