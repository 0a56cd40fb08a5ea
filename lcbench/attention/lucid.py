"""LUCID (arXiv 2602.10410): softmax attention over preconditioned values, which take the place of v in the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lcbench.attention import softmax
from lcbench.attention.base import Choice, LayerState, MechanismInfo
from lcbench.attention.softmax import HALF, refuse_wide_heads

if TYPE_CHECKING:
    import torch

IMPLS = ("reference", "triton", "gluon")
ONE_PASS = ("triton", "gluon")  # CUDA, half precision; one token a row by the Triton decode
WIDEST = {"gluon": (128, "triton"), "triton": (256, "reference")}  # the largest head size, and what takes more


class Lucid:
    """`write` solves for y and keeps it instead of v, in the model's dtype; `attend` is softmax attention over (k, y).

    With triton and gluon a pass of one token a row reads its past once, for the new y and for the attention together.
    `write` then only appends k, and v in y's place; `attend` replaces that v by y, and returns the output. So between
    the two calls, and there alone, the newest slot of "y" holds v.

    `precondition`, `step` and `kernel` are `lcbench_kernels.lucid.precondition` and `.decode` and
    `lcbench_kernels.softmax.attend`, `decode` what `softmax.split_kv` gives; the softmax part of all other passes runs
    in the implementation that softmax's own `auto` picks for the device and dtype of the queries.
    """

    name = "lucid"
    tensors: tuple[str, ...] = ("k", "y")
    rotary = "after"
    windows = False

    def __init__(
        self,
        impl: str,
        precondition: Callable[..., torch.Tensor],
        step: Callable[..., torch.Tensor],
        kernel: Callable[..., torch.Tensor],
        decode: Callable[..., torch.Tensor] | None,
    ):
        self.impl = impl
        self.precondition = precondition
        self.step = step
        self.kernel = kernel
        self.decode = decode

    def build(self, config: Any, layer: int) -> None:
        """Raises UsageError where the implementation cannot take the model's head size."""
        refuse_wide_heads("lucid", self.impl, config, WIDEST)

    def write(self, state: LayerState, k: torch.Tensor, v: torch.Tensor) -> None:
        if self._one_pass(k):
            state.append("k", k)
            state.append("y", v)
            return
        past = None
        if state.past_max > 0:
            cached = slice(0, state.past_max)
            past = (state.tensors["k"][:, :, cached], state.tensors["y"][:, :, cached], state.past)
        y = self.precondition(k, v, past=past, impl=self.impl)
        state.append("k", k)
        state.append("y", y)

    def attend(self, state: LayerState, q: torch.Tensor) -> torch.Tensor:
        if self._one_pass(q):
            seen = slice(0, state.past_max + 1)  # `write` stored one token behind every row's past, real or padding
            k, y = state.tensors["k"][:, :, seen], state.tensors["y"][:, :, seen]
            return self.step(q, k, y, state.past + 1, scale=state.scale, impl="triton")
        picked = softmax.choose("auto", q.device.type, str(q.dtype).removeprefix("torch."))
        return softmax.softmax_over(state, q, "y", picked.impl, self.kernel, self.decode)

    def _one_pass(self, newest: torch.Tensor) -> bool:
        return newest.shape[2] == 1 and self.impl in ONE_PASS


def make(impl: str, arguments: dict[str, str]) -> Lucid:
    from lcbench_kernels import lucid
    from lcbench_kernels.softmax import attend

    return Lucid(impl, lucid.precondition, lucid.decode, attend, softmax.split_kv())


def available(impl: str, device: str) -> str | None:
    """None where `impl` can run on `device`, or the reason why it cannot. The reference runs wherever torch does."""
    reason = softmax.available("sdpa" if impl == "reference" else "triton", device)
    if reason is None and impl == "gluon":
        import torch

        if torch.cuda.get_device_capability(device) != (9, 0):
            return "it needs a CUDA device of compute capability 9.0"
    return reason


def choose(impl: str, device: str, dtype: str, windows: bool, head_size: int | None = None) -> Choice:
    """The preconditioner's implementation; the reason names the softmax implementation that runs behind it too.

    auto: gluon for half precision and heads up to 128 on compute capability 9.0, triton for heads up to 256 on CUDA,
    else the reference.
    It never stands in windowed layers: `windows` is not looked at.

    Raises UsageError, MissingError where triton is missing, with the reason why the implementation cannot run.
    """
    choice = _auto(device, dtype, head_size or 0) if impl == "auto" else Choice(impl, "asked for by name")
    reason = available(choice.impl, device)
    if reason is None and choice.impl in ONE_PASS and dtype not in HALF:
        reason = f"it computes in {', '.join(HALF)}, the model runs in {dtype}"
    if reason is not None:
        raise softmax.refusal(f"lucid:impl={choice.impl}", device, reason)
    attention = softmax.choose("auto", device, dtype)
    why = f"{choice.reason}; softmax part by {attention.impl} ({attention.reason})"
    return Choice(choice.impl, f"{why}, with y in one pass at decode" if choice.impl in ONE_PASS else why)


def _auto(device: str, dtype: str, head_size: int) -> Choice:
    if not device.startswith("cuda") or dtype not in HALF:
        return Choice("reference", f"auto: the reference in torch for {dtype} on {device}")
    if head_size > WIDEST["triton"][0]:
        return Choice("reference", f"auto: the reference in torch for heads of {head_size}")
    on_hopper = available("gluon", device) is None
    if on_hopper and head_size <= WIDEST["gluon"][0]:
        return Choice("gluon", f"auto: the Hopper kernel for {dtype}")
    if on_hopper:
        return Choice("triton", f"auto: the Triton kernels for heads of {head_size}, wider than the Hopper kernel's")
    reason = available("triton", device)
    if reason in (None, softmax.NO_TRITON):
        return Choice("triton", f"auto: the Triton kernels for {dtype} on CUDA")
    return Choice("reference", f"auto: the reference in torch, since the Triton kernels cannot run: {reason}")


LUCID = MechanismInfo(
    name="lucid",
    summary="softmax(q k^T) y, causal, with y = L^-1 v and L_ij = exp(sqrt(D) (cos(k_i, k_j) - 1)) for j <= i",
    cost="softmax's, and for the solve that of one more query head a KV head, in prefill and in decode",
    state="k, y: D numbers each, a token and KV head; y takes the place of v",
    impls=IMPLS,
    make=make,
    choose=choose,
    available=available,
    trained=True,
    flop_heads=lambda q_heads, kv_heads: q_heads + kv_heads,
)
