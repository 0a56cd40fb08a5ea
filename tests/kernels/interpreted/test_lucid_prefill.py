"""The LUCID prefill in Triton, interpreted, against the reference in fp64 on the same rounded inputs."""

import math
import os
from itertools import pairwise

import pytest
import torch
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.lucid import precondition
from lcbench_kernels.lucid.plan import plan

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1", reason="runs in the interpreter's own process"
)

BOUND = 2e-3  # operands in fp16; half of what the kernels are held to on a GPU, over fewer tokens
GARBAGE = 1e4


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Whatever is not written stays NaN."""
    empty = torch.empty

    def filled(*shape, **options):
        out = empty(*shape, **options)
        return out.fill_(float("nan")) if out.is_floating_point() else out

    monkeypatch.setattr(torch, "empty", filled)
    monkeypatch.setattr(torch, "empty_like", lambda x: filled(x.shape, dtype=x.dtype, device=x.device))


def solve(k, v, past=None, cu_seqlens=None, block=16):
    from lcbench_kernels.lucid import triton_prefill

    return triton_prefill.precondition(k, v, past, cu_seqlens, block=block)


def inputs(kind, batch=1, heads=2, steps=75, size=64, dtype=torch.float16):
    v = torch.randn(batch, heads, steps, size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return make_keys(kind, batch, heads, steps, size, dtype=dtype), v.to(dtype)


def error(y, exact) -> float:
    return ((y.double() - exact).norm() / exact.norm()).item()


def exact(k, v):
    return precondition(k.double(), v.double(), impl="reference")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_full(kind, dtype):
    k, v = inputs(kind, steps=75, dtype=dtype)
    y = solve(k, v, block=32)
    assert y.dtype == dtype
    assert error(y, exact(k, v)) < BOUND


@pytest.mark.parametrize("steps, size", [(1, 64), (32, 80), (33, 24)])
def test_lengths_and_head_sizes(steps, size):
    k, v = inputs("clustered", steps=steps, size=size)
    assert error(solve(k, v), exact(k, v)) < BOUND


def test_the_block_that_ships():
    k, v = inputs("clustered", heads=1, steps=200, size=96)
    assert error(solve(k, v, block=128), exact(k, v)) < BOUND


@pytest.mark.parametrize("kind", KINDS)
def test_chunks_are_the_whole(kind):
    """Chunks begin and end inside blocks."""
    k, v = inputs(kind, heads=1, steps=60)
    y = v[:, :, :0]
    for size in [37, 1, 22]:
        done = y.shape[2]
        past = (k[:, :, :done], y, torch.tensor([done])) if done else None
        new = slice(done, done + size)
        y = torch.cat([y, solve(k[:, :, new], v[:, :, new], past=past)], dim=2)
    assert error(y, exact(k, v)) < BOUND


@pytest.mark.parametrize("kind", KINDS)
def test_ragged_rows_are_the_rows_alone(kind):
    """Behind every length, in the past and among the new tokens, stands large garbage."""
    k, v = inputs(kind, batch=3, heads=1, steps=60)
    past_lengths, new_lengths = [0, 23, 40], [20, 7, 13]
    past_k, past_y = (torch.full((3, 1, 40, 64), GARBAGE, dtype=torch.float16) for _ in range(2))
    new_k, new_v = (torch.full((3, 1, 20, 64), GARBAGE, dtype=torch.float16) for _ in range(2))
    whole = []
    for row, (before, new) in enumerate(zip(past_lengths, new_lengths, strict=True)):
        y = exact(k[row : row + 1, :, : before + new], v[row : row + 1, :, : before + new])[0]
        past_k[row, :, :before], past_y[row, :, :before] = k[row, :, :before], y[:, :before].half()
        new_k[row, :, :new], new_v[row, :, :new] = (x[row, :, before : before + new] for x in (k, v))
        whole.append(y[:, before:])
    y = solve(new_k, new_v, past=(past_k, past_y, torch.tensor(past_lengths)))
    assert y.isfinite().all()
    for row, new in enumerate(new_lengths):
        assert error(y[row, :, :new], whole[row]) < BOUND


def test_packed_sequences_are_the_sequences_alone():
    k, v = inputs("clustered", steps=60)
    limits = [0, 35, 35, 36, 60]
    y = solve(k, v, cu_seqlens=torch.tensor(limits, dtype=torch.int32))
    for begin, end in pairwise(limits):
        one = slice(begin, end)
        assert torch.equal(y[:, :, one], solve(k[:, :, one], v[:, :, one]))
    assert error(y, precondition(k.double(), v.double(), cu_seqlens=torch.tensor(limits))) < BOUND


def test_any_strides():
    k, v = inputs("clustered", batch=2, steps=20)
    k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (k, v))  # heads inside tokens, as projections give
    assert torch.equal(solve(k, v), solve(k.contiguous(), v.contiguous()))
    wide = torch.zeros(2, 2, 20, 128, dtype=torch.float16)
    wide[..., ::2] = v
    assert torch.equal(solve(k, wide[..., ::2]), solve(k, v))


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**9])
def test_values_of_any_size(factor):
    """The scale is a power of two, so y of scaled values is the scaled y, to the bit."""
    k, v = inputs("correlated", heads=1, steps=40, dtype=torch.float32)
    assert torch.equal(solve(k, v * factor), solve(k, v) * factor)
    assert (solve(k, v * 0) == 0).all()


@pytest.mark.parametrize("kind, block", [("random", 16), ("correlated", 32), ("clustered", 128), ("duplicated", 128)])
def test_scratch(kind, block):
    """kn, the inverses and the maxima as their docstring has them."""
    from lcbench_kernels.lucid.triton_prepare import prepare

    size = 80
    k, v = inputs(kind, steps=75, size=size)
    made = plan(1, 2, 75, block=block)
    scratch = prepare(k, v, None, made)
    largest = scratch.work[1 + made.chains :].view(torch.float32)
    assert torch.equal(largest, v.abs().amax((0, 2, 3)).float())
    assert (scratch.work[: 1 + made.chains] == 0).all()
    for task, (line, block_row, _, _, _, source, rows, _) in enumerate(made.tasks.tolist()):
        keys = k[0, line, source : source + rows].double()
        normed = keys / (keys.square().mean(-1, keepdim=True) + 1e-5).sqrt() * math.log2(math.e) ** 0.5 * size**-0.25
        kn = scratch.kn[line, block_row * block :][:block].double()
        torch.testing.assert_close(kn[:rows, :size], normed, rtol=6e-4, atol=1e-6)
        assert (kn[rows:] == 0).all() and (kn[:, size:] == 0).all()
        lower = torch.exp2(kn[:rows] @ kn[:rows].T - scratch.c0).tril(-1)
        identity = torch.eye(rows, dtype=torch.float64)
        expected = torch.zeros(block, block, dtype=torch.float64)
        expected[:rows, :rows] = torch.linalg.inv(lower + identity) - identity
        torch.testing.assert_close(scratch.inv[task].double(), expected, rtol=2**-10, atol=2e-5)


def test_refusals():
    k, v = inputs("random", steps=4)
    with pytest.raises(ValueError, match="shaped as the keys"):
        solve(k, v[..., :32])
    with pytest.raises(ValueError, match="float64"):
        solve(k.double(), v.double())
    with pytest.raises(ValueError, match="up to 256"):
        solve(*(torch.zeros(1, 1, 4, 512) for _ in range(2)))
