"""bAbI stories: which facts a question has, and that BABILong's own questions are among ours."""

from __future__ import annotations

import dataclasses
import gzip
import json
import tarfile
from pathlib import Path

import pytest

from lcbench.data import babi
from lcbench.data.babi import Question
from lcbench.data.pinned import SOURCES
from lcbench.errors import MissingError, UsageError

STORY = (
    "1 Ada went to the attic.\n"
    "2 Ben took the lamp.\n"
    "3 Where is Ada? \tattic\t1\n"
    "4 Ben went to the shed.\n"
    "5 What is Ben carrying? \tlamp,rope\t4 2\n"
    "1 Cyd is here.\n"
    "2 How do you go?\tn,w\t1\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for inside, name in (("en", "qa1_made-up_test"), ("en", "qa11_other_test"), ("en-valid", "qa1_valid")):
        (tmp_path / "babi" / inside).mkdir(parents=True, exist_ok=True)
        text = STORY if name != "qa11_other_test" else "1 A.\n2 Q? \ta\t1\n"
        (tmp_path / "babi" / inside / f"{name}.txt").write_text(text)
    return tmp_path / "babi"


def test_a_question_has_the_facts_before_it_and_no_question(folder: Path) -> None:
    first, second, third = babi.questions(1, "en", "test", folder)
    assert first == Question(("Ada went to the attic.", "Ben took the lamp."), "Where is Ada? ", "attic", (0,))
    assert second.facts == ("Ada went to the attic.", "Ben took the lamp.", "Ben went to the shed.")
    assert (second.answer, second.supporting) == ("lamp,rope", (2, 1))
    assert third == Question(("Cyd is here.",), "How do you go?", "n,w", (0,))
    assert [q.question for q in babi.questions(11, "en", "test", folder)] == ["Q? "]
    assert len(babi.questions(1, "en", "valid", folder)) == 3


def test_an_archive_reads_as_the_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "data" / "babi_en_and_en-10k.tar.gz", "w:gz") as archive:
        archive.add(folder / "en", "en")
    with pytest.raises(UsageError, match="not the pinned file"):
        babi.questions(1, "en", "test")
    monkeypatch.setitem(SOURCES, "babi", dataclasses.replace(SOURCES["babi"], sha256=None))
    assert babi.questions(1, "en", "test") == babi.questions(1, "en", "test", folder)


def test_what_is_not_there_and_what_is_no_story(folder: Path) -> None:
    with pytest.raises(MissingError, match="task 2, en test, is not in"):
        babi.questions(2, "en", "test", folder)
    for broken in ("1 A.\n2 Q?\tx\t7\n", "1 A.\n2 Q?\tx\n", "1 A.\nB\n"):
        (folder / "en" / "qa3_x_test.txt").write_text(broken)
        with pytest.raises(UsageError, match=r"qa3_x_test\.txt:2: this is no line of a bAbI story"):
            babi.questions(3, "en", "test", folder)


def test_the_questions_that_babilong_asks_are_ours(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    ours = {task: babi.questions(task, "en-10k", "test") for task in range(1, 21)}
    assert {len(questions) for questions in ours.values()} == {1000}
    pairs = {f"qa{task}": {(q.question, q.answer) for q in questions} for task, questions in ours.items()}
    lines = gzip.decompress((shared / "golden" / "babilong_predictions.jsonl.gz").read_bytes()).decode().splitlines()
    asked = [row for row in map(json.loads, lines) if row["length"] == "0k"]
    assert {row["task"] for row in asked} == set(pairs)
    assert [row for row in asked if (row["question"], row["target"]) not in pairs[row["task"]]] == []
    with pytest.raises(MissingError, match="task 3, en-10k train"):
        babi.questions(3, "en-10k", "train")
