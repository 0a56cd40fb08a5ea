"""Split-KV decode of softmax, LUCID and LASER in Triton's interpreter, against fp64 references on the same inputs."""

import os

import pytest
import torch

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1", reason="runs in the interpreter's own process"
)
pytest.importorskip("triton", reason="triton is not installed")

from lcbench_kernels.common.inputs import make_keys  # noqa: E402
from lcbench_kernels.common.split_kv import Plan  # noqa: E402
from lcbench_kernels.laser import triton_decode as laser  # noqa: E402
from lcbench_kernels.laser.decode import decode as laser_decode  # noqa: E402
from lcbench_kernels.lucid import decode as lucid_decode  # noqa: E402
from lcbench_kernels.lucid import triton_decode as lucid  # noqa: E402
from lcbench_kernels.softmax import triton_decode as softmax  # noqa: E402
from lcbench_kernels.softmax.api import decode as softmax_decode  # noqa: E402

GARBAGE = 1e4
SCALE = 0.11
KERNELS = {"softmax": (softmax.decode, softmax_decode), "lucid": (lucid.decode, lucid_decode)}
LENGTHS = [1, 17, 33, 97]


def inputs(lengths: list[int], group: int, size: int, dtype: torch.dtype, kind: str = "clustered"):
    """q [B, 2 G, D], k and v [B, 2, S, D] views of larger buffers [B, S, 2, D], garbage behind the lengths."""
    draw = torch.Generator().manual_seed(len(lengths) + group)
    batch, total = len(lengths), max(lengths)
    q = torch.randn(batch, 2 * group, size, generator=draw, dtype=torch.float64).to(dtype)
    k = make_keys(kind, batch, 2, total, size, seed=group)
    v = torch.randn(batch, 2, total, size, generator=draw, dtype=torch.float64)
    buffers = [torch.full((batch, total + 5, 2, size), GARBAGE, dtype=dtype) for _ in range(2)]
    for row, length in enumerate(lengths):
        for buffer, x in zip(buffers, (k, v), strict=True):
            buffer[row, :length] = x[row, :, :length].transpose(0, 1).to(dtype)
    k, v = (buffer.transpose(1, 2)[:, :, :total] for buffer in buffers)
    return q, k, v, torch.tensor(lengths)


def error(out: torch.Tensor, exact: torch.Tensor) -> float:
    """Relative Frobenius error; NaN where there is a NaN, which is below no bound."""
    return ((out.double() - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("name", ["softmax", "lucid"])
@pytest.mark.parametrize(
    "group, size, dtype, plan",
    [
        (3, 64, torch.float32, Plan(16, 32, 4)),
        (4, 80, torch.float16, Plan(32, 32, 4)),
        (1, 68, torch.float32, Plan(32, 128, 1)),
        (15, 64, torch.float32, Plan(32, 64, 2)),
    ],
)
def test_against_the_reference(name, group, size, dtype, plan):
    kernel, reference = KERNELS[name]
    q, k, v, lengths = inputs(LENGTHS, group, size, dtype)
    before = v.clone()
    exact_v = v.double()
    exact = reference(q.double(), k.double(), exact_v, lengths, scale=SCALE, impl="reference")
    out = kernel(q, k, v, lengths, scale=SCALE, plan=plan)
    bound = 1e-5 if dtype == torch.float32 else 2e-3
    assert out.dtype == dtype and error(out, exact) < bound
    newest = torch.zeros(v.shape[0], 1, v.shape[2], 1, dtype=torch.bool)
    newest[torch.arange(len(lengths)), :, lengths - 1] = name == "lucid"
    assert torch.equal(v.masked_fill(newest, 0), before.masked_fill(newest, 0))
    if name == "lucid":
        assert error(v[newest.expand_as(v)], exact_v[newest.expand_as(v)]) < bound
        assert not torch.equal(v, before)


@pytest.mark.parametrize("kind", ["random", "correlated", "duplicated"])
def test_lucid_keys(kind):
    q, k, v, lengths = inputs([90], 2, 64, torch.float16, kind)
    exact_v = v.double()
    exact = lucid_decode(q.double(), k.double(), exact_v, lengths, scale=SCALE, impl="reference")
    out = lucid.decode(q, k, v, lengths, scale=SCALE, plan=Plan(16, 32, 3))
    assert error(out, exact) < 2e-3
    assert error(v[:, :, 89], exact_v[:, :, 89]) < 1e-3


@pytest.mark.parametrize(
    "group, size, dtype, plan", [(3, 64, torch.float32, Plan(16, 32, 4)), (16, 80, torch.float16, Plan(32, 64, 2))]
)
@pytest.mark.parametrize("spread", [2.0, 60.0])
def test_laser(group, size, dtype, plan, spread):
    q, k, v, lengths = inputs(LENGTHS, group, size, dtype)
    v = (v * (spread / 8)).where(v < GARBAGE / 2, GARBAGE)  # columns of normal numbers spread over about 6 to 8
    exact = laser_decode(q.double(), k.double(), v.double(), lengths, scale=SCALE, impl="reference")
    out = laser.decode(q, k, v, lengths, scale=SCALE, plan=plan)
    assert out.dtype == dtype and error(out, exact) < (1e-5 if dtype == torch.float32 else 1e-3)


def test_laser_stays_finite_where_every_weight_underflows():
    """The token that a query sees alone is 400 below the maximum of each column, which stands in another split."""
    q, k, v, lengths = inputs([64], 1, 64, torch.float32)
    q, k, v = q * 0, k * 0, v * 0
    q[..., 0], k[:, :, 3, 0], v[:, :, 3], v[:, :, 40] = 1, 300 / SCALE, -400, 100
    out = laser.decode(q, k, v, lengths, scale=SCALE, plan=Plan(16, 16, 4))
    assert out.isfinite().all() and (out <= 100).all()


def test_what_does_not_fit_is_refused():
    q, k, v, lengths = inputs([9], 2, 64, torch.float32)
    plan = Plan(16, 16, 1)
    for broken, message in [
        ((q[:, :3], k, v, lengths), "do not belong together"),
        ((q, k, v[:, :, :4], lengths), "of one shape"),
        ((q, k, v.half(), lengths), "have to be of one of"),
        ((q, k, v.mT.contiguous().mT, lengths), "side by side"),
    ]:
        with pytest.raises(ValueError, match=message):
            softmax.decode(*broken, scale=SCALE, plan=plan)
