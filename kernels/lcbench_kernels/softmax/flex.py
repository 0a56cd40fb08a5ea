"""Softmax attention through torch's FlexAttention, compiled to Triton for CUDA; it makes no T x S mask."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch


@cache
def _compiled() -> tuple[Callable, Callable]:
    """Block mask maker and attention. fullgraph: torch stops rather than run either of them uncompiled.

    dynamic: one kernel for all lengths. It is compiled again for each dtype and window, for one row or several, and for
    one query or several; torch's own limit of 8 versions would be met half way through a model with windows.
    """
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
    make_blocks = torch.compile(create_block_mask, dynamic=True, fullgraph=True)
    return make_blocks, torch.compile(flex_attention, dynamic=True, fullgraph=True)


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    past: torch.Tensor,
    *,
    scale: float,
    window: int | None = None,
    uniform: bool = False,
) -> torch.Tensor:
    """Shapes as in `lcbench_kernels.softmax.api.attend`; no float64. The mask is kept as blocks of 128 x 128.

    Padding behind the last token may see nothing under a window; FlexAttention returns zeros for it.
    """

    def sees(row: torch.Tensor, head: torch.Tensor, query: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        own = past[row] + query
        return token <= own if window is None else (token <= own) & (token > own - window)

    make_blocks, flex_attention = _compiled()
    blocks = make_blocks(sees, q.shape[0], None, q.shape[2], k.shape[2], device=q.device)
    # For up to 127 queries torch would take its kernel for decoding, which has those of a group of heads in one block.
    # Where they are more than the 128 of a block of the mask, torch (2.11, 2.13) finds no configuration and raises.
    options = {"FORCE_USE_FLEX_ATTENTION": q.shape[2] > 1}
    return flex_attention(q, k, v, block_mask=blocks, scale=scale, enable_gqa=True, kernel_options=options)
