"""FLOPs of an answer, against transformers' own parameters and pairs counted one by one."""

from __future__ import annotations

import pytest
import torch
from transformers import Gemma3TextConfig, LlamaConfig, MixtralConfig, Qwen3Config

from lcbench.attention import parse
from lcbench.flops import answer_flops, seen_pairs, window_of

SIZES = dict(
    vocab_size=500, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=8,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=4096,
)  # fmt: skip


def products(config) -> tuple[int, int]:
    """Numbers in the matrices of the layers, and in that which makes logits, of the model itself."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    matrices = {name: m.weight.numel() for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    head = matrices.pop("lm_head")
    return sum(matrices.values()), head


@pytest.mark.parametrize("kind", [LlamaConfig, Qwen3Config])
def test_weights_are_those_of_the_model(kind) -> None:
    config = kind(**SIZES)
    layers, head = products(config)
    prompt, new = 70, 9
    fed = prompt + new - 1
    pairs = sum(1 for i in range(fed) for j in range(i + 1))
    expected = 2 * layers * fed + 2 * head * new + 3 * 4 * 16 * 8 * pairs
    assert answer_flops(config.to_dict(), parse("softmax"), prompt, new) == expected
    assert answer_flops(config.to_dict(), parse("laser"), prompt, new) == expected


def test_lucid_costs_one_more_head_a_kv_head() -> None:
    config = LlamaConfig(**SIZES).to_dict()
    more = answer_flops(config, parse("lucid"), 100, 1) - answer_flops(config, parse("softmax"), 100, 1)
    assert more == 3 * 4 * 16 * 2 * seen_pairs(100, None)


def test_windows_see_less_and_may_be_left_to_softmax() -> None:
    config = Gemma3TextConfig(**SIZES, sliding_window=32, layer_types=["sliding_attention"] * 2 + ["full_attention"])
    found = config.to_dict()
    assert [window_of(found, layer) for layer in range(3)] == [32, 32, None]
    whole = {**found, "layer_types": ["full_attention"] * 3}
    less = answer_flops(whole, parse("softmax"), 200, 1) - answer_flops(found, parse("softmax"), 200, 1)
    assert less == 2 * 4 * 16 * 8 * (seen_pairs(200, None) - seen_pairs(200, 32))
    more = answer_flops(found, parse("lucid:layers=full"), 200, 1) - answer_flops(found, parse("softmax"), 200, 1)
    assert more == 4 * 16 * 2 * seen_pairs(200, None)


@pytest.mark.parametrize(("tokens", "window"), [(1, None), (7, None), (7, 3), (3, 7), (50, 1)])
def test_pairs_counted_one_by_one(tokens: int, window: int | None) -> None:
    pairs = sum(1 for i in range(tokens) for j in range(i + 1) if window is None or i - j < window)
    assert seen_pairs(tokens, window) == pairs


def test_what_cannot_be_told_is_absent() -> None:
    assert answer_flops(MixtralConfig(**SIZES).to_dict(), parse("softmax"), 9, 1) is None
    assert answer_flops({"n_embd": 64}, parse("softmax"), 9, 1) is None
