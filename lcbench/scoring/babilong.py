"""BABILong's metric, and a variant that reads whole words. Source: booydar/babilong 7a6efee, babilong/metrics.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from lcbench.records import Score
from lcbench.scoring.texts import verdict


def first_sentence(completion: str) -> str:
    """Lower case, up to the first full stop and the first tag of another example.

    Upstream also cuts at "Question", which it never finds in a text that is in lower case by then.
    """
    text = completion.lower()
    for end in (".", "<context>", "<example>"):
        text = text.partition(end)[0]
    return text


def _score(
    completion: str,
    references: Sequence[str],
    question: str,
    labels: Sequence[str],
    contains: Callable[[str, str], bool],
) -> Score:
    """Right where the labels of the first sentence, less those of the question, are the target and nothing else."""
    text, asked = first_sentence(completion), question.lower()
    found = {label for label in {x.lower() for x in labels} if contains(text, label) and not contains(asked, label)}
    target = references[0].lower() if references else ""
    # Only qa8 has targets of several labels. qa19's directions ("e,n") have a comma too, and are single labels.
    parts = target.split(",") if "," in target and len(target) > 3 else [target]
    right = len(found) == len(parts) and found.issuperset(parts)
    return verdict(right, completion, ",".join(sorted(found)) or None)


def _within(text: str, label: str) -> bool:
    return label in text


def _as_word(text: str, label: str) -> bool:
    return re.search(rf"\b{re.escape(label)}\b", text) is not None


def official(completion: str, references: Sequence[str], *, question: str, labels: Sequence[str]) -> Score:
    """compare_answers, exactly: labels count wherever their letters stand.

    So "know" contains "no", and an answer "none" to qa7 contains "one" too, is two labels and never right.
    """
    return _score(completion, references, question, labels, _within)


def word_boundary(completion: str, references: Sequence[str], *, question: str, labels: Sequence[str]) -> Score:
    """Our own variant: the same steps with labels matched as whole words. Not comparable with published figures."""
    return _score(completion, references, question, labels, _as_word)
