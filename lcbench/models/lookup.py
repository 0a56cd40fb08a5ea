"""From what a person typed after `--model` and `--model-args` to one folder on this machine."""

from __future__ import annotations

import os
import re
import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from lcbench.errors import UsageError
from lcbench.models import fetch
from lcbench.models.folder import Model, read_folder, refuse_code
from lcbench.paths import shipped

if TYPE_CHECKING:
    from lcbench.models.spec import ModelSpec

MODEL_ARGS = ("revision", "trust_remote_code", "rope_scaling", "quantization")
TEMPLATE_ARG = "chat_template."


def resolve(spec: str, model_args: dict[str, str] | None = None, *, tokenizer_only: bool = False) -> Model:
    """The model that `spec` names: an alias, an existing folder or GGUF file, or a hub id ORG/NAME, in this order.

    Downloads and converts on first use. `tokenizer_only` leaves the weights of a hub id where they are. Raises
    UsageError for a name that nothing has (with the nearest alias, and no network call unless it could be a hub id),
    a folder that is not whole or code that was not allowed, MissingError for what could not be fetched.
    """
    args = model_args or {}
    known = _alias_files()
    path = Path(spec).expanduser()
    on_hub = (
        spec not in known
        and not path.exists()
        and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", spec)
        and path.suffix != ".gguf"
    )
    if on_hub:
        return _from_hub(spec, args, tokenizer_only)
    if "revision" in args:
        raise UsageError(f"revision={args['revision']} is for hub ids, and {spec} is none.", hint="leave revision out")
    if spec in known:
        path, name = fetch.alias_present(spec) or fetch.fetch_alias(spec, _read_alias(known[spec]), args), spec
    elif path.is_dir():
        path = path.resolve()
        name = path.name
    elif path.is_file():
        path, name = fetch.fetch_gguf(path), path.stem
    else:
        raise _unknown(spec, list(known))
    refuse_code(path, name, args)
    return read_folder(path, name, tokenizer_only=tokenizer_only)


def _from_hub(repo: str, args: dict[str, str], tokenizer_only: bool) -> Model:
    revision = args.get("revision", "main")
    if not fetch.is_commit(revision) and not fetch.hub_is_offline():
        fetch.hub_commit(repo, revision)  # a hub that does not answer stops here, instead of an older copy being used
    folder = fetch.hub_download(repo, revision, args, tokenizer_only=tokenizer_only)
    # The hub's cache names the folder of a snapshot by its commit, offline too.
    return read_folder(folder, repo, source=f"hub:{repo}", revision=folder.name, tokenizer_only=tokenizer_only)


def _unknown(spec: str, known: list[str]) -> UsageError:
    near = get_close_matches(spec, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "lcbench models list"
    return UsageError(f"No model {spec!r}: no alias, no folder, no GGUF file and no hub id (ORG/NAME).", hint=hint)


def aliases() -> dict[str, ModelSpec]:
    """Every alias by name: those in $LCBENCH_CONFIG/models come before the bundled ones of the same name.

    Raises UsageError naming file and key where one is broken.
    """
    return {name: _read_alias(file) for name, file in _alias_files().items()}


def _alias_files() -> dict[str, Path]:
    folders = [shipped("configs")]
    if user := os.environ.get("LCBENCH_CONFIG"):
        folders.append(Path(user).expanduser())  # last, so that its files win
    return {file.stem: file for folder in folders for file in sorted((folder / "models").glob("*.yaml"))}


def _read_alias(file: Path) -> ModelSpec:
    import yaml
    from pydantic import ValidationError

    from lcbench.models.spec import ModelSpec

    try:
        return ModelSpec.model_validate(yaml.safe_load(file.read_text()))
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UsageError(f"{file}: {key}: {first['msg']}.") from error


def parse_model_args(text: str) -> dict[str, str]:
    """`K=V,K=V` as a dictionary. A value may hold `=`, and commas inside quotes: rope_scaling='{"factor": 4, ..}'.

    Raises UsageError for an unknown or repeated key, a missing `=` or an open quote.
    """
    splitter = shlex.shlex(text, posix=True, punctuation_chars=False)
    splitter.whitespace, splitter.whitespace_split, splitter.commenters, splitter.escape = ",", True, "", ""
    try:
        pairs = list(splitter)
    except ValueError as error:
        raise UsageError(f"--model-args {text!r} has a quote that does not close.") from error
    parsed: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not equals:
            raise UsageError(
                f"--model-args has {pair!r}, which is not KEY=VALUE.", hint="quote a value that holds commas"
            )
        if key not in MODEL_ARGS and not (key.startswith(TEMPLATE_ARG) and key != TEMPLATE_ARG):
            near = get_close_matches(key, [*MODEL_ARGS, TEMPLATE_ARG], n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(MODEL_ARGS)}, {TEMPLATE_ARG}NAME"
            raise UsageError(f"--model-args has no key {key!r}.", hint=hint)
        if key in parsed:
            raise UsageError(f"--model-args gives {key} twice.")
        parsed[key] = value
    return parsed
