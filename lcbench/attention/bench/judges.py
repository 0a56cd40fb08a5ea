"""Is what is timed right? Its output on the timed inputs against float64: (error, bound, tokens looked at)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lcbench_kernels import lucid as kernels

from lcbench.attention.bench.problem import Problem
from lcbench.attention.checks import exact
from lcbench.attention.checks.lucid import judge_newest
from lcbench.attention.checks.measure import (
    GRADIENT,
    by_head,
    by_row,
    gradient_bound,
    largest,
    of_gradient,
    solve_bound,
    tightest,
    yardstick,
)

Prepare = Callable[[Problem], Callable[[], Any]]
Judge = Callable[[Problem, Prepare], tuple[float, float, int]]

BLOCK = 64  # queries of each part that is compared
GRADIENT_TOKENS = 8192  # of which a dense float64 backward fits, one KV head at a time


def outputs(head: exact.Heads) -> Judge:
    """Attention of the first, the middle and the last queries over everything before them."""

    def judge(x: Problem, prepare: Prepare) -> tuple[float, float, int]:
        out, tokens = prepare(x)(), x.shape.tokens
        errors, plains = [], []
        for stop in sorted({min(BLOCK, tokens), tokens // 2 + 1, tokens}):
            part = slice(max(0, stop - BLOCK), stop)
            error, plain = _attention(
                head, out[:, :, part], x.q[:, :, part], x.k[:, :, :stop], x.v[:, :, :stop], x.scale
            )
            errors.append(error)
            plains.append(plain)
        return largest(errors), yardstick(largest(plains), x.q.dtype), tokens

    return judge


def newest(head: exact.Heads) -> Judge:
    """Attention of one query a row over all tokens."""

    def judge(x: Problem, prepare: Prepare) -> tuple[float, float, int]:
        error, plain = _attention(head, prepare(x)(), x.q, x.k, x.v, x.scale)
        return error, yardstick(plain, x.q.dtype), x.shape.tokens

    return judge


def solved(x: Problem, prepare: Prepare) -> tuple[float, float, int]:
    """y of all tokens against the reference in float64, which `attn check` compares with a dense solve."""
    y = prepare(x)()
    errors = []
    for b in range(x.shape.batch):
        right = kernels.precondition(x.k[b : b + 1].double(), x.v[b : b + 1].double(), impl="reference")
        errors.append(by_head(y[b : b + 1], right))
    return largest(errors), solve_bound(x.shape.size, x.v.dtype), x.shape.tokens


def newest_solved(x: Problem, prepare: Prepare) -> tuple[float, float, int]:
    """LUCID's decode over the cache as it is: the new y in it, and the output."""
    cache, x.y = x.y, x.y.clone()
    out, y = prepare(x)(), x.y
    x.y = cache
    judged = []
    for b in range(x.shape.batch):
        one = slice(b, b + 1)
        k, values = x.k[one].double(), cache[one].double()
        for h in range(k.shape[1]):
            kernel = exact.lucid_kernel(k[0, h, -1:], k[0, h, :-1])
            values[0, h, -1] -= (kernel @ values[0, h, :-1])[0]
        judged.append((by_head(y[one, :, -1:], values[:, :, -1:]), solve_bound(x.shape.size, x.v.dtype)))
        judged.append(judge_newest(out[one], x.q[one], x.k[one], values, x.scale))
    return *tightest(judged), x.shape.tokens


def gradients(head: exact.Heads, half_has_torch: bool) -> Judge:
    """dq, dk and dv of the first row's first KV head, on at most GRADIENT_TOKENS tokens of the timed ones.

    half_has_torch: plain PyTorch can compute it in the inputs' dtype, and is the yardstick.
    """

    def judge(x: Problem, prepare: Prepare) -> tuple[float, float, int]:
        x = x.first(GRADIENT_TOKENS)
        group = x.shape.q_heads // x.shape.kv_heads
        one = {"q": x.q[:1, :group], "k": x.k[:1, :1], "v": x.v[:1, :1], "grad": x.grad[:1, :group]}
        dq, dk, dv = prepare(x)()
        found = (dq[:1, :group], dk[:1, :1], dv[:1, :1])
        right = exact.gradients(head, scale=x.scale, **{name: t.double() for name, t in one.items()})
        error = largest(of_gradient(*pair) for pair in zip(found, right, strict=True))
        if not half_has_torch:
            return error, GRADIENT[x.q.dtype], x.shape.tokens
        plain = exact.gradients(head, scale=x.scale, **one)
        worst = largest(of_gradient(*pair) for pair in zip(plain, right, strict=True))
        return error, gradient_bound(worst, x.q.dtype), x.shape.tokens

    return judge


def lucid_head(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """The whole layer: softmax attention over preconditioned values."""
    return exact.softmax_head(q, k, exact.lucid_head(k, v), scale)


def _attention(
    head: exact.Heads, out: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float
) -> tuple[float, float]:
    """Errors of `out` and of plain PyTorch, row by row of the batch: one in float64 is as much as there is room for."""
    errors, plains = [], []
    for b in range(q.shape[0]):
        one = slice(b, b + 1)
        right = exact.attention(head, q[one].double(), k[one].double(), v[one].double(), scale)
        errors.append(by_row(out[one], right))
        plains.append(by_row(exact.attention(head, q[one], k[one], v[one], scale), right))
    return largest(errors), largest(plains)
