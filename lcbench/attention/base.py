"""The attention seam: what an engine owns, and the calls that a mechanism answers.

The engine owns one `LayerState` a layer: right-padded, preallocated, named per-token tensors. A mechanism names its
tensors, appends the newest tokens (`write`) and attends with the newest queries (`attend`). Full prefill, chunked
prefill, decode and padded batches are the same two calls with other lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclass
class LayerState:
    """One layer's state. B rows, Hkv KV heads, capacity S tokens, head size D.

    tensors: name -> [B, Hkv, S, D], finite everywhere. Only the first `past[b]` tokens of row b are real.
    past: [B] int64, tokens that row b held before this forward pass; shared by all layers, advanced by the engine
    after it.
    new: [B] int64, how many of this pass's T tokens are real in row b (they come first; the rest is padding on the
    right).
    past_max, total_max: max of past, and of past + new, as Python integers, so that slicing needs no device
    synchronisation.
    uniform: every row has the same past and every token of the pass is real.
    scale: what query-key products are multiplied by. window: sliding window in tokens, None for full attention.
    params: what the mechanism's `build` returned for this layer.
    """

    tensors: dict[str, torch.Tensor]
    past: torch.Tensor
    new: torch.Tensor
    past_max: int
    total_max: int
    uniform: bool
    scale: float
    window: int | None = None
    params: Any = None

    def append(self, name: str, x: torch.Tensor) -> None:
        """Store x [B, Hkv, T, D] behind each row's past. Padding tokens land beyond the row's length, and are
        overwritten later.
        """
        import torch

        buffer = self.tensors[name]
        steps = x.shape[2]
        if self.uniform:
            buffer[:, :, self.past_max : self.past_max + steps] = x.to(buffer.dtype)
            return
        rows = torch.arange(x.shape[0], device=x.device)[:, None]
        positions = self.past[:, None] + torch.arange(steps, device=x.device)[None, :]
        buffer[rows, :, positions] = x.transpose(1, 2).to(buffer.dtype)


@dataclass(frozen=True)
class Choice:
    """What `auto` picked, and why: both go into run.json."""

    impl: str
    reason: str


class Mechanism(Protocol):
    """A mechanism bound to its arguments and to one implementation.

    tensors: names of its per-token state. rotary: "after" when it takes q, k, v after rotary embedding (fits any
    decoder of transformers), "before" otherwise. windows: whether `attend` honours `state.window`.
    """

    name: str
    tensors: tuple[str, ...]
    rotary: str
    windows: bool

    def build(self, config: Any, layer: int) -> Any: ...

    def write(self, state: LayerState, k: torch.Tensor, v: torch.Tensor) -> None:
        """Append the newest keys and values [B, Hkv, T, D] to the state."""

    def attend(self, state: LayerState, q: torch.Tensor) -> torch.Tensor:
        """Newest queries [B, Hq, T, D] against the state, the T newest tokens included. Returns [B, Hq, T, D]."""


@dataclass(frozen=True)
class MechanismInfo:
    """A registry entry: what `lcbench attn list` says, and how to make the mechanism.

    make(impl, arguments) -> Mechanism. choose(impl, device, dtype, windows, head_size) -> Choice, where `windows` says
    that it has to stand in sliding-window layers, and `head_size` is the model's largest, None without a model; raises
    MissingError or UsageError with the reason where an implementation asked for by name cannot run here.
    `available(impl, device)` -> None or the reason why not.
    arguments: names of what may ride behind the colon, each with its help.
    flop_heads(Hq, Hkv) -> how many query heads of softmax attention cost the FLOPs that it does a pair of tokens; None
    where it is not counted so.
    """

    name: str
    summary: str
    cost: str
    state: str
    impls: tuple[str, ...]
    make: Callable[[str, dict[str, str]], Mechanism]
    choose: Callable[[str, str, str, bool, int | None], Choice]
    available: Callable[[str, str], str | None]
    arguments: dict[str, str] = field(default_factory=dict)
    trained: bool = False
    flop_heads: Callable[[int, int], int] | None = None
