"""The LUCID reference against a dense fp64 oracle that materialises L."""

import pytest
import torch
from lcbench_kernels.lucid import precondition, reference
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

KEYS = ("random", "clustered", "correlated", "duplicated")
GARBAGE = 1e4


def make_keys(kind: str, *shape: int, seed: int = 0) -> torch.Tensor:
    """fp64 keys [.., T, D]: independent; around 8 centres; of cosine 0.9; each of 5 vectors many times."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(*shape, generator=draw, dtype=torch.float64)
    if kind == "random":
        return noise
    if kind == "correlated":
        return 3 * torch.randn(shape[-1], generator=draw, dtype=torch.float64) + noise
    count = {"clustered": 8, "duplicated": 5}[kind]
    centres = torch.randn(count, shape[-1], generator=draw, dtype=torch.float64)
    chosen = centres[torch.randint(count, shape[:-1], generator=draw)]
    return chosen if kind == "duplicated" else chosen + 0.1 * noise


def dense(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """L^-1 v by a general solver on the whole matrix, from the definition with k / sqrt(mean k^2 + eps)."""
    size, steps = k.shape[-1], k.shape[-2]
    n = k / (k.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    matrix = torch.exp(torch.einsum("bhid,bhjd->bhij", n, n) / size**0.5 - size**0.5).tril(-1)
    return torch.linalg.solve(matrix + torch.eye(steps, dtype=k.dtype), v)


def inputs(
    kind: str, batch: int = 2, heads: int = 2, steps: int = 150, size: int = 24, value_size: int = 12
):  # 24: its root is no float32
    k = make_keys(kind, batch, heads, steps, size)
    v = torch.randn(batch, heads, steps, value_size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return k, v


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16, so that 150 tokens take several of them, the last one short."""
    monkeypatch.setattr(reference, "BLOCK", 16)


def test_the_kinds_of_keys_are_what_they_are_called():
    cosines = {}
    for kind in KEYS:
        unit = torch.nn.functional.normalize(make_keys(kind, 150, 16), dim=-1)
        cosines[kind] = unit @ unit.mT
    off = ~torch.eye(150, dtype=torch.bool)
    assert cosines["random"][off].mean().abs() < 0.05
    assert 0.85 < cosines["correlated"][off].mean() < 0.95
    assert (cosines["duplicated"][off] > 1 - 1e-12).double().mean() > 0.15
    assert (cosines["clustered"][off] > 0.95).double().mean() > 0.08


@pytest.mark.parametrize("kind", KEYS)
def test_full(kind, small_blocks):
    k, v = inputs(kind)
    torch.testing.assert_close(precondition(k, v), dense(k, v), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KEYS)
def test_full_with_the_blocks_that_ship(kind):
    k, v = inputs(kind, batch=1, heads=1, steps=1100)
    torch.testing.assert_close(precondition(k, v), dense(k, v), rtol=1e-12, atol=1e-12)


def in_chunks(k: torch.Tensor, v: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    y = v[:, :, :0]
    for size in sizes:
        done = y.shape[2]
        past = None
        if done:
            past = (k[:, :, :done], y, torch.full((k.shape[0],), done))
        new = slice(done, done + size)
        y = torch.cat([y, precondition(k[:, :, new], v[:, :, new], past=past)], dim=2)
    return y


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize(
    "sizes", [[37, 1, 61, 16, 35], [1] * 150, [100] + [1] * 50], ids=["odd", "one-by-one", "decode"]
)
def test_chunks_and_decode(kind, sizes, small_blocks):
    k, v = inputs(kind)
    torch.testing.assert_close(in_chunks(k, v, sizes), dense(k, v), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KEYS)
def test_ragged_rows_are_the_rows_alone(kind, small_blocks):
    """Two chunks with other lengths in each row; behind each length stands large garbage, in past and new tokens."""
    k, v = inputs(kind, batch=3, steps=90)
    past_lengths, new_lengths = [0, 41, 50], [40, 7, 23]
    past_k, past_y = (torch.full((3, 2, 50, x.shape[-1]), GARBAGE, dtype=torch.float64) for x in (k, v))
    new_k, new_v = (torch.full((3, 2, 40, x.shape[-1]), GARBAGE, dtype=torch.float64) for x in (k, v))
    expected = []
    for row, (before, new) in enumerate(zip(past_lengths, new_lengths, strict=True)):
        whole = dense(k[row : row + 1, :, : before + new], v[row : row + 1, :, : before + new])[0]
        past_k[row, :, :before], past_y[row, :, :before] = k[row, :, :before], whole[:, :before]
        new_k[row, :, :new], new_v[row, :, :new] = (x[row, :, before : before + new] for x in (k, v))
        expected.append(whole[:, before:])
    y = precondition(new_k, new_v, past=(past_k, past_y, torch.tensor(past_lengths)))
    assert y.isfinite().all()
    for row, new in enumerate(new_lengths):
        torch.testing.assert_close(y[row, :, :new], expected[row], rtol=1e-12, atol=1e-12)


def test_duplicated_keys_take_differences():
    """All keys equal make L the all-ones triangle, up to the epsilon of the norm, which keys this long do not feel."""
    k = 1e6 * torch.ones(1, 1, 40, 8, dtype=torch.float64)
    v = torch.randn(1, 1, 40, 3, dtype=torch.float64)
    expected = torch.cat([v[:, :, :1], v[:, :, 1:] - v[:, :, :-1]], dim=2)
    torch.testing.assert_close(precondition(k, v), expected, rtol=1e-9, atol=1e-9)


def test_gradients(small_blocks, monkeypatch):
    monkeypatch.setattr(reference, "BLOCK", 3)
    past_k, past_y = make_keys("correlated", 2, 1, 5, 4, seed=1), make_keys("random", 2, 1, 5, 2, seed=2)
    new_k, new_v = make_keys("correlated", 2, 1, 7, 4, seed=3), make_keys("random", 2, 1, 7, 2, seed=4)
    lengths = torch.tensor([5, 2])
    leaves = [x.requires_grad_() for x in (new_k, new_v, past_k, past_y)]
    assert torch.autograd.gradcheck(lambda k, v, pk, py: precondition(k, v, past=(pk, py, lengths)), leaves)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precisions_compute_in_float32(kind, dtype):
    """Bound: twice the error of the dense solve in float32, and the rounding of the output."""
    k, v = (x.to(dtype) for x in inputs(kind, steps=600))
    y = precondition(k, v)
    assert y.dtype == dtype
    exact = dense(k.double(), v.double())

    def error(y: torch.Tensor) -> float:
        return ((y.double() - exact).norm() / exact.norm()).item()

    assert error(y) < 2 * error(dense(k.float(), v.float())) + torch.finfo(dtype).eps


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any result had."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(out) if isinstance(x, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return out


@pytest.mark.parametrize("new", [16384, 1])
def test_memory_grows_with_n_and_not_its_square(new):
    steps = 16384
    k, v = torch.randn(1, 1, steps, 8), torch.randn(1, 1, steps, 8)
    past = None if new == steps else (k, v, torch.tensor([steps]))
    with LargestTensor() as largest, torch.no_grad():
        precondition(k[:, :, :new], v[:, :, :new], past=past)
    assert steps <= largest.elements <= max(reference.BLOCK**2, k.numel())


def test_unknown_implementation():
    k, v = inputs("random", steps=4)
    with pytest.raises(ValueError, match="no implementation 'cuda'; there are: auto, reference"):
        precondition(k, v, impl="cuda")
    assert torch.equal(precondition(k, v, impl="reference"), precondition(k, v))
