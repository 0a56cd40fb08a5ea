"""Mechanisms over a LayerState: whatever the chunks, decode steps and padding, real tokens get the same outputs."""

from collections.abc import Iterable

import pytest
import torch

from lcbench.attention import AttentionSpec, resolve
from lcbench.attention.base import LayerState, Mechanism
from lcbench.attention.softmax import choose
from lcbench.errors import UsageError

LENGTHS = (45, 19, 60)
SIZE = 8
GARBAGE = 1e4


@pytest.fixture(scope="module")
def qkv() -> tuple[torch.Tensor, ...]:
    """fp64, 3 rows of LENGTHS tokens, 6 query heads on 2 KV heads; keys around 8 centres (LUCID's matrix is not I)."""
    draw = torch.Generator().manual_seed(0)
    shape = (3, 2, max(LENGTHS), SIZE)
    centres = torch.randn(8, SIZE, generator=draw, dtype=torch.float64)
    k = centres[torch.randint(8, shape[:-1], generator=draw)] + 0.1 * torch.randn(shape, generator=draw).double()
    v = torch.randn(shape, generator=draw, dtype=torch.float64)
    q = torch.randn(3, 6, max(LENGTHS), SIZE, generator=draw, dtype=torch.float64)
    return q, k, v


def dense_lucid(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    n = k / (k.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    matrix = (n @ n.mT / SIZE**0.5 - SIZE**0.5).exp().tril(-1) + torch.eye(k.shape[-2], dtype=k.dtype)
    return torch.linalg.solve(matrix, v)


def expected(name: str, qkv, row: int, window: int | None) -> torch.Tensor:
    """Dense attention of one row alone, [Hq, length, D]."""
    q, k, v = (x[row, :, : LENGTHS[row]] for x in qkv)
    values = dense_lucid(k, v) if name == "lucid" else v
    scores = 0.4 * q @ k.repeat_interleave(3, 0).mT
    ones = torch.ones(LENGTHS[row], LENGTHS[row], dtype=torch.bool)
    seen = ones.tril() if window is None else ones.tril() & ones.triu(1 - window)
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ values.repeat_interleave(3, 0)


def drive(mechanism: Mechanism, qkv, rows: Iterable[int], passes: list[list[int]], window=None) -> list[torch.Tensor]:
    """What an engine does: passes[i][b] new tokens of row b in pass i, padded with garbage. Outputs by row."""
    rows = list(rows)
    q, k, v = (x[rows] for x in qkv)
    capacity = max(LENGTHS) + max(max(new) for new in passes)
    tensors = {name: torch.full((len(rows), 2, capacity, SIZE), GARBAGE, dtype=k.dtype) for name in mechanism.tensors}
    past = [0] * len(rows)
    outputs: list[list[torch.Tensor]] = [[] for _ in rows]
    for new in passes:
        steps = max(new)
        fresh = [torch.full((len(rows), x.shape[1], steps, SIZE), GARBAGE, dtype=k.dtype) for x in (q, k, v)]
        for row, (start, count) in enumerate(zip(past, new, strict=True)):
            for padded, x in zip(fresh, (q, k, v), strict=True):
                padded[row, :, :count] = x[row, :, start : start + count]
        state = LayerState(
            tensors=tensors,
            past=torch.tensor(past),
            new=torch.tensor(new),
            past_max=max(past),
            total_max=max(p + n for p, n in zip(past, new, strict=True)),
            uniform=len(set(past)) == 1 and set(new) == {steps},
            scale=0.4,
            window=window,
        )
        mechanism.write(state, fresh[1], fresh[2])
        out = mechanism.attend(state, fresh[0])
        assert out.isfinite().all()
        for row, count in enumerate(new):
            outputs[row].append(out[row, :, :count])
            past[row] += count
    return [torch.cat(parts, dim=1) for parts in outputs]


ALONE = {
    "full": [[60]],
    "odd chunks": [[7], [1], [23], [29]],
    "decode": [[1]] * 60,
    "prefill and decode": [[50]] + [[1]] * 10,
}
TOGETHER = {
    "full": [[45, 19, 60]],
    "chunks": [[20, 19, 20], [20, 0, 20], [5, 0, 20]],
    "prefill and decode": [[35, 9, 50]] + [[1, 1, 1]] * 10,
    "a row that ends early": [[35, 19, 50]] + [[1, 0, 1]] * 10,
}
CASES = [("softmax", "sdpa", None), ("softmax", "sdpa", 6), ("softmax", "reference", 6), ("lucid", "reference", None)]


@pytest.mark.parametrize("name, impl, window", CASES)
@pytest.mark.parametrize("schedule", ALONE)
def test_one_row(name, impl, window, schedule, qkv):
    mechanism, _ = resolve(AttentionSpec(name, impl), "cpu", "float64")
    (out,) = drive(mechanism, qkv, [2], ALONE[schedule], window)
    torch.testing.assert_close(out, expected(name, qkv, 2, window), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name, impl, window", CASES)
@pytest.mark.parametrize("schedule", TOGETHER)
def test_a_padded_batch(name, impl, window, schedule, qkv):
    mechanism, _ = resolve(AttentionSpec(name, impl), "cpu", "float64")
    for row, out in enumerate(drive(mechanism, qkv, range(3), TOGETHER[schedule], window)):
        torch.testing.assert_close(out, expected(name, qkv, row, window), rtol=1e-12, atol=1e-12)


def test_lucid_is_not_softmax(qkv):
    """Else the comparisons above would prove nothing about the preconditioner."""
    assert (expected("lucid", qkv, 2, None) - expected("softmax", qkv, 2, None)).abs().max() > 0.1


def test_lucid_keeps_y_in_the_dtype_of_the_model(qkv):
    mechanism, _ = resolve(AttentionSpec("lucid"), "cpu", "bfloat16")
    half = tuple(x.bfloat16() for x in qkv)
    (out,) = drive(mechanism, half, [2], ALONE["prefill and decode"])
    exact = expected("lucid", tuple(x.double() for x in half), 2, None)
    assert out.dtype == torch.bfloat16
    assert (out.double() - exact).norm() / exact.norm() < 4 * torch.finfo(torch.bfloat16).eps


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_auto_says_why(dtype):
    mechanism, choice = resolve(AttentionSpec("softmax"), "cpu", dtype)
    assert (mechanism.name, choice.impl) == ("softmax", "sdpa")
    assert dtype in choice.reason and "cpu" in choice.reason
    mechanism, choice = resolve(AttentionSpec("lucid"), "cpu", dtype)
    assert (mechanism.name, choice.impl) == ("lucid", "reference")
    assert "softmax part by sdpa" in choice.reason and dtype in choice.reason


@pytest.mark.parametrize("impl", ["flash", "flex"])
def test_what_cannot_run_on_a_cpu_is_refused_with_the_reason(impl):
    with pytest.raises(UsageError, match=f"softmax:impl={impl} cannot run on cpu: it runs on CUDA devices only"):
        resolve(AttentionSpec("softmax", impl), "cpu", "bfloat16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
@pytest.mark.parametrize("name", ["softmax", "lucid"])
def test_a_missing_device_is_refused(name):
    with pytest.raises(UsageError, match="cannot run on cuda: torch sees no CUDA device"):
        resolve(AttentionSpec(name), "cuda", "bfloat16")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_choices_on_cuda():
    assert choose("auto", "cuda", "bfloat16").impl == "flash"
    assert choose("auto", "cuda", "float32").impl == "sdpa"
    with pytest.raises(UsageError, match="it computes in float16, bfloat16, the model runs in float32"):
        choose("flash", "cuda", "float32")
    with pytest.raises(UsageError, match="the model runs in float64"):
        choose("flex", "cuda", "float64")


def test_flash_meets_a_sliding_window():
    from lcbench.attention.softmax import make

    flash = make("flash", {})
    state = LayerState(
        {"k": torch.zeros(1), "v": torch.zeros(1)}, torch.zeros(1), torch.zeros(1), 0, 1, True, 1.0, window=512
    )
    with pytest.raises(UsageError, match=r"softmax:impl=flash has no sliding window.* 512 tokens"):
        flash.attend(state, torch.zeros(1, 1, 1, 8))
