"""LUCID's solves on a GPU against the reference in fp64 on the same rounded inputs. Outputs are NaN before."""

from itertools import pairwise

import pytest
import torch
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.lucid import plan, precondition, reference

pytestmark = pytest.mark.gpu

LENGTHS = [1, 63, 65, 500, 4097]
SOLVES = [("triton", size) for size in (64, 80, 96, 128, 256)] + [("gluon", size) for size in (64, 80, 96, 128)]
solves = pytest.mark.parametrize("impl, size", SOLVES)
kinds = pytest.mark.parametrize("kind", KINDS)


def bound(size: int) -> float:
    return 4e-3 if size >= 96 else 8e-3


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Whatever is not written stays NaN, outputs and scratch."""
    empty, empty_like = torch.empty, torch.empty_like

    def fill(x):
        return x.fill_(float("nan")) if x.is_floating_point() else x

    monkeypatch.setattr(torch, "empty", lambda *shape, **options: fill(empty(*shape, **options)))
    monkeypatch.setattr(torch, "empty_like", lambda x, **options: fill(empty_like(x, **options)))


def inputs(kind: str, steps: int, size: int, batch: int = 1, heads: int = 2, dtype: torch.dtype = torch.bfloat16):
    draw = torch.Generator("cuda").manual_seed(9)
    v = torch.randn(batch, heads, steps, size, generator=draw, device="cuda", dtype=torch.float64).to(dtype)
    return make_keys(kind, batch, heads, steps, size, dtype=dtype, device="cuda"), v


def exact(k, v):
    return reference.precondition(k.double(), v.double(), None)


def error(y, expected) -> float:
    return ((y.double() - expected).norm() / expected.norm()).item()


@solves
@kinds
@pytest.mark.parametrize("steps", LENGTHS)
def test_full(impl, size, kind, steps):
    k, v = inputs(kind, steps, size, batch=2)
    y = precondition(k, v, impl=impl)
    assert y.dtype == v.dtype and error(y, exact(k, v)) <= bound(size)


@solves
@kinds
def test_float16(impl, size, kind):
    k, v = inputs(kind, 500, size, dtype=torch.float16)
    assert error(precondition(k, v, impl=impl), exact(k, v)) <= bound(size)


@solves
@pytest.mark.parametrize("largest", [1e-6, 1.0, 1e6])
def test_float32_values_of_any_size(impl, size, largest):
    """Whole and in a chunk behind a past with garbage behind it: the solve's own scale must not see that."""
    k, v = inputs("correlated", 700, size)
    v = v.float() * largest
    expected = exact(k, v)
    assert error(precondition(k, v, impl=impl), expected) <= bound(size)
    past_k, past_y = (torch.full((1, 2, 500, size), 1e10, device="cuda", dtype=x.dtype) for x in (k, v))
    past_k[:, :, :400], past_y[:, :, :400] = k[:, :, :400], expected[:, :, :400].float()
    past = (past_k.clamp(max=1e4), past_y, torch.tensor([400], device="cuda"))
    y = precondition(k[:, :, 400:], v[:, :, 400:], past=past, impl=impl)
    assert error(y, expected[:, :, 400:]) <= bound(size)


@solves
def test_packed_sequences_of_unlike_sizes(impl, size):
    k, v = inputs("correlated", 600, size, dtype=torch.float16)
    v[:, :, 300:] *= 1e-3
    limits = torch.tensor([0, 300, 600], dtype=torch.int32, device="cuda")
    y = precondition(k, v, cu_seqlens=limits, impl=impl)
    for one in (slice(0, 300), slice(300, 600)):
        assert error(y[:, :, one], exact(k[:, :, one], v[:, :, one])) <= bound(size)


@solves
@kinds
def test_a_long_sequence(impl, size, kind):
    """More row blocks than the device has multiprocessors: programs wait, and take further tasks."""
    k, v = inputs(kind, 20_000, size)
    assert error(precondition(k, v, impl=impl), exact(k, v)) <= bound(size)


@pytest.mark.parametrize("size", [64, 96, 128])
@kinds
def test_rows_in_two_parts(monkeypatch, size, kind):
    """As the rows of long sequences are, with closing sweeps so short that those of others are as well."""
    monkeypatch.setattr(plan, "REACH", 0.05)
    k, v = inputs(kind, 2500, size)
    limits = torch.tensor([0, 900, 1000, 2500], dtype=torch.int32, device="cuda")
    made = plan.plan_of(k, None, limits, programs=torch.cuda.get_device_properties("cuda").multi_processor_count)
    assert made.slots and len(made.sweeps) > len(made.tasks)
    assert error(precondition(k, v, impl="gluon"), exact(k, v)) <= bound(size)
    y = precondition(k, v, cu_seqlens=limits, impl="gluon")
    for begin, end in pairwise(limits.tolist()):
        one = slice(begin, end)
        assert error(y[:, :, one], exact(k[:, :, one], v[:, :, one])) <= bound(size)


@solves
@kinds
def test_chunks_are_the_whole(impl, size, kind):
    k, v = inputs(kind, 2000, size, batch=2)
    y = v[:, :, :0]
    for chunk in [1000, 1, 63, 900, 36]:
        done = y.shape[2]
        past = (k[:, :, :done], y, torch.full((2,), done, device="cuda")) if done else None
        new = slice(done, done + chunk)
        y = torch.cat([y, precondition(k[:, :, new], v[:, :, new], past=past, impl=impl)], dim=2)
    assert error(y, exact(k, v)) <= bound(size)


@solves
@kinds
def test_ragged_rows_are_the_rows_alone(impl, size, kind):
    k, v = inputs(kind, 900, size, batch=3)
    past_lengths, new_lengths = [0, 301, 500], [400, 77, 200]
    past_k, past_y = (torch.full((3, 2, 500, size), 1e4, dtype=v.dtype, device="cuda") for _ in range(2))
    new_k, new_v = (torch.full((3, 2, 400, size), 1e4, dtype=v.dtype, device="cuda") for _ in range(2))
    expected = []
    for row, (before, new) in enumerate(zip(past_lengths, new_lengths, strict=True)):
        whole = exact(k[row : row + 1, :, : before + new], v[row : row + 1, :, : before + new])[0]
        past_k[row, :, :before], past_y[row, :, :before] = k[row, :, :before], whole[:, :before].to(v.dtype)
        new_k[row, :, :new], new_v[row, :, :new] = (x[row, :, before : before + new] for x in (k, v))
        expected.append(whole[:, before:])
    y = precondition(new_k, new_v, past=(past_k, past_y, torch.tensor(past_lengths, device="cuda")), impl=impl)
    assert y.isfinite().all()
    for row, new in enumerate(new_lengths):
        assert error(y[row, :, :new], expected[row]) <= bound(size)


@solves
def test_packed_sequences_are_the_sequences_alone(impl, size):
    k, v = inputs("clustered", 1500, size)
    limits = [0, 1, 1, 130, 1000, 1500]
    packed = precondition(k, v, cu_seqlens=torch.tensor(limits, dtype=torch.int32, device="cuda"), impl=impl)
    for begin, end in pairwise(limits):
        one = slice(begin, end)
        if begin < end:
            alone = precondition(k[:, :, one], v[:, :, one], impl=impl)
            assert error(packed[:, :, one], alone.double()) <= torch.finfo(v.dtype).eps
            assert error(packed[:, :, one], exact(k[:, :, one], v[:, :, one])) <= bound(size)


@solves
@kinds
def test_runs_agree_to_the_bit(impl, size, kind):
    """Who waits for whom differs from run to run; what is added in which order does not."""
    k, v = inputs(kind, 4097, size, heads=8)
    y = precondition(k, v, impl=impl)
    for _ in range(5):
        assert torch.equal(precondition(k, v, impl=impl), y)


@solves
def test_any_strides(impl, size):
    k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs("clustered", 500, size, batch=2))
    assert torch.equal(precondition(k, v, impl=impl), precondition(k.contiguous(), v.contiguous(), impl=impl))
