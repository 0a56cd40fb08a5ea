"""A model on disk: what its folder must hold, and what can be read from it without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcbench.errors import UsageError

SOURCE_FILE = "lcbench-source.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
FINGERPRINTED = (
    "config.json",
    "generation_config.json",
    *TOKENIZERS,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
MIB = 1 << 20


@dataclass(frozen=True)
class Model:
    """A resolved model. `path` holds config.json, the tokenizer and safetensors.

    `source` is "hub:ORG/NAME", "wheel:NAME==VERSION+..", "gguf:FILE" or "folder"; `revision` is the commit on the
    hub or the sha256 of the GGUF file. `size_bytes` counts the weight files, `context_length` is in tokens.
    `trained_attention` is the mechanism that the weights were trained under. None is what the folder does not say.
    """

    name: str
    path: Path
    source: str
    revision: str | None
    licence: str | None
    size_bytes: int | None
    context_length: int | None
    trained_attention: str
    config: dict[str, Any]
    fingerprint: str


def read_folder(
    path: Path, name: str, *, source: str | None = None, revision: str | None = None, tokenizer_only: bool = False
) -> Model:
    """The model in a folder. Raises UsageError naming the file that is missing (weights may be with `tokenizer_only`).

    Without `source` the note that a pull or a conversion left in the folder says where it came from.
    """
    config = read_config(path)
    if not any((path / file).is_file() for file in TOKENIZERS):
        raise UsageError(f"{path} has no tokenizer (one of {', '.join(TOKENIZERS)}).", hint=_whole_folder_hint(path))
    weights = weight_files(path)
    missing = [file.name for file in weights if not file.is_file()]
    if missing and not tokenizer_only:
        raise UsageError(
            f"{path} has no {', '.join(missing[:3])}: no whole set of safetensors weights.",
            hint=_whole_folder_hint(path),
        )
    note = json.loads((path / SOURCE_FILE).read_text()) if source is None and (path / SOURCE_FILE).is_file() else {}
    return Model(
        name=name,
        path=path,
        source=source or note.get("source", "folder"),
        revision=revision or note.get("revision"),
        licence=note.get("licence") or _card_licence(path),
        size_bytes=None if missing else sum(file.stat().st_size for file in weights),
        context_length=config.get("text_config", config).get("max_position_embeddings"),
        trained_attention=config.get("lcbench", {}).get("attn") or config.get("lcbench.attn") or "softmax",
        config=config,
        fingerprint=fingerprint(path),
    )


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a model folder, parsed. Raises UsageError where it is missing or no JSON object."""
    file = path / "config.json"
    if not file.is_file():
        raise UsageError(f"{path} has no config.json: no model folder.", hint=_whole_folder_hint(path))
    return _json_object(file)


def _json_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} holds no JSON object.")
    return content


def weight_files(path: Path) -> list[Path]:
    """The weight files that transformers will look for: the shards named by the index, else model.safetensors."""
    index = path / "model.safetensors.index.json"
    if not index.is_file():
        return [path / "model.safetensors"]
    return [path / shard for shard in sorted(set(_json_object(index).get("weight_map", {}).values()))]


def refuse_code(path: Path, name: str, model_args: dict[str, str]) -> None:
    """Raises UsageError where the folder brings Python code and `trust_remote_code=true` was not given."""
    trusted = model_args.get("trust_remote_code", "false")
    if trusted not in ("true", "false"):
        raise UsageError(f"trust_remote_code={trusted} is neither true nor false.")
    files = [path / file for file in ("config.json", "tokenizer_config.json") if (path / file).is_file()]
    brings_code = [file.name for file in files if _json_object(file).get("auto_map")]
    if brings_code and trusted == "false":
        raise UsageError(
            f"{name} brings Python code of its own to run on this machine (auto_map in {' and '.join(brings_code)}).",
            hint="read that code, then add --model-args trust_remote_code=true",
        )


def fingerprint(path: Path) -> str:
    """sha256 over config, tokenizer, Python code and, for each weight file, name, size, first and last MiB.

    Reading 2 MiB a file keeps it cheap on 100 GB; weights that are not there (tokenizer only) are not in it.
    """
    digest = hashlib.sha256()
    small = [path / name for name in FINGERPRINTED] + sorted(path.glob("*.py"))
    for file in filter(Path.is_file, small):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    for file in filter(Path.is_file, weight_files(path)):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(MIB))
            stream.seek(max(0, size - MIB))
            digest.update(stream.read(MIB))
    return digest.hexdigest()


def _card_licence(path: Path) -> str | None:
    """`license` in the YAML front matter of README.md, the hub's model card."""
    import yaml

    card = path / "README.md"
    text = card.read_text(errors="replace") if card.is_file() else ""
    if not text.startswith("---\n"):
        return None
    try:
        head = yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:  # a card is prose by strangers: one that is no YAML says nothing
        return None
    licence = head.get("license") if isinstance(head, dict) else None
    return licence if isinstance(licence, str) else None


def _whole_folder_hint(path: Path) -> str:
    return f"copy the whole model folder to {path}: config.json, the tokenizer and safetensors weights"
