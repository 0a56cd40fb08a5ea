"""Where bytes come from: finding, pulling and verifying the files below `LCBENCH_DATA`.

A file is used when its content has the pinned hash or the one noted in manifest.json when it was pulled (`verified`),
or when there is nothing to hold it against (`unverified`: put there by hand). A file that contradicts its hash is
refused. A download without a pinned hash has a commit in its address; what it was is noted in manifest.json.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gzip
import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lcbench.data.pinned import SOURCES
from lcbench.data.source import Download, Source
from lcbench.errors import LcbenchError, MissingError, UsageError, nearest
from lcbench.paths import data_dir

ATTEMPTS = 3
BLOCK = 1 << 16


@dataclass(frozen=True)
class Found:
    """A file that is present. `sha256` is that of its content, decompressed; `revision` is None where unverified."""

    name: str
    path: Path
    sha256: str
    licence: str
    source: str
    revision: str | None


@dataclass(frozen=True)
class Status:
    """How a source stands on this machine. `bytes` is the file's size on disk, `download_bytes` what a pull fetches
    (0 where nothing is pulled, None where it is not known before), `problem` why the file is damaged.
    """

    name: str
    file: str
    state: Literal["missing", "verified", "unverified", "damaged"]
    bytes: int | None
    download_bytes: int | None
    sha256: str | None
    licence: str
    revision: str | None
    purpose: str
    problem: str | None = None


def find(*names: str) -> Found:
    """The first of these sources that is present.

    Raises MissingError where none is, UsageError where the first one present is damaged or not the pinned file.
    """
    for name in names:
        status = inspect(name)
        if status.state == "missing":
            continue
        if status.problem:
            raise UsageError(status.problem, hint=f"lcbench data pull {name}")
        assert status.sha256 is not None
        revision = status.revision if status.state == "verified" else None
        source = SOURCES[name]
        return Found(name, data_dir() / source.file, status.sha256, source.licence, source.origin, revision)
    wanted = " or ".join(f"{name} ({_source(name).file})" for name in names)
    raise MissingError(f"{wanted} is not under {data_dir()}.", hint=f"lcbench data pull {names[0]}")


def describe() -> list[Status]:
    """How every source stands. Reads and hashes what is present."""
    return [inspect(name) for name in SOURCES]


def inspect(name: str) -> Status:
    """How one source stands. Raises UsageError for a name that is not in the table."""
    source = _source(name)
    path = data_dir() / source.file
    if not path.is_file():
        return _status(source, "missing")
    try:
        sha256 = _content_sha256(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return _status(source, "damaged", path, problem=f"{path} cannot be decompressed: {error}.")
    expected = source.sha256 or _noted_sha256(source)
    if expected is None:
        return _status(source, "unverified", path, sha256)
    if sha256 != expected:
        problem = f"{path} is not the pinned file: its content has sha256 {sha256}, expected is {expected}."
        return _status(source, "damaged", path, sha256, problem)
    return _status(source, "verified", path, sha256)


def read(path: Path) -> bytes:
    """The content of a file, decompressed where its name ends in .gz."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _content_sha256(path: Path) -> str:
    stat = path.stat()
    return _hashed(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=256)
def _hashed(path: Path, mtime_ns: int, size: int) -> str:
    """The hash of a file's content, once for each state of the file: LongBench-v2 has half a gigabyte."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]


def pull(name: str, *, timeout_s: float = 30.0, backoff_s: float = 1.0) -> Found:
    """Fetches a source unless it is here and verified; gives what `find` gives.

    Nothing stands under its final name before every downloaded byte was checked. `LCBENCH_DATA_MIRROR` replaces the
    upstream address: MIRROR/NAME/FILENAME, http(s): or file:. `timeout_s` is the longest silence of a server;
    connections that fail and answers of 5xx are tried again after `backoff_s`, then twice that.

    Raises MissingError where the bytes cannot be had or are not the pinned ones, UsageError where storing them fails.
    """
    source = _source(name)
    if not source.downloads:
        raise MissingError(
            f"{name} has no pinned download and is never pulled; put it in place by hand: {source.by_hand}.",
            hint=f"cp FILE {data_dir() / source.file}",
        )
    if inspect(name).state == "verified":
        return find(name)
    path = data_dir() / source.file
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(data_dir() / ".lock"):
            _check_space(source, path.parent)
            try:
                files = {d.path: _download(source, d, part, timeout_s, backoff_s) for d in source.downloads}
                content = _converted(source, files)
                packed = gzip.compress(content, mtime=0) if path.suffix == ".gz" else content
                _replace(path, packed, part)
            finally:
                part.unlink(missing_ok=True)
            _note(source, hashlib.sha256(content).hexdigest())
    except OSError as error:
        raise UsageError(
            f"cannot store {name} under {data_dir()}: {error.strerror or error}.", hint="export LCBENCH_DATA=FOLDER"
        ) from error
    return find(name)


def _converted(source: Source, files: Mapping[str, bytes]) -> bytes:
    """What the downloads become. Raises MissingError where they are not what the converter expects."""
    assert source.convert is not None
    try:
        content = source.convert(source, files)
    except (ValueError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise _wrong_bytes(f"{source.base}/{source.downloads[0].path}", f"it cannot be read: {error}") from error
    if source.sha256 and (sha256 := hashlib.sha256(content).hexdigest()) != source.sha256:
        raise _wrong_bytes(
            f"{source.base}/{source.downloads[0].path}",
            f"the content made of it has sha256 {sha256}, pinned is {source.sha256}",
        )
    return content


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise UsageError(f"There is no data source {name!r}{nearest(name, SOURCES)}", hint="lcbench data list")
    return SOURCES[name]


def _status(
    source: Source,
    state: Literal["missing", "verified", "unverified", "damaged"],
    path: Path | None = None,
    sha256: str | None = None,
    problem: str | None = None,
) -> Status:
    return Status(
        name=source.name,
        file=source.file,
        state=state,
        bytes=path.stat().st_size if path else None,
        download_bytes=source.download_bytes,
        sha256=sha256,
        licence=source.licence,
        revision=source.revision,
        purpose=source.purpose,
        problem=problem,
    )


class _Unreachable(Exception):
    """A failure that may pass: no connection, silence, 5xx, an answer that breaks off."""


def _download(source: Source, download: Download, part: Path, timeout_s: float, backoff_s: float) -> bytes:
    """The checked bytes of one file, streamed through `part`."""
    mirror = os.environ.get("LCBENCH_DATA_MIRROR")
    url = f"{mirror.rstrip('/')}/{source.name}/{download.filename}" if mirror else f"{source.base}/{download.path}"
    for attempt in range(ATTEMPTS):
        try:
            _stream(url, download, part, timeout_s)
            return part.read_bytes()
        except _Unreachable as error:
            problem = error
        if attempt + 1 < ATTEMPTS:
            time.sleep(backoff_s * 2**attempt)
    raise MissingError(
        f"{url} could not be fetched in {ATTEMPTS} attempts: {problem}.",
        hint=f"lcbench data pull {source.name}   (LCBENCH_DATA_MIRROR=URL takes it from elsewhere)",
    )


def _stream(url: str, download: Download, part: Path, timeout_s: float) -> None:
    """Writes the answer to `part`, up to the first byte too many. Raises unless size and hash are the pinned ones,
    where any are.
    """
    digest, size = hashlib.sha256(), 0
    with part.open("wb") as out:
        for block in _blocks(url, timeout_s):
            size += len(block)
            if download.bytes is not None and size > download.bytes:
                raise _wrong_bytes(url, f"it is longer than {download.bytes} bytes")
            digest.update(block)
            out.write(block)
    if download.bytes is not None and size < download.bytes:
        raise _Unreachable(f"it broke off after {size} of {download.bytes} bytes")
    if download.sha256 is not None and digest.hexdigest() != download.sha256:
        raise _wrong_bytes(url, f"its sha256 is {digest.hexdigest()}, pinned is {download.sha256}")


def _blocks(url: str, timeout_s: float) -> Iterator[bytes]:
    """The answer in blocks. Failures of the network become _Unreachable or MissingError; no OSError leaves here.

    An answer that ends before its announced length is a failure too; http.client does not say so by itself.
    """
    size = 0
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            announced = answer.headers["Content-Length"]
            while block := answer.read(BLOCK):
                size += len(block)
                yield block
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise _Unreachable(f"HTTP {error.code} {error.reason}") from error
        raise MissingError(
            f"{url} cannot be had: HTTP {error.code} {error.reason}.", hint="export LCBENCH_DATA_MIRROR=URL"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Unreachable(str(getattr(error, "reason", error)) or type(error).__name__) from error
    if announced is not None and size < int(announced):
        raise _Unreachable(f"it broke off after {size} of {announced} bytes")


def _wrong_bytes(url: str, what: str) -> LcbenchError:
    return MissingError(
        f"{url} is not the pinned file: {what}. Nothing was kept.", hint="export LCBENCH_DATA_MIRROR=URL"
    )


def _check_space(source: Source, folder: Path) -> None:
    """A pull holds the largest download and the result side by side for a moment. Unknown sizes are not checked."""
    needed, free = 2 * (source.download_bytes or 0), shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"{source.name} needs {needed} bytes under {folder}, {free} are free.", hint="export LCBENCH_DATA=FOLDER"
        )


def _replace(path: Path, content: bytes, part: Path) -> None:
    """Writes `path` whole or not at all, whenever the process ends."""
    with part.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """One pull at a time in a data folder: a second one waits. The lock ends with the process, however that ends."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _manifest() -> dict[str, dict[str, str | None]]:
    path = data_dir() / "manifest.json"
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}.", hint=f"rm {path}") from error


def _noted_sha256(source: Source) -> str | None:
    """The content hash noted when this revision was pulled."""
    entry = _manifest().get(source.file)
    return entry["sha256"] if entry and entry["revision"] == source.revision else None


def _note(source: Source, sha256: str) -> None:
    entry = {"sha256": sha256, "source": source.origin, "revision": source.revision, "licence": source.licence}
    content = json.dumps(_manifest() | {source.file: entry}, indent=1, sort_keys=True) + "\n"
    path = data_dir() / "manifest.json"
    _replace(path, content.encode(), path.with_name(".manifest.json.part"))
