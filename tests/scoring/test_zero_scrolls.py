"""ZeroSCROLLS' metrics: published figures, brute force, and the patterns against the plain form of themselves."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.scoring.texts import ROUGE_CHARACTERS, RougeTokens, common_subsequence
from lcbench.scoring.zero_scrolls import (
    PERCENT,
    choice,
    concordance,
    concordance_index,
    exponential_similarity,
    f1,
    ids,
    rouge,
    rouge_f,
)

# The worked example in the docstring of SCROLLS' metric.
SAID = ["exact match example", "hello there", "general kenobi"]
REFERENCES = [["exact match example"], ["hello", "hi there"], ["commander kenobi"]]

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def rows(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_worked_example_of_scrolls() -> None:
    three = [100 * mean(f) for f in zip(*map(rouge_f, SAID, REFERENCES), strict=True)]
    assert three == pytest.approx([72.2222, 33.3333, 72.2222], abs=1e-4)
    assert (three[0] * three[1] * three[2]) ** (1 / 3) == pytest.approx(55.8136, abs=1e-4)
    # The mean of geometric means is another figure: two of the three have no word pair in common.
    scores = [rouge(c, r) for c, r in zip(SAID, REFERENCES, strict=True)]
    assert [s.value for s in scores] == [1.0, 0.0, 0.0]
    # So the three stand beside it: their means give upstream's figure.
    assert [100 * mean([s.beside[k] for s in scores]) for k in ("rouge1", "rouge2", "rougeL")] == pytest.approx(three)
    assert rouge("", ("hello",)).beside == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}


def test_published_rouge(shared: Path) -> None:
    """Two models' ROUGE-1, 2 and L on three tasks, to the three decimals that were published with their texts."""
    published = json.loads((shared / "golden/zero_scrolls_rouge.json").read_text())
    said = rows(shared / "golden/zero_scrolls_predictions.jsonl.gz")
    compared = 0
    for task in ("gov_report", "summ_screen_fd", "qmsum"):
        gold = {r["id"]: r["output"] for r in rows(shared / f"data/zero_scrolls/validation/{task}.jsonl.gz")}
        for model in sorted(set(published) - {"note"}):
            texts = {r["id"]: r["prediction"] for r in said if (r["task"], r["model"]) == (task, model)}
            assert texts.keys() == gold.keys()
            three = zip(*(rouge_f(texts[i], [gold[i]], stemmer=True) for i in sorted(gold)), strict=True)
            assert [round(mean(f), 3) for f in three] == published[model][task]
            compared += 1
    assert compared == 6


def test_rouge_is_that_of_the_library(shared: Path) -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    said = [r["prediction"] for r in rows(shared / "golden/zero_scrolls_predictions.jsonl.gz")][:40]
    for stemmer in (False, True):
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=stemmer)
        for one, other in itertools.pairwise(said):
            theirs = scorer.score(one, other)
            assert rouge_f(other, [one], stemmer) == pytest.approx([f.fmeasure for f in theirs.values()], abs=1e-12)
            assert RougeTokens(stemmer).tokenize(one) == DefaultTokenizer(stemmer).tokenize(one)


@given(WORDS, WORDS)
def test_longest_common_subsequence_by_the_table(a: list[str], b: list[str]) -> None:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    assert common_subsequence(a, b) == table[-1][-1]


def test_rouge_is_the_best_over_references_of_each_kind() -> None:
    assert rouge_f("a b c", ["a b c", "zz"]) == (1.0, 1.0, 1.0)
    assert rouge_f("a b x y", ["b a", "x z y q"]) == pytest.approx((2 / 3, 0.0, 0.5))
    assert rouge_f("running dogs", ["run dog"], stemmer=True) == (1.0, 1.0, 1.0)
    assert rouge_f("running dogs", ["run dog"]) == (0.0, 0.0, 0.0)
    assert rouge("one", ("one",)).value == 0.0  # no word pair, no geometric mean


def test_long_texts_are_cut_and_it_is_said() -> None:
    text = "ab cd " * (ROUGE_CHARACTERS // 6 + 1)
    assert rouge(text, ("ab cd",)).flags == rouge("ab cd", (text,)).flags == ("cut",)
    assert rouge(text, (text + "zz",)).value == 1.0
    assert rouge("ab cd", ("ab cd",)).flags == ()


@pytest.mark.parametrize(
    ("completion", "references", "value"),
    [
        ("The Eiffel tower!", ("eiffel tower",), 1.0),
        ("eiffel", ("eiffel tower",), 2 / 3),
        ("eiffel eiffel", ("eiffel tower",), 0.5),  # a word counts as often as it stands in both
        ("it is Rome", ("Paris", "rome"), 0.5),
        ("Paris", ("Rome",), 0.0),
        ("U.S.", ("us",), 1.0),
        ("the", ("the",), 0.0),  # nothing is left of an article
        ("", ("rome",), 0.0),
    ],
)
def test_f1(completion: str, references: tuple[str, ...], value: float) -> None:
    assert f1(completion, references).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("completion", "extracted"),
    [
        ("D", "D"),
        ("(D) O.K./OK\n\nExplanation: A ...", "D"),
        ("A better choice is D", "A"),  # the article
        ("ABCD", None),
        ("d", None),
        ("", None),
    ],
)
def test_choice(completion: str, extracted: str | None) -> None:
    score = choice(completion, ("D",))
    assert (score.extracted, score.value) == (extracted, float(extracted == "D"))


@pytest.mark.parametrize(
    ("completion", "references", "value"),
    [
        ("80%", ("80%",), 1.0),
        ("80.0%", ("80%",), 1.0),
        ("70%", ("80%",), 0.5),
        ("About 90% or 20%", ("80%",), 0.5),
        ("60%", ("80%", "65%"), 0.5**0.5),
        ("80", ("80%",), 0.0),
        ("80 %", ("80%",), 0.0),
        (".5%", ("5%",), 1.0),  # as upstream's pattern has it
        ("9" * 400 + "%", ("80%",), 0.0),
        ("9" * 400 + "%", ("9" * 401 + "%",), 0.0),
        ("9" * 400 + "%", ("9" * 400 + "%",), 1.0),
        ("80%", ("none",), 0.0),
    ],
)
def test_exponential_similarity(completion: str, references: tuple[str, ...], value: float) -> None:
    assert exponential_similarity(completion, references).value == pytest.approx(value)


@given(st.text("01.%- ", max_size=30))
def test_the_fast_pattern_finds_what_the_plain_one_finds(text: str) -> None:
    plain, fast = re.search(r"\d+\.?\d*%", text), PERCENT.search(text)
    assert (plain and plain.span()) == (fast and fast.span())


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n)))))
def test_concordance_by_counting_pairs(orders: tuple[list[int], list[int]]) -> None:
    order, gold = orders
    pairs = list(itertools.combinations(gold, 2))
    right = [order.index(a) < order.index(b) for a, b in pairs]
    assert concordance_index(order, gold) == (mean(right) if pairs else 1.0)


@pytest.mark.parametrize(
    ("completion", "value"),
    [
        ("1, 2, 3, 4", 1.0),
        ("Summary order: 1,2,3,4.", 1.0),
        ("1 2 3 4", 1.0),
        ("2, 1, 3, 4", 5 / 6),
        ("4, 3, 2, 1", 0.0),
        ("1, 2, 3", 0.0),
        ("1, 2, 3, 4, 4", 0.0),
        ("The 4 in order: 1, 2, 3, 4", 0.0),  # a number of the sentence is an id too
        ("1\n2\n3\n4", 0.0),  # line breaks vanish, and 1234 is left
        ("", 0.0),
        ("9" * 5000, 0.0),
    ],
)
def test_concordance(completion: str, value: float) -> None:
    assert concordance(completion, ("1, 2, 3, 4",)).value == pytest.approx(value)


def test_concordance_extracts_the_ids() -> None:
    assert ids("03, 1;2") == [3, 12]
    assert concordance("2, 1", ("1, 2",)).extracted == "2, 1"
    assert concordance("none", ("1, 2",)).flags == ("unextracted",)
