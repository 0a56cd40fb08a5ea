"""What each pass computes and moves: floating point operations and bytes, counted alike for every implementation.

Counted is what the mathematics needs, not what an implementation does: matrix products alone, a multiplication and an
addition as two operations, a causal half as exactly N^2 / 2 pairs, nothing for exponentials, norms, masks or what is
computed twice to save memory. That is the convention of FlashAttention (arXiv 2205.14135, 2307.08691; its benchmarks
count 4 B H N^2 D for a forward pass, half of it when causal, and 2.5 times that for a backward pass), so that figures
can be laid beside published ones. Bytes are those of a tensor's elements, each read or written once.

batch: B. heads: Hq query heads or Hkv KV heads, as each function says. tokens: N. size: D, the head size, of values
too. All counts are exact integers.
"""

from __future__ import annotations


def causal_products(count: int, batch: int, heads: int, tokens: int, size: int) -> int:
    """FLOPs of `count` matrix products over the causal half of all pairs: each 2 D a pair, N^2 / 2 pairs a head."""
    return count * batch * heads * tokens * tokens * size


def attention_forward(batch: int, q_heads: int, tokens: int, size: int) -> int:
    """FLOPs of causal softmax attention, or of LASER, which puts exp(V) in the place of V (arXiv 2411.03493):
    the products Q K^T and P V, 4 B Hq D N^2 / 2.
    """
    return causal_products(2, batch, q_heads, tokens, size)


def attention_backward(batch: int, q_heads: int, tokens: int, size: int) -> int:
    """FLOPs of its backward pass, 2.5 times the forward's: Q K^T again, dO V^T, P^T dO, dS K and dS^T Q."""
    return causal_products(5, batch, q_heads, tokens, size)


def precondition_forward(batch: int, kv_heads: int, tokens: int, size: int) -> int:
    """FLOPs of LUCID's y = L^-1 v by forward substitution (arXiv 2602.10410), once a KV head: the products K K^T, which
    makes L, and L Y, 4 B Hkv D N^2 / 2. A solve on the full matrix needs as many.
    """
    return causal_products(2, batch, kv_heads, tokens, size)


def precondition_backward(batch: int, kv_heads: int, tokens: int, size: int) -> int:
    """FLOPs of its backward pass: the transposed solve, K K^T again and L^T dV; dV Y^T, which makes dL; dL K, dL^T K.

    Two kernels that each make L and dL anew do eight products; five are counted, as for attention.
    """
    return causal_products(5, batch, kv_heads, tokens, size)


def decode_flops(batch: int, q_heads: int, tokens: int, size: int) -> int:
    """FLOPs of one new token a row over N cached ones: q K^T and p V. LUCID's new y is that of one more head a KV head:
    call it with Hq + Hkv heads.
    """
    return 4 * batch * q_heads * tokens * size


def decode_bytes(batch: int, kv_heads: int, tokens: int, size: int, itemsize: int) -> int:
    """Bytes of one new token a row: K, and V or LUCID's Y, once each. What a decode step cannot do without."""
    return 2 * batch * kv_heads * tokens * size * itemsize


def matmul(rows: int, inner: int, columns: int) -> int:
    """FLOPs of a dense product [rows, inner] [inner, columns]."""
    return 2 * rows * inner * columns


def copy_bytes(elements: int, itemsize: int) -> int:
    """Bytes of a copy on one device: each element read and written."""
    return 2 * elements * itemsize
