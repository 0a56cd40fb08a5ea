"""LASER decode, one query a row, by the name of its implementation."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from lcbench_kernels.laser import reference


def decode(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: torch.Tensor, *, scale: float, impl: str
) -> torch.Tensor:
    """log(softmax(scale q k^T) exp(v)) of one query a row over the row's tokens, its own included: equation 8 of
    arXiv 2411.03493. Returns what has q's shape and dtype.

    q: [B, Hq, D] or [B, Hq, 1, D]. k, v: [B, Hkv, S, D], any strides between tokens, heads and rows, the values as they
    come; query head h reads KV head h // (Hq // Hkv). lengths: [B] int64, how many tokens of row b are seen, 1 to S;
    behind them stands anything finite. S is best the longest length: the work is cut by it.
    scale: multiplies q k^T.
    impl: "reference", or "triton": split-KV on CUDA, float16, bfloat16 and float32, D <= 256. A column of v may spread
    over up to 60; beyond that the output stays finite.

    Without gradients. Raises ValueError for an unknown `impl`, and where an implementation cannot do what is asked.
    """
    one = q.squeeze(2) if q.dim() == 4 else q
    if impl == "reference":
        return reference.attend(one[:, :, None], k, v, lengths - 1, scale=scale).reshape(q.shape)
    if impl != "triton":
        raise ValueError(f"laser has no decode {impl!r}; there are: reference, triton")
    if find_spec("triton") is None:
        raise ValueError("laser's triton decode needs triton, which is not installed")
    from lcbench_kernels.laser import triton_decode

    with torch.cuda.device_of(q):  # Triton launches on the current device
        return triton_decode.decode(one, k, v, lengths, scale=scale).reshape(q.shape)
