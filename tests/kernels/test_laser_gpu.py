"""LASER on a GPU against a logsumexp in fp64: outputs, gradients, chunks, ragged rows, spreads, later tokens."""

import pytest
import torch
from kernels.laser_inputs import SCALE, error, exact, inputs, nan_filled
from lcbench_kernels.common.inputs import make_keys
from lcbench_kernels.laser import attend

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
RUNS = [("triton", torch.bfloat16), ("triton", torch.float16), ("sdpa", torch.bfloat16)]
RUN = pytest.mark.parametrize("impl, dtype", RUNS, ids=["triton-bf16", "triton-fp16", "sdpa-bf16"])


@pytest.fixture(autouse=True)
def nothing_is_right_by_chance(monkeypatch):
    monkeypatch.setattr(torch, "empty", nan_filled(torch.empty))
    monkeypatch.setattr(torch, "empty_strided", nan_filled(torch.empty_strided))


def run(impl, q, k, v, **more):
    if "past" not in more:
        more = {"past": torch.full((q.shape[0],), k.shape[2] - q.shape[2], device=q.device), "uniform": True}
    return attend(q, k, v, scale=SCALE, impl=impl, **more)


def plain(q, k, v, past):
    """The same in plain torch of the same dtype, with one maximum a column and every score in memory."""
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    own = past[:, None] + torch.arange(q.shape[2], device=q.device)
    seen = torch.arange(k.shape[2], device=q.device) <= own[:, None, :, None]
    top = v.amax(dim=2, keepdim=True)
    exp = (v - top).exp().to(torch.bfloat16 if v.dtype == torch.float16 else v.dtype)
    attention = (SCALE * q @ k.mT).masked_fill(~seen, -torch.inf).softmax(-1).to(exp.dtype)
    return ((attention @ exp).log() + top).to(q.dtype)


def bound(q, k, v, past, expected):
    """Twice the error of plain torch and rounding: of the output, and of a weight to bfloat16, which moves its
    logarithm by half an eps.

    Plain torch takes the maximum itself off a column, so that a lone token weighs 1 and is exact; a whole exponent
    leaves it a weight that is rounded.
    """
    weight = torch.finfo(torch.bfloat16).eps / 2 / expected.square().mean().sqrt().item()
    return 2 * error(plain(q, k, v, past), expected) + max(torch.finfo(q.dtype).eps, weight)


@RUN
@pytest.mark.parametrize("spread", [4, 60])
@pytest.mark.parametrize("size", [64, 80, 96, 128, 256])
@pytest.mark.parametrize("steps, total", [(1, 1), (63, 63), (65, 65), (500, 500), (70, 333)])
def test_forward(steps, total, size, spread, impl, dtype):
    q, k, v = inputs(steps, total, batch=2, size=size, spread=spread, dtype=dtype, device="cuda")
    past = torch.full((2,), total - steps, device="cuda")
    expected = exact(q, k, v, past)
    out = run(impl, q, k, v)
    assert out.dtype == dtype and error(out, expected) < bound(q, k, v, past, expected)


@RUN
def test_a_long_odd_sequence(impl, dtype):
    q, k, v = inputs(4097, 4097, heads=1, size=128, dtype=dtype, device="cuda")
    past = torch.zeros(1, dtype=torch.int64, device="cuda")
    out = run(impl, q, k, v)
    some = torch.tensor([0, 1, 63, 64, 127, 128, 2047, 4000, 4096], device="cuda")
    for t in some.tolist():
        expected = exact(q[:, :, t : t + 1], k, v, past + t)
        assert error(out[:, :, t : t + 1], expected) < 2e-2
    wide = [x.double() for x in (q, k, v)]
    whole = attend(*wide, past, scale=SCALE, uniform=True, impl="reference")
    assert error(out, whole) < bound(q, k, v, past, whole)


@RUN
@pytest.mark.parametrize("size", [64, 80, 128, 256])
@pytest.mark.parametrize("steps, total", [(65, 65), (500, 500), (70, 333)])
def test_gradients(steps, total, size, impl, dtype):
    q, k, v = (
        x.requires_grad_() for x in inputs(steps, total, batch=2, heads=2, size=size, dtype=dtype, device="cuda")
    )
    past = torch.full((2,), total - steps, device="cuda")
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    expected = attend(*wide, past, scale=SCALE, impl="reference")
    grad = torch.randn(expected.shape, device="cuda", generator=torch.Generator("cuda").manual_seed(1)).to(dtype)
    run(impl, q, k, v).backward(grad)
    expected.backward(grad.double())
    for x, reference in zip((q, k, v), wide, strict=True):
        assert error(x.grad, reference.grad) < 2e-2


@RUN
@pytest.mark.parametrize("size", [64, 256])
def test_gradients_of_keys_with_a_common_direction(size, impl, dtype):
    """Along it a query has no gradient; rounding o where delta is made of it gave it one, of 3.3e-2."""
    q, _, v = inputs(500, 500, batch=2, size=size, dtype=dtype, device="cuda")
    k = make_keys("correlated", 2, 2, 500, size, dtype=dtype, device="cuda")
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    wide = [x.double().requires_grad_() for x in (q, k, v)]
    past = torch.zeros(2, dtype=torch.int64, device="cuda")
    out = attend(*leaves, past, scale=size**-0.5, uniform=True, impl=impl)
    expected = attend(*wide, past, scale=size**-0.5, impl="reference")
    grad = torch.randn(expected.shape, device="cuda", generator=torch.Generator("cuda").manual_seed(1)).to(dtype)
    out.backward(grad)
    expected.backward(grad.double())
    assert all(error(x.grad, reference.grad) < 2e-2 for x, reference in zip(leaves, wide, strict=True))


@RUN
def test_gradients_of_a_spread_of_60(impl, dtype):
    leaves = inputs(200, 200, size=128, spread=60, dtype=dtype, device="cuda")
    q, k, v = (x.requires_grad_() for x in leaves)
    wide = [x.detach().double().requires_grad_() for x in leaves]
    past = torch.zeros(1, dtype=torch.int64, device="cuda")
    out, expected = run(impl, q, k, v), attend(*wide, past, scale=SCALE, impl="reference")
    grad = torch.randn(expected.shape, device="cuda", generator=torch.Generator("cuda").manual_seed(1)).to(dtype)
    out.backward(grad)
    expected.backward(grad.double())
    for x, reference in zip((q, k, v), wide, strict=True):
        assert error(x.grad, reference.grad) < 2e-2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_triton_computes_dq_alone_and_the_same_bits_twice(dtype):
    q, k, v = inputs(300, 300, size=128, dtype=dtype, device="cuda")
    every = []
    for _ in range(2):
        leaves = [x.clone().requires_grad_() for x in (q, k, v)]
        run("triton", *leaves).sum().backward()
        every.append([x.grad for x in leaves])
    assert all(torch.equal(one, other) for one, other in zip(*every, strict=True))
    alone = q.clone().requires_grad_()
    run("triton", alone, k, v).sum().backward()
    assert torch.equal(alone.grad, every[0][0])


def test_triton_takes_float32():
    q, k, v = (x.requires_grad_() for x in inputs(150, 200, size=64, dtype=torch.float32, device="cuda"))
    past = torch.tensor([50], device="cuda")
    wide = [x.detach().double().requires_grad_() for x in (q, k, v)]
    out, expected = run("triton", q, k, v), exact(*wide, past)
    out.sum().backward()
    expected.sum().backward()
    assert error(out, expected) < 1e-5
    assert all(error(x.grad, reference.grad) < 1e-4 for x, reference in zip((q, k, v), wide, strict=True))


@RUN
def test_ragged_rows_and_strides(impl, dtype):
    """Garbage behind each row's tokens; k and v are slices of a cache laid out by tokens."""
    past, new, steps, total = [30, 0, 200, 5], [7, 70, 1, 0], 70, 230
    q, k, v = inputs(steps, total, batch=4, size=64, dtype=dtype, device="cuda")
    for row, (before, count) in enumerate(zip(past, new, strict=True)):
        q[row, :, count:] = k[row, :, before + count :] = v[row, :, before + count :] = 1e4
    k, v = (torch.cat([x, x], dim=2).transpose(1, 2).contiguous().transpose(1, 2)[:, :, :total] for x in (k, v))
    out = run(impl, q, k, v, past=torch.tensor(past, device="cuda"), new=torch.tensor(new, device="cuda"))
    assert out.isfinite().all()
    for row, (before, count) in enumerate(zip(past, new, strict=True)):
        if count == 0:
            continue
        one, seen = slice(row, row + 1), before + count
        args = (q[one, :, :count], k[one, :, :seen], v[one, :, :seen], torch.tensor([before], device="cuda"))
        expected = exact(*args)
        assert error(out[one, :, :count], expected) < bound(*args, expected)


@RUN
def test_a_spread_of_200_is_finite(impl, dtype):
    q, k, v = (x.requires_grad_() for x in inputs(300, 300, size=128, spread=200, dtype=dtype, device="cuda"))
    out = run(impl, q, k, v)
    out.float().square().mean().backward()
    assert all(x.isfinite().all() for x in (out, q.grad, k.grad, v.grad))
    assert (out[:, :, 0] >= -100).all() and (out[:, :, 0] <= 14).all()  # the truth is -100


@RUN
def test_later_tokens_change_no_digit(impl, dtype):
    """They raise each column's maximum by up to 60."""
    q, k, v = inputs(1000, 1000, size=128, dtype=dtype, device="cuda")
    later, other = v.clone(), k.clone()
    later[:, :, 700:] = -2 + 60 * torch.rand(v[:, :, 700:].shape, device="cuda").to(dtype)
    other[:, :, 700:] += 1
    assert torch.equal(run(impl, q, k, v)[:, :, :700], run(impl, q, other, later)[:, :, :700])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_triton_runs_from_tile_to_tile(dtype):
    """From the next block of 128 queries on, later values may be as large as they like."""
    q, k, v = inputs(1000, 1000, size=128, dtype=dtype, device="cuda")
    later = v.clone()
    later[:, :, 768:] += 5e4
    out = run("triton", q, k, later)
    assert torch.equal(run("triton", q, k, v)[:, :, :768], out[:, :, :768]) and out.isfinite().all()


@pytest.mark.parametrize("impl", ["triton", "sdpa"])
def test_memory_is_linear(impl):
    """32,768 tokens: scores or a mask would take more than 1 GiB."""
    q, k, v = (torch.randn(1, n, 32768, 64, device="cuda", dtype=torch.bfloat16).requires_grad_() for n in (4, 2, 2))
    run(impl, q, k, v).sum().backward()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(impl, q, k, v).sum().backward()
    assert torch.cuda.max_memory_allocated() - before < 300 * 2**20
