"""A llama of 4,000 random weights as a GGUF file, and a wheel that carries it."""

import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy as np

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
WIDTH, HIDDEN = 32, 16


def byte_level_alphabet() -> list[str]:
    """The 256 characters by which byte-level BPE writes bytes (GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def write_gguf(file: Path) -> dict[str, np.ndarray]:
    """Writes the model and returns its tensors by GGUF name."""
    tokens = [*byte_level_alphabet(), "th", "<|im_start|>", "<|im_end|>"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * 2)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    writer.add_chat_template(TEMPLATE)
    shapes = {"token_embd": (len(tokens), WIDTH), "output_norm": (WIDTH,), "blk.0.attn_norm": (WIDTH,)}
    shapes |= {"blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (16, WIDTH), "blk.0.attn_v": (16, WIDTH)}
    shapes |= {"blk.0.attn_output": (WIDTH, WIDTH), "blk.0.ffn_norm": (WIDTH,), "blk.0.ffn_gate": (HIDDEN, WIDTH)}
    shapes |= {"blk.0.ffn_up": (HIDDEN, WIDTH), "blk.0.ffn_down": (WIDTH, HIDDEN)}
    random = np.random.default_rng(0)
    tensors = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def write_wheel(folder: Path, name: str, member: str, content: bytes) -> None:
    """A wheel NAME==1.0 with one file in it, that pip takes."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def write_alias(folder: Path, name: str, content: bytes, parameters: int = 1, **other: str) -> None:
    """FOLDER/models/NAME.yaml for a GGUF file carried by the wheels half1 and half2."""
    lines = [f"{key}: {value}" for key, value in other.items()]
    lines += ["licence: MIT", "context_length: 128", f"parameters: {parameters}", "gguf:"]
    lines += [f"  size: {len(content)}", f"  sha256: {hashlib.sha256(content).hexdigest()}", "  parts:"]
    lines += ["    - {wheel: half1==1.0, file: half1/a.bin}", "    - {wheel: half2==1.0, file: half2/b.bin}"]
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "models" / f"{name}.yaml").write_text("\n".join(lines) + "\n")
