"""FLOP and byte counts against loops that count multiplications one by one, and against published figures."""

import itertools

import pytest
from lcbench_kernels.common import counts


def brute_products(count: int, batch: int, heads: int, tokens: int, size: int) -> float:
    """A pair (i, j) with j < i costs 2 D a product; the diagonal counts half, which makes N^2 / 2 pairs."""
    pairs = sum(1.0 if j < i else 0.5 for i, j in itertools.product(range(tokens), range(tokens)) if j <= i)
    return count * batch * heads * pairs * 2 * size


@pytest.mark.parametrize("tokens", [1, 2, 7, 64])
@pytest.mark.parametrize(
    "function, products",
    [
        (counts.attention_forward, 2),
        (counts.attention_backward, 5),
        (counts.precondition_forward, 2),
        (counts.precondition_backward, 5),
    ],
)
def test_products_over_the_causal_half(function, products, tokens):
    assert function(3, 4, tokens, 16) == brute_products(products, 3, 4, tokens, 16)


def test_a_backward_pass_is_two_and_a_half_forward_passes():
    shape = (2, 32, 8192, 128)
    assert 2 * counts.attention_backward(*shape) == 5 * counts.attention_forward(*shape)


def test_one_query_counted_by_hand():
    flops = 0
    for _row, _head, _token in itertools.product(range(2), range(6), range(11)):
        flops += 2 * 8  # q . k
        flops += 2 * 8  # p v
    assert counts.decode_flops(2, 6, 11, 8) == flops


def test_decode_reads_keys_and_values_once():
    elements = sum(1 for _ in itertools.product("kv", range(2), range(3), range(11), range(8)))
    assert counts.decode_bytes(2, 3, 11, 8, itemsize=2) == 2 * elements


def test_published_figures():
    """128k tokens, 32 query and 8 KV heads of 128: 141 and 35 TFLOP; 537 MB a decoded token; a matmul of 8192^3."""
    assert counts.attention_forward(1, 32, 131072, 128) == pytest.approx(141e12, rel=0.01)
    assert counts.precondition_forward(1, 8, 131072, 128) == pytest.approx(35e12, rel=0.01)
    assert counts.decode_bytes(1, 8, 131072, 128, 2) == pytest.approx(537e6, rel=0.001)
    assert counts.matmul(8192, 8192, 8192) == pytest.approx(1.0995e12, rel=0.001)
    assert counts.copy_bytes(1000, 4) == 8000


def test_counts_are_whole_numbers():
    assert isinstance(counts.attention_forward(1, 1, 4097, 80), int)
    assert isinstance(counts.precondition_backward(1, 1, 4097, 80), int)
