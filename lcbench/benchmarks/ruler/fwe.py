"""RULER's frequent words: coded words drawn by a zeta law; which three are the most frequent, the dots aside?

params: alpha, word_length. The word of rank k stands int(n k^-alpha / zeta(alpha)) times, rank 1 is `...`, ranks 2 to
4 are asked for. Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/freq_words_extraction.py.
"""

from __future__ import annotations

import random
import string
from functools import cache

import numpy as np

from lcbench.benchmarks.base import Brief, Cell, frame, redrawn
from lcbench.errors import CannotBuild
from lcbench.prompting import Context
from lcbench.records import Sample

TOKENS_PER_WORD = 50  # RULER's vocabulary: one coded word for every 50 tokens of prompt


@cache
def zeta(alpha: float) -> float:
    """Riemann's zeta for alpha > 1: the first terms, and the Euler-Maclaurin tail (error below 1e-12)."""
    n = 1000.0
    head = sum(k**-alpha for k in range(1, int(n)))
    return head + n ** (1 - alpha) / (alpha - 1) + 0.5 * n**-alpha + alpha / 12 * n ** (-alpha - 1)


def frequencies(n: int, vocabulary: int, alpha: float) -> np.ndarray:
    """How often each rank stands in a text of n drawn words."""
    ranks = np.arange(1, vocabulary + 1, dtype=np.float64)
    return (n * ranks**-alpha / zeta(alpha)).astype(np.int64)


def decided(most: int, alpha: float) -> list[int]:
    """The sizes up to `most` at which rank 4 stands more often than rank 5: at others there is no one answer."""
    sizes = np.arange(1, most)
    fourth, fifth = ((sizes * float(rank) ** -alpha / zeta(alpha)).astype(np.int64) for rank in (4, 5))
    return [int(n) for n in sizes[fourth > fifth]]


def open_cell(brief: Brief) -> Cell:
    """The samples of frequent words at one length."""
    p = brief.task.params
    alpha, size = float(p["alpha"]), max(5, (brief.filled - brief.max_new_tokens) // TOKENS_PER_WORD)
    fitter = brief.fitter()
    around = frame(brief, brief.wording.template, brief.wording.answer_prefix)
    steps = decided(brief.filled, alpha)
    if not steps:
        raise CannotBuild(f"{brief.filled} tokens hold no word that is asked for")

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        drawn: dict[str, None] = {}
        while len(drawn) < size:
            drawn["".join(rng.choices(string.ascii_lowercase, k=p["word_length"]))] = None
        vocabulary = ["...", *list(drawn)[1:]]
        shuffled = rng.sample([" " + w for w in vocabulary], size)
        measured = brief.prompter.measure([(w,) for w in shuffled])
        of_word = None if measured is None else dict(zip(shuffled, measured[:, 0].tolist(), strict=True))
        places = rng.getrandbits(64)

        def build(step: int) -> Context:
            often = frequencies(steps[step], size, alpha)
            pieces = [" " + w for w, times in zip(vocabulary, often, strict=True) for _ in range(times)]
            random.Random(places).shuffle(pieces)
            counts = None if of_word is None else np.array([of_word[w] for w in pieces], dtype=np.int64)
            pieces[0] = pieces[0].lstrip(" ")
            return Context(pieces, counts, [])

        mean = 4.0
        if of_word is not None:
            mean = sum(of_word[" " + w] * k**-alpha for k, w in enumerate(vocabulary, 1)) / zeta(alpha)
        context = fitter.fit(around, build, least=0, most=len(steps) - 1, per_unit=mean)
        return fitter.sample(index, around, context, vocabulary[1:4])

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)))
