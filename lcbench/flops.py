"""What an answer costs in floating point operations, as counted from the model's config: prompt and new tokens.

Counted as `lcbench_kernels.common.counts` does: matrix products alone, a multiplication and an addition as two, of
pairs of tokens those that are seen. Norms, rotary embedding and softmax are not counted, nor is padding.
"""

from __future__ import annotations

from typing import Any

from lcbench.attention import AttentionSpec, find

# decoders whose layers are query, key, value, output and a gated MLP of three matrices, and no other products
GATED = (
    "llama", "mistral", "qwen2", "qwen3", "phi3", "gemma", "gemma2", "gemma3_text", "olmo", "olmo2", "granite",
    "cohere", "smollm3", "exaone4",
)  # fmt: skip
DENSE = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def decoder(config: dict[str, Any]) -> dict[str, Any]:
    """The decoder's part of a config.json, with what that leaves to transformers' defaults; as it stands where
    transformers does not know the model.
    """
    from transformers import AutoConfig

    try:
        return dict(AutoConfig.for_model(**config).get_text_config(decoder=True).to_dict())
    except (TypeError, ValueError):  # no model type, or one of its own
        return config


def answer_flops(config: dict[str, Any], spec: AttentionSpec, prompt: int, new: int) -> int | None:
    """FLOPs of `prompt` tokens and `new` generated ones, with a KV cache; the last new token is not fed back.

    config: that of `decoder`. None unless its products are known (GATED), and for a mechanism that does not say what a
    pair of tokens costs.
    """
    heads_of = find(spec.name).flop_heads
    if heads_of is None or config.get("model_type") not in GATED:
        return None
    hidden, wide, layers, heads, vocabulary = (int(config[key]) for key in DENSE)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    size = int(config.get("head_dim") or hidden // heads)
    fed = prompt + max(new - 1, 0)
    weights = 2 * hidden * heads * size + 2 * hidden * kv_heads * size + 3 * hidden * wide
    total = 2 * layers * weights * fed + 2 * hidden * vocabulary * max(new, 1)
    for layer in range(layers):
        window = window_of(config, layer)
        plain = window is not None and spec.layers == "full"  # the mechanism leaves this layer to softmax
        pair_heads = heads if plain else heads_of(heads, kv_heads)
        total += 4 * size * pair_heads * seen_pairs(fed, window)
    return total


def window_of(config: dict[str, Any], layer: int) -> int | None:
    """The sliding window of a layer in tokens, None for full attention."""
    window, kinds = config.get("sliding_window"), config.get("layer_types")
    return window if kinds is None or kinds[layer] == "sliding_attention" else None


def seen_pairs(tokens: int, window: int | None) -> int:
    """Pairs of a query and a key that it sees, its own included."""
    seen = min(tokens, window or tokens)
    return seen * (seen + 1) // 2 + (tokens - seen) * seen
