"""Prompts around a text of its own length: whole where it fits, else cut to the largest part that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lcbench.errors import CannotBuild
from lcbench.prompting import Prompter

Cut = Literal["middle", "end", "start"]
JOINED = 16  # tokens that may be fewer where a text meets what is around it
STEPS = 8  # after which the search halves its range: a text whose tokens do not add up, as where a template trims it


@dataclass(frozen=True)
class Draft:
    """The last message before it is cut: what comes before the document, the document, what comes after."""

    head: str
    document: str
    tail: str
    answer_prefix: str = ""


@dataclass(frozen=True)
class Finished:
    """The last message within its budget; `tokens` of the whole prompt, template and answer prefix included."""

    content: str
    tokens: int
    truncated: bool


def whole(prompter: Prompter, content: str, answer_prefix: str, budget: int | None) -> Finished:
    """A message that may not be cut. Raises CannotBuild where it does not fit. budget: None where it is unbounded."""
    tokens = prompter.count(prompter.render(prompter.conversation(content), answer_prefix))
    if budget is not None and tokens > budget:
        raise CannotBuild(f"has {tokens} tokens, {budget} are there for the prompt")
    return Finished(content, tokens, False)


def cut_to(prompter: Prompter, draft: Draft, budget: int | None, cut: Cut, separator: str = "") -> Finished:
    """The draft with the longest part of its document with which the whole prompt has at most `budget` tokens.

    cut: "end" and "start" drop that end of the document; "middle" leaves of the whole prompt as many tokens before the
    cut as after it, as THUDM/LongBench 2e00731 pred.py cuts prompts, but never anything outside the document.
    The separator stands where text is missing, and is left out only where it does not fit even alone.
    Raises CannotBuild where not even an empty document fits.
    """

    def finished(document: str, truncated: bool) -> Finished:
        content = draft.head + document + draft.tail
        tokens = prompter.count(prompter.render(prompter.conversation(content), draft.answer_prefix))
        return Finished(content, tokens, truncated)

    offsets = prompter.backend.encode(draft.document, add_special_tokens=False).offsets
    frame = finished("", True)
    n = len(offsets)
    # Counting a whole text that is far too long would cost as much as encoding it again.
    if budget is None or n + frame.tokens <= 1.05 * budget + JOINED:
        complete = finished(draft.document, False)
        if budget is None or complete.tokens <= budget:
            return complete
    if frame.tokens > budget:
        raise CannotBuild(f"needs {frame.tokens} tokens without its document, {budget} are there for the prompt")
    before = prompter.count(_text_before(prompter, draft))

    def part(kept: int) -> str:
        return _part(draft.document, offsets, kept, cut, separator, before, frame.tokens - before)

    alone = finished(separator, True) if separator else frame
    fits, best = 0, alone if alone.tokens <= budget else frame
    kept = min(n - 1, max(1, budget - best.tokens))
    too_many, steps = n, 0
    while fits < kept < too_many:
        made, steps = finished(part(kept), True), steps + 1
        if made.tokens <= budget:
            fits, best = kept, made
            kept += max(1, budget - made.tokens)
        else:
            too_many = kept
            kept -= max(1, made.tokens - budget)
        if steps > STEPS:
            kept = (fits + too_many) // 2
        kept = max(fits + 1, min(kept, too_many - 1))
    return best


def _text_before(prompter: Prompter, draft: Draft) -> str:
    """Everything of the prompt before the document, chat template included."""
    mark = "\ue000"
    return prompter.render(prompter.conversation(draft.head + mark + draft.tail), draft.answer_prefix).split(mark)[0]


def _part(
    document: str, offsets: list[tuple[int, int]], kept: int, cut: Cut, separator: str, before: int, after: int
) -> str:
    """The document with `kept` of its tokens; before, after: tokens of the prompt around it."""
    n = len(offsets)
    if cut == "end":
        left = kept
    elif cut == "start":
        left = 0
    else:
        left = min(max((before + kept + after) // 2 - before, 0), kept)
    right = kept - left
    head = document[: offsets[left - 1][1]] if left else ""
    tail = document[offsets[n - right][0] :] if right else ""
    return head + separator + tail
