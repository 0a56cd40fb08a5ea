"""LUCID's gradients on a GPU, by either solve and the backward kernel, against fp64 on the same rounded inputs."""

from itertools import pairwise

import pytest
import torch
from lcbench_kernels.common.inputs import KINDS, make_keys
from lcbench_kernels.lucid import backward, precondition, reference

pytestmark = pytest.mark.gpu

LENGTHS = [1, 63, 65, 500, 4097]


@pytest.fixture(params=["triton", "gluon"])
def impl(request):
    return request.param


def normal(*shape: int, seed: int, scale: float = 1.0, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    draw = torch.Generator("cuda").manual_seed(seed)
    return (scale * torch.randn(*shape, generator=draw, device="cuda", dtype=torch.float64)).to(dtype)


def inputs(kind: str, steps: int, size: int, batch: int = 1, heads: int = 2, dtype: torch.dtype = torch.bfloat16):
    """k, v, dy; gradients about as small as a mean over a batch of tokens leaves them, float16 within its range."""
    k = make_keys(kind, batch, heads, steps, size, dtype=dtype, device="cuda")
    scale = 1e-3 if dtype == torch.float16 else 1e-7
    v = normal(batch, heads, steps, size, seed=8, dtype=dtype)
    return k, v, normal(batch, heads, steps, size, seed=9, scale=scale, dtype=dtype)


def gradients(impl: str, k, v, dy, cu_seqlens=None) -> tuple[torch.Tensor, torch.Tensor]:
    k, v = k.detach().requires_grad_(), v.detach().requires_grad_()
    return torch.autograd.grad(precondition(k, v, cu_seqlens=cu_seqlens, impl=impl), (k, v), dy)


def plain_gradients(k, v, dy, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """By the plain solve and the plain backward in `dtype`."""
    k, v, dy = k.to(dtype), v.to(dtype), dy.to(dtype)
    y = reference.precondition(k, v, None)
    dv = reference.precondition(k.flip(2), dy.flip(2), None).flip(2)
    return backward.keys_gradient(k, y, dv), dv


def error(x: torch.Tensor, exact: torch.Tensor) -> float:
    return ((x.double() - exact).norm() / exact.norm()).item()


def check(k, v, dy, got: tuple[torch.Tensor, torch.Tensor]) -> None:
    """2e-2. Of equal keys so little gradient remains that plain float32 misses it too: there twice its error."""
    exact = plain_gradients(k, v, dy, torch.float64)
    plain = plain_gradients(k, v, dy, torch.float32)
    for x, true, wide, leaf in zip(got, exact, plain, (k, v), strict=True):
        assert x.dtype == leaf.dtype and x.isfinite().all()
        assert error(x, true) <= max(2e-2, 2 * error(wide, true))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 80, 96, 128, 256])
def test_head_sizes(impl, kind, size):
    if impl == "gluon" and size > 128:
        pytest.skip("gluon takes heads up to 128")
    k, v, dy = inputs(kind, 1000, size)
    check(k, v, dy, gradients(impl, k, v, dy))


@pytest.mark.parametrize("kind", ["clustered", "correlated"])
@pytest.mark.parametrize("steps", LENGTHS[1:])
def test_lengths(impl, kind, steps):
    k, v, dy = inputs(kind, steps, 128, batch=2)
    check(k, v, dy, gradients(impl, k, v, dy))


def test_a_single_token(impl):
    k, v, dy = inputs("random", 1, 64)
    dk, dv = gradients(impl, k, v, dy)
    assert torch.equal(dk, torch.zeros_like(k))
    torch.testing.assert_close(dv, dy)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_dtypes(impl, dtype):
    k, v, dy = inputs("clustered", 700, 64, dtype=dtype)
    check(k, v, dy, gradients(impl, k, v, dy))


def test_views_of_any_strides(impl):
    """Heads behind tokens, as models have them."""
    k, v, dy = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in inputs("clustered", 300, 64, batch=2, heads=3))
    check(k, v, dy, gradients(impl, k, v, dy))


def test_y_is_what_it_is_without_gradients(impl):
    k, v, _ = inputs("clustered", 700, 128)
    assert torch.equal(precondition(k.clone().requires_grad_(), v, impl=impl), precondition(k, v, impl=impl))


@pytest.mark.parametrize("learns", ["keys", "values"])
def test_only_one_of_them_learns(impl, learns):
    k, v, dy = inputs("clustered", 700, 128)
    both = gradients(impl, k, v, dy)
    leaf = (k if learns == "keys" else v).detach().clone().requires_grad_()
    y = precondition(leaf, v, impl=impl) if learns == "keys" else precondition(k, leaf, impl=impl)
    (alone,) = torch.autograd.grad(y, leaf, dy)
    assert torch.equal(alone, both[0 if learns == "keys" else 1])


def test_a_gradient_of_zero(impl):
    k, v, dy = inputs("clustered", 500, 80)
    assert not any(x.any() for x in gradients(impl, k, v, torch.zeros_like(dy)))


def test_a_gradient_that_is_no_number_spoils_its_line_and_no_other(impl):
    k, v, dy = inputs("clustered", 500, 128)
    exact = gradients(impl, k, v, dy)
    dy[0, 1, 300, 3] = torch.nan
    dk, dv = gradients(impl, k, v, dy)
    assert not dk[0, 1].isfinite().any() and not dv[0, 1, :301].isfinite().all()
    assert torch.equal(dk[0, 0], exact[0][0, 0]) and torch.equal(dv[0, 0], exact[1][0, 0])


@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_packed_sequences_are_the_sequences_alone(impl, place):
    bounds = [0, 300, 300, 301, 1000, 1500]
    k, v, dy = inputs("clustered", bounds[-1], 128)
    dk, dv = gradients(impl, k, v, dy, torch.tensor(bounds, dtype=torch.int32, device=place))
    for first, end in pairwise(bounds):
        if end - first > 1:
            part = (slice(None), slice(None), slice(first, end))
            check(k[part], v[part], dy[part], (dk[part], dv[part]))


def test_the_whole_output_is_written(impl, monkeypatch):
    empty = torch.empty
    with monkeypatch.context() as patch:
        patch.setattr(
            torch,
            "empty",
            lambda *size, **options: (
                empty(*size, **options).fill_(torch.nan)
                if options.get("dtype") in (torch.float16, torch.bfloat16, torch.float32)
                else empty(*size, **options)
            ),
        )
        k, v, dy = inputs("correlated", 500, 80)
        got = gradients(impl, k, v, dy)
    check(k, v, dy, got)


def test_memory_is_linear(impl):
    k, v, dy = inputs("clustered", 32768, 64, heads=1)
    gradients(impl, k[:, :, :512], v[:, :, :512], dy[:, :, :512])
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    gradients(impl, k, v, dy)
    assert torch.cuda.max_memory_allocated() - before <= 40 * k.nbytes  # 168 MB; one float16 per pair would be 2 GiB
