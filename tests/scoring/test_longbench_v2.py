"""LongBench v2: upstream's extraction with its quirks, and the lenient one."""

from __future__ import annotations

import pytest

from lcbench.scoring.longbench_v2 import lenient, official


@pytest.mark.parametrize(
    ("completion", "exact", "read"),
    [
        ("The correct answer is (B).", "B", "B"),
        ("The correct answer is B", "B", "B"),
        ("**The correct answer is (B)**", "B", "B"),
        ("The correct answer is **(B)**", "B", "B"),
        ("The *correct* answer is (B)", "B", "B"),
        ("The correct answer is Carbon", "C", None),  # a bare letter needs no end
        ("The correct answer is: (B)", None, "B"),
        ("the correct answer is (B)", None, "B"),
        ("The correct answer is\n(B)", None, "B"),
        ("The correct answer is (A). No: The correct answer is (B)", "A", "B"),
        ("The correct answer is A. The correct answer is (B)", "B", "B"),  # brackets come before bare letters
        ("The correct answer is (E)", None, None),
        ("The correct answer is (insert answer here)", None, None),
        ("Answer: b", None, "B"),
        ("answer is (d)", None, "D"),
        ("The answer would be option C, as the text says.", None, "C"),
        ("The answer is a matter of taste", None, None),  # an article
        ("The answer is A because", None, "A"),
        ("the answer is b.", None, "B"),
        ("(A) and (B) are wrong, so (C)", None, "C"),
        ("The answer is (B); (C) is a trap", None, "B"),  # what follows "answer" comes before other brackets
        (r"Therefore \boxed{D}", None, "D"),
        ("B", None, "B"),
        ("b", None, "B"),
        ("B. Because it rains.", None, "B"),
        ("**C**\n\nIt rains.", None, "C"),
        ("A man walks.", None, None),
        ("Because D'Artagnan", None, None),
        ("", None, None),
    ],
)
def test_extraction(completion: str, exact: str | None, read: str | None) -> None:
    assert official(completion, ("B",)).extracted == exact
    assert lenient(completion, ("B",)).extracted == read
    assert official(completion, ("B",)).value == (exact == "B")
    assert lenient(completion, ("B",)).value == (read == "B")


def test_flags() -> None:
    assert official("I cannot say", ("B",)).flags == lenient("I cannot say", ("B",)).flags == ("unextracted",)
    assert official(" ", ("B",)).flags == lenient(" ", ("B",)).flags == ("empty",)
