"""A tiny Llama of random weights in a folder of its own: enough of a model for everything but good answers."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests import tokenizers_made

CONTEXT = 4096


def save(folder: Path) -> Path:
    """Two layers of width 32, four query and two KV heads, fp32, always the same weights; the byte-level tokenizer."""
    tokenizers_made.save("byte-level BPE", folder)
    config = LlamaConfig(
        vocab_size=4000,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,  # logits far enough apart for an argmax that rounding does not move
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder
