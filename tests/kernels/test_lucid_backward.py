"""The LUCID backward in plain torch, against autograd through a dense fp64 solve."""

from itertools import pairwise

import pytest
import torch
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.lucid import backward, precondition, reference
from lcbench_kernels.lucid.autograd import precondition_with_grad
from lcbench_kernels.softmax import attend
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def dense(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """L^-1 v by a general solver on the whole matrix, differentiable."""
    size, steps = k.shape[-1], k.shape[-2]
    n = k / (k.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    matrix = torch.exp(torch.einsum("bhid,bhjd->bhij", n, n) / size**0.5 - size**0.5).tril(-1)
    return torch.linalg.solve(matrix + torch.eye(steps, dtype=k.dtype), v)


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(kind: str, batch: int = 2, heads: int = 2, steps: int = 100, size: int = 24, value_size: int = 12):
    """k, v, dy in fp64."""
    k = make_keys(kind, batch, heads, steps, size)
    return k, normal(batch, heads, steps, value_size, seed=8), normal(batch, heads, steps, value_size, seed=9)


def gradients(function, dy: torch.Tensor, *leaves: torch.Tensor) -> tuple[torch.Tensor, ...]:
    leaves = tuple(x.detach().requires_grad_() for x in leaves)
    return torch.autograd.grad(function(*leaves), leaves, dy)


def solve(k: torch.Tensor, v: torch.Tensor, *, dtype: torch.dtype) -> torch.Tensor:
    """The reference computes in what it is given, and widening that is exact."""
    assert not torch.is_grad_enabled()
    return reference.precondition(k, v.to(dtype), None)


def blockwise(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return precondition_with_grad(k, v, solve)


def error(x: torch.Tensor, exact: torch.Tensor) -> float:
    return ((x.double() - exact).norm() / exact.norm()).item()


@pytest.fixture(autouse=True, scope="module")
def first_exp_in_one_thread():
    """Where the first exp of a process runs in two threads, torch 2.13 on a CPU is off by 1e-9 now and then."""
    torch.zeros(8, dtype=torch.float64).exp()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16, so that 100 tokens take several of them, the last one short."""
    monkeypatch.setattr(backward, "BLOCK", 16)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind, small_blocks):
    k, v, dy = inputs(kind)
    for got, expected in zip(gradients(blockwise, dy, k, v), gradients(dense, dy, k, v), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_gradients_with_the_blocks_that_ship():
    k, v, dy = inputs("clustered", batch=1, heads=1, steps=700)
    for got, expected in zip(gradients(blockwise, dy, k, v), gradients(dense, dy, k, v), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("length", [1e-3, 0.0])
def test_keys_so_short_that_the_epsilon_of_the_norm_rules(length, small_blocks):
    k, v, dy = inputs("random")
    k = length * k
    for got, expected in zip(gradients(blockwise, dy, k, v), gradients(dense, dy, k, v), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_the_sequences_alone(kind, small_blocks):
    bounds = [0, 37, 37, 38, 100]
    k, v, dy = inputs(kind, batch=1)
    pieces = [slice(*pair) for pair in pairwise(bounds)]

    def each_alone(k, v, *, dtype):
        return torch.cat([solve(k[:, :, part], v[:, :, part], dtype=dtype) for part in pieces], dim=2)

    def packed(k, v):
        return precondition_with_grad(k, v, each_alone, cu_seqlens=torch.tensor(bounds, dtype=torch.int32))

    expected = [gradients(dense, dy[:, :, part], k[:, :, part], v[:, :, part]) for part in pieces]
    for got, alone in zip(gradients(packed, dy, k, v), zip(*expected, strict=True), strict=True):
        torch.testing.assert_close(got, torch.cat(alone, dim=2), rtol=1e-9, atol=1e-10)


def test_only_what_is_asked_for_is_computed(monkeypatch):
    k, v, dy = inputs("clustered")
    dk, dv = gradients(dense, dy, k, v)
    (alone,) = gradients(lambda k: blockwise(k, v), dy, k)
    torch.testing.assert_close(alone, dk, rtol=1e-9, atol=1e-10)
    monkeypatch.setattr(backward, "keys_gradient", None)
    (alone,) = gradients(lambda v: blockwise(k, v), dy, v)
    torch.testing.assert_close(alone, dv, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_attention_layer(kind, small_blocks):
    """dq, dk, dv of softmax(q k^T / sqrt D) L(k)^-1 v with 4 query and 2 KV heads: k's two gradients add up."""
    k, v, do = inputs(kind, value_size=24)
    q, do = normal(2, 4, 100, 24, seed=1), normal(2, 4, 100, 24, seed=2)
    past = torch.zeros(2, dtype=torch.int64)

    def layer(precondition):
        def run(q, k, v):
            return attend(q, k, precondition(k, v), past, scale=24**-0.5, uniform=True, impl="sdpa")

        return run

    def from_the_definition(q, k, v):
        k, y = (x.repeat_interleave(2, dim=1) for x in (k, dense(k, v)))
        hidden = torch.ones(100, 100, dtype=torch.bool).triu(1)
        return (q @ k.mT * 24**-0.5).masked_fill(hidden, -torch.inf).softmax(-1) @ y

    expected = gradients(from_the_definition, do, q, k, v)
    for got, exact in zip(gradients(layer(blockwise), do, q, k, v), expected, strict=True):
        torch.testing.assert_close(got, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precisions_compute_in_float32(kind, dtype):
    """Gradients as small as 1e-7. Bound: twice the error of autograd through the dense float32 solve, and rounding."""
    k, v, dy = inputs(kind, size=64)
    k, v, dy = k.to(dtype), v.to(dtype), (dy * (1e-3 if dtype == torch.float16 else 1e-7)).to(dtype)
    exact = gradients(dense, dy.double(), k.double(), v.double())
    plain = gradients(dense, dy.float(), k.float(), v.float())
    for got, wide, true in zip(gradients(blockwise, dy, k, v), plain, exact, strict=True):
        assert got.dtype == dtype
        # Equal keys leave gradients by k of 1e-6, subnormal in float16.
        rounding = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps * true.numel() ** 0.5 / true.norm()
        assert error(got, true) < 2 * error(wide, true) + torch.finfo(dtype).eps + rounding


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("keys_learn", [True, False])
def test_the_solve_takes_what_is_there_and_is_asked_for_what_is_needed(dtype, keys_learn):
    k, v, dy = (x.to(dtype) for x in inputs("clustered", steps=9))
    asked = []

    def noting(k, v, *, dtype):
        asked.append((k.dtype, v.dtype, dtype))
        return solve(k, v, dtype=dtype)

    y = precondition_with_grad(k.requires_grad_(keys_learn), v.requires_grad_(), noting)
    torch.autograd.grad(y, v, dy)
    wide = torch.promote_types(dtype, torch.float32)
    assert asked == [(dtype, dtype, wide if keys_learn else dtype)] * 2


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any result had."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return out


def test_memory_grows_with_n_and_not_its_square():
    k, v, dy = (torch.randn(1, 1, 8192, 8) for _ in range(3))
    y = blockwise(k.requires_grad_(), v.requires_grad_())
    with LargestTensor() as largest:
        torch.autograd.grad(y, (k, v), dy)
    assert 8192 <= largest.elements <= max(backward.BLOCK**2, k.numel())


def test_what_is_refused():
    k, v, dy = inputs("random", steps=4)
    k.requires_grad_()
    with pytest.raises(ValueError, match=r"past.*impl=reference"):
        precondition(k, v, past=(k, v, torch.tensor([4, 4])), impl="triton")
    (dk,) = torch.autograd.grad(blockwise(k, v), k, dy.requires_grad_(), create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        dk.sum().backward()
