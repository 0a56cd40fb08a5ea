"""Keys that tell a right kernel from a wrong one.

Independent random keys make LUCID's matrix nearly the identity (entries of e^-8 at head size 64), so that a kernel that
returns v passes; the other kinds are what trained models produce, in caricature.
"""

from __future__ import annotations

from typing import Any

import torch

KINDS = ("random", "clustered", "correlated", "duplicated")


def make_keys(
    kind: str, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> torch.Tensor:
    """Keys [.., T, D]: independent; around 8 centres, of cosine 0.8 to one another there; of mean cosine 0.9; each of 5
    vectors many times.

    Drawn in float64 on `device`, then rounded to `dtype`. Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of keys is called {kind!r}; there are: {', '.join(KINDS)}")
    draw = torch.Generator(device).manual_seed(seed)
    normal: dict[str, Any] = {"generator": draw, "dtype": torch.float64, "device": device}
    noise = torch.randn(*shape, **normal)
    if kind == "random":
        return noise.to(dtype)
    if kind == "correlated":
        return (3 * torch.randn(shape[-1], **normal) + noise).to(dtype)
    count = {"clustered": 8, "duplicated": 5}[kind]
    centres = torch.randn(count, shape[-1], **normal)
    chosen = centres[torch.randint(count, shape[:-1], generator=draw, device=device)]
    return (chosen if kind == "duplicated" else chosen + 0.5 * noise).to(dtype)
