"""Passes of LUCID: the preconditioner, and its decode. Each judges `impl` on inputs: (error, bound).

The exact answer is a dense solve in float64 on the same rounded inputs. Where a past is given, cached Y is such an
input: rounded once, as the cache keeps it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from lcbench_kernels import lucid

from lcbench.attention.checks import exact
from lcbench.attention.checks.attend import GARBAGE
from lcbench.attention.checks.grid import Inputs
from lcbench.attention.checks.measure import (
    by_head,
    by_row,
    gradient_bound,
    largest,
    solve_bound,
    tightest,
    yardstick,
)


def forward(impl: str, x: Inputs) -> tuple[float, float]:
    """y of all tokens in one call."""
    return by_head(lucid.precondition(x.k, x.v, impl=impl), _whole(x)), _bound(x)


def chunked(impl: str, x: Inputs) -> tuple[float, float]:
    """The last third of the tokens against a cached past."""
    return _against_the_past(impl, x, [x.case.tokens] * 2)


def ragged(impl: str, x: Inputs) -> tuple[float, float]:
    """The same with other numbers of tokens, cached and new, in each row; large garbage stands behind both."""
    return _against_the_past(impl, x, x.lengths)


def packed(impl: str, x: Inputs) -> tuple[float, float]:
    """Sequences one behind another in one row: each is solved alone."""
    tokens = x.case.tokens
    cuts = [0, 1, 1 + tokens // 3, tokens]
    k, v = x.k[:1], x.v[:1]
    offsets = torch.tensor(cuts, dtype=torch.int32, device=k.device)
    y = lucid.precondition(k, v, cu_seqlens=offsets, impl=impl)
    parts = []
    for start, stop in pairwise(cuts):
        one = slice(start, stop)
        parts.append(by_head(y[:, :, one], exact.lucid(k[:, :, one].double(), v[:, :, one].double())))
    return largest(parts), _bound(x)


def backward(impl: str, x: Inputs) -> tuple[float, float]:
    """dk and dv of y of all tokens in one call. Keys that repeat leave next to no gradient, which plain float32 misses
    too: then twice its error and the rounding of the result is the bound.
    """
    k, v = x.k.clone().requires_grad_(), x.v.clone().requires_grad_()
    grad = x.grad[:, : k.shape[1]]
    with torch.enable_grad():
        y = lucid.precondition(k, v, impl=impl)
        found = torch.autograd.grad(y, (k, v), grad)
    _, double_k, double_v, double_grad = x.double
    double = (double_k, double_v, double_grad[:, : k.shape[1]])
    right = x.once("gradients", lambda: exact.lucid_gradients(*double))
    plain = x.once("plain gradients", lambda: exact.lucid_gradients(*(t.float() for t in double)))
    judged = zip(found, right, plain, strict=True)
    return tightest((by_head(got, true), gradient_bound(by_head(wide, true), k.dtype)) for got, true, wide in judged)


def one_token(impl: str, x: Inputs) -> tuple[float, float]:
    """The newest token of each row, rows of different lengths: the new y in the cache, and the attention output, which
    plain PyTorch can compute in half precision once y is there.
    """
    q, y = x.q[:, :, :1].clone(), _whole(x).to(x.v.dtype)
    for b, length in enumerate(x.lengths):
        q[b], y[b, :, length - 1] = x.q[b, :, length - 1 : length], x.v[b, :, length - 1]
    cache = y.clone()
    out = lucid.decode(q, x.k, y, torch.tensor(x.lengths, device=q.device), scale=x.scale, impl=impl)
    judged = []
    for b, length in enumerate(x.lengths):
        one, past, newest = slice(b, b + 1), slice(0, length - 1), slice(length - 1, length)
        new = _after(x.k[b, :, newest], cache[b, :, newest], x.k[b, :, past], cache[b, :, past])
        judged.append((by_head(y[one, :, newest], new[None]), _bound(x)))
        values = torch.cat([cache[b, :, past].double(), new], dim=1)[None]
        judged.append(judge_newest(out[one], q[one], x.k[one, :, :length], values, x.scale))
    return tightest(judged)


def judge_newest(
    out: torch.Tensor, q: torch.Tensor, k: torch.Tensor, values: torch.Tensor, scale: float
) -> tuple[float, float]:
    """Attention of q over k and exact values (float64) in one row: (error, bound)."""
    right = exact.attention(exact.softmax_head, q.double(), k.double(), values, scale)
    plain = exact.attention(exact.softmax_head, q, k, values.to(q.dtype), scale)
    return by_row(out, right), yardstick(by_row(plain, right), q.dtype)


def _against_the_past(impl: str, x: Inputs, lengths: list[int]) -> tuple[float, float]:
    new = x.case.tokens // 3
    cached = [length - min(new, length // 2) for length in lengths]
    counts = [length - past for length, past in zip(lengths, cached, strict=True)]
    k, v = (torch.full_like(t[:, :, : max(counts)], GARBAGE) for t in (x.k, x.v))
    past_k, past_y = (torch.full_like(t[:, :, : max(cached)], GARBAGE) for t in (x.k, x.v))
    for b, (length, past, count) in enumerate(zip(lengths, cached, counts, strict=True)):
        k[b, :, :count], v[b, :, :count] = x.k[b, :, past:length], x.v[b, :, past:length]
        past_k[b, :, :past], past_y[b, :, :past] = x.k[b, :, :past], _whole(x)[b, :, :past].to(x.v.dtype)
    y = lucid.precondition(k, v, past=(past_k, past_y, torch.tensor(cached, device=k.device)), impl=impl)
    parts = []
    for b, (past, count) in enumerate(zip(cached, counts, strict=True)):
        right = _after(k[b, :, :count], v[b, :, :count], past_k[b, :, :past], past_y[b, :, :past])
        parts.append(by_head(y[b : b + 1, :, :count], right[None]))
    return largest(parts), _bound(x)


def _whole(x: Inputs) -> torch.Tensor:
    """y of all tokens in float64."""
    _, k, v, _ = x.double
    return x.once("y", lambda: exact.lucid(k, v))


def _after(k: torch.Tensor, v: torch.Tensor, past_k: torch.Tensor, past_y: torch.Tensor) -> torch.Tensor:
    """y [Hkv, T, D] of one row's new tokens behind its past, in float64."""
    k, v, past_k, past_y = k.double(), v.double(), past_k.double(), past_y.double()
    rest = [v[h] - exact.lucid_kernel(k[h], past_k[h]) @ past_y[h] for h in range(k.shape[0])]
    return exact.lucid(k[None], torch.stack(rest)[None])[0]


def _bound(x: Inputs) -> float:
    return solve_bound(x.case.size, x.v.dtype)
