"""What needles stand among, noise lines or prose, and how they are put there."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lcbench.benchmarks.ruler.forms import DEPTHS, NOISE, Prose
from lcbench.prompting import Context, Prompter, Units

LINE, WORD = 24.0, 1.3  # tokens, roughly: where the search begins when nothing is measured


@dataclass(frozen=True)
class Needles:
    """Lines to be inserted, in the order in which they will stand, their tokens (None: not additive), and which of them
    the question is about.
    """

    lines: list[str]
    counts: list[int] | None
    asked: list[bool]


@dataclass(frozen=True)
class Haystack:
    """units(n): the first n units and their tokens. places(n, k, rng): before which of n units k needles go, ascending.

    per_unit: tokens of one unit, roughly, or of each in turn. most: how many units there are.
    """

    units: Callable[[int], tuple[list[str], np.ndarray | None]]
    places: Callable[[int, int, random.Random], list[int]]
    per_unit: Units
    most: int


def anywhere(n: int, k: int, rng: random.Random) -> list[int]:
    """k different units out of n, as RULER places needles among lines."""
    return sorted(rng.sample(range(n), k))


def noise(prompter: Prompter, most: int) -> Haystack:
    """RULER's five sentences, one line a repetition."""
    measured = prompter.measure([(NOISE + "\n",)] * 3)
    tokens = None if measured is None else int(measured[0, 0])

    def units(n: int) -> tuple[list[str], np.ndarray | None]:
        return [NOISE + "\n"] * n, None if tokens is None else np.full(n, tokens)

    return Haystack(units, anywhere, LINE if tokens is None else float(tokens), most)


def sentences(text: Prose, most: int) -> Haystack:
    """The words of a text; needles go between its sentences, at k of 40 depths."""

    def places(n: int, k: int, rng: random.Random) -> list[int]:
        starts = text.starts_upto(n)
        bounds = [*starts.tolist(), n]
        return sorted(bounds[len(starts) * depth // 100] for depth in rng.sample(DEPTHS, k))

    counts = text.upto(most)[1]
    return Haystack(text.upto, places, WORD if counts is None else counts, most)


def insert(haystack: Haystack, n: int, needles: Needles, rng: random.Random) -> Context:
    """The first n units with the needles among them. Separators at the two ends of the text are dropped."""
    units, counts = haystack.units(n)
    at = haystack.places(n, len(needles.lines), rng)
    pieces, evidence, last = [], [], 0
    for line, asked, position in zip(needles.lines, needles.asked, at, strict=True):
        pieces += units[last:position]
        if asked:
            evidence.append((len(pieces), len(pieces)))
        pieces.append(line)
        last = position
    pieces += units[last:]
    pieces[0] = pieces[0].lstrip(" ")
    pieces[-1] = pieces[-1].rstrip("\n")
    if counts is None or needles.counts is None:
        return Context(pieces, None, evidence)
    return Context(pieces, np.insert(counts, at, needles.counts), evidence)
