"""Running text to hide facts in: the sentences of books, or of our own prose, each measured once for a tokenizer.

Sentences are measured in place, in blocks, and only those that a sample comes to: a book is longer than most prompts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lcbench.data import corpora
from lcbench.prompting import Context, Prompter

BLOCK = 256  # sentences measured together
PROSE_WORDS = 1 << 16  # of our own prose at least, so that samples begin at different places


@dataclass(frozen=True)
class Reading:
    """Consecutive sentences with the space before each, and the tokens of each; not additive: only roughly."""

    pieces: list[str]
    tokens: np.ndarray
    additive: bool


def measured(prompter: Prompter, pieces: Sequence[str]) -> tuple[np.ndarray, bool]:
    """Tokens of each piece, in place; where they do not add up, those of each piece alone and False."""
    counts = prompter.measure([(p,) for p in pieces])
    if counts is not None:
        return counts.reshape(-1), True
    alone = prompter.backend.encode_batch(list(pieces), add_special_tokens=False)
    return np.array([len(e.ids) for e in alone], dtype=np.int64), False


def reading(prompter: Prompter, sentences: Sequence[str]) -> Reading:
    """Sentences that follow one another."""
    pieces = [" " + sentence for sentence in sentences]
    return Reading(pieces, *measured(prompter, pieces))


class Background:
    """The sentences of one corpus under one tokenizer. Those of fewer than `least` tokens are left out."""

    def __init__(self, prompter: Prompter, sentences: corpora.Sentences, least: int):
        self.prompter = prompter
        self.least = least
        self.name, self.sha256, self.bounds = sentences.name, sentences.sha256, sentences.bounds
        self.pieces = [" " + sentence for sentence in sentences.pieces]
        self.tokens = np.zeros(len(self.pieces), dtype=np.int64)
        self.known: set[int] = set()
        self.additive = True

    def _measure(self, block: int) -> None:
        """Blocks are the same whichever sentence is asked for first, and so are their figures."""
        if block not in self.known:
            self.known.add(block)
            inside = slice(block * BLOCK, (block + 1) * BLOCK)
            self.tokens[inside], additive = measured(self.prompter, self.pieces[inside])
            self.additive &= additive

    def _long(self, first: int, end: int) -> np.ndarray:
        """Which of the sentences of one block's part are long enough."""
        self._measure(first // BLOCK)
        return first + np.flatnonzero(self.tokens[first:end] >= self.least)

    def total(self) -> int:
        """Tokens of all sentences that are long enough. Measures every one."""
        whole = [self._long(first, first + BLOCK) for first in range(0, len(self.pieces), BLOCK)]
        return int(self.tokens[np.concatenate(whole)].sum())

    def read(self, rng: random.Random, enough: float) -> Reading:
        """From a random sentence of a random text until `enough` tokens are there, then through the other texts in
        random order, and last what stands before the first sentence. Nothing comes twice.
        """
        order = rng.sample(self.bounds, len(self.bounds))
        _, opening, end = order[0]
        start = rng.randrange(opening, end)
        spans = [(start, end), *((first, last) for _, first, last in order[1:]), (opening, start)]
        chosen: list[np.ndarray] = []
        reached = 0
        for first, last in spans:
            while first < last and reached <= enough:
                stop = min(last, (first // BLOCK + 1) * BLOCK)
                chosen.append(self._long(first, stop))
                reached += int(self.tokens[chosen[-1]].sum())
                first = stop
        taken = np.concatenate(chosen)
        return Reading([self.pieces[i] for i in taken], self.tokens[taken], self.additive)


def background(prompter: Prompter, prompt: str, length: int, least: int) -> Background:
    """The books for the official prompt; for `builtin` our own prose, longer than `length` tokens."""
    if prompt == "official":
        found, words = corpora.books(), 0
    else:
        words = max(PROSE_WORDS, 1 << (2 * length).bit_length())
        found = corpora.prose_sentences(words)
    return _background(prompter, found.sha256, words, least)


@lru_cache(maxsize=4)
def _background(prompter: Prompter, sha256: str, words: int, least: int) -> Background:
    """One for all tasks and lengths over a corpus, so that what is measured stays known."""
    return Background(prompter, corpora.prose_sentences(words) if words else corpora.books(), least)


def hide(facts: Reading, among: Reading, n: int, needed: set[int], rng: random.Random) -> Context:
    """The first n sentences with the facts in the gaps between them, each gap drawn apart, the facts in their order.

    needed: the facts that are evidence.
    """
    gaps = sorted(rng.randrange(n + 1) for _ in facts.pieces)
    pieces: list[str] = []
    evidence, last = [], 0
    for i, (fact, gap) in enumerate(zip(facts.pieces, gaps, strict=True)):
        pieces += among.pieces[last:gap]
        if i in needed:
            evidence.append((len(pieces), len(pieces)))
        pieces.append(fact)
        last = gap
    pieces += among.pieces[last:n]
    pieces[0] = pieces[0].lstrip()
    pieces[-1] = pieces[-1].rstrip()
    additive = among.additive and facts.additive
    return Context(pieces, np.insert(among.tokens[:n], gaps, facts.tokens) if additive else None, evidence)
