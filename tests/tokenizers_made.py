"""Five tokenizers of five kinds, trained on our own prose, each with another kind of chat template."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from lcbench.benchmarks.ruler import forms
from lcbench.data import corpora

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]\n\n{{ m['content'] | trim }}[/{{ m['role'] }}]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n\n{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"]
KINDS = (
    "byte-level BPE",
    "SentencePiece with a dummy prefix",
    "SentencePiece without",
    "WordPiece",
    "vocabulary of 500",
)


@cache
def lines() -> list[str]:
    prose = [s + "." for s in corpora.prose(12_000).text.split(". ")]
    keys, numbers, uuids = (forms.pool(kind, 200) for kind in ("words", "numbers", "uuids"))
    needles = ["".join(forms.needle("numbers", k, v)) + "\n" for k, v in zip(keys, numbers, strict=True)]
    return [*prose, *needles, *uuids, forms.NOISE + "\n"]


def byte_level(size: int, trim: bool) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=trim)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        lines(), trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return made


def sentence_piece(prefix: bool) -> Tokenizer:
    """As converted from SentencePiece: Llama's (a normalizer, no pre-tokenizer, so that tokens may span words) or
    T5's.
    """
    if prefix:
        made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        byte_tokens = [f"<0x{i:02X}>" for i in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=SPECIAL + byte_tokens, max_token_length=12)
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        trainer = trainers.UnigramTrainer(vocab_size=2000, special_tokens=SPECIAL, unk_token="<unk>")
    made.train_from_iterator(lines(), trainer)
    return made


def word_piece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(lines(), trainers.WordPieceTrainer(vocab_size=3000, special_tokens=SPECIAL))
    return made


def save(kind: str, folder: Path) -> Path:
    """A tokenizer of this kind as a model folder has it."""
    made, template = {
        "byte-level BPE": lambda: (byte_level(4000, trim=False), CHATML),
        "SentencePiece with a dummy prefix": lambda: (sentence_piece(True), TRIMMED),
        "SentencePiece without": lambda: (sentence_piece(False), None),
        "WordPiece": lambda: (word_piece(), CHATML),
        "vocabulary of 500": lambda: (byte_level(500, trim=True), None),
    }[kind]()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = template
    fast.save_pretrained(folder)
    return folder
