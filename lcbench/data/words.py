"""The words that needles and word lists are made of: those of the package wonderwords, as RULER uses them."""

from __future__ import annotations

import functools
from importlib.resources import files


@functools.cache
def nouns() -> list[str]:
    """6,782 nouns, in the package's order."""
    return _read("nounlist.txt")


@functools.cache
def adjectives() -> list[str]:
    """912 adjectives, in the package's order."""
    return _read("adjectivelist.txt")


@functools.cache
def verbs() -> list[str]:
    """1,042 verbs, in the package's order."""
    return _read("verblist.txt")


@functools.cache
def all_words() -> list[str]:
    """The 8,166 different nouns, adjectives and verbs, sorted."""
    return sorted({*nouns(), *adjectives(), *verbs()})


def _read(name: str) -> list[str]:
    text = files("wonderwords").joinpath("assets", name).read_text(encoding="utf-8")
    return [line.rstrip() for line in text.splitlines()]
