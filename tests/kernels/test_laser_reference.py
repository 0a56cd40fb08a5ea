"""LASER in plain torch, reference and sdpa, against a logsumexp in fp64."""

import pytest
import torch
from kernels.laser_inputs import SCALE, error, exact, inputs
from lcbench_kernels.common.inputs import make_keys
from lcbench_kernels.laser import attend, reference

IMPLS = ["reference", "sdpa"]
CALLS = {"prefill": (200, 200), "chunk": (70, 200), "decode": (1, 200), "one token": (1, 1)}


def run(impl, q, k, v, past=None, **more):
    if past is None:
        past = torch.full((q.shape[0],), k.shape[2] - q.shape[2])
        more = {"uniform": True, **more}
    return attend(q, k, v, past, scale=SCALE, impl=impl, **more)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(reference, "CHUNK", 32)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("spread", [4, 60])
@pytest.mark.parametrize("call", CALLS)
def test_fp64(call, spread, impl, small_chunks):
    steps, total = CALLS[call]
    q, k, v = inputs(steps, total, batch=2, spread=spread)
    past = torch.full((2,), total - steps)
    torch.testing.assert_close(run(impl, q, k, v), exact(q, k, v, past), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spread", [4, 60])
def test_lower_precisions(spread, dtype, impl):
    """Bound: twice the error of the same steps in plain torch of that dtype, and the rounding of the output."""
    q, k, v = inputs(200, 200, spread=spread, dtype=dtype)
    expected = exact(q, k, v, torch.zeros(1, dtype=torch.int64))
    top = v.amax(dim=2, keepdim=True)
    scores = (SCALE * q @ k.repeat_interleave(2, 1).mT).masked_fill(~torch.ones(200, 200).tril().bool(), -torch.inf)
    plain = (scores.softmax(-1) @ (v - top).exp().repeat_interleave(2, 1)).log() + top.repeat_interleave(2, 1)
    out = run(impl, q, k, v)
    assert out.dtype == dtype
    assert error(out, expected) < 2 * error(plain, expected) + torch.finfo(dtype).eps


def test_fp16_by_the_reference():
    q, k, v = inputs(100, 100, spread=60, dtype=torch.float16)
    expected = exact(q, k, v, torch.zeros(1, dtype=torch.int64))
    assert error(run("reference", q, k, v), expected) < torch.finfo(torch.float16).eps
    assert torch.equal(run("auto", q, k, v), run("reference", q, k, v))
    with pytest.raises(ValueError, match="does not take float16"):
        run("sdpa", q, k, v)


@pytest.mark.parametrize("impl", IMPLS)
def test_ragged_rows_are_the_rows_alone(impl, small_chunks):
    """Behind each row's tokens stands garbage, in the newest tokens and in the cache."""
    past, new, steps, total = [0, 41, 90, 5], [40, 7, 1, 0], 40, 130
    q, k, v = inputs(steps, total, batch=4)
    for row, (before, count) in enumerate(zip(past, new, strict=True)):
        k[row, :, before + count :] = v[row, :, before + count :] = q[row, :, count:] = 1e4
    lengths = {"past": torch.tensor(past), "new": torch.tensor(new)}
    out = run(impl, q, k, v, **lengths)
    assert out.isfinite().all()
    for row, (before, count) in enumerate(zip(past, new, strict=True)):
        one, seen = slice(row, row + 1), before + count
        if count == 0:
            continue
        expected = exact(q[one, :, :count], k[one, :, :seen], v[one, :, :seen], torch.tensor([before]))
        torch.testing.assert_close(out[one, :, :count], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("new", [0, 5])
def test_an_empty_row_is_finite(new, impl):
    q, k, v = inputs(5, 5, batch=2)
    assert run(impl, q, k, v, past=torch.tensor([0, 0]), new=torch.tensor([5, new])).isfinite().all()


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_spread_of_200_is_finite(dtype, impl):
    """The first query sees only the lowest value of each column: all of its sums underflow."""
    q, k, v = (x.requires_grad_() for x in inputs(150, 150, spread=200, dtype=dtype))
    out = run(impl, q, k, v)
    out.float().square().mean().backward()
    assert all(x.isfinite().all() for x in (out, q.grad, k.grad, v.grad))
    assert (out[:, :, 0] >= -100).all() and (out[:, :, 0] <= 100 - 86).all()  # the truth is -100


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_later_tokens_change_no_digit(dtype, impl, small_chunks):
    """They raise each column's maximum by up to 60, in the last chunk of the earlier queries and after it."""
    q, k, v = inputs(160, 160, spread=4, dtype=dtype)
    later, other = v.clone(), k.clone()
    later[:, :, 90:] = -2 + 60 * torch.rand(v[:, :, 90:].shape).to(dtype)
    other[:, :, 90:] += 1
    assert torch.equal(run(impl, q, k, v)[:, :, :90], run(impl, q, other, later)[:, :, :90])


def test_a_later_chunk_may_be_as_large_as_it_likes(small_chunks):
    q, k, v = inputs(160, 160, dtype=torch.float32)
    later = v.clone()
    later[:, :, 96:] += 1e6
    before, after = run("reference", q, k, v), run("reference", q, k, later)
    assert torch.equal(before[:, :, :96], after[:, :, :96]) and after.isfinite().all()


@pytest.mark.parametrize("impl", IMPLS)
def test_gradients(impl, monkeypatch):
    monkeypatch.setattr(reference, "CHUNK", 3)
    leaves = [x.requires_grad_() for x in inputs(7, 7, heads=1, size=3, spread=8)]
    assert torch.autograd.gradcheck(lambda q, k, v: run(impl, q, k, v), leaves)


@pytest.mark.parametrize("impl", IMPLS)
def test_gradients_of_ragged_rows(impl, monkeypatch):
    monkeypatch.setattr(reference, "CHUNK", 2)
    leaves = [x.requires_grad_() for x in inputs(3, 7, batch=2, heads=1, size=2)]
    rows = {"past": torch.tensor([4, 1]), "new": torch.tensor([3, 2])}

    def real(q, k, v):
        out = run(impl, q, k, v, **rows)
        return out[0], out[1, :, :2]

    assert torch.autograd.gradcheck(real, leaves)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("real", [200, 150])
def test_gradients_by_queries_of_keys_with_a_common_direction(real, impl):
    """A query has no gradient along what all keys share: sums that rounding keeps from cancelling would give it one,
    of 2.6e-2. Large garbage stands behind the real tokens.
    """
    q, _, v = inputs(200, 200, size=64, dtype=torch.bfloat16)
    k = make_keys("correlated", 1, 2, 200, 64, dtype=torch.bfloat16)
    k[:, :, real:] = v[:, :, real:] = 1e4
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    wide = [x.double().requires_grad_() for x in (q, k, v)]
    past = torch.tensor([0])
    out = attend(*leaves, past, scale=0.1, new=torch.tensor([real]), impl=impl)[:, :, :real]
    expected = exact(*wide, past, scale=0.1)[:, :, :real]
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    out.backward(grad)
    expected.backward(grad.double())
    assert all(error(x.grad, reference.grad) < 1e-2 for x, reference in zip(leaves, wide, strict=True))


@pytest.mark.parametrize("impl", IMPLS)
def test_it_is_no_less_than_softmax(impl):
    """Jensen: the logarithm of a mean of exp(v) is at least the mean of v."""
    q, k, v = inputs(80, 80)
    seen = torch.ones(80, 80, dtype=torch.bool).tril()
    scores = (SCALE * q @ k.repeat_interleave(2, 1).mT).masked_fill(~seen, -torch.inf)
    assert (run(impl, q, k, v) - scores.softmax(-1) @ v.repeat_interleave(2, 1) > -1e-12).all()


def test_what_is_refused():
    q, k, v = inputs(4, 4)
    with pytest.raises(ValueError, match="no implementation 'cuda'; there are: auto, reference, triton, sdpa"):
        run("cuda", q, k, v)
    pytest.importorskip("triton", reason="triton is not installed")
    with pytest.raises(ValueError, match="takes float16, bfloat16 and float32, not torch"):
        run("triton", q, k, v)
    with pytest.raises(ValueError, match="runs on CUDA devices only"):
        run("triton", q.float(), k.float(), v.float())
    with pytest.raises(ValueError, match="heads of up to 256, not 320"):
        run("triton", *(x.float() for x in inputs(4, 4, size=320)))
