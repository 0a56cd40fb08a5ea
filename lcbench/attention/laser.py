"""LASER (arXiv 2411.03493): softmax attention over exp(v), and the logarithm of what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lcbench.attention import softmax
from lcbench.attention.base import Choice, LayerState, MechanismInfo
from lcbench.attention.softmax import refuse_wide_heads

if TYPE_CHECKING:
    import torch

IMPLS = ("reference", "triton", "sdpa")
DTYPES = {  # by implementation, and whether on CUDA
    ("reference", False): ("float16", "bfloat16", "float32", "float64"),
    ("reference", True): ("float16", "bfloat16", "float32", "float64"),
    ("triton", False): (),
    ("triton", True): ("float16", "bfloat16", "float32"),
    ("sdpa", False): ("bfloat16", "float32", "float64"),
    ("sdpa", True): ("bfloat16",),
}
WIDEST = {"triton": (256, "reference")}  # the largest head size, and what takes more


class Laser:
    """k and v as they come: exp(v) of a cached token would have to be rescaled whenever a later one is larger.

    `kernel` and `decode` are `lcbench_kernels.laser.attend` and `.decode`. On CUDA a pass of one token a row is decode:
    one read of k and v, by the Triton kernel, whichever of triton and sdpa computes all other passes.
    """

    name = "laser"
    tensors: tuple[str, ...] = ("k", "v")
    rotary = "after"
    windows = False

    def __init__(self, impl: str, kernel: Callable[..., torch.Tensor], decode: Callable[..., torch.Tensor]):
        self.impl = impl
        self.kernel = kernel
        self.decode = decode

    def build(self, config: Any, layer: int) -> None:
        """Raises UsageError where the implementation cannot take the model's head size."""
        refuse_wide_heads("laser", self.impl, config, WIDEST)

    def write(self, state: LayerState, k: torch.Tensor, v: torch.Tensor) -> None:
        state.append("k", k)
        state.append("v", v)

    def attend(self, state: LayerState, q: torch.Tensor) -> torch.Tensor:
        k, v = (state.tensors[name][:, :, : state.total_max] for name in self.tensors)
        if q.shape[2] == 1 and q.is_cuda and self.impl != "reference":
            lengths = (state.past + state.new).clamp(min=1)
            return self.decode(q, k, v, lengths, scale=state.scale, impl="triton")
        new = None if state.uniform else state.new
        return self.kernel(q, k, v, state.past, scale=state.scale, uniform=state.uniform, new=new, impl=self.impl)


def make(impl: str, arguments: dict[str, str]) -> Laser:
    from lcbench_kernels import laser

    return Laser(impl, laser.attend, laser.decode)


def available(impl: str, device: str) -> str | None:
    """None where `impl` can run on `device` ("cpu", "cuda", "cuda:1"), or the reason why it cannot."""
    on_cuda = impl == "triton" or (impl == "sdpa" and device.startswith("cuda"))
    return softmax.available("triton" if on_cuda else "sdpa", device)


def choose(impl: str, device: str, dtype: str, windows: bool, head_size: int | None = None) -> Choice:
    """What runs on `device` in `dtype` ("float32", ..). It never stands in windowed layers: `windows` is not looked at.

    Raises UsageError, MissingError where triton is missing, with the reason why the implementation cannot run.
    """
    cuda = device.startswith("cuda")
    picked, why = _auto(cuda, dtype, head_size or 0) if impl == "auto" else (impl, "asked for by name")
    reason = available(picked, device)
    taken = DTYPES[picked, cuda]
    if reason is None and dtype not in taken:
        reason = f"it computes in {', '.join(taken)}, the model runs in {dtype}"
    if reason is not None:
        raise softmax.refusal(f"laser:impl={picked}", device, reason)
    decode = ", decode by our split-KV kernel (triton)" if cuda and picked != "reference" else ""
    return Choice(picked, why + decode)


def _auto(cuda: bool, dtype: str, head_size: int) -> tuple[str, str]:
    """What `lcbench_kernels.laser.attend` takes too, and why."""
    if dtype in DTYPES["sdpa", cuda]:
        return "sdpa", f"auto: torch's scaled_dot_product_attention over exp(v) for {dtype}"
    if dtype in DTYPES["triton", cuda] and head_size <= WIDEST["triton"][0]:
        return "triton", f"auto: Triton for {dtype}, which sdpa does not take on CUDA"
    wide = f" and heads of {head_size}" if dtype in DTYPES["triton", cuda] else ""
    return "reference", f"auto: nothing else takes {dtype}{wide} on {'CUDA' if cuda else 'a CPU'}"


LASER = MechanismInfo(
    name="laser",
    summary="log(softmax(q k^T) exp(v)), causal, exp and log elementwise",
    cost="softmax's, and a pass over v before it and over the output after it",
    state="k, v: D numbers each, a token and KV head",
    impls=IMPLS,
    make=make,
    choose=choose,
    available=available,
    trained=True,
    flop_heads=lambda q_heads, kv_heads: q_heads,
)
