"""RULER's question answering: the documents of one question among other documents (SQuAD, HotpotQA).

params: format squad|hotpotqa. Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/qa.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lcbench.benchmarks.base import Brief, Cell, frame
from lcbench.data import sources
from lcbench.errors import CannotBuild
from lcbench.prompting import Context, Frame, Prompter
from lcbench.records import Sample
from lcbench.seeds import generator


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
def _lengths(prompter: Prompter, path: Path, form: str) -> Lengths:
    return Lengths(prompter, read(path, form).documents)


def open_cell(brief: Brief) -> Cell:
    """The samples of one question-answering task at one length: questions in seeded order, those that do not fit
    passed over.
    """
    form = brief.task.params["format"]
    found = sources.find(*brief.task.data)
    pool = read(found.path, form)
    lengths = _lengths(brief.prompter, found.path, form)
    order = generator(brief.seed, brief.task.name, brief.task.version, "order").sample(
        range(len(pool.questions)), len(pool.questions)
    )
    fitter = brief.fitter()
    fitting: list[int] = []
    tried = 0

    def draft(question: Question, seed: int) -> tuple[Frame, str, Callable[[int], Context], int]:
        rng = random.Random(seed)
        around, prefix = frame(brief, brief.wording.template, brief.wording.answer_prefix, query=question.text)
        related = rng.sample(question.related, len(question.related))
        taken = {*question.needs, *related}
        others = [d for d in range(len(pool.documents)) if d not in taken]
        documents = [*question.needs, *related, *rng.sample(others, len(others))]
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            chosen = random.Random(places + n).sample(documents[:n], n)
            pieces = [f"Document {i}:\n{pool.documents[d]}\n\n" for i, d in enumerate(chosen, 1)]
            pieces[-1] = pieces[-1].removesuffix("\n\n")
            return Context(pieces, lengths.of(chosen), sorted((i, i) for i in map(chosen.index, question.evidence)))

        return around, prefix, build, len(documents)

    def fits(question: Question) -> bool:
        around, _, build, _ = draft(question, 0)
        return fitter.tokens(around, build(len(question.needs))) <= fitter.budget

    def prepare(samples: int) -> tuple[int, int]:
        nonlocal tried
        while len(fitting) < samples and tried < len(order):
            if fits(pool.questions[order[tried]]):
                fitting.append(order[tried])
            tried += 1
        last = order.index(fitting[samples - 1]) + 1 if samples <= len(fitting) else tried
        return min(samples, len(fitting)), last - min(samples, len(fitting))

    def sample(index: int) -> Sample:
        if prepare(index + 1)[0] <= index:
            raise CannotBuild(f"only {len(fitting)} questions of {found.name} fit {brief.length} tokens")
        question = pool.questions[fitting[index]]
        around, prefix, build, most = draft(question, brief.seed_for(index))
        context = fitter.fit(around, build, least=len(question.needs), most=most, per_unit=160.0)
        made = fitter.sample(
            id=brief.sample_id(index),
            task=brief.task.name,
            index=index,
            frame=around,
            context=context,
            answer_prefix=prefix,
            references=question.answers,
            context_id=brief.sample_id(index),
        )
        used = made.prompt_tokens + made.max_new_tokens
        if len(context.pieces) == most and used < 0.95 * brief.length:
            raise CannotBuild(f"all {most} documents of {found.name} fill {used} tokens, {brief.length} were asked for")
        return made

    return Cell(sample, prepare, {"data": {"source": found.name, "sha256": found.sha256}})
