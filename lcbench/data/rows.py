"""Rows of a data set, each a dict: from a file, from a pinned source, or from the Hugging Face hub.

Rows are shared between callers and are not to be changed.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcbench.data import sources
from lcbench.errors import MissingError, UsageError
from lcbench.paths import data_dir

ENDINGS = (".jsonl.gz", ".jsonl", ".json.gz", ".json", ".parquet", ".csv.gz", ".csv")
HUB_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Rows:
    """Rows and where they are from. `revision` is None where nothing vouches for it, as for a file put in by hand.

    `sha256` is that of the file's content, decompressed, or of the rows as JSON lines where they came from the hub.
    """

    rows: list[dict[str, Any]]
    source: str
    revision: str | None
    sha256: str


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl, .json (an array of objects), .csv or .parquet file, the first three also with .gz.

    Raises UsageError with the file and the line where it cannot be read.
    """
    return list(_state(path)[0])


def named(*names: str) -> Rows:
    """The rows of the first of these pinned sources that is present. Raises what `sources.find` raises."""
    found = sources.find(*names)
    return Rows(read_rows(found.path), found.source, found.revision, found.sha256)


def from_file(path: Path) -> Rows:
    """The rows of a person's own file."""
    rows, sha256 = _state(path)
    return Rows(list(rows), str(path), None, sha256)


def hub_rows(
    repo: str, revision: str, split: str, config: str | None = None, files: str | Sequence[str] | None = None
) -> Rows:
    """The rows of one split of a data set on the hub, read with `datasets`.

    A copy at LCBENCH_DATA/hub/REPO/[CONFIG/]SPLIT with one of ENDINGS comes before any network. `revision` is a commit,
    or a branch or tag, which becomes the commit that it names now. `files` are the data files inside the repository,
    where its card does not name them. With HF_HUB_OFFLINE only what the hub's own cache holds is read.

    Raises MissingError, with the place for a copy, where the hub does not answer or has no such rows.
    """
    if local := local_copy(repo, split, config):
        return from_file(local)
    name = "/".join(part for part in (repo, config, split) if part)
    try:
        commit = _commit(repo, revision)
        rows = _load(repo, commit, split, config, files)
    except (MissingError, UsageError):
        raise
    except Exception as error:  # datasets and the hub raise a dozen kinds, of requests, of httpx and of their own
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise MissingError(
            f"{name} at {revision} cannot be read from the hub: {told}.",
            hint=f"put the rows at {_places(repo, config) / split}.jsonl",
        ) from error
    lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) + "\n" for row in rows)
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    return Rows(rows, f"huggingface.co/datasets/{name}", commit, sha256)


def local_copy(repo: str, split: str, config: str | None = None) -> Path | None:
    """The copy of a split of a data set that lies under LCBENCH_DATA."""
    folder = _places(repo, config)
    return next((path for ending in ENDINGS if (path := folder / f"{split}{ending}").is_file()), None)


def _places(repo: str, config: str | None) -> Path:
    folder = data_dir() / "hub" / repo
    return folder / config if config else folder


def _commit(repo: str, revision: str) -> str:
    """The full commit that a revision is now. One request, so that a hub that is away is noticed in HUB_TIMEOUT_S."""
    from huggingface_hub import HfApi

    if _offline():
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        raise UsageError(f"{repo}: offline a revision has to be a full commit hash, not {revision!r}.")
    info = HfApi().dataset_info(repo, revision=revision, timeout=HUB_TIMEOUT_S)
    if not info.sha:
        raise MissingError(f"the hub does not say which commit of {repo} {revision!r} is.")
    return info.sha


def _offline() -> bool:
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def _load(
    repo: str, commit: str, split: str, config: str | None, files: str | Sequence[str] | None
) -> list[dict[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise MissingError("data sets of the hub need the package `datasets`.", hint="pip install datasets") from error
    data_files = {split: list(files) if not isinstance(files, str) else files} if files else None
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        dataset = datasets.load_dataset(repo, config, split=split, revision=commit, data_files=data_files)
        # offline, datasets takes the newest revision that its cache has, whichever was asked for
        if _offline() and not all(commit in Path(file["filename"]).parts for file in dataset.cache_files):
            raise MissingError(
                f"{repo} is in the hub's cache at another revision than {commit}.", hint="unset HF_HUB_OFFLINE"
            )
        return dataset.to_list()
    finally:
        if shown:
            datasets.enable_progress_bars()


def _state(path: Path) -> tuple[list[dict[str, Any]], str]:
    """Rows and hash of a file as it is now."""
    try:
        stat = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=8)
def _read(path: Path, mtime_ns: int, size: int) -> tuple[list[dict[str, Any]], str]:
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if kind not in PARSERS or (kind == "parquet" and path.suffix == ".gz"):
        raise UsageError(f"{path} has none of the endings {', '.join(ENDINGS)}.")
    try:
        content = sources.read(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be decompressed: {error}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    return PARSERS[kind](path, content), hashlib.sha256(content).hexdigest()


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8: {error.reason}.") from error


def _jsonl(path: Path, content: bytes) -> list[dict[str, Any]]:
    rows = []
    # at line feeds only: splitlines would cut at the line separators that JSON strings may hold
    for number, line in enumerate(_text(path, content).split("\n"), 1):
        if line.strip():
            rows.append(_object(path, number, _json(path, line, number - 1)))
    return rows


def _json_array(path: Path, content: bytes) -> list[dict[str, Any]]:
    document = _json(path, _text(path, content), 0)
    if not isinstance(document, list):
        raise UsageError(f"{path}:1: a .json file of rows is an array of objects, this is {_kind(document)}.")
    for number, row in enumerate(document, 1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}: element {number} is {_kind(row)}, not an object.")
    return document


def _json(path: Path, text: str, lines_before: int) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        line = lines_before + error.lineno
        raise UsageError(f"{path}:{line}: not JSON: {error.msg} at column {error.colno}.") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; brackets a thousand deep
        raise UsageError(f"{path}:{lines_before + 1}: not JSON that can be read: {error}.") from error
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{path}:{lines_before + 1}: an escape \\u is half a character.") from error
    return value


def _object(path: Path, line: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}:{line}: every line is an object, this is {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _csv(path: Path, content: bytes) -> list[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)  # a context is one field
    reader = csv.DictReader(io.StringIO(_text(path, content), newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    try:
        columns = reader.fieldnames or []
        if len(set(columns)) != len(columns):
            raise UsageError(f"{path}:1: a column is named twice.")
        for row in reader:
            if None in row or None in row.values():
                raise UsageError(f"{path}:{reader.line_num}: this row has not the {len(columns)} fields of the header.")
            rows.append(row)
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.reader.line_num}: not CSV: {error}.") from error
    return rows


def _parquet(path: Path, content: bytes) -> list[dict[str, Any]]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingError(f"{path} needs the package `pyarrow`.", hint="pip install pyarrow") from error
    try:
        return parquet.read_table(io.BytesIO(content)).to_pylist()
    except arrow.ArrowException as error:
        raise UsageError(f"{path} is not a Parquet file: {error}.") from error


PARSERS: Mapping[str, Callable[[Path, bytes], list[dict[str, Any]]]] = {
    "jsonl": _jsonl,
    "json": _json_array,
    "csv": _csv,
    "parquet": _parquet,
}
