"""Numbered lines of files around one function: first its own file's, then those of other files on both sides."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

import numpy as np

from lcbench.benchmarks.background import measured
from lcbench.data.code import CodeFile
from lcbench.prompting import Prompter


class Numbered:
    """The lines of a file as they are shown, a heading before them, each with its line break; measured when first
    asked for.
    """

    def __init__(self, prompter: Prompter, path: str, text: str):
        self.prompter = prompter
        self.path = path
        lines = text.removesuffix("\n").split("\n")
        self.pieces = [f"=== {path} ===\n", *(shown(i, line) for i, line in enumerate(lines, 1))]

    def __len__(self) -> int:
        return len(self.pieces) - 1

    @cached_property
    def _measured(self) -> tuple[np.ndarray, bool]:
        return measured(self.prompter, self.pieces)

    @property
    def tokens(self) -> np.ndarray:
        return self._measured[0]

    @property
    def additive(self) -> bool:
        return self._measured[1]

    def part(self, first: int, end: int) -> tuple[list[str], np.ndarray]:
        """The heading and the lines [first, end), from 0; nothing at all where there are no lines."""
        if first >= end:
            return [], np.zeros(0, dtype=np.int64)
        lines = slice(first + 1, end + 1)
        return self.pieces[:1] + self.pieces[lines], np.concatenate([self.tokens[:1], self.tokens[lines]])


def shown(number: int, line: str) -> str:
    """A line with its number."""
    return f"L{number}: {line}\n" if line else f"L{number}:\n"


@lru_cache(maxsize=4096)
def numbered(prompter: Prompter, file: CodeFile) -> Numbered:
    """A file that is measured once for all samples."""
    return Numbered(prompter, file.path, file.text)


def nearest(files: Sequence[CodeFile], own: CodeFile, rng: random.Random) -> Iterator[CodeFile]:
    """The other files in random order, those of the same folder first."""
    folder = PurePosixPath(own.path).parent
    others = [file for file in rng.sample(files, len(files)) if file != own]
    return iter(sorted(others, key=lambda file: PurePosixPath(file.path).parent != folder))


@dataclass(frozen=True)
class Surroundings:
    """Files before and after one file, nearest first; `share` of the lines around it come before it."""

    before: list[Numbered]
    own: Numbered
    after: list[Numbered]
    share: float

    @property
    def most(self) -> int:
        return sum(map(len, (*self.before, self.own, *self.after)))

    @property
    def additive(self) -> bool:
        return all(file.additive for file in (*self.before, self.own, *self.after))

    def window(self, n: int, first: int, last: int) -> list[tuple[Numbered, int, int]]:
        """Which lines [a, b) of which files are the n lines around the lines first to last (from 1) of the own file."""
        whole = len(self.own)
        if n <= whole:
            start = first - 1 - round(self.share * (n - (last - first + 1)))
            start = min(max(start, 0), whole - n)
            return [(self.own, start, start + n)]
        room = sum(map(len, self.before)), sum(map(len, self.after))
        left = max(min(round(self.share * (n - whole)), room[0]), n - whole - room[1])
        right = n - whole - left
        above, below = [], []
        for file in self.before:
            taken = min(left, len(file))
            left -= taken
            above.append((file, len(file) - taken, len(file)))
        for file in self.after:
            taken = min(right, len(file))
            right -= taken
            below.append((file, 0, taken))
        return [*reversed(above), (self.own, 0, whole), *below]


def surroundings(own: Numbered, others: Iterator[Numbered], share: float, enough: float) -> Surroundings:
    """As many files on each side as its share of `enough` tokens takes, or all there are."""
    before: list[Numbered] = []
    after: list[Numbered] = []
    missing = [share * enough, (1 - share) * enough]
    while max(missing) > 0:
        file = next(others, None)
        if file is None:
            break
        side = int(missing[0] <= 0)
        (before, after)[side].append(file)
        missing[side] -= int(file.tokens.sum())
    return Surroundings(before, own, after, share)
