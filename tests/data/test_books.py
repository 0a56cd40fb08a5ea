"""Books as sentences: no licence, no fragment, the same every time."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import numpy as np
import pytest

from lcbench.data import corpora
from lcbench.data.sentences import sentence_starts

LICENCE = "Terms and conditions that nobody wants to read in a haystack. Twice."
BOOK = (
    f"\ufeffThe Project Gutenberg eBook, A Walk\r\n\r\n{LICENCE}\r\n\r\n***START OF THE PROJECT GUTENBERG EBOOK A\r\n"
    "WALK***\r\n\r\n\r\nE-text prepared by\r\nsomebody\r\n\r\n\r\n\r\nCHAPTER I\r\n\r\nMr. Hill went out\r\nearly. "
    "“Where to?” asked his wife. Out! He did\r\n  not say.\r\n\r\n[Illustration: A hill of some size.]\r\n\r\n"
    "It rained all day\r\n\r\n\r\nEnd of the Project Gutenberg EBook of A Walk\r\n\r\n"
    f"***END OF THE PROJECT GUTENBERG EBOOK A WALK***\r\n\r\n{LICENCE}"
)
SENTENCES = ["Mr. Hill went out early.", "asked his wife.", "He did not say.", "It rained all day"]


def put(folder: Path, **books: str) -> None:
    (folder / "corpora").mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps({"id": name, "text": text}) for name, text in books.items())
    (folder / "corpora" / "books.jsonl.gz").write_bytes(gzip.compress(lines.encode()))


def test_sentences_of_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    put(tmp_path, walk=BOOK, plain="No licence here at all. The end is near.")
    found = corpora.books()
    assert found.pieces == [*SENTENCES, "No licence here at all.", "The end is near."]
    assert found.bounds == (("walk", 0, 4), ("plain", 4, 6))
    assert corpora.books() is found
    put(tmp_path, plain="Another book is here now.")
    assert corpora.books().pieces == ["Another book is here now."]
    assert corpora.books().sha256 != found.sha256


def test_where_sentences_begin() -> None:
    text = 'He said "no." Mr. Hill (who knew.) left! etc. So'
    words = text.split()
    assert sentence_starts(words).tolist() == [0, 3, 7, 8]
    assert sentence_starts(["one."]).tolist() == [0]
    assert sentence_starts([" a.”", " b"]).tolist() == [0]
    assert sentence_starts([" a.”", " b"], "”").tolist() == [0, 1]


def test_our_own_text_as_sentences() -> None:
    small, large = corpora.prose_sentences(1500), corpora.prose_sentences(4000)
    assert large.pieces[: len(small.pieces)] == small.pieces
    assert all(len(piece.split()) >= 3 and piece[-1] in ".!?\"'" for piece in large.pieces)
    assert large.bounds == (("prose", 0, len(large.pieces)),)
    assert np.mean([len(piece.split()) for piece in large.pieces]) < 40


def test_the_books_at_hand(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    began = time.perf_counter()
    found = corpora.books()
    assert time.perf_counter() - began < 20
    assert len(found.bounds) == 10
    assert sum(len(piece.split()) for piece in found.pieces) > 1_700_000
    assert not [piece for piece in found.pieces if "Gutenberg" in piece or "\n" in piece or "  " in piece]
