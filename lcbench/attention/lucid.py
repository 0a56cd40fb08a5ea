"""LUCID (arXiv 2602.10410): softmax attention over preconditioned values, which take the place of v in the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lcbench.attention import softmax
from lcbench.attention.base import Choice, LayerState, MechanismInfo
from lcbench.errors import UsageError

if TYPE_CHECKING:
    import torch

IMPLS = ("reference",)


class Lucid:
    """`write` solves for y and keeps it instead of v, in the model's dtype; `attend` is softmax attention over (k, y).

    `precondition` and `kernel` are `lcbench_kernels.lucid.precondition` and `lcbench_kernels.softmax.attend`; the
    softmax part runs in the implementation that softmax's own `auto` picks for the device and dtype of the queries.
    """

    name = "lucid"
    tensors: tuple[str, ...] = ("k", "y")
    rotary = "after"
    windows = False

    def __init__(self, impl: str, precondition: Callable[..., torch.Tensor], kernel: Callable[..., torch.Tensor]):
        self.impl = impl
        self.precondition = precondition
        self.kernel = kernel

    def build(self, config: Any, layer: int) -> None:
        return None

    def write(self, state: LayerState, k: torch.Tensor, v: torch.Tensor) -> None:
        past = None
        if state.past_max > 0:
            cached = slice(0, state.past_max)
            past = (state.tensors["k"][:, :, cached], state.tensors["y"][:, :, cached], state.past)
        y = self.precondition(k, v, past=past, impl=self.impl)
        state.append("k", k)
        state.append("y", y)

    def attend(self, state: LayerState, q: torch.Tensor) -> torch.Tensor:
        picked = softmax.choose("auto", q.device.type, str(q.dtype).removeprefix("torch."))
        return softmax.softmax_over(state, q, "y", picked.impl, self.kernel)


def make(impl: str, arguments: dict[str, str]) -> Lucid:
    from lcbench_kernels.lucid import precondition
    from lcbench_kernels.softmax import attend

    return Lucid(impl, precondition, attend)


def available(impl: str, device: str) -> str | None:
    """None where `impl` can run on `device`, or the reason why it cannot. The reference runs wherever torch does."""
    return softmax.available("sdpa", device)


def choose(impl: str, device: str, dtype: str, windows: bool) -> Choice:
    """The preconditioner's implementation; the reason names the softmax implementation that runs behind it too.

    It never stands in windowed layers: `windows` is not looked at.

    Raises UsageError where either cannot run.
    """
    reason = available(impl, device)
    if reason is not None:
        raise UsageError(f"lucid:impl={impl} cannot run on {device}: {reason}", hint="lcbench attn list")
    picked = "auto: the only one there is" if impl == "auto" else "asked for by name"
    attention = softmax.choose("auto", device, dtype)
    return Choice("reference", f"{picked}; softmax part by {attention.impl} ({attention.reason})")


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
)
