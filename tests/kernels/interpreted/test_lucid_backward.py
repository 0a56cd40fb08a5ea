"""The kernels of LUCID's backward against the plain one, alone and around the Triton solve."""

import math
import os
from functools import partial
from itertools import pairwise

import pytest
import torch
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.lucid import autograd, backward, reference

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(not INTERPRETED, reason="runs in the interpreter's own process")

if INTERPRETED:
    from lcbench_kernels.lucid import triton_bwd, triton_prefill

TILES = (32, 16, 4, 1)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Whatever is not written stays NaN."""
    empty = torch.empty

    def filled(*shape, **options):
        out = empty(*shape, **options)
        return out.fill_(torch.nan) if out.is_floating_point() else out

    monkeypatch.setattr(torch, "empty", filled)


def backwards(steps: int, limits: list[int] | None = None) -> torch.Tensor:
    return autograd._reversed_order(None if limits is None else torch.tensor(limits), steps, torch.device("cpu"))


def halved(x: torch.Tensor):
    half, _ = triton_bwd.halve(x, torch.float32)
    return half


def kernel_gradient(k, y, dv, cu_seqlens=None, tiles=TILES) -> torch.Tensor:
    kn, r, _, _ = triton_bwd.turn(k, dv, backwards(k.shape[2]))
    return triton_bwd.keys_gradient(kn, r, halved(y), halved(dv), k.dtype, cu_seqlens, tiles)


def error(x: torch.Tensor, exact: torch.Tensor) -> float:
    return ((x.double() - exact).norm() / exact.norm()).item()


def compare(kind: str, steps: int, size: int, value_size: int, heads: int = 1, cu_seqlens=None, scale: float = 1.0):
    """The error of float16 operands, products and weights, where the projection of the norm magnifies nothing much."""
    k = make_keys(kind, 1, heads, steps, size, dtype=torch.float32)
    y = torch.randn(1, heads, steps, value_size, generator=torch.Generator().manual_seed(1))
    dv = scale * torch.randn(1, heads, steps, value_size, generator=torch.Generator().manual_seed(2))
    dk = kernel_gradient(k, y, dv, cu_seqlens)
    assert dk.dtype == torch.float32
    assert error(dk, backward.keys_gradient(k.double(), y.double(), dv.double(), cu_seqlens)) < 4e-3


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_keys(kind):
    compare(kind, steps=100, size=24, value_size=24, heads=2)


@pytest.mark.parametrize("steps", [2, 32, 33, 63, 65])
def test_lengths(steps):
    compare("clustered", steps, size=16, value_size=32)


def test_a_single_token_has_no_gradient_by_its_key():
    k, one = torch.randn(1, 1, 1, 16), torch.ones(1, 1, 1, 16)
    assert torch.equal(kernel_gradient(k, one, one), torch.zeros_like(k))


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8])
def test_scales_of_the_gradient(scale):
    compare("correlated", steps=65, size=16, value_size=16, scale=scale)


def test_packed_sequences():
    compare("clustered", 131, 16, 16, heads=2, cu_seqlens=torch.tensor([0, 31, 31, 32, 96, 131], dtype=torch.int32))


def test_keys_of_zero():
    k = torch.zeros(1, 1, 40, 16)
    assert torch.equal(kernel_gradient(k, torch.randn(1, 1, 40, 16), torch.randn(1, 1, 40, 16)), torch.zeros_like(k))


@pytest.mark.parametrize("steps, size", [(1, 8), (50, 80), (63, 96), (500, 16), (17, 256)])
@pytest.mark.parametrize("turned", [False, True])
def test_halving_is_exact_but_for_float16(steps, size, turned):
    scales = torch.tensor([1e-29, 1e-8, 1.0, 2.0, 1e4, 1e8]).reshape(2, 3, 1, 1)
    x = torch.randn(2, 3, steps, size, generator=torch.Generator().manual_seed(3)) * scales
    x[1, 2] = 0
    order = backwards(steps) if turned else None
    (half, largest), rounded = triton_bwd.halve(x, torch.float16, order)  # the interpreter truncates to bfloat16
    x = x.flip(2) if turned else x
    assert torch.equal(largest.view(torch.float32), x.abs().amax(dim=(2, 3)))
    assert torch.equal(rounded, x.half())
    assert half.abs().amax(dim=(2, 3))[largest > 0].ge(4).all() and half.abs().max() <= 8
    back = torch.exp2(largest.view(torch.float32).frexp().exponent - 3.0)[:, :, None, None]
    error = (half.float() * back - x).abs()
    assert (error <= (2**-11 * x.abs()).maximum(2**-25 * back)).all()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, as meant
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_spoils_its_line_and_no_other(wrong):
    k, y, dv = (torch.randn(1, 2, 40, 16) for _ in range(3))
    exact = kernel_gradient(k, y, dv)
    dv[0, 1, 7, 3] = wrong
    (_, _), rounded = triton_bwd.halve(dv, torch.bfloat16)
    assert torch.equal(rounded.isfinite(), dv.isfinite())
    dk = kernel_gradient(k, y, dv)
    assert not dk[0, 1].isfinite().any() and torch.equal(dk[0, 0], exact[0, 0])


@pytest.mark.parametrize(
    "steps, size, value_size, dtype",
    [
        (1, 16, 16, torch.bfloat16),
        (63, 80, 80, torch.bfloat16),
        (63, 24, 96, torch.float32),
        (30, 256, 128, torch.float16),
    ],
)
def test_turning(steps, size, value_size, dtype):
    """Of views with heads behind tokens and gaps between the numbers, and of a gradient that is one number expanded."""
    wide = make_keys("clustered", 2, steps, 3, 2 * size).to(dtype)
    k, seen = wide.transpose(1, 2)[..., ::2], torch.randn(2, steps, 3, value_size).to(dtype).transpose(1, 2)
    for dy in (seen, torch.ones((), dtype=dtype).expand(seen.shape)):
        kn, r, turned_k, turned_dy = triton_bwd.turn(k, dy, backwards(steps))
        assert torch.equal(turned_k, k.flip(2)) and torch.equal(turned_dy, dy.flip(2))
        exact = torch.rsqrt(k.double().square().mean(-1) + 1e-5)
        torch.testing.assert_close(r.double(), exact, rtol=1e-6, atol=0)
        normed = k.double() * exact[..., None] * math.log2(math.e) ** 0.5 * size**-0.25
        torch.testing.assert_close(kn.double(), normed, rtol=6e-4, atol=1e-6)


@pytest.fixture
def check(monkeypatch):
    """The whole of it by the kernels, as on a GPU, against the plain one in fp64, sequence by sequence."""
    plain = backward.keys_gradient
    monkeypatch.setattr(autograd, "_by_kernels", lambda k: True)
    monkeypatch.setattr(backward, "keys_gradient", None)

    def check(k, v, dy, limits=None):
        cu_seqlens = None if limits is None else torch.tensor(limits, dtype=torch.int32)
        solve = partial(triton_prefill.precondition, past=None, cu_seqlens=cu_seqlens, block=32)
        leaves = k.detach().requires_grad_(), v.detach().requires_grad_()
        y = autograd.precondition_with_grad(*leaves, solve, cu_seqlens=cu_seqlens)
        assert torch.equal(y, solve(k, v))
        dk, dv = torch.autograd.grad(y, leaves, dy)
        for begin, end in pairwise(limits or [0, k.shape[2]]):
            k_, v_, dy_ = (x[:, :, begin:end].double() for x in (k, v, dy))
            exact = {"y": reference.precondition(k_, v_, None)}
            exact["dv"] = reference.precondition(k_.flip(2), dy_.flip(2), None).flip(2)
            exact["dk"] = plain(k_, exact["y"], exact["dv"])
            for name, got in (("y", y), ("dk", dk), ("dv", dv)):
                assert got.dtype == k.dtype
                difference = got[:, :, begin:end].double() - exact[name]
                assert difference.norm() <= 1e-2 * exact[name].norm(), name

    return check


def inputs(*shape: int, dtype: torch.dtype = torch.bfloat16, scale: float = 1.0):
    """k, v, dy"""
    draw = torch.Generator().manual_seed(8)
    v, dy = (torch.randn(*shape, generator=draw).to(dtype) for _ in range(2))
    return make_keys("clustered", *shape, dtype=dtype), v, dy * scale


@pytest.mark.parametrize(
    "steps, size, dtype, scale",
    [
        (1, 64, torch.bfloat16, 1e-8),
        (63, 80, torch.bfloat16, 1e-8),
        (65, 96, torch.float16, 1e-3),
        (20, 256, torch.float32, 1e-8),
    ],
)
def test_a_layer(check, steps, size, dtype, scale):
    check(*inputs(2, 1, steps, size, dtype=dtype, scale=scale))


def test_a_long_layer_with_the_tiles_that_ship(check):
    check(*inputs(1, 1, 500, 64))


def test_a_layer_of_views(check):
    k, v, dy = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs(2, 2, 40, 64))
    check(k, v, dy)
    check(k, v, torch.ones((), dtype=v.dtype).expand(v.shape))


def test_a_layer_of_packed_sequences(check):
    check(*inputs(1, 2, 100, 64), limits=[0, 37, 37, 38, 100])


def test_a_gradient_of_zero(check):
    check(*inputs(1, 2, 40, 64, scale=0.0))


def test_row_blocks():
    """Every token of every sequence in one block of its own sequence, from a table made without reading lengths."""
    bounds = torch.tensor([0, 31, 31, 32, 96, 131], dtype=torch.int32)
    table = triton_bwd.row_blocks(131, 32, bounds, bounds.device)
    blocks = [row for row in table.tolist() if row[0] < row[2]]
    assert blocks == [[0, 0, 31], [31, 31, 32], [32, 32, 96], [64, 32, 96], [96, 96, 131], [128, 96, 131]]


def test_what_is_refused():
    wide = torch.zeros(1, 1, 4, 257)
    with pytest.raises(ValueError, match="up to 256, not 257"):
        triton_bwd.turn(wide, wide, backwards(4))
    with pytest.raises(ValueError, match="float64 needs impl=reference"):
        triton_bwd.turn(torch.zeros(1, 1, 4, 16, dtype=torch.float64), torch.zeros(1, 1, 4, 16), backwards(4))
