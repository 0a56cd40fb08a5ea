"""The scorers for tasks of one's own, and how a scorer is found by name, given arguments and fed with fields."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lcbench.errors import UsageError
from lcbench.scoring import SCORERS, arguments, bind, reads
from lcbench.scoring.generic import NUMBER_CHARACTERS


@pytest.mark.parametrize(
    ("name", "chosen", "completion", "references", "value"),
    [
        ("exact_match", {}, " Paris\n", ("paris",), 1),
        ("exact_match", {}, "Paris.", ("paris",), 0),
        ("exact_match", {}, "Straße", ("STRASSE",), 1),
        ("exact_match", {"ignore_case": False}, "Paris", ("paris",), 0),
        ("exact_match", {"ignore_punctuation": True}, "«Paris.»", ("paris",), 1),
        ("exact_match", {"ignore_punctuation": True}, "!", ("?",), 0),
        ("exact_match", {"ignore_punctuation": True}, "!", ("!",), 1),
        ("exact_match", {"strip": False}, " Paris", ("paris",), 0),
        ("exact_match", {}, "", ("",), 0),
        ("includes", {}, "It is PARIS, or Rome", ("rome", "Oslo"), 1),
        ("includes", {"ignore_case": False}, "It is PARIS", ("Paris",), 0),
        ("includes", {}, "x", ("",), 0),  # nothing is no answer
        ("includes_all", {}, "It is PARIS, or Rome", ("rome", "Oslo", "paris"), 2 / 3),
        ("starts_with", {}, " Yes, it is", ("yes",), 1),
        ("starts_with", {}, "Oh yes", ("yes",), 0),
        ("regex", {}, "The answer is 5\nThe answer is 6", ("6",), 1),
        ("regex", {"take": "first"}, "The answer is 5\nThe answer is 6", ("6",), 0),
        ("regex", {"pattern": r"<(\w+)>=(\w+)", "group": 2}, "<a>=B", ("b",), 1),
        ("regex", {"pattern": r"<(\w+)>=(\w+)", "group": 2, "ignore_case": False}, "<a>=B", ("b",), 0),
        ("regex", {"pattern": r"\d+", "group": 0}, "5 or 6", ("6",), 1),
        ("regex", {"pattern": r"(a)|b"}, "b", ("a",), 0),  # the group of the last match is not set
        ("number", {}, "5 apples, 1,234.50 pears", ("1234.5",), 1),
        ("number", {}, "0.10", (".1",), 1),
        ("number", {}, "3.14", ("3.14159",), 0),
        ("number", {"tolerance": 0.01}, "3.14", ("3.14159",), 1),
        ("number", {"tolerance": 1}, "7", ("8",), 1),
        ("number", {}, "\N{MINUS SIGN}5", ("-5",), 1),
        ("number", {}, "10-4", ("4",), 1),
        ("number", {}, "1, 2, 3", ("3",), 1),
        ("number", {}, "1.5e3", ("1500",), 1),
        ("number", {}, "1e999999", ("1e999998",), 0),
        ("number", {}, str(10**400), (str(10**400 + 1),), 0),
        ("number", {}, "9" * (NUMBER_CHARACTERS + 1), ("9" * (NUMBER_CHARACTERS + 1),), 0),
        ("number", {}, "five", ("5",), 0),
        ("choice", {}, "The answer is (c).", ("C",), 1),
        ("choice", {"letters": "ABCDEF"}, "F", ("F",), 1),
        ("choice", {}, "F", ("F",), 0),
        ("f1", {}, "the red house", ("a house",), 2 / 3),
        ("rouge", {}, "a b c", ("a b c",), 1),
        ("rouge", {"kind": "rouge1"}, "c b a", ("a b c",), 1),
        ("rouge", {"kind": "rouge2"}, "c b a", ("a b c",), 0),
        ("rouge", {"kind": "rougeL"}, "c b a", ("a b c",), 1 / 3),
        ("rouge", {"kind": "rouge1", "stemmer": True}, "houses", ("house",), 1),
    ],
)
def test_cases(name: str, chosen: dict[str, Any], completion: str, references: tuple[str, ...], value: float) -> None:
    assert bind(name, chosen)(completion, references, {}).value == pytest.approx(value)


def test_what_is_extracted() -> None:
    assert bind("number", {})("it is 1,200", ("1200",), {}).extracted == "1200"
    assert bind("regex", {})("the answer is  x ", ("x",), {}).extracted == "x"
    assert bind("regex", {})("nothing", ("x",), {}).flags == ("unextracted",)


def test_a_pattern_that_backtracks_is_stopped() -> None:
    score = bind("regex", {"pattern": r"(a+)+$", "group": 0})
    start = time.monotonic()
    assert score("a" * 60 + "b", ("a",), {}).flags == ("unextracted", "timeout")
    assert time.monotonic() - start < 30
    assert score("aaa", ("aaa",), {}).value == 1.0


@pytest.mark.parametrize(
    ("name", "chosen", "says", "hint"),
    [
        ("exact_mach", {}, "no scorer 'exact_mach'", "exact_match"),
        ("babilong", {}, "no scorer", "babilong.official"),
        ("includes", {"ignorecase": True}, "no argument 'ignorecase'", "ignore_case"),
        ("f1", {"stemmer": True}, "no argument 'stemmer'", "none"),
        ("babilong.official", {"question": "x"}, "no argument 'question'", "none"),  # a field, not for a task to set
        ("includes", {"ignore_case": 1}, "ignore_case", None),
        ("number", {"tolerance": "x"}, "tolerance", None),
        ("number", {"tolerance": True}, "tolerance", None),
        ("regex", {"group": True}, "group", None),
        ("regex", {"pattern": "("}, "no regular expression", None),
        ("regex", {"group": 2}, "its pattern has 1", None),
        ("regex", {"take": "best"}, "first or last", None),
        ("rouge", {"kind": "rouge3"}, "geometric", None),
        ("choice", {"letters": "AB1"}, "letters from A to Z", None),
        ("choice", {"letters": ""}, "letters from A to Z", None),
    ],
)
def test_what_cannot_be_bound(name: str, chosen: dict[str, Any], says: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        bind(name, chosen)
    assert (caught.value.hint is None) if hint is None else hint in (caught.value.hint or "")


def test_fields_are_passed_on_and_no_others() -> None:
    score = bind("babilong.official", {})
    sample = {"question": "Where is Mary?", "labels": ("garden", "office"), "depth": 0.5}
    assert score("garden", ("garden",), sample).value == 1.0
    with pytest.raises(UsageError, match="'labels'"):
        score("garden", ("garden",), {"question": "Where is Mary?"})


def test_signatures() -> None:
    assert reads("babilong.official") == ("question", "labels")
    assert reads("rouge") == reads("ruler.match_all") == ()
    assert arguments("rouge") == {"stemmer": False, "kind": "geometric"}
    assert arguments("math.verify") == {"timeout": 5.0}
    assert arguments("babilong.official") == {}
    for name in SCORERS:
        assert bind(name, arguments(name))
