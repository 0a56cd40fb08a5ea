"""The sandbox tasks: what is wrong with a bank's log and where, and the line of a bug in code.

The last of several answers counts, since models think aloud before they settle on one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lcbench.records import Score
from lcbench.scoring.texts import last_match, verdict

FLAW = re.compile(r"\b(?:CALC_ERROR|NEGATIVE_BAL|LOST_UPDATE|DUPLICATE_TXN)\b", re.IGNORECASE)
TRANSFER = re.compile(r"\bTX\d{1,9}\b", re.IGNORECASE)
LINE = re.compile(r"\.py:L(\d{1,9})\b")
FILE = re.compile(r"\.py\b")
NO_PATH = re.compile(r"[^\w./-]")
PATH_CHARACTERS = 400


def _with_beside(score: Score, **beside: bool) -> Score:
    named = {name.replace("_", " "): float(right) for name, right in beside.items()}
    return Score(score.value, score.extracted, score.flags, named)


def bank_log(completion: str, references: Sequence[str]) -> Score:
    """Right where kind and transfer are: `LOST_UPDATE TX123456`. Beside it, whether each of the two is right."""
    found = [match[0].upper() if match else "" for match in (last_match(p, completion) for p in (FLAW, TRANSFER))]
    wanted = references[0].split() if references else []
    score = verdict(found == wanted, completion, " ".join(filter(None, found)) or None)
    return _with_beside(score, kind=found[0] in wanted[:1], place=found[1] in wanted[1:])


def code_bug(completion: str, references: Sequence[str]) -> Score:
    """Right where file and line are, written `folder/file.py:L12`. Beside it, whether the file is right."""
    match = last_match(LINE, completion) or last_match(FILE, completion)
    path = place = ""
    if match:
        # A path is read backwards from its ending: a pattern for all of it would take quadratic time.
        before = completion[max(match.start() - PATH_CHARACTERS, 0) : match.start()]
        path = NO_PATH.split(before)[-1] + ".py"
        place = f"{path}:L{match[1]}" if match.re is LINE else ""
    wanted = references[0] if references else ""
    score = verdict(bool(place) and place == wanted, completion, place or path or None)
    return _with_beside(score, file=bool(path) and path == wanted.partition(":")[0])
