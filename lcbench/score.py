"""`lcbench score`: verdicts on answers made elsewhere. Needs no model, and imports neither torch nor transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcbench import answers, catalog
from lcbench.answers import Answer
from lcbench.errors import LcbenchError, MissingError, UsageError, nearest
from lcbench.figures import figures
from lcbench.records import Score
from lcbench.schema import ScoreBy, Task
from lcbench.scoring import bind

ANSWER_KEYS = ("target", "answer", "answers", "references")  # where the object in `references` has its answers

Row = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """The score of one row of the predictions, under the id that the row came with."""

    id: str | None
    score: Score

    def row(self) -> Row:
        """One line of the verdicts' file."""
        told: Row = {} if self.id is None else {"id": self.id}
        told |= {"score": self.score.value, "extracted": self.score.extracted, "flags": list(self.score.flags)}
        return told | ({"beside": self.score.beside} if self.score.beside else {})


def score(
    name: str, predictions: Path, samples: Path | None = None, metric: str | None = None
) -> tuple[Row, list[Row]]:
    """The summary of a file of predictions and a verdict for each row, in the file's order.

    samples: a file of `lcbench tasks build` that ids are looked up in, instead of the task's data. metric: another
    scorer than the task's. Raises UsageError with file and line for a row that cannot be scored, MissingError where the
    task's labels or data are not here.
    """
    task = one_task(name)
    scorer = task.scorer if metric in (None, task.scorer.name) else ScoreBy(name=str(metric))
    judge = bound(task, scorer)
    shared = answers.fields_of(task)
    known = Known(task, samples)
    verdicts = []
    for where, row in lines_of(predictions):
        try:
            answer = answer_of(row, known)
            if not any(r.strip() for r in answer.references):
                raise UsageError("there is no answer to score against")
            fields = {**answer.fields, **_beside(row), **shared}
            verdicts.append(Verdict(_id(row), _judged(judge, scorer.name, _completion(row), answer, fields)))
        except MissingError:
            raise
        except LcbenchError as error:
            raise UsageError(f"{where}: {error.message.rstrip('.')}.", error.hint) from error
    if not verdicts:
        raise UsageError(f"{predictions} has no rows.")
    return summary(task, scorer, [v.score for v in verdicts]), [v.row() for v in verdicts]


def _judged(judge: Callable[..., Score], name: str, completion: str, answer: Answer, fields: Row) -> Score:
    """The verdict. Scorers take any text, and a row may bring fields that are none."""
    try:
        return judge(completion, answer.references, fields)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"a field that {name} reads is not of its kind: {error}") from error


def one_task(name: str) -> Task:
    """The task of a name. Raises UsageError where it is not exactly one."""
    found = catalog.select([name])
    if len(found) != 1:
        several = ", ".join(s.task.name for s in found[:3])
        raise UsageError(f"{name} is {len(found)} tasks, {several} .., and one is wanted.", hint="lcbench tasks list")
    return found[0].task


def bound(task: Task, scorer: ScoreBy) -> Callable[..., Score]:
    """The scorer, with its arguments. Raises UsageError for one that there is not."""
    if task.benchmark == "lm_eval":
        raise UsageError(f"{task.name} is scored by lm-eval, in a run.", hint=f"lcbench run --tasks {task.name}")
    return bind(scorer.name, scorer.arguments)


def lines_of(path: Path) -> Iterator[tuple[str, Row]]:
    """(file:line, row) of a JSONL file. Raises UsageError where it cannot be read or a line is no JSON object."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}.") from error
    # at line feeds only: splitlines would cut at the line separators that JSON strings may hold
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
            raise UsageError(f"{path}:{number}: not JSON: {getattr(error, 'msg', error)}.") from error
        if not isinstance(row, dict):
            raise UsageError(f"{path}:{number}: every line is an object with `completion`.")
        yield f"{path}:{number}", row


class Known:
    """What ids stand for: samples of a file, else the items of the task's data, read when the first id is met."""

    def __init__(self, task: Task, samples: Path | None):
        self.task = task
        self.found = None if samples is None else built(task, samples)
        self.unclear: str | None = None  # the id column of data whose items have no names of their own

    def __getitem__(self, name: str) -> Answer:
        """The answer of a sample or an item. Raises UsageError for an id that there is not."""
        if self.found is None:
            self.found = answers.known(self.task)
            self.unclear = answers.unclear_id(self.task)
        if self.found is None:
            raise UsageError(
                f"{self.task.name} makes its samples, so that the id {name!r} alone names none",
                hint=f"--samples FILE, the one of: lcbench tasks build {self.task.name} -o FILE; or bring `references`",
            )
        item = item_of(self.task, name)
        if item is None and self.unclear:
            raise UsageError(f"{self.task.name} has several items of one {self.unclear}, so that {name!r} names none")
        for known in (name, item):
            if known is not None and known in self.found:
                return self.found[known]
        near = nearest(name, list(self.found)[:2000])
        raise UsageError(f"{self.task.name} has no sample or item {name!r}{near}")


def built(task: Task, samples: Path) -> dict[str, Answer]:
    """The answers in a file of `lcbench tasks build`, by the samples' ids."""
    rows = [row for _, row in lines_of(samples) if row.get("task") == task.name]
    if not rows:
        raise UsageError(f"{samples} has no sample of {task.name}.", hint=f"lcbench tasks build {task.name} -o FILE")
    return {str(row["id"]): Answer(tuple(row["references"]), row.get("fields", {}), {}) for row in rows}


def item_of(task: Task, name: str) -> str | None:
    """The item in a sample's id, TASK:LENGTH:ITEM; None where it is no id of this task."""
    for own in (task.name, *task.aliases, task.name.split("/")[-1]):
        if name.startswith(f"{own}:"):
            length, colon, item = name.removeprefix(f"{own}:").partition(":")
            return item if colon and (length == "-" or length.isdigit()) else None
    return None


def answer_of(row: Row, known: Known) -> Answer:
    """What a row is scored against: its own references, else those that its id stands for."""
    if row.get("references") is not None:
        return own_answer(row["references"])
    name = _id(row)
    if name is None:
        raise UsageError("there is neither `id` nor `references`")
    return known[name]


def own_answer(given: Any) -> Answer:
    """References as a row may bring them: an answer, a list of them, or an object with its answers under one key and
    fields of the metric beside it.
    """
    if not isinstance(given, Mapping):
        return Answer(_texts(given), {}, {})
    key = next((k for k in ANSWER_KEYS if k in given), None)
    if key is None:
        raise UsageError(f"`references` is an object with none of the keys {', '.join(ANSWER_KEYS)}")
    return Answer(_texts(given[key]), {k: v for k, v in given.items() if k != key}, {})


def _texts(given: Any) -> tuple[str, ...]:
    found = given if isinstance(given, list) else [given]
    if not all(isinstance(x, (str, int, float)) and not isinstance(x, bool) for x in found):
        raise UsageError("an answer in `references` is neither text nor number")
    return tuple(str(x) for x in found)


def _completion(row: Row) -> str:
    if not isinstance(row.get("completion"), str):
        raise UsageError("`completion` is missing" if "completion" not in row else "`completion` is no text")
    return str(row["completion"])


def _id(row: Row) -> str | None:
    name = row.get("id")
    if name is not None and (not isinstance(name, (str, int)) or isinstance(name, bool)):
        raise UsageError("`id` is neither text nor a whole number")
    return None if name is None else str(name)


def _beside(row: Row) -> Row:
    return {k: v for k, v in row.items() if k not in ("id", "completion", "references")}


def summary(task: Task, scorer: ScoreBy, scores: list[Score]) -> Row:
    """The figures of all verdicts: the mean and its interval, 0 to 100, as in the cells of a run."""
    found = figures(scorer.name, [s.value for s in scores], [s.beside for s in scores])
    return {
        "task": task.name,
        "n": found["n"],
        "score": found["score"],
        "ci": found["ci"],
        "n_unextracted": sum(s.extracted is None for s in scores),
        "metric": scorer.name,
    }


def line(told: Row) -> str:
    """The summary for a person."""
    low, high = told["ci"]
    unread = f", {told['n_unextracted']} without an answer that can be read" if told["n_unextracted"] else ""
    return f"{told['task']}  {told['metric']}  {told['score']:.2f} [{low:.2f}, {high:.2f}]  n {told['n']}{unread}"


def write(path: Path, rows: list[Row]) -> None:
    """Verdicts, one line each; the file appears whole or not at all."""
    if path.is_dir():
        raise UsageError(f"Cannot write {path}: it is a folder.", hint="-o FILE")
    partial = path.with_name(f".{path.name}.tmp")
    try:
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}.", hint="-o FILE") from error
    finally:
        partial.unlink(missing_ok=True)
