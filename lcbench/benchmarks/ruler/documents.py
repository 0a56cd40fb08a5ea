"""Questions and documents of SQuAD and HotpotQA files, and the tokens of a document in place.

Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/qa.py (read_squad, read_hotpotqa).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lcbench.data import sources
from lcbench.prompting import Prompter


@dataclass(frozen=True)
class Question:
    """A question, its accepted answers, the documents it comes with, those that hold the answer, and related ones.

    Related documents (the same article's) fill up first.
    """

    text: str
    answers: tuple[str, ...]
    needs: tuple[int, ...]
    evidence: tuple[int, ...]
    related: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pool:
    questions: list[Question]
    documents: list[str]


def read_squad(data: dict[str, Any]) -> Pool:
    """Answerable questions of a file in SQuAD's format; every paragraph is a document."""
    articles = [[p["context"] for p in a["paragraphs"]] for a in data["data"]]
    documents = sorted({c for a in articles for c in a})
    place = {c: i for i, c in enumerate(documents)}
    questions = []
    for article, contexts in zip(data["data"], articles, strict=True):
        members = [place[c] for c in contexts]
        for paragraph in article["paragraphs"]:
            own = place[paragraph["context"]]
            related = tuple(dict.fromkeys(m for m in members if m != own))
            for qa in paragraph["qas"]:
                if not qa.get("is_impossible", False):
                    answers = tuple(a["text"] for a in qa["answers"])
                    questions.append(Question(qa["question"], answers, (own,), (own,), related))
    return Pool(questions, documents)


def read_hotpotqa(rows: list[dict[str, Any]]) -> Pool:
    """HotpotQA's distractor setting: all paragraphs of a question are needed; a document is its title and its
    sentences.
    """
    contexts = [[f"{title}\n{''.join(sentences)}" for title, sentences in row["context"]] for row in rows]
    documents = sorted({c for row in contexts for c in row})
    place = {c: i for i, c in enumerate(documents)}
    questions = []
    for row, context in zip(rows, contexts, strict=True):
        supporting = {title for title, _ in row.get("supporting_facts", [])}
        evidence = [place[c] for c, (title, _) in zip(context, row["context"], strict=True) if title in supporting]
        needs = dict.fromkeys(place[c] for c in context)
        questions.append(Question(row["question"], (row["answer"],), tuple(needs), tuple(dict.fromkeys(evidence))))
    return Pool(questions, documents)


@cache
def read(path: Path, form: str) -> Pool:
    """The questions and documents of a data file, .json or .jsonl."""
    text = sources.read(path).decode("utf-8")
    lines = ".jsonl" in path.suffixes
    data: Any = [json.loads(line) for line in text.splitlines() if line] if lines else json.loads(text)
    return read_squad(data) if form == "squad" else read_hotpotqa(data)


class Lengths:
    """Tokens of a document in place and of the heading `Document i:`, measured when first asked for."""

    def __init__(self, prompter: Prompter, documents: list[str]):
        self.prompter = prompter
        self.documents = documents
        self.tokens: dict[int, int | None] = {}
        self.headings: list[int] = []

    def of(self, chosen: list[int]) -> np.ndarray | None:
        """Tokens of these documents standing as Document 1, 2, ..; None where they do not add up."""
        new = [d for d in dict.fromkeys(chosen) if d not in self.tokens]
        measured = self.prompter.measure([("Document 7:\n", self.documents[d] + "\n\n") for d in new])
        for i, d in enumerate(new):
            self.tokens[d] = None if measured is None else int(measured[i, 1])
        if len(self.headings) < len(chosen):
            rows = self.prompter.measure([(f"Document {i}:\n", "Text.\n\n") for i in range(1, 2 * len(chosen) + 1)])
            self.headings = [] if rows is None else rows[:, 0].tolist()
        known = [self.tokens[d] for d in chosen]
        if None in known or len(self.headings) < len(chosen):
            return None
        return np.array(known, dtype=np.int64) + np.array(self.headings[: len(chosen)], dtype=np.int64)


@cache
def lengths_of(prompter: Prompter, path: Path, form: str) -> Lengths:
    """The lengths of a file's documents, shared by all cells."""
    return Lengths(prompter, read(path, form).documents)
