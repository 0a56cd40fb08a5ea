"""`lcbench tasks new`: a commented file to start a task from, with the columns of one's data filled in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcbench.data.rows import read_rows
from lcbench.errors import UsageError

NAME = re.compile(r"[\w.-]+/[\w.-]+")

# What columns are usually called, the likeliest first.
ANSWERS = ("answers", "answer", "references", "reference", "target", "targets", "label", "gold", "output", "expected")
QUESTIONS = ("question", "problem", "query", "instruction", "prompt", "input", "text")
DOCUMENTS = ("context", "document", "passage", "article", "story", "text", "input")
NAMES = ("id", "_id", "uid", "unique_id", "index", "idx")  # what a row is called is no question
LOOKED_AT = 200  # rows whose answers decide the score
LONG = 1500  # characters of a column that make it a document


@dataclass(frozen=True)
class Guess:
    """What a data file seems to hold. document: a column of long texts, which may be cut."""

    columns: tuple[str, ...]
    question: str
    answer: str
    document: str | None
    score: str
    why: str
    new_tokens: int


def write(name: str, data: Path | None, out: Path | None) -> Path:
    """Writes the file and returns where it is. Raises UsageError rather than replace a file."""
    if not NAME.fullmatch(name):
        near = re.sub(r"[^\w.-]+", "_", name).strip("_") or "name"
        raise UsageError(f"{name!r} is not of the form group/name.", hint=f"lcbench tasks new mine/{near}")
    path = out or Path(f"{name.split('/')[1]}.yaml")
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path} is no YAML file by its name.", hint=f"-o {path.with_suffix('.yaml')}")
    guess = EXAMPLE if data is None else guessed(data, read_rows(data))
    save(path, text(name, guess, _beside(path, data)))
    return path


def save(path: Path, content: str, replace: bool = False) -> None:
    """A new text file. Raises UsageError where it is there, or its folder is not."""
    try:
        with path.open("w" if replace else "x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already, and stays as it is.", hint="-o FILE") from error
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.", hint="-o FILE") from error


def _beside(path: Path, data: Path | None) -> str:
    """The data file as the YAML file names it: seen from its folder, where it is in there."""
    if data is None:
        return f"{path.stem}.jsonl"
    full, folder = data.expanduser().resolve(), path.parent.resolve()
    return os.path.relpath(full, folder) if full.is_relative_to(folder) else str(full)


EXAMPLE = Guess(("question", "answer"), "question", "answer", None, "includes", "", 32)


def guessed(data: Path, rows: Sequence[Mapping[str, Any]]) -> Guess:
    """What the columns seem to be. Raises UsageError where there is nothing to ask or nothing to score against."""
    columns = tuple(dict.fromkeys(column for row in rows[:LOOKED_AT] for column in row))
    if len(columns) < 2:
        told = f"its columns are {', '.join(columns)}" if columns else "it has no rows"
        raise UsageError(f"{data}: a task needs a column to ask from and one with the answer; {told}.")
    answer = _called(columns, ANSWERS) or columns[-1]
    usable = [c for c in columns if c.isidentifier() and c != answer]
    if not usable:
        raise UsageError(f"{data}: no column but {answer!r} can stand in a template: names of letters, digits and _.")
    texts = {c: [str(row[c]) for row in rows[:LOOKED_AT] if c in row] for c in usable}
    long = [c for c in usable if max(map(len, texts[c])) >= LONG]
    document = _called(long, DOCUMENTS) or (long[0] if long else None)
    others = [c for c in usable if c != document and c.lower() not in NAMES] or usable
    question = _called(others, QUESTIONS) or others[0]
    if question == document:
        document = None
    score, why, tokens = scored([row[answer] for row in rows[:LOOKED_AT] if answer in row])
    return Guess(columns, question, answer, document, score, why, tokens)


def _called(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((c for name in names for c in columns if c.lower() == name), None)


def scored(values: Sequence[Any]) -> tuple[str, str, int]:
    """A scorer that suits such answers, why, and how many tokens an answer may have."""
    said = [str(v) for value in values for v in (value if isinstance(value, list) else [value])]
    words = max((len(s.split()) for s in said), default=1)
    if said and all(re.fullmatch(r"[A-D]", s) for s in said):
        return "choice", "the answers are letters", 32
    if said and all(re.fullmatch(r"-?[0-9][0-9,]*(\.[0-9]+)?", s) for s in said):
        return "number", "the answers are numbers: the last number of the completion counts", 256
    if words <= 8:
        return "includes", "the answers are short: a completion is right that contains one", 32
    if words <= 40:
        return "f1", "the answers are phrases: words in common count", 128
    return "rouge", "the answers are long", 512


def text(name: str, guess: Guess, data: str) -> str:
    """The file. Every key that a first task needs is there, the others stand in comments."""
    columns = ", ".join(guess.columns)
    prompt = [f"Question: {{{{ {guess.question} }}}}", "Answer:"]
    if guess.document:
        prompt = [f"{{{{ {guess.document} }}}}", "", *prompt]
    body = "\n".join(f"  {line}".rstrip() for line in prompt)
    cut = TRUNCATE if guess.document else TRUNCATE_COMMENT
    return TEMPLATE.format(
        name=name,
        stem=name.split("/")[1],
        data=json.dumps(data, ensure_ascii=False),
        columns=f"# Its columns: {columns}"
        if guess.why
        else "# One JSON object a line, for instance: "
        '{"question": "What is the capital of France?", "answer": "Paris"}',
        prompt=body,
        answer=json.dumps(guess.answer, ensure_ascii=False) if not guess.answer.isidentifier() else guess.answer,
        question=guess.question,
        truncate=cut.format(column=guess.document or "context"),
        score=guess.score,
        why=f" {guess.why[:1].upper() + guess.why[1:]}." if guess.why else "",
        tokens=guess.new_tokens,
    )


TRUNCATE = """\
# A prompt that is too long for the model loses text of this column, in the middle. Without this key it is passed over.
truncate:
  column: {column}
  cut: middle # or start, or end
"""
TRUNCATE_COMMENT = """\
# A prompt that is too long for the model is passed over and counted. To cut a column of it instead:
# truncate: {{column: {column}, cut: middle}}
"""
TEMPLATE = """\
# A task of your own. Check it with:  lcbench tasks validate {stem}.yaml
# Look at its first prompt with:      lcbench tasks show {stem}.yaml
name: {name}
version: 1 # raise it whenever a prompt changes: scores of two versions are not compared
description: "One sentence: what is asked?"
source: "Where the rows are from, and their licence."

# JSONL, CSV or Parquet, beside this file. A data set of the hub: data: {{hub: ORG/NAME, revision: COMMIT, split: test}}
{columns}
data:
  file: {data}

# Jinja2 over the columns of a row. The model's chat template is put around it. A column that is not there is an error.
prompt: |-
{prompt}

# The accepted answers: a column (a list in it is several answers), or a template, or a list of templates.
references: {answer}

# How an answer is judged.{why}
# Others: exact_match, includes, includes_all, starts_with, regex, number, choice, f1, rouge. With arguments:
# score: {{name: exact_match, ignore_case: false}}
score: {score}

# A completion that must score 1, where the bare answer would not:
# gold: "The answer is {{{{ {answer} }}}}."

generate:
  max_new_tokens: {tokens}
  # stop: ["\\n"]

{truncate}
# Solved examples before the question, from rows of another file:
# few_shot:
#   n: 2
#   data: {{file: examples.jsonl}}
#   shot: "Question: {{{{ {question} }}}}\\nAnswer: {{{{ {answer} }}}}"

# A second request that builds on the first answer; the last answer is scored:
# turns:
#   - prompt: "You said: {{{{ answers[0] }}}}\\nSo what is the answer to: {{{{ {question} }}}}"
#     generate: {{max_new_tokens: 32}}

# budget: a length is the most that prompt and answer may have. ignored: lengths do not apply.
lengths: budget
"""
