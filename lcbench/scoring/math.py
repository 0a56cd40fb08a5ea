"""MATH-500: the boxed answer, compared by Math-Verify (Hugging Face, Apache-2.0) in a worker process.

The problems are those of Lightman et al. 2023 (arXiv:2305.20050). There is no one official grader; this is the rule
that most evaluations have come to: the last balanced box, else the last "Answer:" line, and equality of expressions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lcbench.records import Score
from lcbench.scoring.isolated import Sandbox
from lcbench.scoring.texts import last_match, verdict

LONGEST = 2000  # characters of an expression; longer ones are compared as texts only
BRACE = re.compile(
    r"\\(?:boxed|fbox)\s{0,8}\{|\\[{}]|[{}]|\\(?:boxed|fbox)[ \t]{1,8}([^\s$\\{}][^\s$]*|\\[a-z]+\{[^\s$]*)"
)
DOLLAR = re.compile(r"(?<!\\)\$")
ANSWER = re.compile(r"(?i)\banswer\b[*_]{0,3}\s{0,8}:[*_]{0,3}\s{0,8}([^\n]+)")
INLINE = re.compile(r"\$+([^$]+)\$+|\\\((.+?)\\\)")
SANDBOX = Sandbox("lcbench.scoring.math:compare", [r"\frac{1}{2}", "0.5"])


def last_boxed(text: str) -> str | None:
    r"""What the last balanced \boxed{..} or \fbox{..} holds, or the word after a \boxed without braces.

    One pass with a stack, so that a million open braces cost no more than a million letters.
    """
    opened: list[tuple[bool, int]] = []
    start, content = -1, None
    for match in BRACE.finditer(text):
        token = match[0]
        if match[1]:
            begin, held = match.start(1), match[1].rstrip(".,;")
        elif token == "}" and opened:
            boxed, begin = opened.pop()
            # Inner boxes close first. Only what can win is copied: nested boxes would be quadratic.
            held = text[begin : match.start()] if boxed and begin > start else ""
        else:
            if token.endswith("{") and token != r"\{":
                opened.append((len(token) > 1, match.end()))
            continue
        if begin > start and held.strip():
            start, content = begin, held.strip()
    return content


def last_answer_line(text: str) -> str | None:
    """What the last "Answer:" is followed by, on its line or the next: the formula in it if there is one."""
    last = last_match(ANSWER, text)
    if not last:
        return None
    line = last[1][: LONGEST * 2]
    formulas = [a or b for a, b in INLINE.findall(line)]
    return (formulas[-1] if formulas else line.strip(" \t\r*_$").removesuffix(".")).strip() or None


def extract(completion: str) -> str | None:
    """The answer that a completion states, as LaTeX."""
    return last_boxed(completion) or last_answer_line(completion)


def compare(gold: str, answer: str) -> str:
    """In the worker: "equal", "different", or "unparsed" where Math-Verify finds no expression in the answer."""
    from math_verify import parse, verify

    # Its own timeouts are signals for the main thread, and stop no arithmetic; the sandbox has a better one.
    wanted, found = (parse(f"${DOLLAR.sub('', x)}$", parsing_timeout=None) for x in (gold, answer))
    if not found:
        return "unparsed"
    return "equal" if verify(wanted, found, timeout_seconds=None) else "different"


def equivalent(gold: str, answer: str, timeout: float = 5.0) -> tuple[bool, str | None]:
    """Whether two pieces of LaTeX say the same, and the flag of a verdict that Math-Verify could not reach.

    Not symmetric, as Math-Verify is not: the gold answer comes first.
    """
    if " ".join(gold.split()) == " ".join(answer.split()):
        return True, None
    if max(len(gold), len(answer)) > LONGEST:
        return False, "too long"
    result, failure = SANDBOX.call(gold, answer, timeout=timeout)
    return result == "equal", failure or ("unparsed" if result == "unparsed" else None)


def verify(completion: str, references: Sequence[str], *, timeout: float = 5.0) -> Score:
    """Whether the extracted answer equals a reference, which is bare LaTeX. Each comparison may take `timeout` seconds.

    One that takes longer is wrong and flagged "timeout", so hostile answers to one problem cannot stop a run.
    """
    answer = extract(completion)
    if answer is None:
        return verdict(0.0, completion, None)
    flags: list[str] = []
    for reference in references:
        equal, flag = equivalent(reference, answer, timeout)
        if equal:
            return verdict(1.0, completion, answer)
        flags += [flag] if flag and flag not in flags else []
    return verdict(0.0, completion, answer, *flags)
