"""BABILong's metric: the published verdicts, its defects one by one, and what whole words change."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from lcbench.scoring.babilong import official, word_boundary

PLACES = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
COUNTS = ("none", "one", "three", "two")
THINGS = ("apple", "football", "milk", "nothing")
WAYS = ("e,e", "e,n", "e,s", "n,e", "n,n", "n,w", "s,e", "s,s", "s,w", "w,n", "w,s", "w,w")


@pytest.mark.parametrize(
    ("completion", "target", "question", "labels", "exact", "words"),
    [
        ("The most recent location of Mary is garden.", "garden", "Where is Mary? ", PLACES, 1, 1),
        ("GARDEN", "Garden", "Where is Mary? ", PLACES, 1, 1),
        ("kitchen", "garden", "Where is Mary? ", PLACES, 0, 0),
        ("garden or kitchen", "garden", "Where is Mary? ", PLACES, 0, 0),  # hedging is wrong
        ("She left. garden", "garden", "Where is Mary? ", PLACES, 0, 0),  # the first sentence only
        ("garden. Then the kitchen", "garden", "Where is Mary? ", PLACES, 1, 1),
        ("garden <context> kitchen", "garden", "Where is Mary? ", PLACES, 1, 1),
        ("garden <EXAMPLE> kitchen", "garden", "Where is Mary? ", PLACES, 1, 1),
        ("garden\nQuestion: is it the kitchen", "garden", "Where is Mary? ", PLACES, 0, 0),  # upstream's dead cut
        ("before the kitchen: garden", "garden", "Where was it before the kitchen?", PLACES, 1, 1),
        ("the gardens", "garden", "Where is Mary? ", PLACES, 1, 0),
        ("none", "none", "How many objects is Daniel carrying? ", COUNTS, 0, 1),  # "none" has "one" in it
        ("one", "one", "How many objects is Daniel carrying? ", COUNTS, 1, 1),
        ("None of them", "one", "How many objects is Daniel carrying? ", COUNTS, 0, 0),
        ("I know: yes", "yes", "Is Mary in the garden? ", ("no", "yes"), 0, 1),
        ("I do not know", "no", "Is Mary in the garden? ", ("no", "yes"), 1, 0),
        ("apple,football", "apple,football", "What is Mary carrying? ", THINGS, 1, 1),
        ("the football and the apple", "apple,football", "What is Mary carrying? ", THINGS, 1, 1),
        ("the apple", "apple,football", "What is Mary carrying? ", THINGS, 0, 0),
        ("apple, football, milk", "apple,football", "What is Mary carrying? ", THINGS, 0, 0),
        ("apple", "apple,apple", "What is Mary carrying? ", THINGS, 0, 0),
        ("e,n", "e,n", "How do you go from the kitchen to the garden? ", WAYS, 1, 1),
        ("e, n", "e,n", "How do you go from the kitchen to the garden? ", WAYS, 0, 0),
        ("the e,n", "e,n", "How do you go from the kitchen to the garden? ", WAYS, 1, 1),
        ("see,n", "e,n", "How do you go from the kitchen to the garden? ", WAYS, 1, 0),
        ("", "garden", "Where is Mary? ", PLACES, 0, 0),
    ],
)
def test_cases(completion: str, target: str, question: str, labels: tuple[str, ...], exact: int, words: int) -> None:
    assert official(completion, (target,), question=question, labels=labels).value == exact
    assert word_boundary(completion, (target,), question=question, labels=labels).value == words


def test_none_can_never_be_right_officially() -> None:
    for text in ("none", "None.", "The answer is none", "none none"):
        score = official(text, ("none",), question="How many objects is Daniel carrying? ", labels=COUNTS)
        assert (score.value, score.extracted) == (0.0, "none,one")


def test_what_is_extracted() -> None:
    both = official("office, then garden", ("garden",), question="Where is Mary?", labels=PLACES)
    assert (both.extracted, both.flags) == ("garden,office", ())
    assert official("here", ("garden",), question="", labels=PLACES).flags == ("unextracted",)
    silent = word_boundary(" \n", ("garden",), question="", labels=PLACES)
    assert (silent.extracted, silent.flags) == (None, ("empty",))


def test_published_verdicts(shared: Path) -> None:
    """All of 13,275 published answers of 14 models to qa1 to qa20 get the verdict that upstream's code gave them."""
    labels = json.loads((shared / "data/texts/babilong.json").read_text())["strings"]["TASK_LABELS"]
    with gzip.open(shared / "golden/babilong_predictions.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    wrong = [
        row
        for row in rows
        if official(row["output"], (row["target"],), question=row["question"], labels=labels[row["task"]]).value
        != row["correct"]
    ]
    assert (len(rows), wrong) == (13_275, [])
