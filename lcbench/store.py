"""The run folder: run.json, samples.jsonl (append-only), splits.json, summary.json, and a lock while a process writes.

A batch's records are one append. After a crash the file may end in part of a batch: what is not a whole batch is cut
off when the folder is opened again, and that batch is computed again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from lcbench.errors import UsageError
from lcbench.records import Record

# In the order in which --fresh removes them. run.json goes last: it says whose the records are, and none may be left
# without it by a kill in between.
FILES = ("samples.jsonl", "splits.json", "summary.json", "run.json")
BYTES_PER_RECORD = 4096


class RunFolder:
    """One run's folder, held open by one process. Use `open_run`."""

    def __init__(self, path: Path):
        self.path = path
        self.batches: dict[str, list[dict[str, Any]]] = {}
        self.splits: dict[str, int] = {}
        self._end = 0

    def load(self) -> None:
        """Read what is there, and cut off what is not a whole batch."""
        self.splits = self.read("splits.json") or {}
        samples = self.path / "samples.jsonl"
        if not samples.exists():
            return
        with samples.open("rb+") as file:
            for records, end in whole_batches(file):
                self.batches[records[0]["batch"]] = records
                self._end = end
            file.truncate(self._end)

    def append(self, records: Sequence[Record]) -> None:
        """Write a batch's records behind the others, on disk when this returns. Raises UsageError where the disk is
        full.
        """
        rows = [asdict(r) for r in records]
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        with disk_full(self.path), (self.path / "samples.jsonl").open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.batches[rows[0]["batch"]] = json.loads(json.dumps(rows))

    def split(self, batch: str, rows: int) -> None:
        """Write down that a batch did not fit and is computed `rows` samples at a time."""
        self.splits[batch] = rows
        self.write("splits.json", self.splits)

    def write(self, name: str, content: Any) -> None:
        """Replace a JSON file as a whole: a reader sees the old one or the new one."""
        temporary = self.path / f".{name}.tmp"
        with disk_full(self.path), temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    def read(self, name: str) -> Any:
        """A JSON file of the folder, None where it is not there."""
        path = self.path / name
        return _parse(path.read_text(encoding="utf-8"), str(path)) if path.exists() else None


def whole_batches(file: IO[bytes]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Every batch whose records are all there, with the byte where it ends. Stops at the first that is not."""
    batch: list[dict[str, Any]] = []
    end = 0
    for line in file:
        end += len(line)
        if not line.endswith(b"\n"):
            return
        batch.append(_parse(line, file.name))
        if len(batch) == batch[0]["cost"]["size"]:
            yield batch, end
            batch = []


def _parse(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} is damaged: {error}.", hint="--fresh to start this run over") from error


@contextlib.contextmanager
def disk_full(path: Path) -> Iterator[None]:
    """Tell a full disk in our own words, whatever is being written to `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        hint = "free some space and run the same command again: nothing that is finished is lost"
        raise UsageError(f"No space left on the disk of {path}.", hint=hint) from error


@contextlib.contextmanager
def open_run(path: Path, identity: dict[str, Any], samples: int, fresh: bool) -> Iterator[RunFolder]:
    """Hold a run folder open for writing; `identity` is what decides its records, kept in run.json.

    Raises UsageError where another process holds it, where it belongs to another configuration (naming the fields), or
    where the disk has no room for `samples` records.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"Cannot make the run folder {path}: {error.strerror}.", hint="--out DIR") from error
    room, free = samples * BYTES_PER_RECORD, shutil.disk_usage(path).free
    if free < room:
        raise UsageError(
            f"The disk of {path} has {free} bytes free; {samples} records need about {room}.", hint="--out DIR"
        )
    with _locked(path):
        folder = RunFolder(path)
        if fresh:
            for name in FILES:
                (path / name).unlink(missing_ok=True)
        known = folder.read("run.json")
        if known is not None:
            _same(path, known["identity"], identity)
        folder.load()
        yield folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        lock = (path / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write in {path}: {error.strerror}.", hint="--out DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise UsageError(
                f"{path} is being written by {holder}.", hint="wait for it, or choose another --out DIR"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {os.uname().nodename}")
        lock.flush()
        yield
        lock.truncate(0)


def _same(path: Path, known: dict[str, Any], asked: dict[str, Any]) -> None:
    asked = json.loads(json.dumps(asked))
    told = "; ".join(f"{k}: {_short(there)} there, {_short(now)} now" for k, there, now in _differences(known, asked))
    if told:
        hint = "--out DIR for another folder, or --fresh to start this one over"
        raise UsageError(f"{path} holds a run of another configuration ({told}).", hint=hint)


def _differences(known: dict[str, Any], asked: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(field, its value there, its value now) of all that differs, down to the innermost field of both."""
    for k in {**known, **asked}:
        there, now = known.get(k), asked.get(k)
        if isinstance(there, dict) and isinstance(now, dict):
            yield from _differences(there, now, f"{above}{k}: ")
        elif there != now:
            yield f"{above}{k}", there, now


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + ".."
