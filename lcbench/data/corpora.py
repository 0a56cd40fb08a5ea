"""Haystacks: long running text, as one line."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass

from lcbench.data import sources
from lcbench.data.prose import prose as written


@dataclass(frozen=True)
class Corpus:
    """Words one space apart, no line breaks. `sha256` is that of `text` in UTF-8."""

    text: str
    sha256: str
    name: str


def essays() -> Corpus:
    """RULER's haystack: the essays in file order, all white space collapsed. Raises MissingError where not pulled.

    These are the 49 essays that RULER's download script takes from a repository. The pages that it also scrapes from
    the author's site change without notice, have no hash to pin, and are left out.
    """
    rows = (json.loads(line) for line in sources.read(sources.find("essays").path).decode().split("\n") if line)
    return _corpus(re.sub(r"\s+", " ", " ".join(row["text"] for row in rows)), "essays")


@functools.lru_cache(maxsize=2)
def prose(words: int) -> Corpus:
    """The first `words` words of our own text (`lcbench.data.prose`)."""
    return _corpus(written(words), "prose")


def _corpus(text: str, name: str) -> Corpus:
    return Corpus(text, hashlib.sha256(text.encode()).hexdigest(), name)
