"""RULER's two metrics, exactly. Source: NVIDIA/RULER c3f5e3b, scripts/eval/synthetic/constants.py and evaluate.py."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lcbench.records import Score

CONTROL = re.compile(r"[\x00-\x1f]")


def postprocess(completion: str) -> str:
    """Control characters become line breaks, the ends are stripped."""
    return CONTROL.sub("\n", completion.strip()).strip()


def _score(completion: str, references: Sequence[str], combine: str) -> Score:
    text = postprocess(completion)
    found = [r.lower() in text.lower() for r in references]
    value = sum(found) / len(found) if combine == "all" else float(any(found))
    return Score(value, text or None, () if text else ("empty",))


def match_all(completion: str, references: Sequence[str]) -> Score:
    """string_match_all: the share of references that the completion contains, letter case aside."""
    return _score(completion, references, "all")


def match_part(completion: str, references: Sequence[str]) -> Score:
    """string_match_part: 1 where the completion contains any reference, letter case aside."""
    return _score(completion, references, "part")
