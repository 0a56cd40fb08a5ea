"""Passes of a mechanism that is one function of q, k and v: softmax and LASER attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lcbench.attention.checks import exact
from lcbench.attention.checks.grid import Inputs
from lcbench.attention.checks.measure import by_row, gradient_bound, largest, of_gradient, yardstick

GARBAGE = 1e3  # behind the tokens of a ragged row


@dataclass(frozen=True)
class Attention:
    """The calls of one mechanism, and the dense head that defines it. Each method judges one pass of `impl` on inputs:
    (error, bound). The bound is twice the error of the same dense head in the inputs' dtype, and rounding.

    attend(q, k, v, past, new, scale, uniform, impl) and decode(q, k, v, lengths, scale, impl) return [B, Hq, T, D].
    """

    head: exact.Heads
    attend: Callable[..., torch.Tensor]
    decode: Callable[..., torch.Tensor]

    def forward(self, impl: str, x: Inputs) -> tuple[float, float]:
        """All tokens in one call."""
        return self._judge(x, [(b, 0, out) for b, out in enumerate(self._whole(impl, x))])

    def chunked(self, impl: str, x: Inputs) -> tuple[float, float]:
        """A chunk, one token, and the rest."""
        cut = x.case.tokens * 2 // 3
        outs = []
        for start, stop in ((0, cut), (cut, cut + 1), (cut + 1, x.case.tokens)):
            outs.append(
                self.attend(
                    x.q[:, :, start:stop],
                    x.k[:, :, :stop],
                    x.v[:, :, :stop],
                    x.starts + start,
                    None,
                    scale=x.scale,
                    uniform=True,
                    impl=impl,
                )
            )
        return self._judge(x, [(b, 0, out) for b, out in enumerate(torch.cat(outs, dim=2))])

    def ragged(self, impl: str, x: Inputs) -> tuple[float, float]:
        """Rows of different lengths, with different numbers of new tokens; large garbage stands in the padding."""
        new = [max(1, length // 3) for length in x.lengths]
        q, k, v = x.q[:, :, : max(new)].clone(), x.k.clone(), x.v.clone()
        for b, (length, count) in enumerate(zip(x.lengths, new, strict=True)):
            q[b, :, :count] = x.q[b, :, length - count : length]
            q[b, :, count:], k[b, :, length:], v[b, :, length:] = GARBAGE, GARBAGE, GARBAGE
        counts = torch.tensor(new, device=q.device)
        past = torch.tensor(x.lengths, device=q.device) - counts
        out = self.attend(q, k, v, past, counts, scale=x.scale, uniform=False, impl=impl)
        return self._judge(x, [(b, x.lengths[b] - n, out[b, :, :n]) for b, n in enumerate(new)])

    def one_token(self, impl: str, x: Inputs) -> tuple[float, float]:
        """The newest token of each row, rows of different lengths, by the kernel for decoding."""
        newest = torch.stack([x.q[b, :, length - 1 : length] for b, length in enumerate(x.lengths)])
        lengths = torch.tensor(x.lengths, device=newest.device)
        out = self.decode(newest, x.k, x.v, lengths, scale=x.scale, impl=impl)
        return self._judge(x, [(b, length - 1, out[b]) for b, length in enumerate(x.lengths)])

    def backward(self, impl: str, x: Inputs) -> tuple[float, float]:
        """dq, dk and dv of all tokens in one call: the worst of the three."""
        leaves = [t.clone().requires_grad_() for t in (x.q, x.k, x.v)]
        with torch.enable_grad():
            out = self.attend(*leaves, x.starts, None, scale=x.scale, uniform=True, impl=impl)
            found = torch.autograd.grad(out, leaves, x.grad)
        right = x.once("gradients", lambda: exact.gradients(self.head, *x.double, x.scale))
        plain = x.once("plain gradients", lambda: exact.gradients(self.head, x.q, x.k, x.v, x.grad, x.scale))
        return _worst(found, right), gradient_bound(_worst(plain, right), x.q.dtype)

    def spread(self, width: float, finite_only: bool) -> Callable[[str, Inputs], tuple[float, float]]:
        """Values whose columns spread over `width`, and queries that see little but their own token.

        finite_only: the error is the share of outputs that are not finite, and none may be.
        """

        def judge(impl: str, x: Inputs) -> tuple[float, float]:
            wide = x.v.float()
            low, high = wide.amin(2, keepdim=True), wide.amax(2, keepdim=True)
            v = ((wide - low) / (high - low) * width - width / 2).to(x.v.dtype)
            q = 4 * x.k.repeat_interleave(x.q.shape[1] // x.k.shape[1], dim=1)
            y = Inputs(x.case, q, x.k, v, x.grad)
            if finite_only:
                return 1 - self._whole(impl, y).isfinite().double().mean().item(), 0.0
            return self.forward(impl, y)

        return judge

    def _whole(self, impl: str, x: Inputs) -> torch.Tensor:
        return self.attend(x.q, x.k, x.v, x.starts, None, scale=x.scale, uniform=True, impl=impl)

    def _judge(self, x: Inputs, parts: list[tuple[int, int, torch.Tensor]]) -> tuple[float, float]:
        """parts: (row, first token, outputs [Hq, T, D] from there)."""
        q, k, v, _ = x.double
        right = x.once("out", lambda: exact.attention(self.head, q, k, v, x.scale))
        plain = x.once("plain", lambda: by_row(exact.attention(self.head, x.q, x.k, x.v, x.scale), right))
        error = largest([by_row(out, right[b, :, at : at + out.shape[1]]) for b, at, out in parts])
        return error, yardstick(plain, x.q.dtype)


def _worst(found: Any, right: Any) -> float:
    return largest(of_gradient(*pair) for pair in zip(found, right, strict=True))
