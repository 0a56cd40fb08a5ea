"""GSM8K: the two extractions of the common evaluation. Source: EleutherAI/lm-evaluation-harness 4e7e0d4, gsm8k.yaml."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lcbench.records import Score
from lcbench.scoring.texts import last_match, verdict

FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
STRICT = re.compile(r"#### (-?[0-9.,]+)")


def normalise(answer: str) -> str:
    """Without what exact match ignores: commas, dollars and a full stop at the end.

    Upstream ignores all before "#### " as well, which no extracted number has in it.
    """
    return answer.replace(",", "").replace("$", "").removesuffix(".").lower()


def last_number(text: str) -> str | None:
    """The last run of digits, dots, commas and dollars. An ellipsis is one too, as upstream has it."""
    last = last_match(FLEXIBLE, text)
    return normalise(last[0]) if last else None


def gold(reference: str) -> str | None:
    """What follows "#### "; without it the last number, be the reference a bare number or a whole solution."""
    _, mark, after = reference.rpartition("#### ")
    return normalise(after.strip()) if mark else last_number(reference)


def _score(completion: str, references: Sequence[str], answer: str | None) -> Score:
    return verdict(answer is not None and answer in map(gold, references), completion, answer)


def flexible(completion: str, references: Sequence[str]) -> Score:
    """flexible-extract: the last number of the completion equals the gold answer, digit for digit."""
    return _score(completion, references, last_number(completion))


def strict(completion: str, references: Sequence[str]) -> Score:
    """strict-match: the first number after "#### " equals the gold answer, digit for digit."""
    match = STRICT.search(completion)
    return _score(completion, references, normalise(match[1]) if match else None)
