"""Mechanisms over a LayerState: whatever the chunks, decode steps and padding, real tokens get the same outputs."""

from collections.abc import Iterable

import pytest
import torch
import transformers
from lcbench_kernels import lucid as lucid_kernels
from lcbench_kernels import softmax as softmax_kernels

from lcbench.attention import AttentionSpec, lucid, resolve, softmax
from lcbench.attention.base import LayerState, Mechanism
from lcbench.attention.lucid import Lucid
from lcbench.attention.softmax import Softmax, choose
from lcbench.errors import MissingError, UsageError

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


class StandIns:
    """The kernels' signatures over references, and what they were asked for: the ways of the GPU, walked on a CPU."""

    def __init__(self):
        self.calls: list[tuple[str, str, int]] = []

    def attend(self, q, k, v, past, *, impl, **rest):
        self.calls.append(("attend", impl, q.shape[2]))
        return softmax_kernels.attend(q, k, v, past, impl="reference", **rest)

    def decode(self, q, k, v, lengths, *, scale, impl):
        self.calls.append(("decode", impl, q.shape[2]))
        return softmax_kernels.decode(q, k, v, lengths, scale=scale, impl="reference")

    def precondition(self, k, v, *, past, impl):
        self.calls.append(("precondition", impl, k.shape[2]))
        return lucid_kernels.precondition(k, v, past=past, impl="reference")

    def step(self, q, k, y, lengths, *, scale, impl):
        self.calls.append(("step", impl, q.shape[2]))
        return lucid_kernels.decode(q, k, y, lengths, scale=scale, impl="reference")


@pytest.mark.parametrize("schedule", TOGETHER)
@pytest.mark.parametrize("impl", ["flash", "triton"])
def test_softmax_decodes_by_the_split_kv_kernel(impl, schedule, qkv):
    kernels = StandIns()
    mechanism = Softmax(impl, kernels.attend, kernels.decode)
    for row, out in enumerate(drive(mechanism, qkv, range(3), TOGETHER[schedule])):
        torch.testing.assert_close(out, expected("softmax", qkv, row, None), rtol=1e-12, atol=1e-12)
    for name, asked, steps in kernels.calls:
        assert (name, asked) == (("decode", "triton") if steps == 1 else ("attend", "flash"))


def test_flash_decodes_alone_without_triton(qkv):
    kernels = StandIns()
    (out,) = drive(Softmax("flash", kernels.attend, None), qkv, [2], ALONE["prefill and decode"])
    torch.testing.assert_close(out, expected("softmax", qkv, 2, None), rtol=1e-12, atol=1e-12)
    assert kernels.calls == [("attend", "flash", 50)] + [("attend", "flash", 1)] * 10


@pytest.mark.parametrize("schedule", TOGETHER)
@pytest.mark.parametrize("impl", ["triton", "gluon"])
def test_lucid_decodes_in_one_pass(impl, schedule, qkv):
    kernels = StandIns()
    mechanism = Lucid(impl, kernels.precondition, kernels.step, kernels.attend, None)
    for row, out in enumerate(drive(mechanism, qkv, range(3), TOGETHER[schedule])):
        torch.testing.assert_close(out, expected("lucid", qkv, row, None), rtol=1e-12, atol=1e-12)
    decoding = sum(max(new) == 1 for new in TOGETHER[schedule])
    assert kernels.calls.count(("step", "triton", 1)) == decoding
    prefills = [call for call in kernels.calls if call[0] == "precondition"]
    assert len(prefills) == len(TOGETHER[schedule]) - decoding and all(call[1] == impl for call in prefills)


def test_the_newest_slot_of_y_holds_v_until_lucid_attends(qkv):
    kernels = StandIns()
    mechanism = Lucid("triton", kernels.precondition, kernels.step, kernels.attend, None)
    q, k, v = (x[:2, :, :12] for x in qkv)
    y = lucid_kernels.precondition(k[:, :, :11], v[:, :, :11], impl="reference")
    buffer = torch.full((2, 2, 16, SIZE), GARBAGE, dtype=k.dtype)
    tensors = {"k": buffer.clone(), "y": buffer.clone()}
    tensors["k"][:, :, :11], tensors["y"][:, :, :11] = k[:, :, :11], y
    state = LayerState(tensors, torch.tensor([11, 7]), torch.tensor([1, 1]), 11, 12, False, 0.4)
    mechanism.write(state, k[:, :, 11:], v[:, :, 11:])
    for row, newest in enumerate((11, 7)):
        assert torch.equal(tensors["k"][row, :, newest], k[row, :, 11])
        assert torch.equal(tensors["y"][row, :, newest], v[row, :, 11])
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    mechanism.attend(state, q[:, :, 11:])
    assert torch.equal(tensors["k"], before["k"])
    changed = (tensors["y"] != before["y"]).any(-1).nonzero().tolist()
    assert changed == [[0, 0, 11], [0, 1, 11], [1, 0, 7], [1, 1, 7]]
    torch.testing.assert_close(tensors["y"][0, :, 11], dense_lucid(k[0], v[0])[:, 11], rtol=1e-12, atol=1e-12)


def test_gluon_refuses_large_heads_before_anything_runs():
    class Config:
        hidden_size, num_attention_heads = 1024, 4

    with pytest.raises(
        UsageError, match="gluon takes head sizes up to 128, and this model has heads of 256"
    ) as refused:
        lucid.make("gluon", {}).build(Config(), 0)
    assert refused.value.hint == "--attn lucid:impl=triton"
    assert lucid.make("triton", {}).build(Config(), 0) is None
    Config.num_attention_heads = 8
    assert lucid.make("gluon", {}).build(Config(), 0) is None


@pytest.fixture
def machine(monkeypatch):
    """A machine as the choices see it: machine(capability, triton installed)."""

    def pretend(capability: tuple[int, int], triton: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(softmax, "find_spec", lambda name: object() if triton else None)

    return pretend


OURS = "decode by our split-KV kernel (triton)"
THEIRS = "decode too, ragged rows one by one (triton is not installed)"
HALF_ONLY = "it computes in float16, bfloat16, the model runs in float32"


@pytest.mark.parametrize(
    "capability, triton, impl, picked, reason",
    [
        ((9, 0), True, "auto", "flash", f"auto: FlashAttention-2 for bfloat16 on CUDA, {OURS}"),
        ((9, 0), False, "auto", "flash", f"auto: FlashAttention-2 for bfloat16 on CUDA, {THEIRS}"),
        ((8, 0), True, "flash", "flash", f"asked for by name, {OURS}"),
        ((8, 0), True, "triton", "triton", f"asked for by name, prefill by FlashAttention-2, {OURS}"),
        ((9, 0), True, "sdpa", "sdpa", "asked for by name"),
        ((7, 5), True, "auto", "sdpa", "auto: torch's scaled_dot_product_attention for bfloat16 on cuda"),
    ],
)
def test_softmax_choices_on_cuda_are_reasoned(machine, capability, triton, impl, picked, reason):
    machine(capability, triton)
    choice = softmax.choose(impl, "cuda", "bfloat16")
    assert (choice.impl, choice.reason) == (picked, reason)


@pytest.mark.parametrize(
    "capability, dtype, impl, picked, reason",
    [
        ((9, 0), "bfloat16", "auto", "gluon", "auto: the Hopper kernel for bfloat16; softmax part by flash"),
        ((8, 0), "float16", "auto", "triton", "auto: the Triton kernels for float16 on CUDA; softmax part by flash"),
        ((10, 0), "float16", "auto", "triton", "auto: the Triton kernels for float16 on CUDA; softmax part by flash"),
        (
            (9, 0),
            "float32",
            "auto",
            "reference",
            "auto: the reference in torch for float32 on cuda; softmax part by sdpa",
        ),
        (
            (7, 5),
            "float16",
            "auto",
            "reference",
            "since the Triton kernels cannot run: it needs a CUDA device of compute",
        ),
        ((9, 0), "bfloat16", "triton", "triton", "asked for by name; softmax part by flash"),
    ],
)
def test_lucid_choices_on_cuda_are_reasoned(machine, capability, dtype, impl, picked, reason):
    machine(capability, True)
    choice = lucid.choose(impl, "cuda", dtype, False)
    assert choice.impl == picked and reason in choice.reason
    assert choice.reason.endswith(", with y in one pass at decode") == (picked != "reference")


@pytest.mark.parametrize(
    "head_size, picked, reason",
    [
        (None, "gluon", "the Hopper kernel"),
        (128, "gluon", "the Hopper kernel"),
        (256, "triton", "the Triton kernels for heads of 256, wider than the Hopper kernel's"),
        (512, "reference", "the reference in torch for heads of 512"),
    ],
)
def test_lucid_on_hopper_looks_at_the_heads(machine, head_size, picked, reason):
    machine((9, 0), True)
    choice = lucid.choose("auto", "cuda", "bfloat16", False, head_size)
    assert choice.impl == picked and reason in choice.reason
    config = transformers.LlamaConfig(head_dim=head_size or 64)
    lucid.make(choice.impl, {}).build(config, 0)  # which takes it


@pytest.mark.parametrize(
    "choose_one, impl",
    [(softmax.choose, "triton"), (lucid.choose, "triton"), (lucid.choose, "gluon"), (lucid.choose, "auto")],
)
def test_a_missing_triton_is_named_with_its_remedy(machine, choose_one, impl):
    machine((9, 0), False)
    with pytest.raises(MissingError, match="cannot run on cuda: triton is not installed") as missing:
        choose_one(impl, "cuda", "bfloat16", False)
    assert missing.value.hint == "pip install triton"


@pytest.mark.parametrize(
    "capability, dtype, choose_one, impl, windows, message",
    [
        ((8, 0), "bfloat16", lucid.choose, "gluon", False, "lucid:impl=gluon .*: it needs .* capability 9.0"),
        ((9, 0), "float32", lucid.choose, "triton", False, HALF_ONLY),
        ((9, 0), "float32", softmax.choose, "triton", False, HALF_ONLY),
        ((9, 0), "bfloat16", softmax.choose, "triton", True, "it has no sliding window"),
        ((7, 5), "bfloat16", softmax.choose, "triton", False, "compute capability 8.0 or later"),
    ],
)
def test_what_a_device_cannot_run_is_refused(machine, capability, dtype, choose_one, impl, windows, message):
    machine(capability, True)
    with pytest.raises(UsageError, match=message):
        choose_one(impl, "cuda", dtype, windows)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_auto_says_why(dtype):
    mechanism, choice = resolve(AttentionSpec("softmax"), "cpu", dtype)
    assert (mechanism.name, choice.impl) == ("softmax", "sdpa")
    assert dtype in choice.reason and "cpu" in choice.reason
    mechanism, choice = resolve(AttentionSpec("lucid"), "cpu", dtype)
    assert (mechanism.name, choice.impl) == ("lucid", "reference")
    assert "softmax part by sdpa" in choice.reason and dtype in choice.reason


@pytest.mark.parametrize(
    "name, impl",
    [("softmax", "flash"), ("softmax", "flex"), ("softmax", "triton"), ("lucid", "triton"), ("lucid", "gluon")],
)
def test_what_cannot_run_on_a_cpu_is_refused_with_the_reason(name, impl):
    with pytest.raises(UsageError, match=f"{name}:impl={impl} cannot run on cpu: it runs on CUDA devices only"):
        resolve(AttentionSpec(name, impl), "cpu", "bfloat16")


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


@pytest.mark.parametrize("impl", ["flash", "triton"])
def test_flash_meets_a_sliding_window(impl):
    flash = softmax.make(impl, {})
    state = LayerState(
        {"k": torch.zeros(1), "v": torch.zeros(1)}, torch.zeros(1), torch.zeros(1), 0, 1, True, 1.0, window=512
    )
    with pytest.raises(UsageError, match=rf"softmax:impl={impl} has no sliding window.* 512 tokens"):
        flash.attend(state, torch.zeros(1, 1, 1, 8))
