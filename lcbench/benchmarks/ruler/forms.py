"""The fixed forms of RULER that several tasks share: needles, noise, drawn keys and values, essays cut into sentences.

Source of every form: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/niah.py and variable_tracking.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from lcbench.data import corpora, words
from lcbench.data.sentences import sentence_starts
from lcbench.prompting import Prompter
from lcbench.seeds import generator

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
DEPTHS = [round(i * 100 / 39) for i in range(40)]


def needle(type_v: str, key: str, value: str) -> tuple[str, str, str]:
    """One needle sentence, in the three parts that are measured apart: the fixed words, the key, the value."""
    return (f"One of the special magic {type_v} for", f" {key}", f" is: {value}.")


def _words() -> Iterator[str]:
    rng = generator("ruler pool", "words")
    adjectives, nouns = words.adjectives(), words.nouns()
    while True:
        yield f"{rng.choice(adjectives)}-{rng.choice(nouns)}"


def _numbers() -> Iterator[str]:
    rng = generator("ruler pool", "numbers")
    while True:
        yield str(rng.randint(1_000_000, 9_999_999))


def _uuids() -> Iterator[str]:
    rng = generator("ruler pool", "uuids")
    while True:
        yield str(uuid.UUID(int=rng.getrandbits(128), version=4))


@cache
def pool(kind: str, size: int) -> list[str]:
    """`size` different words (adjective-noun), numbers (7 digits) or uuids. A larger pool begins with the smaller
    one.
    """
    drawn: dict[str, None] = {}
    for item in {"words": _words, "numbers": _numbers, "uuids": _uuids}[kind]():
        drawn[item] = None
        if len(drawn) == size:
            break
    return list(drawn)


@dataclass(frozen=True)
class Prose:
    """A text for haystacks: its words with the space before each, the tokens of each in place, where sentences
    begin.
    """

    pieces: list[str]
    counts: np.ndarray | None
    starts: np.ndarray
    name: str
    sha256: str

    def upto(self, n: int) -> tuple[list[str], np.ndarray | None]:
        """The first n words and their tokens; a text that is shorter begins again, as RULER repeats its essays."""
        times = -(-n // len(self.pieces))
        counts = None if self.counts is None else np.tile(self.counts, times)[:n]
        return (self.pieces * times)[:n], counts

    def starts_upto(self, n: int) -> np.ndarray:
        """Where sentences begin among the first n words."""
        times = -(-n // len(self.pieces))
        starts = (self.starts + np.arange(times)[:, None] * len(self.pieces)).ravel()
        return starts[starts < n]


def prose(prompter: Prompter, prompt: str, length: int) -> Prose:
    """The essays of the official prompt, or for `builtin` as much of our own prose as `length` tokens can need."""
    corpus = corpora.essays() if prompt == "official" else corpora.prose(length)
    return _measured(prompter, corpus.text, corpus.name, corpus.sha256)


@cache
def _measured(prompter: Prompter, text: str, name: str, sha256: str) -> Prose:
    pieces = [" " + word for word in text.split(" ")]
    counts = prompter.measure([(p,) for p in pieces])
    return Prose(pieces, None if counts is None else counts[:, 0], sentence_starts(pieces), name, sha256)
