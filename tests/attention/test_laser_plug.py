"""LASER over a LayerState, as engines drive it: chunks, decode, padding; what is chosen, and what is refused."""

import pytest
import torch
from attention.test_attention_seam import ALONE, LENGTHS, SIZE, TOGETHER, drive

from lcbench.attention import AttentionSpec, find, resolve
from lcbench.attention.laser import choose
from lcbench.errors import UsageError


@pytest.fixture(scope="module")
def qkv() -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    shapes = [(3, heads, max(LENGTHS), SIZE) for heads in (6, 2, 2)]
    return tuple(torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes)


def expected(qkv, row: int) -> torch.Tensor:
    """Dense attention of one row alone, [Hq, length, D]."""
    q, k, v = (x[row, :, : LENGTHS[row]] for x in qkv)
    scores = 0.4 * q @ k.repeat_interleave(3, 0).mT
    seen = torch.ones(LENGTHS[row], LENGTHS[row], dtype=torch.bool, device=q.device).tril()
    return (scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v.repeat_interleave(3, 0).exp()).log()


@pytest.mark.parametrize("impl", ["sdpa", "reference"])
@pytest.mark.parametrize("schedule", ALONE)
def test_one_row(impl, schedule, qkv):
    mechanism, _ = resolve(AttentionSpec("laser", impl), "cpu", "float64")
    (out,) = drive(mechanism, qkv, [2], ALONE[schedule])
    torch.testing.assert_close(out, expected(qkv, 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("impl", ["sdpa", "reference"])
@pytest.mark.parametrize("schedule", TOGETHER)
def test_a_padded_batch(impl, schedule, qkv):
    """Padding holds values of 1e4: one of them in the maximum of a column, and every real token would underflow."""
    mechanism, _ = resolve(AttentionSpec("laser", impl), "cpu", "float64")
    for row, out in enumerate(drive(mechanism, qkv, range(3), TOGETHER[schedule])):
        torch.testing.assert_close(out, expected(qkv, row), rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("impl, dtype", [("sdpa", "bfloat16"), ("triton", "bfloat16"), ("triton", "float16")])
@pytest.mark.parametrize("schedule", TOGETHER)
def test_a_padded_batch_on_cuda(impl, dtype, schedule, qkv):
    mechanism, choice = resolve(AttentionSpec("laser", impl), "cuda", dtype)
    assert "decode by our split-KV kernel" in choice.reason
    half = tuple(x.to("cuda", getattr(torch, dtype)) for x in qkv)
    with torch.device("cuda"):
        outputs = drive(mechanism, half, range(3), TOGETHER[schedule])
    for row, out in enumerate(outputs):
        exact = expected(tuple(x.double() for x in half), row)
        assert (out.double() - exact).norm() / exact.norm() < 0.02


def test_what_is_chosen():
    assert [choose("auto", "cpu", dtype, False).impl for dtype in ("float64", "float32", "bfloat16")] == ["sdpa"] * 3
    assert choose("auto", "cpu", "float16", False).impl == "reference"
    assert "nothing else takes float16" in choose("auto", "cpu", "float16", False).reason
    assert choose("reference", "cpu", "float16", True).reason == "asked for by name"


def test_laser_on_cuda_looks_at_the_heads(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    assert choose("auto", "cuda", "float16", False, 256).impl == "triton"
    wide = choose("auto", "cuda", "float16", False, 512)
    assert wide.impl == "reference" and "nothing else takes float16 and heads of 512" in wide.reason


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_is_chosen_on_cuda():
    picked = {
        dtype: choose("auto", "cuda", dtype, False).impl for dtype in ("bfloat16", "float16", "float32", "float64")
    }
    assert picked == {"bfloat16": "sdpa", "float16": "triton", "float32": "triton", "float64": "reference"}
    with pytest.raises(UsageError, match="laser:impl=sdpa cannot run on cuda: it computes in bfloat16"):
        choose("sdpa", "cuda", "float16", False)


@pytest.mark.parametrize(
    "impl, dtype, reason",
    [
        ("triton", "bfloat16", "it runs on CUDA devices only"),
        ("sdpa", "float16", "it computes in bfloat16, float32, float64, the model runs in float16"),
    ],
)
def test_what_is_refused_on_a_cpu(impl, dtype, reason):
    with pytest.raises(UsageError, match=f"laser:impl={impl} cannot run on cpu: {reason}"):
        choose(impl, "cpu", dtype, False)


def test_it_has_to_be_trained():
    info = find("laser")
    assert info.trained and info.impls == ("reference", "triton", "sdpa")
    assert [info.available(impl, "cpu") for impl in info.impls] == [None, "it runs on CUDA devices only", None]
