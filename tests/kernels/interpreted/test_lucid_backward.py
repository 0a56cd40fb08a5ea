"""The kernel of LUCID's gradient by the keys, against the plain one."""

import os

import pytest
import torch
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.lucid import backward

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(not INTERPRETED, reason="runs in the interpreter's own process")

if INTERPRETED:
    from lcbench_kernels.lucid import triton_bwd

TILES = (32, 16, 4, 1)


def compare(kind: str, steps: int, size: int, value_size: int, heads: int = 1, cu_seqlens=None, scale: float = 1.0):
    """The error of float16 operands, products and weights, where the projection of the norm magnifies nothing much."""
    k = make_keys(kind, 1, heads, steps, size, dtype=torch.float32)
    y = torch.randn(1, heads, steps, value_size, generator=torch.Generator().manual_seed(1))
    dv = scale * torch.randn(1, heads, steps, value_size, generator=torch.Generator().manual_seed(2))
    dk = triton_bwd.keys_gradient(k, triton_bwd.halve(y), triton_bwd.halve(dv), cu_seqlens, TILES)
    exact = backward.keys_gradient(k.double(), y.double(), dv.double(), cu_seqlens)
    assert dk.dtype == torch.float32
    assert ((dk.double() - exact).norm() / exact.norm()).item() < 4e-3


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_keys(kind):
    compare(kind, steps=100, size=24, value_size=24, heads=2)


@pytest.mark.parametrize("steps", [2, 32, 33, 63, 65])
def test_lengths(steps):
    compare("clustered", steps, size=16, value_size=32)


def test_a_single_token_has_no_gradient_by_its_key():
    k, one = torch.randn(1, 1, 1, 16), torch.ones(1, 1, 1, 16)
    dk = triton_bwd.keys_gradient(k, triton_bwd.halve(one), triton_bwd.halve(one), None, TILES)
    assert torch.equal(dk, torch.zeros_like(k))


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e8])
def test_scales_of_the_gradient(scale):
    compare("correlated", steps=65, size=16, value_size=16, scale=scale)


def test_packed_sequences():
    compare("clustered", 131, 16, 16, heads=2, cu_seqlens=torch.tensor([0, 31, 31, 32, 96, 131], dtype=torch.int32))


def test_keys_of_zero():
    k = torch.zeros(1, 1, 40, 16)
    y, dv = torch.randn(1, 1, 40, 16), torch.randn(1, 1, 40, 16)
    dk = triton_bwd.keys_gradient(k, triton_bwd.halve(y), triton_bwd.halve(dv), None, TILES)
    assert torch.equal(dk, torch.zeros_like(k))


def test_halving_is_exact_but_for_float16():
    x = torch.randn(2, 3, 50, 8) * torch.tensor([1e-30, 1e-8, 1.0, 2.0, 1e4, 1e8]).reshape(2, 3, 1, 1)
    x[1, 2] = 0
    half, back = triton_bwd.halve(x)
    assert half.abs().amax(dim=(2, 3))[x.abs().amax(dim=(2, 3)) > 0].ge(4).all() and half.abs().max() <= 8
    assert torch.equal(back.frexp().mantissa, torch.full_like(back, 0.5))
    error = (half.float() * back - x).abs()
    assert (error <= (2**-11 * x.abs()).maximum(2**-25 * back)).all()


def test_row_blocks():
    """Every token of every sequence in one block of its own sequence, from a table made without reading lengths."""
    bounds = torch.tensor([0, 31, 31, 32, 96, 131], dtype=torch.int32)
    table = triton_bwd.row_blocks(131, 32, bounds, bounds.device)
    blocks = [row for row in table.tolist() if row[0] < row[2]]
    assert blocks == [[0, 0, 31], [31, 31, 32], [32, 32, 96], [64, 32, 96], [96, 96, 131], [128, 96, 131]]


def test_what_is_refused():
    wide = torch.zeros(1, 1, 4, 257)
    with pytest.raises(ValueError, match="up to 256, not 257"):
        triton_bwd.keys_gradient(wide, triton_bwd.halve(wide), triton_bwd.halve(wide))
    values = triton_bwd.halve(torch.zeros(1, 1, 4, 16))
    with pytest.raises(ValueError, match="float64 needs impl=reference"):
        triton_bwd.keys_gradient(torch.zeros(1, 1, 4, 16, dtype=torch.float64), values, values)
