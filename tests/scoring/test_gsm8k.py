"""GSM8K: published labels, every gold solution, and the quirks of the two extractions."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lcbench.scoring.gsm8k import flexible, gold, strict


def rows(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize(
    ("completion", "last", "marked"),
    [
        ("She makes 9 * 2 = 18 dollars\n#### 18", "18", "18"),
        ("A: 18", "18", None),
        ("The answer is 18.", "18", None),
        ("The answer is $18", "18", None),
        ("$1,234.50", "1234.50", None),
        ("#### 1,234", "1234", "1234"),
        ("#### -5", "-5", "-5"),
        ("#### $18", "18", None),  # the strict pattern knows no dollar
        ("#### 18\n\nQuestion: 5 and 6?", "6", "18"),
        ("#### 1\n#### 2", "2", "1"),  # the last one and the first one
        ("####18", "18", None),
        ("18.00", "18.00", None),  # no arithmetic: this is not 18
        ("18 apples...", "..", None),  # an ellipsis is a number to upstream's pattern
        ("10-4", "-4", None),
        ("eighteen", None, None),
        ("", None, None),
    ],
)
def test_extraction(completion: str, last: str | None, marked: str | None) -> None:
    assert flexible(completion, ("18",)).extracted == last
    assert strict(completion, ("18",)).extracted == marked
    assert flexible(completion, ("18",)).value == (last == "18")
    assert strict(completion, ("18",)).value == (marked == "18")


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("18", "18"),
        ("$1,800", "1800"),
        ("9 * 2 = <<9*2=18>>18 a day\n#### 18", "18"),
        ("#### 1,234\n", "1234"),
        ("A: 18", "18"),
        ("It is 18.", "18"),
        ("no number", None),
    ],
)
def test_gold(reference: str, answer: str | None) -> None:
    assert gold(reference) == answer


def test_a_reference_without_a_number_cannot_be_met() -> None:
    assert flexible("no number", ("no number",)).value == 0.0
    assert flexible("7", ("no number",)).value == 0.0


def test_published_labels(shared: Path) -> None:
    """2 models x 1319 solutions: the flexible rule gives each its published label."""
    solutions = rows(shared / "golden/gsm8k_solutions.jsonl.gz")
    wrong = [r for r in solutions if flexible(r["solution"], (r["ground_truth"],)).value != r["is_correct"]]
    assert (len(solutions), wrong) == (2638, [])


def test_every_gold_solution_is_right(shared: Path) -> None:
    for row in rows(shared / "data/gsm8k/test.jsonl.gz"):
        assert flexible(row["answer"], (row["answer"],)).value == strict(row["answer"], (row["answer"],)).value == 1.0


def test_extraction_is_that_of_lm_eval() -> None:
    """Its own filters on the texts of the first test, with the patterns of gsm8k.yaml."""
    extraction = pytest.importorskip("lm_eval.filters.extraction", reason="lm-eval is not installed")
    texts = [case[0] for case in test_extraction.pytestmark[0].args[1]]
    filters = {
        flexible: extraction.RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1, fallback=""),
        strict: extraction.RegexFilter(r"#### (\-?[0-9\.\,]+)", fallback=""),
    }
    for scorer, theirs in filters.items():
        for text, (found,) in zip(texts, theirs.apply([[t] for t in texts], [{}] * len(texts)), strict=True):
            assert scorer(text, ()).extracted == (found.replace(",", "").replace("$", "").removesuffix(".") or None)
