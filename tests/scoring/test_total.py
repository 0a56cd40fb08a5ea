"""Every scorer, on any text: a score from 0 to 1 in bounded time; 1 for a gold answer and 0 for silence."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcbench.records import Score
from lcbench.scoring import SCORERS, reads

# A gold answer to a question of each scorer. A new scorer is a new line.
GOLD: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "ruler.match_all": ("one, two", ("one", "two"), {}),
    "ruler.match_part": ("one", ("one", "two"), {}),
    "babilong.official": ("garden", ("garden",), {"question": "Where is it?", "labels": ("garden", "office")}),
    "babilong.word_boundary": ("none", ("none",), {"question": "How many?", "labels": ("none", "one")}),
    "sandbox.bank_log": ("LOST_UPDATE TX123456", ("LOST_UPDATE TX123456",), {}),
    "sandbox.code_bug": ("pkg/model.py:L12", ("pkg/model.py:L12",), {}),
    "longbench_v2.official": ("The correct answer is (B)", ("B",), {}),
    "longbench_v2.lenient": ("B", ("B",), {}),
    "zero_scrolls.rouge": ("The house is red.", ("The house is red.",), {}),
    "zero_scrolls.f1": ("The house is red.", ("The house is red.",), {}),
    "zero_scrolls.choice": ("B", ("B",), {}),
    "zero_scrolls.exponential_similarity": ("80%", ("80%",), {}),
    "zero_scrolls.concordance": ("3, 1, 2", ("3, 1, 2",), {}),
    "gsm8k.flexible": ("It is 18.\n#### 18", ("It is 18.\n#### 18",), {}),
    "gsm8k.strict": ("It is 18.\n#### 18", ("It is 18.\n#### 18",), {}),
    "math.verify": (r"\boxed{\frac{1}{2}}", (r"\frac{1}{2}",), {}),
    "exact_match": ("Paris", ("Paris",), {}),
    "includes": ("Paris", ("Paris",), {}),
    "includes_all": ("Paris and Rome", ("Paris", "Rome"), {}),
    "starts_with": ("Paris", ("Paris",), {}),
    "regex": ("The answer is Paris", ("Paris",), {}),
    "number": ("18", ("18",), {}),
    "choice": ("B", ("B",), {}),
    "f1": ("The house is red.", ("The house is red.",), {}),
    "rouge": ("The house is red.", ("The house is red.",), {}),
}

ODD = "\ud800\udfff\0\x1b\x7f\u202e\u2028\ufeff\u05d0İß{}[]()\\$#%:.,-_*^ \n\t0123456789ABCDabcd"
ANY = st.text(st.characters() | st.sampled_from(ODD), max_size=80)
# Texts that a scorer reads something from, with anything in it.
LED = st.builds(
    "{}{}{}".format, st.sampled_from(["", r"\boxed{", "#### ", "The answer is ", "Answer: ", "1, 2"]), ANY, ANY
)

MB = 1_000_000
DRAW = random.Random(0)
LARGE = {
    "letters": "a" * MB,
    "digits": "9" * MB,
    "lists": "1," * (MB // 2),
    "thousands": "1" + ",111" * (MB // 4),
    "decimals": "1." * (MB // 2),
    "spaces": "answer" + " " * MB + "x",
    "breaks": "\n" * MB,
    "answers": "answer: " * (MB // 8),
    "braces": "{" * MB,
    "boxes": r"\boxed{" * (MB // 7),
    "nested boxes": r"\boxed{" * (MB // 8) + "1" + "}" * (MB // 8),
    "one box": r"\boxed{" + "(" * MB + "}",
    "formulas": "Answer: " + "$1$ " * (MB // 4),
    "marks": "#### " * (MB // 5),
    "nothing": "\0" * MB,
    "surrogates": "\ud800" * MB,
    "growing": "İ" * MB,
    "right to left": "\u202e\u05d0 " * (MB // 3),
    "words": " ".join("".join(DRAW.choices("abcdefghij", k=7)) for _ in range(MB // 8)),
}


def score(name: str, completion: str, references: tuple[str, ...], fields: dict[str, Any]) -> Score:
    result = SCORERS[name](completion, references, **fields)
    assert isinstance(result, Score)
    assert isinstance(result.value, float)
    assert 0.0 <= result.value <= 1.0
    assert (result.extracted is None) == bool({"empty", "unextracted"} & set(result.flags))
    return result


def test_every_scorer_is_here() -> None:
    assert GOLD.keys() == SCORERS.keys()
    assert all(set(reads(name)) == GOLD[name][2].keys() for name in SCORERS)


@pytest.mark.parametrize("name", SCORERS)
def test_gold_scores_1_and_silence_0(name: str) -> None:
    completion, references, fields = GOLD[name]
    right = score(name, completion, references, fields)
    assert (right.value, right.flags) == (1.0, ())
    for silence in ("", " ", "\n\t\r\n"):
        silent = score(name, silence, references, fields)
        assert (silent.value, silent.extracted, silent.flags) == (0.0, None, ("empty",))


@pytest.mark.parametrize("name", SCORERS)
@settings(max_examples=60)
@given(completion=ANY | LED, reference=ANY)
def test_any_text_has_a_score(name: str, completion: str, reference: str) -> None:
    fields: dict[str, Any] = {"question": reference, "labels": (reference, "one", "none")} if reads(name) else {}
    first = score(name, completion, (reference,), fields)
    assert score(name, completion, (reference,), fields) == first


@pytest.mark.parametrize("name", [n for n in SCORERS if not n.startswith("ruler.")])
def test_no_reference_is_no_error(name: str) -> None:
    completion, _, fields = GOLD[name]
    assert score(name, completion, (), fields).value == 0.0


@pytest.mark.parametrize("name", SCORERS)
def test_a_megabyte_of_anything_is_scored_in_time(name: str) -> None:
    _, references, fields = GOLD[name]
    score(name, *GOLD[name])  # imports are not the text's fault
    for kind, text in LARGE.items():
        start = time.process_time()
        score(name, text, references, fields)
        assert time.process_time() - start < 3, kind  # under one on an idle machine
