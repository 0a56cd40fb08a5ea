"""The prompt strings that a benchmark owns, pulled into texts/NAME.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lcbench.data import sources


@dataclass(frozen=True)
class Texts:
    """`strings` are the benchmark's own, keyed as upstream keys them. `sha256` is that of the file they stand in."""

    strings: dict[str, Any]
    revision: str
    sha256: str
    source: str


def load(name: str) -> Texts:
    """The texts of a benchmark. Raises MissingError where not pulled, UsageError where not the pinned ones."""
    found = sources.find(name)
    document = json.loads(sources.read(found.path))
    return Texts(document["strings"], document["revision"], found.sha256, document["source"])
