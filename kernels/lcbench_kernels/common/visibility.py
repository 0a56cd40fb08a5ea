"""Which cached tokens a query may see: the one definition that masks are made from."""

from __future__ import annotations

import torch


def positions(past: torch.Tensor, steps: int, total: int) -> torch.Tensor:
    """Where the newest queries stand in their rows: [B, T] int64, query t of row b at past[b] + t.

    past: [B] int64. steps: T. total: S, the tokens there are to see. Only padding can stand at S or beyond; it is drawn
    back to S - 1, so that every query, padding too, sees at least one token and no softmax runs over nothing.
    """
    return (past[:, None] + torch.arange(steps, device=past.device)).clamp(max=total - 1)


def visible(past: torch.Tensor, steps: int, total: int, window: int | None) -> torch.Tensor:
    """Boolean mask [B, 1, T, S], true where a query sees a token: one of the `window` up to its own position."""
    own = positions(past, steps, total)[:, None, :, None]
    tokens = torch.arange(total, device=past.device)
    seen = tokens <= own
    return seen if window is None else seen & (tokens > own - window)
