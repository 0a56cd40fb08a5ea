"""What our kernels are measured beside: the softmax implementations of torch, and two other ways to solve."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lcbench.attention.bench.problem import Problem

DENSE = 8192  # tokens up to which the full float32 matrices of a solve, and of its backward, are held in memory


def always(device: str) -> None:
    """Runs wherever torch does."""
    return None


def on_cuda(device: str) -> str | None:
    return None if device == "cuda" else "it runs on CUDA devices only"


def with_triton(device: str) -> str | None:
    return on_cuda(device) or (None if find_spec("triton") else "triton is not installed")


def with_fla(device: str) -> str | None:
    return with_triton(device) or (None if find_spec("fla") else "fla is not installed")


MISSING: dict[str, Callable[[str], str | None]] = {
    "cudnn": on_cuda,
    "flash": on_cuda,
    "flex": with_triton,
    "deltaformer": with_fla,
}


def sdpa(backend: SDPBackend, x: Problem, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Causal attention of all tokens by one of the kernels behind scaled_dot_product_attention, and by no other."""
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=x.scale, enable_gqa=True)


cudnn = partial(sdpa, SDPBackend.CUDNN_ATTENTION)
flash = partial(sdpa, SDPBackend.FLASH_ATTENTION)


@cache
def compiled_flex() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    return torch.compile(create_block_mask), torch.compile(flex_attention, fullgraph=True)


def causal(row: torch.Tensor, head: torch.Tensor, query: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
    return token <= query


@cache
def causal_blocks(tokens: int, device: torch.device) -> Any:
    return compiled_flex()[0](causal, None, None, tokens, tokens, device=device)


def flex(x: Problem, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    blocks = causal_blocks(q.shape[2], q.device)
    return compiled_flex()[1](q, k, v, block_mask=blocks, scale=x.scale, enable_gqa=True)


LAYERS: dict[str, Callable[..., torch.Tensor]] = {"cudnn": cudnn, "flash": flash, "flex": flex}


def whole(layer: Callable[..., torch.Tensor], x: Problem) -> Callable[[], torch.Tensor]:
    return lambda: layer(x, x.q, x.k, x.v)


def newest(backend: SDPBackend, x: Problem) -> Callable[[], torch.Tensor]:
    """One query a row; those that share a KV head as rows of one small matrix, which all see the same tokens."""
    folded = x.q.reshape(x.shape.batch, x.shape.kv_heads, -1, x.shape.size)

    def call() -> torch.Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(folded, x.k, x.v, scale=x.scale).reshape(x.q.shape)

    return call


PREFILL = {name: partial(whole, layer) for name, layer in LAYERS.items()}
DECODE = {
    "cudnn": partial(newest, SDPBackend.CUDNN_ATTENTION),
    "flash": partial(newest, SDPBackend.FLASH_ATTENTION),
}


def dense_y(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """y in float32 by one triangular solve on the full matrix of every KV head, as the paper computes it."""
    n = k.float() * torch.rsqrt(k.float().square().mean(-1, keepdim=True) + 1e-5)
    root = k.shape[-1] ** 0.5
    matrix = torch.exp(n @ n.mT / root - root)
    return torch.linalg.solve_triangular(matrix, v.float(), upper=False, unitriangular=True).to(v.dtype)


def solve_triangular(x: Problem) -> Callable[[], torch.Tensor]:
    return lambda: dense_y(x.k, x.v)


def solve_triangular_layer(x: Problem, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return cudnn(x, q, k, dense_y(k, v).contiguous())  # the solve leaves columns side by side


def deltaformer(x: Problem) -> Callable[[], torch.Tensor]:
    """fla's DeltaFormer (arXiv 2505.19488): the same recursion with weights normalised by row, so another function."""
    from fla.ops.deltaformer.parallel import ParallelDeltaformerFunction

    k, v = (t.transpose(1, 2).contiguous() for t in (x.k, x.v))
    return lambda: ParallelDeltaformerFunction.apply(k, k, v, None, 512, None)
