"""Softmax attention over cached keys and values: what most checkpoints were trained under."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lcbench.attention.base import Choice, LayerState, MechanismInfo
from lcbench.errors import MissingError, UsageError

if TYPE_CHECKING:
    import torch

IMPLS = ("reference", "sdpa", "flash", "flex")
HALF = ("float16", "bfloat16")
DTYPES = {"flash": HALF, "flex": ("float32", *HALF)}  # the others take any


class Softmax:
    """k and v as they come, softmax attention over them. `kernel` is `lcbench_kernels.softmax.attend`."""

    name = "softmax"
    tensors: tuple[str, ...] = ("k", "v")
    rotary = "after"
    windows = True

    def __init__(self, impl: str, kernel: Callable[..., torch.Tensor]):
        self.impl = impl
        self.kernel = kernel

    def build(self, config: Any, layer: int) -> None:
        return None

    def write(self, state: LayerState, k: torch.Tensor, v: torch.Tensor) -> None:
        state.append("k", k)
        state.append("v", v)

    def attend(self, state: LayerState, q: torch.Tensor) -> torch.Tensor:
        """Raises UsageError where the layer has a sliding window and the implementation has none."""
        return softmax_over(state, q, "v", self.impl, self.kernel)


def softmax_over(
    state: LayerState, q: torch.Tensor, values: str, impl: str, kernel: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """Softmax attention of q [B, Hq, T, D] over the state's "k" and its tensor `values`. Returns [B, Hq, T, D]."""
    if state.window is not None and impl == "flash":
        raise UsageError(
            f"softmax:impl=flash has no sliding window, and this model has layers that see {state.window} tokens",
            hint="--attn softmax:impl=sdpa (or impl=flex)",
        )
    return kernel(
        q,
        state.tensors["k"][:, :, : state.total_max],
        state.tensors[values][:, :, : state.total_max],
        state.past,
        scale=state.scale,
        window=state.window,
        uniform=state.uniform,
        impl=impl,
    )


def make(impl: str, arguments: dict[str, str]) -> Softmax:
    from lcbench_kernels.softmax import attend

    return Softmax(impl, attend)


def available(impl: str, device: str) -> str | None:
    """None where `impl` can run on `device` ("cpu", "cuda", "cuda:1"), or the reason why it cannot."""
    import torch

    cuda = device.startswith("cuda")
    if cuda and not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if impl in ("flash", "flex") and not cuda:
        return "it runs on CUDA devices only"
    if impl == "flash" and torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a CUDA device of compute capability 8.0 or later"
    if impl == "flex" and find_spec("triton") is None:
        return "triton is not installed"
    return None


def choose(impl: str, device: str, dtype: str, windows: bool = False) -> Choice:
    """What runs on `device` in `dtype` ("float32", ..). auto: flash for half precision on CUDA without windows, else
    sdpa.

    Raises UsageError, MissingError where triton is missing, with the reason why the implementation cannot run.
    """
    choice = _auto(device, dtype, windows) if impl == "auto" else Choice(impl, "asked for by name")
    reason = available(choice.impl, device)
    if reason is None and dtype not in DTYPES.get(choice.impl, (dtype,)):
        reason = f"it computes in {', '.join(DTYPES[choice.impl])}, the model runs in {dtype}"
    if reason is None and windows and choice.impl == "flash":
        reason = "it has no sliding window, and this model has layers with one"
    if reason is None:
        return choice
    message = f"softmax:impl={choice.impl} cannot run on {device}: {reason}"
    if reason == "triton is not installed":
        raise MissingError(message, hint="pip install triton")
    raise UsageError(message, hint="lcbench attn list")


def _auto(device: str, dtype: str, windows: bool) -> Choice:
    if not windows and device.startswith("cuda") and dtype in HALF and available("flash", device) is None:
        return Choice("flash", f"auto: FlashAttention-2 for {dtype} on CUDA")
    return Choice("sdpa", f"auto: torch's scaled_dot_product_attention for {dtype} on {device}")


SOFTMAX = MechanismInfo(
    name="softmax",
    summary="softmax(q k^T) v, causal; sliding windows where the model has them",
    cost="4 D FLOPs a query head for each pair of a token and one before it; decode reads k and v once a token",
    state="k, v: D numbers each, a token and KV head",
    impls=IMPLS,
    make=make,
    choose=choose,
    available=available,
)
