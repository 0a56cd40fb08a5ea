"""Softmax implementations against a dense oracle: for each query alone, over the tokens that it sees."""

import itertools

import pytest
import torch
from lcbench_kernels.softmax import attend

GARBAGE = 1e4
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SCALE = 0.3


def oracle(q, k, v, past: list[int], new: list[int], window: int | None) -> list[torch.Tensor]:
    """fp64 outputs [Hq, new[b], D] of the real queries of each row, each over exactly the tokens that it sees."""
    q, k, v = q.double(), k.double(), v.double()
    group = q.shape[1] // k.shape[1]
    rows = []
    for row, (before, steps) in enumerate(zip(past, new, strict=True)):
        out = q.new_zeros(q.shape[1], steps, v.shape[-1])
        for head, step in itertools.product(range(q.shape[1]), range(steps)):
            stop = before + step + 1
            start = 0 if window is None else max(0, stop - window)
            weights = (SCALE * k[row, head // group, start:stop] @ q[row, head, step]).softmax(0)
            out[head, step] = weights @ v[row, head // group, start:stop]
        rows.append(out)
    return rows


def inputs(past: list[int], new: list[int], steps: int, dtype=torch.float64, device="cpu", size=8):
    """6 query heads on 2 KV heads. Behind each row's tokens: large garbage."""
    draw = torch.Generator().manual_seed(0)
    batch, total = len(past), max(p + n for p, n in zip(past, new, strict=True))
    q = torch.randn(batch, 6, steps, size, generator=draw, dtype=torch.float64).to(device, dtype)
    k, v = (torch.randn(batch, 2, total, size, generator=draw, dtype=torch.float64).to(device, dtype) for _ in range(2))
    for row, (before, count) in enumerate(zip(past, new, strict=True)):
        q[row, :, count:] = k[row, :, before + count :] = v[row, :, before + count :] = GARBAGE
    return q, k, v, torch.tensor(past, device=device)


CALLS = {
    "prefill": ([0, 0], [9, 9]),
    "chunk": ([13, 13], [9, 9]),
    "decode": ([13, 13], [1, 1]),
    "ragged prefill": ([0, 0, 0], [9, 1, 5]),
    "ragged chunk": ([11, 0, 30], [9, 4, 1]),
    "ragged decode": ([11, 0, 30], [1, 1, 1]),
    "a finished row": ([11, 7, 30], [1, 0, 1]),
}


def check(call, window, impl, dtype, device, size, tolerance):
    past, new = CALLS[call]
    q, k, v, starts = inputs(past, new, max(new), dtype, device, size)
    uniform = len(set(past)) == 1 and set(new) == {max(new)}
    out = attend(q, k, v, starts, scale=SCALE, window=window, uniform=uniform, impl=impl)
    assert out.dtype == dtype and out.shape == q.shape and out.isfinite().all()
    for row, expected in enumerate(oracle(q, k, v, past, new, window)):
        torch.testing.assert_close(out[row, :, : new[row]].double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("impl", ["reference", "sdpa"])
@pytest.mark.parametrize("window", [None, 1, 4, 1000])
@pytest.mark.parametrize("call", CALLS)
def test_cpu(call, window, impl):
    check(call, window, impl, torch.float64, "cpu", 8, 1e-12)


@pytest.mark.parametrize("impl", ["reference", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("call", ["prefill", "ragged chunk", "ragged decode"])
def test_cpu_lower_precision(call, dtype, impl):
    check(call, 4, impl, dtype, "cpu", 8, 4 * torch.finfo(dtype).eps)


@needs_cuda
@pytest.mark.gpu
@pytest.mark.parametrize("impl, window", [("sdpa", None), ("sdpa", 4), ("flash", None), ("flex", None), ("flex", 4)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("call", CALLS)
def test_cuda_half(call, dtype, impl, window):
    check(call, window, impl, dtype, "cuda", 64, 8 * torch.finfo(dtype).eps)


@needs_cuda
@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("call", CALLS)
def test_cuda_float32(call, window):
    check(call, window, "sdpa", torch.float32, "cuda", 64, 1e-5)


@needs_cuda
@pytest.mark.gpu
@pytest.mark.parametrize(
    "impl, dtype",
    [("flash", torch.bfloat16), ("flex", torch.bfloat16), ("sdpa", torch.bfloat16), ("sdpa", torch.float32)],
)
def test_cuda_makes_no_mask_and_no_scores(impl, dtype):
    """T = S = 32768: a boolean mask would be 1 GiB, scores more."""
    q, k, v = (torch.randn(1, heads, 32768, 64, device="cuda", dtype=dtype) for heads in (4, 2, 2))
    past = torch.zeros(1, dtype=torch.int64, device="cuda")
    call = {"scale": 0.125, "uniform": True, "impl": impl}
    attend(q, k, v, past, **call)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    attend(q, k, v, past, **call)
    assert torch.cuda.max_memory_allocated() - before < 200 * 2**20


@needs_cuda
@pytest.mark.gpu
def test_flex_decodes_many_lengths_without_leaving_the_compiled_kernel():
    """A new length each step. fullgraph makes torch stop, not run uncompiled, once it has compiled too often."""
    for length in range(60, 140):
        q, k, v, past = inputs([length, length - 7], [1, 1], 1, torch.bfloat16, "cuda", 64)
        out = attend(q, k, v, past, scale=SCALE, impl="flex")
        expected = attend(q, k, v, past, scale=SCALE, impl="reference")
        torch.testing.assert_close(out, expected, rtol=0.05, atol=0.05)


def test_flash_refuses_a_window():
    q, k, v, past = inputs([0], [4], 4)
    with pytest.raises(ValueError, match="flash has no sliding window"):
        attend(q, k, v, past, scale=SCALE, window=2, impl="flash")


def test_unknown_implementation():
    q, k, v, past = inputs([0], [4], 4)
    with pytest.raises(ValueError, match="no implementation 'triton'; there are: reference, sdpa, flash, flex"):
        attend(q, k, v, past, scale=SCALE, impl="triton")


@pytest.mark.parametrize("impl", ["reference", "sdpa"])
def test_gradients_reach_queries_keys_and_values(impl):
    q, k, v, past = inputs([3, 1], [2, 2], 2, size=2)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, past, scale=SCALE, impl=impl), leaves)
