"""Softmax attention over cached keys and values: what most checkpoints were trained under."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lcbench.attention.base import Choice, LayerState, MechanismInfo
from lcbench.errors import MissingError, UsageError

if TYPE_CHECKING:
    import torch

IMPLS = ("reference", "sdpa", "flash", "flex", "triton")
HALF = ("float16", "bfloat16")
DTYPES = {"flash": HALF, "flex": ("float32", *HALF), "triton": HALF}  # the others take any
FULL = ("flash", "triton")  # FlashAttention-2, no windows; one token a row by our split-KV kernel
NO_TRITON = "triton is not installed"


class Softmax:
    """k and v as they come, softmax attention over them.

    `kernel` is `lcbench_kernels.softmax.attend`, `decode` what `split_kv` gives.
    """

    name = "softmax"
    tensors: tuple[str, ...] = ("k", "v")
    rotary = "after"
    windows = True

    def __init__(self, impl: str, kernel: Callable[..., torch.Tensor], decode: Callable[..., torch.Tensor] | None):
        self.impl = impl
        self.kernel = kernel
        self.decode = decode

    def build(self, config: Any, layer: int) -> None:
        return None

    def write(self, state: LayerState, k: torch.Tensor, v: torch.Tensor) -> None:
        state.append("k", k)
        state.append("v", v)

    def attend(self, state: LayerState, q: torch.Tensor) -> torch.Tensor:
        """Raises UsageError where the layer has a sliding window and the implementation has none."""
        return softmax_over(state, q, "v", self.impl, self.kernel, self.decode)


def softmax_over(
    state: LayerState,
    q: torch.Tensor,
    values: str,
    impl: str,
    kernel: Callable[..., torch.Tensor],
    decode: Callable[..., torch.Tensor] | None,
) -> torch.Tensor:
    """Softmax attention of q [B, Hq, T, D] over the state's "k" and its tensor `values`. Returns [B, Hq, T, D].

    flash and triton are one and the same where triton is installed: FlashAttention-2 for many tokens a row, the
    split-KV kernel for one. Without it (decode is None) flash takes one token, too.
    """
    if state.window is not None and impl in FULL:
        raise UsageError(
            f"softmax:impl={impl} has no sliding window, and this model has layers that see {state.window} tokens",
            hint="--attn softmax:impl=sdpa (or impl=flex)",
        )
    if q.shape[2] == 1 and impl in FULL and decode is not None:
        seen = slice(0, state.past_max + 1)  # `write` stored one token behind every row's past, real or padding
        keys, tensor = state.tensors["k"][:, :, seen], state.tensors[values][:, :, seen]
        return decode(q, keys, tensor, state.past + 1, scale=state.scale, impl="triton")
    return kernel(
        q,
        state.tensors["k"][:, :, : state.total_max],
        state.tensors[values][:, :, : state.total_max],
        state.past,
        scale=state.scale,
        window=state.window,
        uniform=state.uniform,
        impl="flash" if impl == "triton" else impl,
    )


def refuse_wide_heads(name: str, impl: str, config: Any, widest: dict[str, tuple[int, str]]) -> None:
    """Raises UsageError where a model's heads are wider than widest[impl], which also names what takes them."""
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    most, instead = widest.get(impl, (size, ""))
    if size > most:
        raise UsageError(
            f"{name}:impl={impl} takes head sizes up to {most}, and this model has heads of {size}",
            hint=f"--attn {name}:impl={instead}",
        )


def make(impl: str, arguments: dict[str, str]) -> Softmax:
    from lcbench_kernels.softmax import attend

    return Softmax(impl, attend, split_kv())


def split_kv() -> Callable[..., torch.Tensor] | None:
    """`lcbench_kernels.softmax.decode`, or None where triton, which it is written in, is not installed."""
    from lcbench_kernels.softmax import decode

    return decode if find_spec("triton") is not None else None


def available(impl: str, device: str) -> str | None:
    """None where `impl` can run on `device` ("cpu", "cuda", "cuda:1"), or the reason why it cannot."""
    import torch

    cuda = device.startswith("cuda")
    if cuda and not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if impl in ("flash", "flex", "triton") and not cuda:
        return "it runs on CUDA devices only"
    if impl in FULL and torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a CUDA device of compute capability 8.0 or later"
    if impl in ("flex", "triton") and find_spec("triton") is None:
        return NO_TRITON
    return None


def choose(impl: str, device: str, dtype: str, windows: bool = False, head_size: int | None = None) -> Choice:
    """What runs on `device` in `dtype` ("float32", ..). auto: flash for half precision on CUDA without windows, else
    sdpa. `head_size` is not looked at.

    Raises UsageError, MissingError where triton is missing, with the reason why the implementation cannot run.
    """
    picked = _auto(device, dtype, windows) if impl == "auto" else impl
    reason = available(picked, device)
    if reason is None and dtype not in DTYPES.get(picked, (dtype,)):
        reason = f"it computes in {', '.join(DTYPES[picked])}, the model runs in {dtype}"
    if reason is None and windows and picked in FULL:
        reason = "it has no sliding window, and this model has layers with one"
    if reason is not None:
        raise refusal(f"softmax:impl={picked}", device, reason)
    return Choice(picked, _why(impl, picked, device, dtype))


def refusal(asked: str, device: str, reason: str) -> MissingError | UsageError:
    """The error for an implementation that cannot run on a device."""
    message = f"{asked} cannot run on {device}: {reason}"
    if reason == NO_TRITON:
        return MissingError(message, hint="pip install triton")
    return UsageError(message, hint="lcbench attn list")


def _auto(device: str, dtype: str, windows: bool) -> str:
    usable = not windows and device.startswith("cuda") and dtype in HALF and available("flash", device) is None
    return "flash" if usable else "sdpa"


def _why(impl: str, picked: str, device: str, dtype: str) -> str:
    """Why it was picked, and what decodes where that is not evident."""
    why = "asked for by name"
    if impl == "auto" and picked == "sdpa":
        why = f"auto: torch's scaled_dot_product_attention for {dtype} on {device}"
    if impl == "auto" and picked == "flash":
        why = f"auto: FlashAttention-2 for {dtype} on CUDA"
    if picked == "triton":
        why += ", prefill by FlashAttention-2"
    if picked not in FULL:
        return why
    if find_spec("triton") is None:
        return f"{why}, decode too, ragged rows one by one ({NO_TRITON})"
    return f"{why}, decode by our split-KV kernel (triton)"


SOFTMAX = MechanismInfo(
    name="softmax",
    summary="softmax(q k^T) v, causal; sliding windows where the model has them",
    cost="4 D FLOPs a query head for each pair of a token and one before it; decode reads k and v once a token",
    state="k, v: D numbers each, a token and KV head",
    impls=IMPLS,
    make=make,
    choose=choose,
    available=available,
    flop_heads=lambda q_heads, kv_heads: q_heads,
)
