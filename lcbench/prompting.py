"""Sample + tokenizer -> token ids within an exact budget.

Encoding a 128k-token prompt takes a third of a second, so a haystack is not encoded again for every sample: its pieces
are measured once, in place between neighbours of their own kind, and only the two ends of a prompt, where the haystack
meets the template, are encoded for each sample. Where a token of some tokenizer reaches across pieces, the sum is not
exact, and the whole prompt is encoded instead. Either way the count is the count of the finished prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError

from lcbench.errors import CannotBuild, UsageError
from lcbench.records import Evidence, Option, Sample, Turn, answer_mark

CONTEXT = "\ue000context\ue000"  # private-use characters: they stand where the haystack goes while a frame is made
Units = float | np.ndarray
DOCUMENT = 64  # units measured side by side in one encoding


@dataclass(frozen=True)
class Frame:
    """Everything of a finished prompt but its haystack: the text to the left of it and to the right (answer prefix
    included).
    """

    left: str
    right: str
    content_left: str
    content_right: str
    answer_prefix: str


@dataclass(frozen=True)
class Context:
    """A haystack of some size: its pieces in order, the tokens of each (None: not additive), and which are evidence.

    evidence: (first piece, last piece) of each needle, both included.
    """

    pieces: list[str]
    counts: np.ndarray | None
    evidence: list[tuple[int, int]]


class Prompter:
    """A tokenizer and its chat template: messages -> text -> token ids, and how many tokens that makes.

    folder: a local folder with the tokenizer's files. chat_template: None for the model's own, "none" for no template
    at all, else a file with a Jinja2 template. system: text of a system message. template_args: variables for the
    template.
    Raises UsageError where the tokenizer cannot be read or is not a fast one, or the template cannot be rendered.
    """

    def __init__(
        self,
        folder: Path,
        chat_template: str | None = None,
        system: str | None = None,
        template_args: dict[str, Any] | None = None,
        trust_remote_code: bool = False,
    ):
        from transformers import AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
        except (OSError, ValueError) as error:
            raise UsageError(f"The tokenizer in {folder} cannot be read: {error}") from error
        if not self.tokenizer.is_fast:
            raise UsageError(f"The tokenizer in {folder} is not a fast one: exact lengths need its tokenizer.json.")
        self.backend = self.tokenizer.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        self.system = system
        self.template_args = dict(template_args or {})
        self.template = _chat_template(self.tokenizer.chat_template, chat_template)
        if self.template is not None and "enable_thinking" in self.template:
            self.template_args.setdefault("enable_thinking", False)

    def conversation(self, content: str) -> tuple[dict[str, str], ...]:
        """The messages of one user turn, after the system message asked for."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return (*system, {"role": "user", "content": content})

    def render(self, messages: Sequence[dict[str, str]], answer_prefix: str) -> str:
        """The text of a prompt: chat template + messages + answer prefix, verbatim."""
        if self.template is None:
            return "\n\n".join(m["content"] for m in messages) + answer_prefix
        try:
            text = self.tokenizer.apply_chat_template(
                list(messages),
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=True,
                **self.template_args,
            )
        except TemplateError as error:
            raise UsageError(
                f"The chat template cannot be rendered: {error}", hint="--chat-template FILE, or none"
            ) from error
        return str(text) + answer_prefix

    @cached_property
    def bos(self) -> list[int]:
        """What goes before a prompt without a chat template: the tokenizer's first token, where it puts one (a
        template has it).
        """
        first = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.cls_token_id
        adds = self.tokenizer("")["input_ids"][:1] == [first]
        return [first] if self.template is None and first is not None and adds else []

    @cached_property
    def start(self) -> list[int]:
        """One token for a text to begin after, where nothing else comes before it."""
        ids = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return [next((i for i in ids if i is not None), 0)]

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered prompt."""
        return self.bos + self.backend.encode(text, add_special_tokens=False).ids

    def encode_turn(self, turn: Turn, answers: Sequence[str], limit: int | None) -> list[int]:
        """Token ids of a later turn. Earlier answers that do not fit `limit` tokens of the whole lose their ends."""
        answers = [a.strip() for a in answers] if turn.stripped else list(answers)
        while True:
            messages = [{**m, "content": _with_answers(m["content"], answers)} for m in turn.messages]
            ids = self.encode(self.render(messages, _with_answers(turn.answer_prefix, answers)))
            over = 0 if limit is None else len(ids) + turn.max_new_tokens - limit
            longest = max(answers, key=len, default="")
            if over <= 0 or not longest:
                return ids
            spans = self.backend.encode(longest, add_special_tokens=False).offsets
            answers[answers.index(longest)] = longest[: spans[max(0, len(spans) - over)][0]] if spans else ""

    def encode_option(self, option: Option) -> tuple[list[int], list[int]]:
        """Token ids before an option, and of the option: those that the whole text has more.

        Blanks at the end of what comes before belong to the option, as tokenizers join them to the next word
        (EleutherAI/lm-evaluation-harness 4e7e0d47, api/model.py, _encode_pair).
        """
        before = self.render(option.messages, option.answer_prefix) if option.messages else option.answer_prefix
        kept = before.rstrip() if before else before
        ids = self.encode(kept) if kept else self.start
        if not kept:
            return ids, self.backend.encode(option.continuation, add_special_tokens=False).ids
        return ids, self.encode(before + option.continuation)[len(ids) :]

    def count(self, text: str) -> int:
        """How many tokens a rendered prompt has."""
        return len(self.encode(text))

    def frame(self, template: str, answer_prefix: str) -> Frame:
        """The frame of a prompt whose text holds CONTEXT where the haystack goes."""
        content_left, content_right = template.split(CONTEXT)
        text = self.render(self.conversation(template), answer_prefix)
        if text.count(CONTEXT) != 1:
            raise UsageError(
                "The chat template does not print the user's message exactly once.", hint="--chat-template none"
            )
        left, right = text.split(CONTEXT)
        return Frame(left, right, content_left, content_right, answer_prefix)

    def measure(self, units: Sequence[tuple[str, ...]]) -> np.ndarray | None:
        """Tokens of every piece of every unit, in place between other units: [units, pieces]; None where a token
        reaches across.

        units: tuples of equally many pieces, each with the space before it or the line break after it as part of it.
        """
        if not units:
            return np.zeros((0, 0), dtype=np.int64)
        groups = [range(start, min(start + DOCUMENT, len(units))) for start in range(0, len(units), DOCUMENT)]
        rows = [[units[g[0] - 1], *(units[i] for i in g), units[(g[-1] + 1) % len(units)]] for g in groups]
        documents = [[piece for unit in row for piece in unit] for row in rows]
        encodings = self.backend.encode_batch(["".join(d) for d in documents], add_special_tokens=False)
        counts = [_tokens_per_piece(d, e.offsets) for d, e in zip(documents, encodings, strict=True)]
        if any(c is None for c in counts):
            return None
        width = len(units[0])
        return np.concatenate([c.reshape(-1, width)[1:-1] for c in counts if c is not None])


def _with_answers(text: str, answers: Sequence[str]) -> str:
    """`text` with every answer mark filled in one pass, so that marks inside an answer stay what they are."""
    marks = {answer_mark(k): answer for k, answer in enumerate(answers)}
    return re.sub("|".join(marks), lambda found: marks[found[0]], text)


def _chat_template(own: str | None, asked: str | None) -> str | None:
    if asked is None:
        return own
    if asked == "none":
        return None
    if not Path(asked).is_file():
        raise UsageError(f"No chat template at {asked}.", hint="--chat-template FILE, or none")
    return Path(asked).read_text(encoding="utf-8")


def _tokens_per_piece(pieces: list[str], offsets: list[tuple[int, int]]) -> np.ndarray | None:
    """Tokens that start in each piece; None where a token holds visible characters of two pieces."""
    text = "".join(pieces)
    ends = np.cumsum([len(p) for p in pieces])
    spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    first = np.searchsorted(ends, spans[:, 0], side="right")
    last = np.searchsorted(ends, np.maximum(spans[:, 1] - 1, spans[:, 0]), side="right")
    for token in np.flatnonzero(last != first):
        start, end = spans[token]
        boundary = ends[first[token]]
        if text[start:boundary].strip() and text[boundary:end].strip():
            return None
    return np.bincount(np.minimum(first, len(pieces) - 1), minlength=len(pieces))


class Fitter:
    """Makes the samples of one cell: the largest haystack with prompt_tokens + max_new_tokens <= length.

    The first sample is also encoded whole: if the sum of its pieces is not exact with this tokenizer, every sample of
    the cell is encoded whole instead.
    """

    def __init__(self, prompter: Prompter, task: str, length: int, max_new_tokens: int):
        self.prompter = prompter
        self.task = task
        self.length = length
        self.max_new_tokens = max_new_tokens
        self.budget = length - max_new_tokens
        self.additive = True
        self.certified = False

    def tokens(self, frame: Frame, context: Context) -> int:
        """Tokens of the finished prompt."""
        if self.additive and context.counts is not None:
            return self._sum(frame, context)
        return self.prompter.count(_text(frame, context.pieces))

    def _sum(self, frame: Frame, context: Context) -> int:
        """The sum of the pieces plus the frame, which is encoded with the few pieces at both ends."""
        assert context.counts is not None
        ends = 2
        if len(context.pieces) <= 2 * ends:
            return self.prompter.count(_text(frame, context.pieces))
        short = context.pieces[:ends] + context.pieces[-ends:]
        return self.prompter.count(_text(frame, short)) + int(context.counts[ends:-ends].sum())

    def fit(self, frame: Frame, build: Callable[[int], Context], least: int, most: int, per_unit: Units) -> Context:
        """The largest context within the budget, between `least` and `most` haystack units.

        per_unit: tokens of one unit, roughly, or of each unit in turn: where to look first. Raises CannotBuild where
        `least` does not fit.
        """
        context = self._search(frame, build, least, most, per_unit)
        if not self.certified:
            self.certified = True
            self.additive = self.tokens(frame, context) == self.prompter.count(_text(frame, context.pieces))
            if not self.additive:
                return self._search(frame, build, least, most, per_unit)
        return context

    def _search(self, frame: Frame, build: Callable[[int], Context], least: int, most: int, per_unit: Units) -> Context:
        smallest = build(least)
        size = self.tokens(frame, smallest)
        if size > self.budget:
            needed = size + self.max_new_tokens
            raise CannotBuild(f"needs {needed} tokens with this tokenizer, {self.length} were asked for")
        low, best, high = least, smallest, most + 1  # low fits, high does not
        mean = float(np.mean(per_unit))
        guess = low + int((self.budget - size) / mean)
        if isinstance(per_unit, np.ndarray):
            guess = low + int(np.searchsorted(np.cumsum(per_unit[low:]), self.budget - size, side="right"))
        while high - low > 1:
            middle = min(max(guess, low + 1), high - 1)
            context = build(middle)
            spare = self.budget - self.tokens(frame, context)
            if spare >= 0:
                low, best = middle, context
            else:
                high = middle
            step = int(abs(spare) / mean)
            guess = middle + max(step, 1) if spare >= 0 else middle - max(step, 1)
        return best

    def sample(
        self,
        index: int,
        frame: Frame,
        context: Context,
        references: Sequence[str],
        item: str | int | None = None,
        fields: dict[str, Any] | None = None,
    ) -> Sample:
        """The finished sample, with its exact count and where the evidence stands in the last message.

        item: its name in the data that it is made of, else its index. fields: what the metric reads beside references.
        """
        body = "".join(context.pieces)
        name = f"{self.task}:{self.length}:{index if item is None else item}"
        return Sample(
            id=name,
            task=self.task,
            length=self.length,
            index=index,
            messages=self.prompter.conversation(frame.content_left + body + frame.content_right),
            answer_prefix=frame.answer_prefix,
            references=tuple(references),
            context_id=name,
            prompt_tokens=self.tokens(frame, context),
            max_new_tokens=self.max_new_tokens,
            evidence=tuple(_evidence(frame, context, len(body))),
            fields=fields or {},
        )


def _text(frame: Frame, pieces: list[str]) -> str:
    return frame.left + "".join(pieces) + frame.right


def _evidence(frame: Frame, context: Context, body: int) -> list[Evidence]:
    found = []
    for first, last in context.evidence:
        before = sum(map(len, context.pieces[:first]))
        text = "".join(context.pieces[first : last + 1])
        lead = len(text) - len(text.lstrip())
        start = before + lead
        end = before + len(text.rstrip())
        offset = len(frame.content_left)
        found.append(Evidence(offset + start, offset + end, round(start / max(body, 1), 4)))
    return found


def sample_json(sample: Sample) -> str:
    """One line of `tasks build`: the finished sample, for use anywhere."""
    row: dict[str, Any] = {
        "id": sample.id,
        "task": sample.task,
        "length": sample.length,
        "index": sample.index,
        "messages": list(sample.messages),
        "answer_prefix": sample.answer_prefix,
        "references": list(sample.references),
        "prompt_tokens": sample.prompt_tokens,
        "max_new_tokens": sample.max_new_tokens,
        "evidence": [{"start": e.start, "end": e.end, "depth": e.depth} for e in sample.evidence],
        "context_id": sample.context_id,
    }
    if sample.fields:
        row["fields"] = sample.fields
    if sample.later:
        row["later"] = [asdict(turn) for turn in sample.later]
    if sample.options:
        row["options"] = [asdict(option) for option in sample.options]
    return json.dumps(row, ensure_ascii=False)
