"""Split-KV decode on a GPU against fp64 on the same rounded inputs. Outputs and scratch are NaN before."""

import pytest
import torch
from lcbench_kernels import softmax as softmax_kernels
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.laser.decode import decode as laser
from lcbench_kernels.lucid import decode as lucid

pytestmark = pytest.mark.gpu

softmax = softmax_kernels.decode
LENGTHS = [1, 4097, 63, 65, 500]
GARBAGE = 1e4
half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
shapes = pytest.mark.parametrize("size, group", [(64, 1), (68, 2), (80, 3), (96, 7), (128, 4), (128, 16), (256, 8)])


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    empty = torch.empty

    def fill(*shape, **options):
        x = empty(*shape, **options)
        return x.fill_(float("nan")) if x.is_floating_point() else x

    monkeypatch.setattr(torch, "empty", fill)


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    draw = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(*shape, generator=draw, device="cuda", dtype=torch.float64).to(dtype)


def inputs(lengths: list[int], heads: int, group: int, size: int, dtype: torch.dtype, kind: str = "clustered"):
    """q, and k and v as views [B, Hkv, S, D] of caches with room for more, garbage behind every length.

    v's cache is laid out [B, S, Hkv, D], k's [B, Hkv, S, D].
    """
    batch, total = len(lengths), max(lengths)
    q = normal(batch, heads * group, size, seed=1, dtype=dtype)
    k = torch.full((batch, heads, total + 13, size), GARBAGE, dtype=dtype, device="cuda")
    v = torch.full((batch, total + 13, heads, size), GARBAGE, dtype=dtype, device="cuda").transpose(1, 2)
    for row, length in enumerate(lengths):
        k[row, :, :length] = make_keys(kind, heads, length, size, seed=row, dtype=dtype, device="cuda")
        v[row, :, :length] = normal(heads, length, size, seed=row + 99, dtype=dtype)
    return q, k[:, :, :total], v[:, :, :total], torch.tensor(lengths, device="cuda")


def error(out: torch.Tensor, exact: torch.Tensor) -> float:
    return ((out.double() - exact).norm() / exact.norm()).item()


def plain(q, k, v, lengths, scale, exponential: bool = False):
    """Plain PyTorch in the dtype of its inputs, for a bound; in fp64, the truth. exponential: LASER."""
    group = q.shape[1] // k.shape[1]
    unseen = (torch.arange(k.shape[2], device=k.device) >= lengths[:, None])[:, None]
    keys, values = (x.repeat_interleave(group, dim=1) for x in (k, v))
    scores = (keys @ (q * scale)[..., None])[..., 0]
    weights = scores.masked_fill(unseen, -torch.inf).softmax(-1)[:, :, None]
    if not exponential:
        return (weights @ values)[:, :, 0]
    values = values.masked_fill(unseen[..., None], -torch.inf)
    top = values.amax(2, keepdim=True)
    return ((weights @ (values - top).exp()).log() + top)[:, :, 0]


def check(decode, q, k, v, lengths, scale, exponential=False):
    """Twice the error of plain PyTorch in the same dtype, which for exp(v) takes bfloat16 (float16 underflows)."""
    out = decode(q, k, v, lengths, scale=scale, impl="triton")
    exact = plain(q.double(), k.double(), v.double(), lengths, scale, exponential)
    low = torch.bfloat16 if exponential else q.dtype
    rough = plain(*(x.to(low) for x in (q, k, v)), lengths, scale, exponential)
    assert out.dtype == q.dtype and out.shape == q.shape
    assert error(out, exact) <= 2 * error(rough, exact) + torch.finfo(q.dtype).eps


@half
@shapes
def test_softmax(size, group, dtype):
    q, k, v, lengths = inputs(LENGTHS, 2, group, size, dtype)
    check(softmax, q, k, v, lengths, size**-0.5)


@half
@shapes
@pytest.mark.parametrize("spread", [6, 60])
def test_laser(size, group, dtype, spread):
    q, k, v, lengths = inputs(LENGTHS, 2, group, size, dtype)
    v = torch.where(v < GARBAGE / 2, v * (spread / 8), v)  # columns of 4,097 normal numbers spread over about 7 to 8
    check(laser, q, k, v, lengths, size**-0.5, exponential=True)


def test_laser_stays_finite_where_every_weight_underflows():
    q, k, v, lengths = inputs([70000], 1, 1, 128, torch.bfloat16)
    q, k, v = q * 0, k * 0, v * 0
    q[..., 0], k[:, :, 3, 0], v[:, :, 3], v[:, :, 60000] = 1, 300, -400, 100
    out = laser(q, k, v, lengths, scale=1.0, impl="triton")
    assert out.isfinite().all() and (out <= 100).all()


def lucid_error(q, k, v, lengths, scale):
    """The error of the new y; that of the output, over the y that was stored, is checked as softmax's is."""
    y, exact_y = v.clone(), v.double()
    lucid(q.double(), k.double(), exact_y, lengths, scale=scale, impl="reference")
    before = y.clone()
    out = lucid(q, k, y, lengths, scale=scale, impl="triton")
    newest = torch.zeros(y.shape[0], 1, y.shape[2], 1, dtype=torch.bool, device="cuda")
    newest[torch.arange(len(lengths)), :, lengths - 1] = True
    assert torch.equal(y.masked_fill(newest, 0), before.masked_fill(newest, 0))
    chosen = newest.expand_as(y)
    exact = plain(q.double(), k.double(), y.double(), lengths, scale)
    rough = plain(q, k, y, lengths, scale)
    assert error(out, exact) <= 2 * error(rough, exact) + torch.finfo(q.dtype).eps
    return error(y[chosen], exact_y[chosen])


def solved(k, v, lengths):
    """v behind which stands what a whole solve leaves in the cache: y of all tokens but the newest, and its v."""
    y = v.clone()
    for row, length in enumerate(lengths.tolist()):
        if length > 1:
            past = slice(0, length - 1)
            kv = (x[row : row + 1, :, past].double() for x in (k, v))
            y[row, :, past] = reference_precondition(*kv)[0].to(v.dtype)
    return y


def reference_precondition(k, v):
    from lcbench_kernels.lucid import precondition

    return precondition(k, v, impl="reference")


@half
@shapes
@pytest.mark.parametrize("kind", KINDS)
def test_lucid(kind, size, group, dtype):
    q, k, v, lengths = inputs(LENGTHS, 2, group, size, dtype, kind)
    assert lucid_error(q, k, solved(k, v, lengths), lengths, size**-0.5) <= (4e-3 if size >= 96 else 8e-3)


@pytest.mark.parametrize("decode", [softmax, laser, lucid])
@pytest.mark.parametrize("size", [64, 128, 256])
def test_float32(decode, size):
    q, k, v, lengths = inputs(LENGTHS, 2, 4, size, torch.float32)
    exact_v = v.double()
    exact = decode(q.double(), k.double(), exact_v, lengths, scale=size**-0.5, impl="reference")
    assert error(decode(q, k, v, lengths, scale=size**-0.5, impl="triton"), exact) < 1e-5


@pytest.mark.parametrize("lengths", [[131072], [131072, 1, 70001]])
def test_long(lengths):
    q, k, v, lengths = inputs(lengths, 2, 4, 128, torch.bfloat16, "correlated")
    check(softmax, q, k, v, lengths, 128**-0.5)
    check(laser, q, k, v, lengths, 128**-0.5, exponential=True)
    y = v * 1e-2  # a solve leaves values whose kernel sum is no larger than v; independent ones add up
    y[torch.arange(len(lengths)), :, lengths - 1] = v[torch.arange(len(lengths)), :, lengths - 1]
    assert lucid_error(q, k, y, lengths, 128**-0.5) <= 4e-3


def test_lucid_continues_a_solve_token_by_token():
    """The y of a whole solve, made one by one behind a prompt, in rows of two lengths."""
    _, k, v, _ = inputs([600, 600], 2, 2, 128, torch.bfloat16)
    exact = reference_precondition(k.double(), v.double())
    y = v.clone()
    starts = torch.tensor([520, 401], device="cuda")
    for row, start in enumerate(starts.tolist()):
        y[row, :, :start] = exact[row, :, :start].to(y.dtype)
    for step in range(80):
        lucid(normal(2, 4, 128, seed=step, dtype=torch.bfloat16), k, y, starts + step + 1, scale=0.1, impl="triton")
    for row, start in enumerate(starts.tolist()):
        new = slice(start, start + 80)
        assert error(y[row, :, new], exact[row, :, new]) <= 4e-3


@pytest.mark.parametrize("decode", [softmax, laser, lucid])
def test_nothing_waits_for_the_device_and_runs_repeat_exactly(decode):
    q, k, v, lengths = inputs([5000, 77], 8, 4, 128, torch.bfloat16)
    values = [v.clone() for _ in range(3)]
    outs = [decode(q, k, values[0], lengths, scale=0.1, impl="triton")]
    torch.cuda.set_sync_debug_mode("error")
    try:
        outs += [decode(q, k, x, lengths, scale=0.1, impl="triton") for x in values[1:]]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(outs[0], outs[1]) and torch.equal(outs[0], outs[2]) and torch.equal(values[1], values[2])


def test_the_newest_dimension_of_queries_is_kept():
    q, k, v, lengths = inputs([40, 9], 2, 3, 64, torch.bfloat16)
    four = softmax(q[:, :, None], k, v, lengths, scale=0.1, impl="triton")
    assert torch.equal(four, softmax(q, k, v, lengths, scale=0.1, impl="triton")[:, :, None])
