"""Haystacks: long running text, as one line or as sentences."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path

from lcbench.data import sources
from lcbench.data.prose import prose as written
from lcbench.data.sentences import CLOSING, sentence_starts

LEAST_WORDS = 3
# A licence surrounds each text of Project Gutenberg, and lines that tell who made the file.
GUTENBERG_START = re.compile(r"\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG.*?\*\*\*", re.DOTALL)
GUTENBERG_END = re.compile(
    r"(?:End of (?:the )?Project Gutenberg[^\n]*\s+)?\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG"
)
GUTENBERG_CREDIT = re.compile(r"\s*(?:Produced by|E-text prepared by)")
NO_PROSE = re.compile(r"\s*\[|\s*Transcrib|.*Gutenberg", re.DOTALL)  # pictures, and notes on the file
PARAGRAPH = re.compile(r"\n\s*\n")


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


@dataclass(frozen=True)
class Sentences:
    """Sentences in the order of their texts, white space collapsed. `sha256` is that of the sentences, one a line.

    `bounds` are the texts: name, first sentence, one past the last.
    """

    pieces: list[str]
    sha256: str
    name: str
    bounds: tuple[tuple[str, int, int], ...]


def books() -> Sentences:
    """BABILong's kind of haystack: the sentences of the source `books`, without the licences around the texts.

    Upstream takes the test books of PG-19 and nltk's splitter. Raises MissingError where the source is not there.
    """
    found = sources.find("books")
    return _books(str(found.path), found.sha256)


@functools.lru_cache(maxsize=1)
def _books(path: str, sha256: str) -> Sentences:
    """The hash is part of the key: a replaced file is read again."""
    lines = sources.read(Path(path)).decode().split("\n")
    rows = (json.loads(line) for line in lines if line)
    return _sentences({row["id"]: book_text(row["text"]) for row in rows}, "books")


@functools.lru_cache(maxsize=2)
def prose_sentences(words: int) -> Sentences:
    """The whole sentences among the first `words` words of our own text."""
    text = prose(words).text
    end = max(text.rfind(stop) for stop in ".!?")
    return _sentences({"prose": text[: end + 1]}, "prose")


def book_text(text: str) -> str:
    """A text of Project Gutenberg without the licence around it; any other text as it is."""
    text = text.replace("\r\n", "\n")
    start, end = GUTENBERG_START.search(text), GUTENBERG_END.search(text)
    text = text[start.end() if start else 0 : end.start() if end else None]
    if start and (credit := GUTENBERG_CREDIT.match(text)):
        text = text[PARAGRAPH.search(text + "\n\n", credit.end()).end() :]  # type: ignore[union-attr]
    return text.strip()


def split_sentences(text: str) -> list[str]:
    """The sentences of a text. None goes on past an empty line. Paragraphs that are a picture or a note on the file
    are left out, and sentences of fewer than LEAST_WORDS words: headings, page numbers, cries.
    """
    found = []
    for paragraph in PARAGRAPH.split(text):
        if NO_PROSE.match(paragraph):
            continue
        words = paragraph.split()
        starts = [*sentence_starts(words, CLOSING + "”’_*").tolist(), len(words)]
        found += [" ".join(words[first:end]) for first, end in itertools.pairwise(starts) if end - first >= LEAST_WORDS]
    return found


def _sentences(texts: dict[str, str], name: str) -> Sentences:
    pieces: list[str] = []
    bounds = []
    for title, text in texts.items():
        first = len(pieces)
        pieces += split_sentences(text)
        bounds.append((title, first, len(pieces)))
    return Sentences(pieces, hashlib.sha256("\n".join(pieces).encode()).hexdigest(), name, tuple(bounds))


def _corpus(text: str, name: str) -> Corpus:
    return Corpus(text, hashlib.sha256(text.encode()).hexdigest(), name)
