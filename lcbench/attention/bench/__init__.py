"""How fast are this machine's attention kernels, beside their peers of the same run?

`run_bench` is the loop: pass, batch, length, contender. First its output on the timed inputs is compared with float64
(`judges`); only where that is right is it timed (`clock`) and a speed given. Who takes part stands in `contenders`, the
peers in `peers`, operation and byte counts in `lcbench_kernels.common.counts`, what is printed in `show`.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from lcbench.attention import find
from lcbench.attention.bench import contenders as table
from lcbench.attention.bench.clock import Clock, ceilings, cuda_clock
from lcbench.attention.bench.contenders import PASSES, Contender
from lcbench.attention.bench.problem import Problem, Shape, make_problem
from lcbench.attention.checks.subjects import reason_against
from lcbench.errors import UsageError, nearest

__all__ = ["PASSES", "Bench", "Options", "Row", "run_bench"]


@dataclass(frozen=True)
class Options:
    """What to time. names: mechanisms beside the peers. peers: names of peers, all where it is empty."""

    names: tuple[str, ...]
    passes: tuple[str, ...] = PASSES
    lengths: tuple[int, ...] = (8192, 32768, 131072)
    batches: tuple[int, ...] = (1,)
    q_heads: int = 32
    kv_heads: int = 8
    size: int = 128
    dtype: torch.dtype = torch.bfloat16
    keys: str = "clustered"
    peers: tuple[str, ...] = ()


@dataclass
class Row:
    """One contender at one shape. What there is no figure for is None, and `note` says why.

    ok: its output is right; False: it is wrong, or ours and failed; None: it was not run, or is not to be compared.
    checked: tokens that were looked at. of_ceiling: of the measured product or copy rate. ratios: "attn impl" of a peer
    -> how many times its time, for what makes y alone (it + peer) / peer where the peer is softmax attention.
    """

    name: str
    attn: str
    impl: str
    peer: bool
    batch: int
    tokens: int
    error: float | None = None
    bound: float | None = None
    checked: int | None = None
    ok: bool | None = None
    ms: float | None = None
    tflops: float | None = None
    tbps: float | None = None
    of_ceiling: float | None = None
    ratios: dict[str, float] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class Bench:
    """What was measured: ceilings {"tflops", "tbps"} of this machine in this run, and the rows."""

    options: Options
    ceilings: dict[str, float]
    rows: list[Row]

    @property
    def ok(self) -> bool:
        return all(row.ok is not False for row in self.rows)


def run_bench(
    options: Options, device: str = "cuda", clock: Clock = cuda_clock, tell: Callable[[Row], None] = lambda row: None
) -> Bench:
    """Check and time everything that the options name. tell: called with each row when it is finished, but for ratios.

    Raises UsageError without a CUDA device (where `device` is one), and for a mechanism or peer that nothing times.
    """
    _refuse(options, device)
    best = ceilings(device, clock)
    rows: list[Row] = []
    for name in options.passes:
        for batch in options.batches:
            for tokens in options.lengths:
                shape = Shape(batch, options.q_heads, options.kv_heads, tokens, options.size)
                problem = make_problem(shape, name == "decode", options.keys, options.dtype, device)
                group = [c for c in table.CONTENDERS[name] if _chosen(c, options)]
                measured = []
                for one in group:
                    measured.append(_measure(name, one, problem, best, device, clock))
                    tell(measured[-1])
                    _release(device)
                _compare(group, measured)
                rows += measured
                del problem
                _release(device)
    return Bench(options, best, rows)


def _refuse(options: Options, device: str) -> None:
    timed = {one.attn for group in table.CONTENDERS.values() for one in group}
    for name in options.names:
        if find(name).name not in timed:
            raise UsageError(
                f"nothing of {name!r} is timed: it is no mechanism of lcbench", hint=f"lcbench attn check {name}"
            )
    known = sorted({one.impl for group in table.CONTENDERS.values() for one in group if one.peer})
    for name in options.peers:
        if name not in known:
            raise UsageError(f"no peer is called {name!r}{nearest(name, known)}", hint=f"--peers {','.join(known)}")
    if options.q_heads % options.kv_heads:
        raise UsageError(f"{options.q_heads} query heads cannot share {options.kv_heads} KV heads evenly")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("attn bench times CUDA kernels, and torch sees no CUDA device", hint="lcbench attn check")


def _chosen(one: Contender, options: Options) -> bool:
    if one.peer:
        return not options.peers or one.impl in options.peers
    return one.attn in options.names


def _measure(name: str, one: Contender, problem: Problem, best: dict[str, float], device: str, clock: Clock) -> Row:
    """Check, then time."""
    shape = problem.shape
    row = Row(name, one.attn, one.impl, one.peer, shape.batch, shape.tokens)
    reason = one.missing(device) if one.missing else reason_against(one.attn, one.impl, device)
    if reason is None and one.longest is not None and shape.tokens > one.longest:
        reason = f"its matrices fit up to {one.longest} tokens"
    if reason is not None:
        row.note = reason
        return row
    try:
        with torch.no_grad():
            _judge(row, one, problem)
            if row.ok is False:
                return row
            row.ms = clock(one.prepare(problem))
    except Exception as failure:  # the others are still worth knowing
        row.ok = None if one.peer else False
        row.note = f"{type(failure).__name__}: {failure}".splitlines()[0]
        return row
    if one.flops is not None:
        row.tflops = one.flops(shape) / row.ms / 1e9
        row.of_ceiling = row.tflops / best["tflops"]
    if one.moved is not None:
        row.tbps = one.moved(shape, problem.k.element_size()) / row.ms / 1e9
        row.of_ceiling = row.tbps / best["tbps"]
    return row


def _judge(row: Row, one: Contender, problem: Problem) -> None:
    if one.judge is None:
        row.note = "computes another function, which nothing here checks"
        return
    error, row.bound, row.checked = one.judge(problem, one.prepare)
    row.error = error if math.isfinite(error) else None
    row.ok = row.error is not None and row.error <= row.bound
    if not row.ok:
        row.note = "its output is wrong: no speed is given"


def _compare(group: list[Contender], rows: list[Row]) -> None:
    """Ratios to the peers that were timed at the same shape."""
    timed = [(one, row.ms, row) for one, row in zip(group, rows, strict=True) if row.ms is not None]
    for one, ms, row in timed:
        for peer, its_ms, its_row in timed:
            if peer.peer and peer is not one and peer.attn in (one.attn, "softmax", "deltaformer"):
                on_top = its_ms if one.solve and not peer.solve else 0.0
                row.ratios[f"{its_row.attn} {its_row.impl}"] = (ms + on_top) / its_ms


def _release(device: str) -> None:
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
