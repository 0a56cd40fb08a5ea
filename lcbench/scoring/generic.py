"""Scorers for tasks of one's own. Their arguments are set in the task's YAML; a blank completion always scores 0."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal, localcontext

from lcbench.errors import UsageError
from lcbench.records import Score
from lcbench.scoring import texts
from lcbench.scoring.isolated import Sandbox
from lcbench.scoring.texts import f1, find_letter, last_match, verdict

__all__ = [
    "choice",
    "exact_match",
    "f1",
    "includes",
    "includes_all",
    "number",
    "regex",
    "rouge",
    "starts_with",
]

# At most 40 groups of thousands: without a bound, a long text of them would be read again from each of them.
NUMBER = re.compile(
    r"(?:(?<![\w.)])-)?"
    r"(?:(?<![0-9])\.[0-9]++|(?:[0-9]{1,3}(?:,[0-9]{3}){1,40}+(?![0-9])|[0-9]++)(?:\.[0-9]++)?)"
    r"(?:[eE][+-]?[0-9]{1,6}+)?"
)
NUMBER_CHARACTERS = 1000  # a longer number is none
REGEX_SECONDS = 2.0


def _fold(text: str, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _bare(text: str) -> str:
    return "".join(c for c in text if not unicodedata.category(c).startswith("P"))


def exact_match(
    completion: str,
    references: Sequence[str],
    *,
    ignore_case: bool = True,
    ignore_punctuation: bool = False,
    strip: bool = True,
) -> Score:
    """The completion is one of the references, as far as case, punctuation and white space at the ends count."""

    def shape(text: str) -> str:
        text = _fold(text, ignore_case)
        # A text of nothing but punctuation keeps it: it would be equal to any other.
        text = (_bare(text).strip() and _bare(text)) or text if ignore_punctuation else text
        return text.strip() if strip else text

    found = shape(completion)
    right = bool(completion.strip()) and found in map(shape, references)
    return verdict(right, completion, found if completion.strip() else None)


def _included(completion: str, references: Sequence[str], ignore_case: bool) -> list[bool]:
    text = _fold(completion, ignore_case)
    return [bool(r.strip()) and _fold(r, ignore_case) in text for r in references]


def includes(completion: str, references: Sequence[str], *, ignore_case: bool = True) -> Score:
    """The completion contains one of the references."""
    return verdict(any(_included(completion, references, ignore_case)), completion, completion.strip() or None)


def includes_all(completion: str, references: Sequence[str], *, ignore_case: bool = True) -> Score:
    """The share of the references that the completion contains."""
    found = _included(completion, references, ignore_case)
    return verdict(sum(found) / len(found) if found else 0.0, completion, completion.strip() or None)


def starts_with(completion: str, references: Sequence[str], *, ignore_case: bool = True) -> Score:
    """The completion begins with one of the references, white space aside."""
    text = _fold(completion.strip(), ignore_case)
    right = any(r.strip() and text.startswith(_fold(r.strip(), ignore_case)) for r in references)
    return verdict(right, completion, completion.strip() or None)


def find(pattern: str, text: str, group: int, take: str) -> str | None:
    """In the worker: a group of the first or the last match."""
    found = None
    for match in re.finditer(pattern, text):
        found = match[group]
        if take == "first":
            break
    return found


SANDBOX = Sandbox("lcbench.scoring.generic:find", ["a", "a", 0, "last"])


def regex(
    completion: str,
    references: Sequence[str],
    *,
    pattern: str = r"(?i)answer(?: is|:) *([^\n]+)",
    group: int = 1,
    take: str = "last",
    ignore_case: bool = True,
) -> Score:
    """What a group of the first or last match holds is one of the references, white space at the ends aside.

    No bound on the text keeps a pattern such as (a+)+$ from running for years, so the search runs in a worker process
    and is given two seconds; then the answer is wrong and flagged "timeout".
    """
    if take not in ("first", "last"):
        raise UsageError(f"take of regex is {take!r}, and can be first or last")
    try:
        groups = re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"pattern of regex is no regular expression: {error}") from error
    if not 0 <= group <= groups:
        raise UsageError(f"group of regex is {group}, and its pattern has {groups}")
    if not completion.strip():
        return verdict(0.0, completion, None)
    found, failure = SANDBOX.call(pattern, completion, group, take, timeout=REGEX_SECONDS)
    if found is None or not found.strip():
        return verdict(0.0, completion, None, *([failure] if failure else []))
    answer = found.strip()
    right = _fold(answer, ignore_case) in (_fold(r.strip(), ignore_case) for r in references)
    return verdict(right, completion, answer)


def last_number(text: str) -> Decimal | None:
    """The last number, with or without groups of thousands, a sign and an exponent."""
    last = last_match(NUMBER, text.replace("\N{MINUS SIGN}", "-"))
    if not last or len(last[0]) > NUMBER_CHARACTERS:
        return None
    return Decimal(last[0].replace(",", ""))


def number(completion: str, references: Sequence[str], *, tolerance: float = 0.0) -> Score:
    """The last number of the completion is that of a reference, give or take `tolerance`. Decimal, so 0.10 is 0.1."""
    found = last_number(completion)
    if found is None:
        return verdict(0.0, completion, None)
    wanted = [n for n in map(last_number, references) if n is not None]
    with localcontext() as context:
        context.prec = 50
        context.Emax, context.Emin = 10**7, -(10**7)
        right = any(abs(found - n) <= Decimal(str(tolerance)) for n in wanted)
    return verdict(right, completion, str(found))


def choice(completion: str, references: Sequence[str], *, letters: str = "ABCD") -> Score:
    """The letter of a multiple choice, read by `find_letter`. A reference is a letter, or names one the same way."""
    found = find_letter(completion, letters)
    return verdict(found is not None and found in (find_letter(r, letters) for r in references), completion, found)


def rouge(completion: str, references: Sequence[str], *, stemmer: bool = False, kind: str = "geometric") -> Score:
    """F of ROUGE: "rouge1", "rouge2" or "rougeL", or the "geometric" mean of the three."""
    return texts.rouge(completion, references, kind, stemmer)
