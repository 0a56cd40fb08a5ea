"""FLOPs of an answer, against transformers' own parameters and pairs counted one by one."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, Gemma3TextConfig, LlamaConfig, MixtralConfig

from lcbench.attention import parse
from lcbench.flops import GATED, answer_flops, decoder, seen_pairs, window_of

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


@pytest.mark.parametrize("kind", GATED)
def test_weights_are_those_of_the_model(kind: str) -> None:
    config = AutoConfig.for_model(kind, **SIZES, pad_token_id=0)
    layers, head = products(config)
    prompt, new = 70, 9  # shorter than any window
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


def test_what_a_file_leaves_out_is_what_transformers_takes() -> None:
    short = {"model_type": "gemma3_text", "num_hidden_layers": 6, "sliding_window": 32, "sliding_window_pattern": 3}
    assert [window_of(decoder(short), i) for i in range(6)] == [32, 32, None] * 2
    whole = decoder({"model_type": "gemma3", "text_config": {**short, "hidden_size": 64}})
    assert answer_flops(whole, parse("softmax"), 9, 1) == answer_flops(
        {**decoder(short), "hidden_size": 64}, parse("softmax"), 9, 1
    )
    unused = decoder({"model_type": "qwen2", "num_hidden_layers": 2, "sliding_window": 32, "use_sliding_window": False})
    assert [window_of(unused, i) for i in range(2)] == [None, None]


@pytest.mark.parametrize("kind", ["gpt_neox", "phi", "starcoder2", "falcon_h1", "minicpm3"])
def test_other_layers_are_not_counted_as_if_they_were_gated(kind: str) -> None:
    """Two matrices in the MLP, state spaces, latent keys: the keys of the config are the same."""
    assert answer_flops(AutoConfig.for_model(kind).to_dict(), parse("softmax"), 9, 1) is None


def test_what_cannot_be_told_is_absent() -> None:
    assert answer_flops(MixtralConfig(**SIZES).to_dict(), parse("softmax"), 9, 1) is None
    for config in {"n_embd": 64}, {"model_type": "our_own", "hidden_size": 64}:
        assert answer_flops(decoder(config), parse("softmax"), 9, 1) is None
