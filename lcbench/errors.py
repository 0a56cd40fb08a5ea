"""The errors a person sees: what happened, where, and the command that mends it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean a, b?`, or nothing where no name is near."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""


class LcbenchError(Exception):
    """One short paragraph and, where there is one, a `hint` with the command that mends it.

    `exit_code` is what the command line leaves with: 2 for usage and configuration, 3 for something to pull or install.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LcbenchError):
    """A flag, a name, a file or a combination that cannot run as asked."""


class MissingError(LcbenchError):
    """Something to pull or to install is not there."""

    exit_code = 3


class CannotBuild(LcbenchError):
    """A task has no sample of this length: below its least length, or its pool of texts runs out. A cell reads
    "n/a".
    """


class EngineOutOfMemory(Exception):
    """A batch did not fit in memory. The runner halves it; a batch of one becomes a failed sample."""
