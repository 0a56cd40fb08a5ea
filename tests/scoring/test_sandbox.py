"""The verdicts of the sandbox tasks: both parts must be right; the last answer counts."""

from __future__ import annotations

import pytest

from lcbench.scoring import SCORERS


@pytest.mark.parametrize(
    ("completion", "value", "kind", "place", "extracted"),
    [
        ("LOST_UPDATE TX123456", 1, 1, 1, "LOST_UPDATE TX123456"),
        ("lost_update, tx123456.", 1, 1, 1, "LOST_UPDATE TX123456"),
        ('{"bug_type": "LOST_UPDATE", "bug_location": "TX123456"}', 1, 1, 1, "LOST_UPDATE TX123456"),
        ("TX123456 is a lost update: LOST_UPDATE", 1, 1, 1, "LOST_UPDATE TX123456"),
        ("CALC_ERROR TX111111? No: LOST_UPDATE TX123456", 1, 1, 1, "LOST_UPDATE TX123456"),
        ("LOST_UPDATE TX123456, or CALC_ERROR TX111111", 0, 0, 0, "CALC_ERROR TX111111"),
        ("CALC_ERROR TX123456", 0, 0, 1, "CALC_ERROR TX123456"),
        ("LOST_UPDATE TX1234567", 0, 1, 0, "LOST_UPDATE TX1234567"),
        ("LOST_UPDATE", 0, 1, 0, "LOST_UPDATE"),
        ("TX123456", 0, 0, 1, "TX123456"),
        ("nothing is wrong", 0, 0, 0, None),
        ("", 0, 0, 0, None),
    ],
)
def test_bank_log(completion: str, value: float, kind: float, place: float, extracted: str | None) -> None:
    score = SCORERS["sandbox.bank_log"](completion, ("LOST_UPDATE TX123456",))
    assert (score.value, score.beside, score.extracted) == (value, {"kind": kind, "place": place}, extracted)


@pytest.mark.parametrize(
    ("completion", "value", "file", "extracted"),
    [
        ("olmo/model.py:L345", 1, 1, "olmo/model.py:L345"),
        ("The bug is in `olmo/model.py:L345`.", 1, 1, "olmo/model.py:L345"),
        ("olmo/train.py:L3, no: olmo/model.py:L345", 1, 1, "olmo/model.py:L345"),
        ("olmo/model.py:L345 (see olmo/train.py)", 1, 1, "olmo/model.py:L345"),
        ("olmo/model.py:L34", 0, 1, "olmo/model.py:L34"),
        ("olmo/model.py:L3456", 0, 1, "olmo/model.py:L3456"),
        ("model.py:L345", 0, 0, "model.py:L345"),
        ("src/olmo/model.py:L345", 0, 0, "src/olmo/model.py:L345"),
        ("olmo/model.py:345", 0, 1, "olmo/model.py"),
        ("olmo/model.py", 0, 1, "olmo/model.py"),
        ("L345", 0, 0, None),
        ("", 0, 0, None),
    ],
)
def test_code_bug(completion: str, value: float, file: float, extracted: str | None) -> None:
    score = SCORERS["sandbox.code_bug"](completion, ("olmo/model.py:L345",))
    assert (score.value, score.beside, score.extracted) == (value, {"file": file}, extracted)


def test_flags() -> None:
    for name, reference in (("sandbox.bank_log", "CALC_ERROR TX1"), ("sandbox.code_bug", "a.py:L1")):
        assert SCORERS[name](" \n", (reference,)).flags == ("empty",)
        assert SCORERS[name]("I do not know", (reference,)).flags == ("unextracted",)
        assert SCORERS[name](reference, ()).value == 0.0
