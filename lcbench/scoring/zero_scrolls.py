"""ZeroSCROLLS' five metrics, from 0 to 1 in place of 0 to 100.

Source: Shaham et al. 2023 (arXiv:2305.14196), section 3, and the metrics of the data set tau/zero_scrolls.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence

from lcbench.records import Score
from lcbench.scoring import texts
from lcbench.scoring.texts import f1, rouge_f, verdict

__all__ = ["choice", "concordance", "exponential_similarity", "f1", "rouge", "rouge_f"]

LETTER = re.compile(r"\b[A-D]\b")
# \d+\.?\d*% finds the same, but in cubic time where a long number has no sign after it.
PERCENT = re.compile(r"(?<!\d)(\d++(?:\.\d*+)?+)%")
DIGITS = 18  # an id with more of them is none


def rouge(completion: str, references: Sequence[str], *, stemmer: bool = False) -> Score:
    """The geometric mean of the F of ROUGE-1, ROUGE-2 and ROUGE-L, each the best over the references.

    Upstream takes the geometric mean after it has averaged each of the three over the samples; the mean over samples of
    this one is never above that. So the three stand beside it, under "rouge1", "rouge2" and "rougeL". A text without a
    common word pair has ROUGE-2 0 and so 0 here.
    """
    return texts.rouge(completion, references, "geometric", stemmer)


def choice(completion: str, references: Sequence[str]) -> Score:
    """Accuracy of the first A, B, C or D that stands alone, be it the article of a sentence."""
    match = LETTER.search(completion)
    wanted = [m[0] for m in map(LETTER.search, references) if m]
    letter = match[0] if match else None
    return verdict(letter in wanted, completion, letter)


def exponential_similarity(completion: str, references: Sequence[str]) -> Score:
    """0.5 to the power of a tenth of the distance in percentage points; the first percentage counts, none is 0."""
    match = PERCENT.search(completion)
    if not match:
        return verdict(0.0, completion, None)
    wanted = [m[1] for m in map(PERCENT.search, references) if m]
    # The same text first: two numbers beyond all floats are both infinite, and their distance is no number.
    best = max((1.0 if w == match[1] else 0.5 ** (abs(float(w) - float(match[1])) / 10) for w in wanted), default=0.0)
    return verdict(best if best == best else 0.0, completion, match[0])


def ids(text: str) -> list[int]:
    """The whole numbers of a text, once all but digits, commas and spaces is gone; none where one is absurdly long."""
    numbers = re.sub(r"[^0-9, ]", "", text).replace(",", " ").split()
    return [] if any(len(n) > DIGITS for n in numbers) else [int(n) for n in numbers]


def concordance_index(order: Sequence[int], gold: Sequence[int]) -> float:
    """The share of pairs in the right order; 0 unless both hold the same ids. A single id is in order."""
    if not gold or sorted(order) != sorted(gold):
        return 0.0
    place = {item: i for i, item in enumerate(gold)}
    seen: list[int] = []
    right = pairs = 0
    for i, item in enumerate(order):
        right += bisect.bisect_left(seen, place[item])
        pairs += i
        bisect.insort(seen, place[item])
    return right / pairs if pairs else 1.0


def concordance(completion: str, references: Sequence[str]) -> Score:
    """The concordance index between the positions of the ids in the completion and in the reference, at best."""
    order = ids(completion)
    best = max((concordance_index(order, ids(r)) for r in references), default=0.0)
    return verdict(best, completion, ", ".join(map(str, order)) or None)
