"""What is checked of each mechanism. A new mechanism is one entry of SUBJECTS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lcbench_kernels import laser, softmax

from lcbench.attention import find
from lcbench.attention.checks import exact, lucid
from lcbench.attention.checks.attend import Attention
from lcbench.attention.checks.grid import Case, Inputs
from lcbench.attention.checks.outside import seam


@dataclass(frozen=True)
class Pass:
    """One way in which a mechanism is called: judge(impl, inputs) -> (error, bound), and who can be called so.

    applies: whether it says something on a case.
    """

    judge: Callable[[str, Inputs], tuple[float, float]]
    impls: tuple[str, ...]
    applies: Callable[[Case], bool] = lambda case: True


def subject(name: str) -> dict[str, Pass]:
    """The passes of a mechanism, bundled or not. Raises UsageError for an unknown name, with the nearest."""
    info = find(name)
    return SUBJECTS.get(name) or {"seam": Pass(partial(seam, name), info.impls, several)}


def reason_against(name: str, impl: str, device: str) -> str | None:
    """None where the implementation can be checked on "cpu" or "cuda", or why it cannot."""
    info = find(name)
    reason = info.available(impl, device)
    if reason is None and name not in SUBJECTS and info.make(impl, {}).rotary != "after":
        return "it takes q, k, v before rotary embedding, which there is none of here"
    return reason


def covered(impl: str, name: str, case: Case) -> bool:
    """FlexAttention is compiled anew, for seconds, for every head size and pass: two passes at one size must do."""
    return impl != "flex" or (case.size == 128 and name in ("forward", "ragged"))


def softmax_attend(q: Any, k: Any, v: Any, past: Any, new: Any, **rest: Any) -> torch.Tensor:
    return softmax.attend(q, k, v, past, **rest)


def laser_attend(q: Any, k: Any, v: Any, past: Any, new: Any, **rest: Any) -> torch.Tensor:
    return laser.attend(q, k, v, past, new=new, **rest)


def softmax_newest(q: Any, k: Any, v: Any, lengths: Any, *, scale: float, impl: str) -> torch.Tensor:
    """What decodes in a model: the kernel of its own where the implementation has one."""
    if impl == "triton":
        return softmax.decode(q, k, v, lengths, scale=scale, impl=impl)
    return softmax.attend(q, k, v, lengths - 1, scale=scale, impl=impl)


def laser_newest(q: Any, k: Any, v: Any, lengths: Any, *, scale: float, impl: str) -> torch.Tensor:
    return laser.decode(q, k, v, lengths, scale=scale, impl=impl)


SOFTMAX = Attention(exact.softmax_head, softmax_attend, softmax_newest)
LASER = Attention(exact.laser_head, laser_attend, laser_newest)
SOFTMAX_IMPLS = ("reference", "sdpa", "flash", "flex")
LASER_IMPLS = ("reference", "sdpa", "triton")
LUCID_IMPLS = ("reference", "triton", "gluon")


def several(case: Case) -> bool:
    """A pass that cuts the tokens into parts needs some to cut."""
    return case.tokens >= 63


def one_case(case: Case) -> bool:
    return (case.kind, case.tokens) == ("random", 500)


SUBJECTS: dict[str, dict[str, Pass]] = {
    "softmax": {
        "forward": Pass(SOFTMAX.forward, SOFTMAX_IMPLS),
        "chunked": Pass(SOFTMAX.chunked, SOFTMAX_IMPLS, several),
        "ragged": Pass(SOFTMAX.ragged, SOFTMAX_IMPLS, several),
        "decode": Pass(SOFTMAX.one_token, (*SOFTMAX_IMPLS, "triton")),
        "backward": Pass(SOFTMAX.backward, SOFTMAX_IMPLS),
    },
    "lucid": {
        "forward": Pass(lucid.forward, LUCID_IMPLS),
        "chunked": Pass(lucid.chunked, LUCID_IMPLS, several),
        "ragged": Pass(lucid.ragged, LUCID_IMPLS, several),
        "packed": Pass(lucid.packed, LUCID_IMPLS, several),
        "decode": Pass(lucid.one_token, ("reference", "triton")),
        "backward": Pass(lucid.backward, LUCID_IMPLS),
    },
    "laser": {
        "forward": Pass(LASER.forward, LASER_IMPLS),
        "chunked": Pass(LASER.chunked, LASER_IMPLS, several),
        "ragged": Pass(LASER.ragged, LASER_IMPLS, several),
        "decode": Pass(LASER.one_token, ("reference", "triton")),
        "backward": Pass(LASER.backward, LASER_IMPLS),
        "spread 60": Pass(LASER.spread(60, finite_only=False), LASER_IMPLS, one_case),
        "spread 200": Pass(LASER.spread(200, finite_only=True), LASER_IMPLS, one_case),
    },
}
