"""Samples from rows of data: one row, one sample. What tasks of your own are made of, GSM8K and MATH-500 among them.

A row's columns fill the task's templates; a prompt that is too long is cut as the task says, and a row that does not
fit is passed over and counted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lcbench.benchmarks.base import Brief, Cell, Wording
from lcbench.benchmarks.cutting import Draft, Finished, cut_to, whole
from lcbench.benchmarks.templates import template
from lcbench.data.rows import Rows, from_file, hub_rows, named
from lcbench.errors import CannotBuild, UsageError
from lcbench.records import Sample, Turn, answer_mark
from lcbench.schema import Data, FewShot, Task
from lcbench.scoring import reads
from lcbench.seeds import digest, generator

DOCUMENT = "\ue000document\ue000"  # stands where the column that may be cut goes, while the rest is rendered
ID_COLUMNS = ("id", "_id", "unique_id", "uid")
KEPT = 64  # built samples of long texts that are kept: a batch's worth
SPARE = 32  # tokens by which an answer may grow when it is encoded again inside a later prompt

Row = dict[str, Any]


def load(data: tuple[str, ...] | Data) -> Rows:
    """The rows of a task. Raises MissingError where they are not here, UsageError where they cannot be read."""
    if isinstance(data, tuple):
        return named(*data)
    if data.file is not None:
        return from_file(Path(data.file))
    assert data.hub is not None and data.revision is not None
    return hub_rows(data.hub, data.revision, data.split, data.config)


def names_of(rows: Sequence[Row]) -> list[str]:
    """What each row is called in sample ids: its id column where that tells rows apart, else its number from 0."""
    column = next((c for c in ID_COLUMNS if _tells_apart(rows, c)), None)
    return [str(i) if column is None else str(row[column]) for i, row in enumerate(rows)]


def unclear_id(rows: Sequence[Row]) -> str | None:
    """The id column of rows that are called by their numbers because it does not tell them apart."""
    given = [c for c in ID_COLUMNS if any(c in row for row in rows)]
    return given[0] if given and not any(_tells_apart(rows, c) for c in given) else None


def _tells_apart(rows: Sequence[Row], column: str) -> bool:
    values = [str(row[column]) for row in rows if column in row]
    return len(values) == len(rows) and len(set(values)) == len(rows)


def order_of(seed: int, n: int) -> list[int]:
    """The seeded order in which n items are taken: the same for all tasks over as many items, so that they pair."""
    return generator(seed, "items", n).sample(range(n), n)


def references_of(task: Task, row: Mapping[str, Any]) -> tuple[str, ...]:
    """The accepted answers of a row: a column's value (a list is several answers), or rendered templates."""
    asked = (task.references,) if isinstance(task.references, str) else task.references or ()
    found: list[str] = []
    for i, text in enumerate(asked):
        key = "references" if isinstance(task.references, str) else f"references.{i}"
        if "{{" in text or "{%" in text:
            found.append(template(task.name, key, text).render(row))
        elif text not in row:
            raise UsageError(f"{task.name}: {key}: there is no column {text!r}; columns: {', '.join(row)}")
        else:
            value = row[text]
            values = value if isinstance(value, (list, tuple)) else [value]
            found += [str(v) for v in values if v is not None]
    return tuple(found)


def fields_of(task: Task, row: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that the task's metrics read beside the references."""
    wanted = {name for s in (task.scorer, *task.scorers_beside) for name in reads(s.name)}
    return {name: row[name] for name in sorted(wanted) if name in row}


class Shots:
    """The solved examples before each item."""

    def __init__(self, task: Task, few_shot: FewShot):
        self.rows = load(few_shot.data)
        self.few_shot = few_shot
        self.shot = template(task.name, "few_shot.shot", few_shot.shot)
        self.drawn: list[list[int]] = []
        self.rng = random.Random(1234)  # lm-eval's default for few-shot draws
        if few_shot.n > len(self.rows.rows):
            raise UsageError(f"{task.name}: few_shot.n is {few_shot.n}, its data has {len(self.rows.rows)} rows.")

    def before(self, item: int) -> str:
        """The examples before this item (its place in the data), each with the separator behind it."""
        chosen: Sequence[int] = range(self.few_shot.n)
        if self.few_shot.order == "lm_eval":
            while len(self.drawn) <= item:
                self.drawn.append(self.rng.sample(range(len(self.rows.rows)), self.few_shot.n))
            chosen = self.drawn[item]
        return "".join(self.shot.render(self.rows.rows[i]) + self.few_shot.separator for i in chosen)


def draft_of(task: Task, row: Row, shots: str) -> Draft:
    """The prompt of a row, apart from the column that may be cut."""
    column = task.truncate.column if task.truncate else None
    if column is not None and column not in row:
        raise UsageError(f"{task.name}: truncate.column: there is no column {column!r}; columns: {', '.join(row)}")
    columns = row if column is None else {**row, column: DOCUMENT}
    assert task.prompt is not None
    text = shots + template(task.name, "prompt", task.prompt).render(columns)
    prefix = template(task.name, "answer_prefix", task.answer_prefix).render(columns)
    if column is None:
        return Draft(text, "", "", prefix)
    if text.count(DOCUMENT) != 1 or DOCUMENT in prefix:
        raise UsageError(
            f"{task.name}: prompt: the column {column!r}, which may be cut, must stand in it once, plainly."
        )
    head, tail = text.split(DOCUMENT)
    return Draft(head, str(row[column]), tail, prefix)


def later_of(brief: Brief, row: Row) -> tuple[Turn, ...]:
    """The later turns of a row, with marks where earlier answers go. Raises CannotBuild where one cannot fit."""
    task, turns = brief.task, []
    answer_tokens = brief.max_new_tokens
    for i, spec in enumerate(task.turns, 1):
        columns = {**row, "answers": [answer_mark(k) for k in range(i)], "answer": answer_mark(i - 1)}
        content = template(task.name, f"turns.{i - 1}.prompt", spec.prompt).render(columns)
        prefix = template(task.name, f"turns.{i - 1}.answer_prefix", spec.answer_prefix).render(columns)
        new = min(spec.generate.max_new_tokens, brief.max_new_tokens)
        room = None if brief.limit is None else brief.limit - new - answer_tokens - SPARE
        whole(brief.prompter, content, prefix, room)
        turns.append(Turn(brief.prompter.conversation(content), prefix, new, spec.generate.stop))
        answer_tokens += new
    return tuple(turns)


def finish(brief: Brief, draft: Draft) -> Finished:
    """The prompt within the budget: cut as the task says, or whole."""
    budget = None if brief.limit is None else brief.limit - brief.max_new_tokens
    if brief.task.truncate is None:
        return whole(brief.prompter, draft.head + draft.document + draft.tail, draft.answer_prefix, budget)
    how = brief.task.truncate
    return cut_to(brief.prompter, draft, budget, how.cut, how.separator)


def sample_of(
    brief: Brief,
    index: int,
    item: str | int,
    done: Finished,
    references: Sequence[str],
    document: str = "",
    answer_prefix: str = "",
    **more: Any,
) -> Sample:
    """The finished sample of an item. Samples with the same document share their context, whatever else differs."""
    name = brief.sample_id(item)
    return Sample(
        id=name,
        task=brief.task.name,
        length=brief.length,
        index=index,
        messages=brief.prompter.conversation(done.content),
        answer_prefix=answer_prefix,
        references=tuple(references),
        context_id=f"{brief.task.group}:{digest(document)[:16]}" if document else name,
        prompt_tokens=done.tokens,
        max_new_tokens=brief.max_new_tokens,
        truncated=done.truncated,
        **more,
    )


def cell_of(
    brief: Brief,
    names: Sequence[str],
    make: Callable[[int, int], Sample],
    materials: dict[str, dict[str, Any]],
    wording: Wording | None = None,
) -> Cell:
    """The samples of one cell over named items, in seeded order, those that cannot be built passed over.

    make(index, item) -> the sample of an item, or CannotBuild.
    """
    order = order_of(brief.seed, len(names))
    fitting: list[int] = []
    tried, reason = 0, "none was tried"

    @lru_cache(maxsize=None if brief.length is None else KEPT)
    def built(index: int, item: int) -> Sample:
        return make(index, item)

    def prepare(samples: int) -> tuple[int, int]:
        nonlocal tried, reason
        while len(fitting) < samples and tried < len(order):
            try:
                # the index is known: those before it are all found
                built(len(fitting), order[tried])
                fitting.append(order[tried])
            except CannotBuild as error:
                reason = error.message
            tried += 1
        n = min(samples, len(fitting))
        last = order.index(fitting[n - 1]) + 1 if n and samples <= len(fitting) else tried
        return n, last - n

    def sample(index: int) -> Sample:
        if prepare(index + 1)[0] <= index:
            raise CannotBuild(f"only {len(fitting)} of {len(names)} items fit; the last one tried: {reason}")
        return built(index, fitting[index])

    return Cell(sample, prepare, materials, wording=wording)


def open_cell(brief: Brief) -> Cell:
    """The samples of a task that is rows and templates."""
    task = brief.task
    if task.prompt is None:
        raise UsageError(f"{task.name}: prompt is missing: a Jinja2 template over the columns of its data.")
    if task.lengths == "fill":
        raise UsageError(f"{task.name}: lengths: rows of data do not fill a length: budget, or ignored.")
    rows = load(task.data)
    if not rows.rows:
        raise UsageError(f"{task.name}: data: there are no rows in {rows.source}.")
    unknown = [c for c in task.by if all(c not in row for row in rows.rows)]
    if unknown:
        columns = ", ".join(rows.rows[0])
        raise UsageError(f"{task.name}: by: there is no column {unknown[0]!r}; columns: {columns}")
    shots = Shots(task, task.few_shot) if task.few_shot else None
    names = names_of(rows.rows)
    materials = {"data": {"source": rows.source, "revision": rows.revision, "sha256": rows.sha256}}
    if shots:
        materials["few_shot"] = {"source": shots.rows.source, "sha256": shots.rows.sha256}

    def make(index: int, item: int) -> Sample:
        row = rows.rows[item]
        draft = draft_of(task, row, shots.before(item) if shots else "")
        done = finish(brief, draft)
        return sample_of(
            brief,
            index,
            names[item],
            done,
            references_of(task, row),
            document=draft.document,
            answer_prefix=draft.answer_prefix,
            fields=fields_of(task, row),
            tags={column: str(row[column]) for column in task.by if column in row},
            later=later_of(brief, row),
        )

    return cell_of(brief, names, make, materials)
