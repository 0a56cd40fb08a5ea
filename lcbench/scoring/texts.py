"""What several scorers share: how a verdict is put together, token F1, ROUGE, and the letter of a multiple choice."""

from __future__ import annotations

import re
import string
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from lcbench.errors import UsageError
from lcbench.records import Score

ROUGE_CHARACTERS = 50_000  # of each text, some 8,000 words; the rest is not scored, and a flag says so
STEMMED_LETTERS = 32  # longer words stay as they are: the stemmer's time is quadratic in their length
PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def verdict(value: float, completion: str, extracted: str | None, *flags: str) -> Score:
    """A score. Where nothing was extracted a flag says so: "empty" for a blank completion, else "unextracted"."""
    if extracted is None:
        flags = ("unextracted" if completion.strip() else "empty", *flags)
    return Score(float(value), extracted, flags)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of a pattern in a text."""
    matches = deque(pattern.finditer(text), maxlen=1)
    return matches[0] if matches else None


def squad_tokens(text: str) -> list[str]:
    """The words of a text as SQuAD's evaluation script sees them: lower case, no punctuation, no articles."""
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def _token_f1(found: Counter[str], wanted: Counter[str]) -> float:
    common = sum((found & wanted).values())
    return 2 * common / (found.total() + wanted.total()) if common else 0.0


def f1(completion: str, references: Sequence[str]) -> Score:
    """Token F1 after SQuAD's normalisation, the best over the references (Rajpurkar et al. 2016, arXiv:1606.05250).

    A reference of nothing but articles and punctuation has no tokens, so it cannot be met.
    """
    found = Counter(squad_tokens(completion))
    best = max((_token_f1(found, Counter(squad_tokens(r))) for r in references), default=0.0)
    return verdict(best, completion, completion.strip() or None)


@cache
def _tokenizer(stemmer: bool) -> Any:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(stemmer)


@lru_cache(50_000)
def _stem(word: str) -> str:
    return _tokenizer(True).tokenize(word)[0]


class RougeTokens:
    """rouge_score's own tokenizer, with a memory for stems and two bounds: on the text and on the words to stem."""

    def __init__(self, stemmer: bool):
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        words = _tokenizer(False).tokenize(text[:ROUGE_CHARACTERS])
        return [_stem(w) if len(w) <= STEMMED_LETTERS else w for w in words] if self.stemmer else words


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the usual table at a time in the bits of one integer.

    Hyyrö, "Bit-parallel LCS-length computation revisited" (AWOCA 2004). rouge_score fills the table cell by cell, which
    takes seconds for two texts of a few thousand words.
    """
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(a) - row.bit_count()


def _f(common: int, found: int, wanted: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / found, common / wanted
    return 2 * precision * recall / (precision + recall)


def rouge_f(completion: str, references: Sequence[str], stemmer: bool = False) -> tuple[float, float, float]:
    """F of ROUGE-1, ROUGE-2 and ROUGE-L, each the best over the references (Lin 2004), as rouge_score 0.1.2 has them.

    Only the first 50,000 characters of each text count.
    """
    from rouge_score.rouge_scorer import RougeScorer

    tokens = RougeTokens(stemmer)
    scorer = RougeScorer(["rouge1", "rouge2"], tokenizer=tokens)
    found = tokens.tokenize(completion)
    best = [0.0, 0.0, 0.0]
    for reference in references:
        wanted = tokens.tokenize(reference)
        grams = scorer.score(reference, completion)
        longest = _f(common_subsequence(wanted, found), len(found), len(wanted))
        best = [*map(max, best, (grams["rouge1"].fmeasure, grams["rouge2"].fmeasure, longest))]
    return best[0], best[1], best[2]


def rouge(completion: str, references: Sequence[str], kind: str, stemmer: bool) -> Score:
    """One of "rouge1", "rouge2" and "rougeL", or the "geometric" mean of the three with the three beside it."""
    kinds = ("rouge1", "rouge2", "rougeL", "geometric")
    if kind not in kinds:
        raise UsageError(f"kind of rouge is {kind!r}, and can be {', '.join(kinds)}")
    three = rouge_f(completion, references, stemmer) if completion.strip() else (0.0, 0.0, 0.0)
    four = dict(zip(kinds, (*three, (three[0] * three[1] * three[2]) ** (1 / 3)), strict=True))
    cut = max(map(len, (completion, *references))) > ROUGE_CHARACTERS
    score = verdict(min(four.pop(kind), 1.0), completion, completion.strip() or None, *(["cut"] if cut else []))
    return replace(score, beside=four) if kind == "geometric" else score


@cache
def _letter_patterns(letters: str) -> tuple[re.Pattern[str], ...]:
    upper, lower = letters.upper(), letters.lower()
    gap = "[\\s:*_`\"'-]{0,8}"
    bracketed = rf"[(\[{{]\s?([{upper}{lower}])\s?[)\]}}]"
    # A bare small letter must end its clause: "the answer is a long story" names no choice.
    bare = rf"([{upper}])(?![\w'’])|([{lower}])(?=\s{{0,4}}(?:\Z|[.,;:!?)\n*]))"
    said = rf"\b(?i:answer|correct (?:option|choice))\b{gap}(?:(?i:is|would be)\b{gap})?(?:(?i:option|choice)\b{gap})?"
    line = rf"(?m)^[^\w\n]{{0,6}}(?:([{upper}{lower}])[^\w\n]{{0,6}}$|([{upper}])[.):,][ \t])"
    return re.compile(rf"{said}(?:{bracketed}|{bare})"), re.compile(bracketed), re.compile(line)


def find_letter(text: str, letters: str = "ABCD") -> str | None:
    """The choice that a text names, in upper case.

    Three readings, the first that finds anything decides: what follows "the answer is" or "answer:"; a letter in
    brackets; a line that is or begins with a lone letter. In each of them the last one counts, since models weigh the
    choices before they settle on one.
    """
    if not letters.isascii() or not letters.isalpha():
        raise UsageError(f"letters of a multiple choice are {letters!r}, and must be letters from A to Z")
    for pattern in _letter_patterns(letters):
        last = last_match(pattern, text)
        if last:
            return next(g for g in last.groups() if g).upper()
    return None
