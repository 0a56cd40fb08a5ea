"""What is timed in each pass. A new mechanism or peer is one entry of CONTENDERS.

Everything is prepared once and then called many times: a closure over a problem's tensors that gives what its judge
looks at. What is made beforehand (FlexAttention's block mask, copies in another layout) is not in the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from lcbench_kernels import laser, lucid, softmax
from lcbench_kernels.common import counts

from lcbench.attention.bench import judges, peers
from lcbench.attention.bench.judges import Judge, Prepare
from lcbench.attention.bench.problem import Problem, Shape
from lcbench.attention.checks import exact

PASSES = ("prefill", "decode", "train")


@dataclass(frozen=True)
class Contender:
    """One thing to time. attn, impl: what it computes, and who.

    judge: None for what computes something else, and is timed for orientation. flops, moved: of one call.
    peer: others are compared with it. solve: it makes y alone, softmax attention comes on top, so that its ratio to a
    softmax peer is (it + peer) / peer. longest: more tokens are not tried. missing(device) -> why it cannot run there.
    """

    attn: str
    impl: str
    prepare: Prepare
    judge: Judge | None
    flops: Callable[[Shape], int] | None = None
    moved: Callable[[Shape, int], int] | None = None
    peer: bool = False
    solve: bool = False
    longest: int | None = None
    missing: Callable[[str], str | None] | None = None


def attention_flops(s: Shape) -> int:
    return counts.attention_forward(s.batch, s.q_heads, s.tokens, s.size)


def solve_flops(s: Shape) -> int:
    return counts.precondition_forward(s.batch, s.kv_heads, s.tokens, s.size)


def step_flops(s: Shape) -> int:
    return attention_flops(s) + counts.attention_backward(s.batch, s.q_heads, s.tokens, s.size)


def lucid_step_flops(s: Shape) -> int:
    backward = counts.precondition_backward(s.batch, s.kv_heads, s.tokens, s.size)
    return step_flops(s) + solve_flops(s) + backward


def decode_bytes(s: Shape, itemsize: int) -> int:
    return counts.decode_bytes(s.batch, s.kv_heads, s.tokens, s.size, itemsize)


def precondition(impl: str, x: Problem) -> Callable[[], torch.Tensor]:
    return lambda: lucid.precondition(x.k, x.v, impl=impl)


def laser_prefill(impl: str, x: Problem) -> Callable[[], torch.Tensor]:
    return lambda: laser.attend(x.q, x.k, x.v, x.past, scale=x.scale, uniform=True, impl=impl)


def softmax_decode(x: Problem) -> Callable[[], torch.Tensor]:
    return lambda: softmax.decode(x.q, x.k, x.v, x.lengths, scale=x.scale, impl="triton")


def lucid_decode(x: Problem) -> Callable[[], torch.Tensor]:
    """The cache is written in place: a second call takes the new y for a value, at the same cost."""
    return lambda: lucid.decode(x.q, x.k, x.y, x.lengths, scale=x.scale, impl="triton")


def laser_decode(x: Problem) -> Callable[[], torch.Tensor]:
    return lambda: laser.decode(x.q, x.k, x.v, x.lengths, scale=x.scale, impl="triton")


def step(forward: Callable[..., torch.Tensor], x: Problem) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Forward and backward of forward(problem, q, k, v): dq, dk, dv."""
    leaves = [t.detach().clone().requires_grad_() for t in (x.q, x.k, x.v)]

    def call() -> tuple[torch.Tensor, ...]:
        with torch.enable_grad():
            out = forward(x, *leaves)
        return torch.autograd.grad(out, leaves, x.grad)

    return call


def lucid_layer(impl: str, x: Problem, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return peers.cudnn(x, q, k, lucid.precondition(k, v, impl=impl))


def laser_layer(impl: str, x: Problem, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return laser.attend(q, k, v, x.past, scale=x.scale, uniform=True, impl=impl)


SOFTMAX_OUT = judges.outputs(exact.softmax_head)
LASER_OUT = judges.outputs(exact.laser_head)
SOFTMAX_NEWEST = judges.newest(exact.softmax_head)
SOFTMAX_STEP = judges.gradients(exact.softmax_head, half_has_torch=True)
LASER_STEP = judges.gradients(exact.laser_head, half_has_torch=True)
LUCID_STEP = judges.gradients(judges.lucid_head, half_has_torch=False)


def softmax_peers(prepare: Mapping[str, Prepare], judge: Judge, **count: Callable[..., int]) -> list[Contender]:
    """The softmax implementations of torch."""
    return [
        Contender("softmax", name, one, judge, peer=True, missing=peers.MISSING[name], **count)  # type: ignore[arg-type]
        for name, one in prepare.items()
    ]


CONTENDERS: dict[str, list[Contender]] = {
    "prefill": [
        *softmax_peers(peers.PREFILL, SOFTMAX_OUT, flops=attention_flops),
        *(
            Contender("lucid", impl, partial(precondition, impl), judges.solved, flops=solve_flops, solve=True)
            for impl in ("gluon", "triton")
        ),
        Contender(
            "lucid",
            "solve_triangular",
            peers.solve_triangular,
            judges.solved,
            flops=solve_flops,
            peer=True,
            solve=True,
            longest=peers.DENSE,
            missing=peers.always,
        ),
        Contender(
            "deltaformer",
            "fla",
            peers.deltaformer,
            None,
            flops=solve_flops,
            peer=True,
            solve=True,
            missing=peers.MISSING["deltaformer"],
        ),
        *(
            Contender("laser", impl, partial(laser_prefill, impl), LASER_OUT, flops=attention_flops)
            for impl in ("triton", "sdpa")
        ),
    ],
    "decode": [
        *softmax_peers(peers.DECODE, SOFTMAX_NEWEST, moved=decode_bytes),
        Contender("softmax", "triton", softmax_decode, SOFTMAX_NEWEST, moved=decode_bytes, peer=True),
        Contender("lucid", "triton", lucid_decode, judges.newest_solved, moved=decode_bytes),
        Contender("laser", "triton", laser_decode, judges.newest(exact.laser_head), moved=decode_bytes),
    ],
    "train": [
        *softmax_peers({n: partial(step, f) for n, f in peers.LAYERS.items()}, SOFTMAX_STEP, flops=step_flops),
        *(
            Contender("lucid", impl, partial(step, partial(lucid_layer, impl)), LUCID_STEP, flops=lucid_step_flops)
            for impl in ("gluon", "triton")
        ),
        Contender(
            "lucid",
            "solve_triangular",
            partial(step, peers.solve_triangular_layer),
            LUCID_STEP,
            flops=lucid_step_flops,
            peer=True,
            longest=peers.DENSE,
            missing=peers.always,
        ),
        *(
            Contender("laser", impl, partial(step, partial(laser_layer, impl)), LASER_STEP, flops=step_flops)
            for impl in ("triton", "sdpa")
        ),
    ],
}
