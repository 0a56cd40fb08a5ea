"""RULER's two metrics: its own rules, cases where other implementations went wrong, and no text that breaks them."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lcbench.scoring import SCORERS
from lcbench.scoring.ruler import match_all, match_part, postprocess

TEXT = st.text(st.characters(codec="utf-8"))
REFERENCES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=10)
RICHARD = ("Richard I", "Richard I of Normandy", "Richard I")


@pytest.mark.parametrize(
    ("completion", "references", "of_all", "of_any"),
    [
        ("7649704", ("7649704",), 1.0, 1.0),
        (" 7649704 and 1234567.", ("7649704", "1234567"), 1.0, 1.0),
        ("7649704", ("7649704", "1234567"), 0.5, 1.0),
        ("A, then B", ("a", "b", "x", "y"), 0.5, 1.0),
        ("76497 04", ("7649704",), 0.0, 0.0),
        ("", ("7649704",), 0.0, 0.0),
        (" \n\t\x00 ", ("7649704",), 0.0, 0.0),
        ("OAKY-Fennel", ("oakY-fennel",), 1.0, 1.0),
        ("the 17649704th", ("7649704",), 1.0, 1.0),  # a substring is enough
        ("Richard I", RICHARD, 2 / 3, 1.0),  # one alias answers the question
        ("Norman", RICHARD, 0.0, 0.0),
        ("\x01one\x02two\x1f", ("one\ntwo",), 1.0, 1.0),  # control characters become line breaks
        ("one\ttwo", ("one two",), 0.0, 0.0),
        ("one\r\ntwo", ("one\n\ntwo",), 1.0, 1.0),
        ("one\x7ftwo", ("one\x7ftwo",), 1.0, 1.0),  # DEL is not among them
        ("[[1]] (.*)", ("(.*)",), 1.0, 1.0),  # no pattern, a text
        ("\x07", ("\n",), 0.0, 0.0),
    ],
)
def test_cases(completion: str, references: tuple[str, ...], of_all: float, of_any: float) -> None:
    assert match_all(completion, references).value == of_all
    assert match_part(completion, references).value == of_any


def test_dumping_everything_is_right() -> None:
    """The metric is recall, and upstream means it so."""
    everything = " ".join(str(n) for n in range(1_000_000, 1_010_000))
    assert match_all(everything, [str(n) for n in range(1_000_000, 1_010_000, 1250)]).value == 1.0


def test_what_is_extracted() -> None:
    found = match_all("\n 12\x0034 \t", ("12",))
    assert (found.extracted, found.flags) == ("12\n34", ())
    silent = match_part(" \x00 \n", ("12",))
    assert (silent.extracted, silent.flags, silent.value) == (None, ("empty",), 0.0)


@pytest.mark.parametrize("name", [n for n in SCORERS if n.startswith("ruler.")])
@given(references=REFERENCES)
def test_gold_scores_1_and_silence_0(name: str, references: list[str]) -> None:
    gold = [g for r in references if (g := postprocess(r))]
    assume(gold)
    assert SCORERS[name](" | ".join(gold), gold).value == 1.0
    assert SCORERS[name]("", gold).value == 0.0


@given(TEXT, REFERENCES)
@example("\x1c", ["\x1c"])  # white space to str.strip, a control character to the pattern
@example("İ", ["i̇"])  # one letter whose lower case is two
@example("\u2028", ["a"])
def test_any_text_has_a_score(completion: str, references: list[str]) -> None:
    every, some = match_all(completion, references), match_part(completion, references)
    assert every.value in [i / len(references) for i in range(len(references) + 1)]
    assert some.value in (0.0, 1.0)
    assert (every.value > 0) == (some.value == 1.0)
    assert every.extracted == some.extracted == (postprocess(completion) or None)


@given(TEXT)
def test_postprocessing_leaves_no_control_characters_but_line_breaks(completion: str) -> None:
    text = postprocess(completion)
    assert text == text.strip()
    assert all(c == "\n" or ord(c) >= 32 for c in text)
    assert postprocess(text) == text
