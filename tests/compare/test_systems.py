"""Which systems a comparison is of, and what they are called."""

from __future__ import annotations

import pytest

from lcbench.compare import systems
from lcbench.errors import UsageError
from lcbench.runs import Run
from tests.compare.folders import run

VT = ("ruler/vt", 4096)


def of(path: str, *mechanisms: str) -> Run:
    return run({spec: {VT: [1.0]} for spec in mechanisms}, path)


def names(runs: list[Run], *attn: str) -> list[tuple[str, str]]:
    return [(a.name, b.name) for a, b in systems(runs, attn)]


def test_within_one_run_every_mechanism_is_against_the_first() -> None:
    a = of("a", "softmax", "lucid", "iha")
    assert names([a]) == [("softmax", "lucid"), ("softmax", "iha")]
    assert names([a], "iha", "softmax") == [("iha", "softmax")]


def test_a_later_run_is_against_the_same_mechanism_of_the_first_or_against_its_first() -> None:
    a, b, c = of("a", "softmax", "lucid"), of("b", "lucid", "iha"), of("c", "softmax")
    assert names([a, b, c]) == [("a lucid", "b lucid"), ("a softmax", "b iha"), ("a softmax", "c softmax")]
    assert names([a, b, c], "lucid") == [("a", "b")]
    assert names([of("x/a", "softmax"), of("y/a", "softmax")]) == [("x/a", "y/a")]


def test_a_baseline_is_one_system_in_all_its_pairs() -> None:
    first, second = systems([of("a", "softmax", "lucid", "iha")])
    assert first[0] is second[0]


@pytest.mark.parametrize(
    ("runs", "attn", "told"),
    [
        ([], (), "no run was named"),
        ([of("a", "softmax")], (), "Nothing to compare with a under softmax"),
        ([of("a", "softmax"), of("b", "lucid")], ("softmax",), "Nothing to compare with a under softmax"),
        ([of("a", "softmax"), of("b", "lucid")], ("lucid",), "a, the baseline, has none of lucid"),
        ([of("a", "softmax", "lucid")], ("lucd",), "No run has a mechanism 'lucd'; did you mean lucid?"),
    ],
)
def test_what_cannot_be_paired_is_refused(runs: list[Run], attn: tuple[str, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("?", r"\?")):
        systems(runs, attn)
