"""How many queries and tokens a step the Triton kernels take, by head size and dtype."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Launch:
    """Queries a step of one kernel, warps of a program, stages of its pipeline."""

    rows: int
    warps: int
    stages: int

    def options(self) -> dict[str, int]:
        return {"ROWS": self.rows, "num_warps": self.warps, "num_stages": self.stages}


@dataclass(frozen=True)
class Blocks:
    """tile: tokens a step in all three kernels, and between rises of the exponents. forward.rows is a multiple of the
    other two, since o keeps the exponents that a block of the forward pass ended with.
    """

    tile: int
    forward: Launch
    dq: Launch
    dkv: Launch


def blocks(size: int, dtype: torch.dtype) -> Blocks:
    """The largest blocks found that keep to the registers in their loops when compiled for sm_90 by triton 3.6 to 3.9.

    Not so: dq at D = 256, which spills 16 bytes, and float32, which is there for checking and not for speed.
    """
    if dtype == torch.float32:
        return Blocks(32, Launch(32, 8, 1), Launch(32, 8, 1), Launch(32, 8, 1))
    if size <= 64:
        return Blocks(64, Launch(128, 4, 3), Launch(128, 8, 2), Launch(64, 8, 2))
    if size <= 128:
        return Blocks(64, Launch(128, 8, 3), Launch(64, 8, 2), Launch(32, 8, 2))
    return Blocks(32, Launch(64, 8, 2), Launch(64, 8, 2), Launch(32, 8, 2))
