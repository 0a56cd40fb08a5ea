"""LongBench v2: the letter of a multiple choice. Source: THUDM/LongBench 2e00731, pred.py, extract_answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lcbench.records import Score
from lcbench.scoring.texts import find_letter, verdict

BRACKETED = re.compile(r"The correct answer is \(([A-D])\)")
BARE = re.compile(r"The correct answer is ([A-D])")


def _score(completion: str, references: Sequence[str], letter: str | None) -> Score:
    return verdict(bool(references) and letter == references[0], completion, letter)


def official(completion: str, references: Sequence[str]) -> Score:
    """The first "The correct answer is (B)", else the first "The correct answer is B", asterisks aside.

    Exactly upstream's rule with its quirks: "The correct answer is Carbon" is C, while a colon or a small "the" is no
    answer at all. No answer is wrong.
    """
    text = completion.replace("*", "")
    match = BRACKETED.search(text) or BARE.search(text)
    return _score(completion, references, match[1] if match else None)


def lenient(completion: str, references: Sequence[str]) -> Score:
    """Our own variant: `find_letter`, which reads "answer: (b)" and a lone "B" too. The last one counts."""
    return _score(completion, references, find_letter(completion))
