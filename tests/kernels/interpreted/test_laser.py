"""LASER's Triton kernels in the interpreter, whose bfloat16 products are wrong: with float32 weights."""

import os

import pytest
import torch

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1", reason="runs in the interpreter's own process"
)
pytest.importorskip("triton", reason="triton is not installed")

from kernels.laser_inputs import SCALE, error, exact, inputs, nan_filled  # noqa: E402
from lcbench_kernels.common.inputs import make_keys  # noqa: E402
from lcbench_kernels.laser import sdpa, triton_attend, triton_weights, weights  # noqa: E402
from lcbench_kernels.laser.blocks import Blocks, Launch  # noqa: E402

SMALL = Blocks(16, Launch(32, 4, 1), Launch(16, 4, 1), Launch(32, 4, 1))


@pytest.fixture(autouse=True)
def float32_weights_and_nan_where_nothing_is_written(monkeypatch):
    monkeypatch.setitem(triton_attend.WEIGHTS, torch.float16, torch.float32)
    monkeypatch.setattr(torch, "empty", nan_filled(torch.empty))
    monkeypatch.setattr(torch, "empty_strided", nan_filled(torch.empty_strided))


def run(q, k, v, past, new=None):
    lengths = past + (q.shape[2] if new is None else new)
    return triton_attend.attend_in_blocks(q, k, v, past, lengths, SCALE, SMALL)


CALLS = {  # queries, tokens, head size, spread, rise a token
    "one block": (16, 16, 16, 4, 0),
    "odd": (63, 63, 20, 60, 0),
    "one token": (1, 1, 16, 4, 0),
    "chunk": (33, 97, 16, 60, 0),
    "rising": (70, 150, 24, 4, 1.2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("call", CALLS)
def test_forward_and_backward(call, dtype):
    """ "rising" spreads over 180 from the first token to the last, but over 62 in a block of queries and its tiles."""
    steps, total, size, spread, rise = CALLS[call]
    q, k, v = inputs(steps, total, heads=1, size=size, spread=spread)
    q, k, v = (x.to(dtype).requires_grad_() for x in (q, k, v + rise * torch.arange(total)[:, None]))
    past = torch.tensor([total - steps])
    out = run(q, k, v, past)
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    expected = exact(*wide, past)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    out.backward(grad)
    expected.backward(grad.double())
    assert error(out, expected) < torch.finfo(dtype).eps
    for x, reference in zip((q, k, v), wide, strict=True):
        apart = (x.grad.double() - reference.grad).norm()
        assert apart < 16 * torch.finfo(dtype).eps * max(1, reference.grad.norm())  # q and k of one token: 0


def test_gradients_of_keys_with_a_common_direction(monkeypatch):
    """With weights of half precision: an o rounded as they are would give queries a gradient along that direction."""
    monkeypatch.setitem(triton_attend.WEIGHTS, torch.float16, torch.float16)
    q, _, v = inputs(96, 96, heads=1, size=32, dtype=torch.float16)
    k = make_keys("correlated", 1, 1, 96, 32, dtype=torch.float16)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    wide = [x.double().requires_grad_() for x in (q, k, v)]
    past = torch.tensor([0])
    out, expected = run(*leaves, past), exact(*wide, past)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).half()
    out.backward(grad)
    expected.backward(grad.double())
    bound = 1.5 * torch.finfo(torch.float16).eps
    assert all(error(x.grad, reference.grad) < bound for x, reference in zip(leaves, wide, strict=True))


def test_ragged_rows_and_strides():
    """Behind each row's tokens stands garbage; k and v are slices of a cache laid out by tokens."""
    past, new, steps, total = torch.tensor([30, 0]), torch.tensor([7, 20]), 20, 37
    q, k, v = inputs(steps, total, batch=2, dtype=torch.float32)
    for row in range(2):
        seen = past[row] + new[row]
        q[row, :, new[row] :] = k[row, :, seen:] = v[row, :, seen:] = 1e4
    laid_out = [torch.cat([x, x], dim=2).transpose(1, 2).contiguous().transpose(1, 2)[:, :, :total] for x in (k, v)]
    out = run(q, *laid_out, past, new)
    assert out.isfinite().all()
    for row in range(2):
        one, seen, count = slice(row, row + 1), int(past[row] + new[row]), int(new[row])
        expected = exact(q[one, :, :count], k[one, :, :seen], v[one, :, :seen], past[one])
        assert error(out[one, :, :count], expected) < 1e-6


def test_later_tokens_change_no_digit():
    """Within the last tile of the earlier queries by 60; from the next block of queries on by as much as they like."""
    q, k, v = inputs(96, 96, heads=1, dtype=torch.float32)
    past = torch.tensor([0])
    near, far = v.clone(), v.clone()
    near[:, :, 40:] = -2 + 60 * torch.rand(v[:, :, 40:].shape)
    far[:, :, 64:] += 1e6
    before = run(q, k, v, past)
    assert torch.equal(run(q, k, near, past)[:, :, :40], before[:, :, :40])
    assert torch.equal(run(q, k, far, past)[:, :, :64], before[:, :, :64])


def test_a_spread_of_200_is_finite():
    q, k, v = (x.requires_grad_() for x in inputs(40, 40, spread=200, dtype=torch.float32))
    out = run(q, k, v, torch.tensor([0]))
    out.square().mean().backward()
    assert all(x.isfinite().all() for x in (out, q.grad, k.grad, v.grad))
    assert (out[:, :, 0] >= -100).all() and (out[:, :, 0] <= 14).all()


def test_dq_alone_is_the_same_dq(monkeypatch):
    q, k, v = inputs(40, 40, dtype=torch.float32)
    grads = []
    for several in (True, False):
        if not several:
            monkeypatch.setattr(triton_attend.triton_bwd, "backward_kv", None)
        leaf = q.clone().requires_grad_()
        run(leaf, k.clone().requires_grad_(several), v, torch.tensor([0])).sum().backward()
        grads.append(leaf.grad)
    assert torch.equal(*grads)


def test_the_passes_of_sdpa_are_those_in_torch(monkeypatch):
    """Forward and gradients of sdpa with the Triton passes, against it with the passes in plain torch."""
    results = []
    for passes in (weights, triton_weights):
        monkeypatch.setattr(sdpa, "_passes", lambda x, passes=passes: passes)
        q, k, v = (x.requires_grad_() for x in inputs(45, 45, batch=2, size=20, spread=60, dtype=torch.float32))
        out = sdpa.attend(q, k, v, torch.zeros(2, dtype=torch.int64), scale=SCALE, uniform=True)
        out.square().sum().backward()
        results.append([out, q.grad, k.grad, v.grad])
    for one, other in zip(*results, strict=True):
        assert error(other, one.double()) < 1e-5


def test_powers_of_two_and_weights_are_exact():
    v = torch.linspace(-200, 50, 128).reshape(1, 1, 64, 2)
    w, exponents = triton_weights.weigh(v, torch.tensor([64]), torch.float32)
    expected, same = weights.weigh(v, torch.tensor([64]), torch.float32)
    assert torch.equal(exponents, same)
    normal = expected >= torch.finfo(torch.float32).tiny
    torch.testing.assert_close(w[normal], expected[normal], rtol=2e-7, atol=0)
    assert (w[~normal] <= torch.finfo(torch.float32).tiny).all() and (w <= 1).all()
