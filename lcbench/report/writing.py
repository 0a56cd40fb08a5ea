"""Where a report goes: what cannot be written is told in our own words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lcbench.errors import UsageError
from lcbench.store import disk_full


@contextlib.contextmanager
def writing(path: Path, hint: str) -> Iterator[None]:
    """Raises UsageError where `path`, or a file in it, cannot be written."""
    try:
        with disk_full(path):
            yield
    except OSError as error:
        raise UsageError(f"Cannot write {error.filename or path}: {error.strerror}.", hint=hint) from error
