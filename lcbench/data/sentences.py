"""Where sentences begin, by a rule of our own: upstream's splitters need models that are downloaded."""

from __future__ import annotations

import numpy as np

ABBREVIATIONS = {"mr.", "mrs.", "ms.", "dr.", "st.", "vs.", "etc.", "e.g.", "i.e.", "prof.", "jr.", "sr.", "no."}
CLOSING = "\"')]"


def sentence_starts(pieces: list[str], closing: str = CLOSING) -> np.ndarray:
    """Indices of the words that begin a sentence: a word after one that ends in . ! or ?, unless that is an
    abbreviation. `closing` are the characters that may stand behind the full stop.
    """
    ends = [p.rstrip(closing).endswith((".", "!", "?")) and p.strip().lower() not in ABBREVIATIONS for p in pieces[:-1]]
    return np.array([0] + [i + 1 for i, end in enumerate(ends) if end], dtype=np.int64)
