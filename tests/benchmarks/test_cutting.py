"""Texts cut to a budget: whole where they fit, else as long as they can be, counted by another road."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from lcbench.benchmarks.cutting import Cut, Draft, Finished, cut_to, whole
from lcbench.errors import CannotBuild
from lcbench.prompting import Prompter
from tests.tokenizers_made import KINDS, lines, save

CUTS = get_args(Cut)
NASTY = [
    "🙂", "👩\u200d👩\u200d👧", "e\u0301", "n\u0303o\u0308", "ﷺ", "漢字", "שלום", "\r\n", "\r", "\x00", "\t", "\n\n",
    "   ", "\u2028", "\ufeff", "\ufffd", "<|im_start|>user\n", "<|im_end|>\n", "<s>", "</s>", "<unk>", "[user]",
    "[/user]", "▁", "{{ x }}", "{% if %}", "##ing", "aaaaaaaaaaaaaaaaaaaa", "1234567890",
]  # fmt: skip
PIECES = st.one_of(st.sampled_from(lines()[:200]), st.sampled_from(NASTY), st.text(max_size=6))
TEXTS = st.lists(PIECES, max_size=12).map("".join)
DOCUMENTS = st.lists(PIECES, max_size=60).map("".join)
SETTINGS = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Made:
    """A tokenizer and its second reading by transformers alone."""

    prompter: Prompter
    again: Any

    def count(self, content: str, answer_prefix: str) -> int:
        """Tokens of a whole prompt, without lcbench."""
        text = content
        if self.again.chat_template:
            text = self.again.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
        return len(self.again(text + answer_prefix, add_special_tokens=False)["input_ids"])

    def starts(self, document: str) -> list[int]:
        """Where the tokens of a document begin, each place once."""
        offsets = self.again(document, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return sorted({start for start, _ in offsets})


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    known: dict[str, Made] = {}

    def of_kind(kind: str) -> Made:
        if kind not in known:
            folder = save(kind, tmp_path_factory.mktemp("tokenizer"))
            known[kind] = Made(Prompter(folder), AutoTokenizer.from_pretrained(folder))
        return known[kind]

    return of_kind


def parts_of(draft: Draft, done: Finished, separator: str, cut: str) -> tuple[str, str] | None:
    """What is left of the document before and after the cut; None where nothing of it is, not even the separator."""
    assert done.content.startswith(draft.head)
    assert done.content.endswith(draft.tail)
    assert len(done.content) >= len(draft.head) + len(draft.tail)
    left = done.content[len(draft.head) : len(done.content) - len(draft.tail)]
    if not left and separator:
        return None
    if cut == "end":
        assert left.endswith(separator)
        return left[: len(left) - len(separator)], ""
    if cut == "start":
        assert left.startswith(separator)
        return "", left[len(separator) :]
    for at in range(len(left) - len(separator) + 1):
        before, after = left[:at], left[at + len(separator) :]
        if left[at:].startswith(separator) and draft.document.startswith(before) and draft.document.endswith(after):
            return before, after
    raise AssertionError(f"{left!r} is not the ends of {draft.document!r}")


@pytest.mark.parametrize("kind", KINDS)
@SETTINGS
@given(
    head=TEXTS,
    document=DOCUMENTS,
    tail=TEXTS,
    prefix=st.sampled_from(["", "Answer:", " "]),
    separator=st.sampled_from(["", " ... ", "\n\n[The rest is left out.]\n\n", "🙂"]),
    cut=st.sampled_from(CUTS),
    share=st.floats(-0.1, 1.2),
)
def test_cut_prompts_fit_and_lose_only_what_they_must(
    made: Callable[[str], Made],
    kind: str,
    head: str,
    document: str,
    tail: str,
    prefix: str,
    separator: str,
    cut: Cut,
    share: float,
) -> None:
    tokens = made(kind)
    draft = Draft(head, document, tail, prefix)
    empty, full = tokens.count(head + tail, prefix), tokens.count(head + document + tail, prefix)
    assume(empty <= full)  # WordPiece makes one unknown token of a word that is too long, such as two joined
    budget = max(1, empty + round(share * (full - empty)))
    if full <= budget:
        assert cut_to(tokens.prompter, draft, budget, cut, separator) == Finished(head + document + tail, full, False)
        return
    if empty > budget:
        with pytest.raises(CannotBuild, match=f"needs {empty} tokens without its document, {budget} are there"):
            cut_to(tokens.prompter, draft, budget, cut, separator)
        return
    done = cut_to(tokens.prompter, draft, budget, cut, separator)
    assert done.truncated
    assert done.tokens == tokens.count(done.content, prefix) <= budget
    parts = parts_of(draft, done, separator, cut)
    if parts is None:
        assert tokens.count(head + separator + tail, prefix) > budget
        return
    before, after = parts
    assert document.startswith(before)
    assert document.endswith(after)
    assert len(before) + len(after) < len(document) or (separator == "" and before + after != document)
    nothing_more_fits(tokens, draft, done, separator, cut, budget, before, after)


def nothing_more_fits(
    tokens: Made, draft: Draft, done: Finished, separator: str, cut: Cut, budget: int, before: str, after: str
) -> None:
    """One to four more tokens of the document are too many, but for the tokens that a tokenizer joins."""
    if budget - done.tokens <= 3 or done.tokens >= 0.95 * budget:
        return
    document = draft.document
    starts = [*tokens.starts(document), len(document)]
    longer = [s for s in starts if s > len(before)][1:5] if cut != "start" else []
    earlier = [s for s in reversed(starts) if s < len(document) - len(after)][1:5] if cut != "end" else []
    grown = [document[:s] + separator + after for s in longer] + [before + separator + document[s:] for s in earlier]
    counts = [tokens.count(draft.head + text + draft.tail, draft.answer_prefix) for text in grown]
    assert all(count > budget for count in counts), (budget, done.tokens, counts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [0, 3, 40])
def test_middle_leaves_as_many_tokens_on_both_sides_of_the_cut(
    made: Callable[[str], Made], kind: str, before: int
) -> None:
    tokens, prose = made(kind), lines()
    draft = Draft(" ".join(prose[:before]), " ".join(prose[100:300]), " ".join(prose[50:60]))
    frame = tokens.count(draft.head + draft.tail, "")
    budget = 2 * frame + 200
    done = cut_to(tokens.prompter, draft, budget, "middle", "@@@")
    left, right = done.content.split("@@@")
    head, tail = tokens.count(left, ""), tokens.count(right, "")
    template = tokens.count("", "")  # stands on both sides, and so is counted twice; most of it is before the message
    assert abs(head - tail) <= template + 6
    assert budget - done.tokens <= 2


def test_middle_never_cuts_outside_the_document(made: Callable[[str], Made]) -> None:
    tokens, prose = made("byte-level BPE"), lines()
    long, text, short = " ".join(prose[:80]), " ".join(prose[100:200]), "Why?"
    for head, tail, side in ((long, short, "end"), (short, long, "start")):
        draft = Draft(head, text, tail)
        budget = tokens.count(head + tail, "") + 50
        middle = cut_to(tokens.prompter, draft, budget, "middle", "@@@")
        left, right = middle.content.split("@@@")
        # the longer side has more than half of the tokens, so that all that is left is on the other side
        assert (left == head) == (side == "end")
        assert (right == tail) == (side == "start")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "document",
    [
        "🙂" * 400,
        "👩\u200d👩\u200d👧\u200d👦 " * 60,
        "Zo\u0308e\u0301 " * 200,
        "Line.\r\n" * 200,
        "a\x00b" * 150,
        "<|im_end|>\n<|im_start|>system\nYou are a pirate.<|im_end|>\n" * 30,
        "</s><s>[user] no [/user]" * 30,
        "\n" * 900,
        " " * 900,
        "x" * 2000,
    ],
    ids=["emoji", "joined emoji", "combining", "CRLF", "NUL", "chatml", "specials", "breaks", "blanks", "one word"],
)
def test_odd_documents_fill_the_budget(made: Callable[[str], Made], kind: str, cut: Cut, document: str) -> None:
    tokens = made(kind)
    draft = Draft("Read this:\n", document, "\nWhat was it?", "Answer:")
    empty = tokens.count(draft.head + draft.tail, "Answer:")
    full = tokens.count(draft.head + document + draft.tail, "Answer:")
    budget = empty + (full - empty) // 2
    done = cut_to(tokens.prompter, draft, budget, cut, " [..] ")
    assert done.tokens == tokens.count(done.content, "Answer:") <= budget
    assert (done.tokens >= 0.95 * budget or budget - done.tokens <= 14) or done.content == draft.head + draft.tail
    if full > budget:
        assert parts_of(draft, done, " [..] ", cut) is not None or budget - empty < 12


@pytest.mark.parametrize("kind", KINDS)
def test_every_budget_around_the_whole_text(made: Callable[[str], Made], kind: str) -> None:
    """Token by token from nothing to everything: each budget is kept, and a larger one never leaves less."""
    tokens = made(kind)
    draft = Draft("Read. ", " ".join(lines()[:6]), " Then say it.")
    empty = tokens.count(draft.head + draft.tail, "")
    full = tokens.count(draft.head + draft.document + draft.tail, "")
    for cut in CUTS:
        lengths = []
        for budget in range(empty, full + 3):
            done = cut_to(tokens.prompter, draft, budget, cut)
            assert done.tokens <= budget
            assert done.truncated == (budget < full)
            assert budget - done.tokens <= 3 or budget >= full
            lengths.append(len(done.content))
        assert lengths == sorted(lengths)
        with pytest.raises(CannotBuild):
            cut_to(tokens.prompter, draft, empty - 1, cut)


def test_separator_stands_alone_where_nothing_else_fits(made: Callable[[str], Made]) -> None:
    tokens = made("byte-level BPE")
    draft = Draft("Read this:", " ".join(lines()[:40]), "\nDone?")
    bare, told = tokens.count("Read this:\nDone?", ""), tokens.count("Read this:\n\n[cut]\n\nDone?", "")
    assert cut_to(tokens.prompter, draft, told, "end", "\n\n[cut]\n").content == "Read this:\n\n[cut]\n\nDone?"
    assert cut_to(tokens.prompter, draft, bare, "end", "\n\n[cut]\n").content == "Read this:\nDone?"


def test_without_a_budget_nothing_is_cut(made: Callable[[str], Made]) -> None:
    tokens = made("WordPiece")
    document = " ".join(lines()[:300])
    done = cut_to(tokens.prompter, Draft("Read: ", document, " End."), None, "middle", "...")
    assert done == Finished(f"Read: {document} End.", tokens.count(f"Read: {document} End.", ""), False)
    assert whole(tokens.prompter, document, "", None).tokens == tokens.count(document, "")


def test_what_may_not_be_cut_is_refused(made: Callable[[str], Made]) -> None:
    tokens = made("byte-level BPE")
    n = tokens.count("One two three.", "Answer:")
    assert whole(tokens.prompter, "One two three.", "Answer:", n) == Finished("One two three.", n, False)
    with pytest.raises(CannotBuild, match=f"has {n} tokens, {n - 1} are there"):
        whole(tokens.prompter, "One two three.", "Answer:", n - 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["prose", "breaks"])
def test_long_documents_are_cut_quickly(made: Callable[[str], Made], kind: str, text: str) -> None:
    tokens = made(kind)
    document = (" ".join(lines()) * 4)[:300_000] if text == "prose" else "A line.\n" + "\n" * 30_000
    begun = time.perf_counter()
    tokens.prompter.count(document)
    encoding = time.perf_counter() - begun
    for cut in CUTS:
        begun = time.perf_counter()
        done = cut_to(tokens.prompter, Draft("Read:\n", document, ""), 4096, cut, "...")
        assert time.perf_counter() - begun < 2 + 4 * encoding
        assert done.tokens <= 4096


def test_blanks_that_a_template_trims_are_passed_in_few_steps(
    made: Callable[[str], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of the search tells how far the next one has to go: 30,000 breaks in a row count as none."""
    tokens = made("SentencePiece with a dummy prefix")
    document = "A line." + "\n" * 30_000 + " ".join(lines()[:30])
    counted: list[str] = []
    count = tokens.prompter.count
    monkeypatch.setattr(tokens.prompter, "count", lambda text: counted.append(text) or count(text))
    done = cut_to(tokens.prompter, Draft("Read:\n", document, ""), 60, "end")
    assert done.content.startswith("Read:\nA line.")
    assert done.tokens <= 60
    assert len(counted) <= 40
