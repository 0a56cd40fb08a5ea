"""ZeroSCROLLS: ten tasks over long documents, whose prompts come with their data.

params: task (the benchmark's name of it), split validation | test (test has no labels), chat (the format of chat
models). A document that is too long loses its end. Source: tau-nlp/zero_scrolls c994676, experiments/api/api.py,
openai_api.py and experiments/hf/run_hf_model.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lcbench.benchmarks.base import Brief, Cell, Wording
from lcbench.benchmarks.cutting import Draft, cut_to
from lcbench.benchmarks.items import Row, cell_of, sample_of
from lcbench.benchmarks.templates import template
from lcbench.benchmarks.wording import wording
from lcbench.data.rows import Rows, named
from lcbench.errors import UsageError
from lcbench.records import Sample
from lcbench.schema import Task
from lcbench.seeds import digest

SUMMARIES = ("gov_report", "summ_screen_fd", "qmsum", "squality")  # these are asked for no bare answer
UNASKED = ("gov_report", "summ_screen_fd", "space_digest", "book_sum_sort")  # these have no query
HEADINGS = {"quality": "Question and Possible Answers:", "qmsum": "Query:"}  # of the query, "Question:" for the others
BARE_ANSWER = "Do not provide any explanation."  # part of the benchmark's chat format
OMITTED = "...\n\n[The rest of the text is left out.]\n\n"  # where the data brings no words of its own for it


@dataclass(frozen=True)
class Parts:
    """One input cut where the benchmark cuts it: instruction, document with its heading, query, heading of the
    answer.
    """

    instruction: str
    document: str
    query: str
    answer: str
    separator: str


def rows_of(task: Task) -> tuple[Rows, list[Row]]:
    """The rows of a task, one an input: outputs of equal ids are accepted answers of one question."""
    labelled = task.params.get("split", "validation") != "test"
    assert isinstance(task.data, tuple)
    found = named(*task.data)
    merged: dict[str, Row] = {}
    for row in found.rows:
        known = merged.setdefault(str(row["id"]), {**row, "outputs": []})
        known["outputs"] += references_of(row) if labelled else []
    return found, list(merged.values())


def references_of(row: Row) -> list[str]:
    """The accepted answers of one row, of ZeroSCROLLS' own or of MuSiQue's."""
    if "paragraphs" in row:
        return [row["answer"], *row["answer_aliases"]] if row.get("answerable", True) else ["unanswerable"]
    return [row["output"]]


def musique_input(task: Task, row: Row) -> str:
    """The input for a row of MuSiQue's own file, in the words of the task's file."""
    assert task.prompt is not None
    return template(task.name, "prompt", task.prompt).render(row)


def parts_of(task: Task, row: Row) -> Parts:
    """One input, cut. The offsets come with the data; where they do not, its headings tell them."""
    text = musique_input(task, row) if "paragraphs" in row else row["input"]
    if "query_start_index" in row:
        start, end = int(row["query_start_index"]), int(row["query_end_index"])
        separator = row["truncation_seperator"]
    else:
        name, end = task.params["task"], text.rstrip().rfind("\n\n") + 2
        heading = HEADINGS.get(name, "Question:")
        start = end if name in UNASKED else text.rfind(f"\n\n{heading}\n", 0, end) + 2
        separator = OMITTED
    first = text.find("\n\n")
    if not 0 < first < start <= end <= len(text):
        raise UsageError(f"{task.name}: item {row['id']} has no instruction, document and query in this order.")
    return Parts(text[:first], text[first:start], text[start:end], text[end:], separator)


def draft_of(task: Task, row: Row) -> tuple[Draft, str]:
    """The prompt of a row, and what stands in place of the end of its document.

    For chat models the heading of the answer is dropped, and a bare answer is asked for where it is no summary.
    """
    parts = parts_of(task, row)
    if not task.params.get("chat", True):
        return Draft(parts.instruction, parts.document, parts.query + parts.answer), parts.separator
    bare = "" if task.params["task"] in SUMMARIES else f" {BARE_ANSWER}"
    head = (parts.instruction.strip() + bare) if bare else parts.instruction
    return Draft(head, parts.document, parts.query), parts.separator


def wording_of(task: Task, rows: Sequence[Row]) -> Wording:
    """Whose the prompts are: the data brings them, but for MuSiQue's own rows."""
    if rows and "paragraphs" in rows[0]:
        return Wording("task", "the task's file", digest(task.prompt))
    return wording(task.model_copy(update={"prompt": None}), None)


def open_cell(brief: Brief) -> Cell:
    """The samples of one task of ZeroSCROLLS, cut to the budget."""
    task = brief.task
    found, rows = rows_of(task)
    budget = None if brief.limit is None else brief.limit - brief.max_new_tokens

    def make(index: int, item: int) -> Sample:
        row = rows[item]
        draft, separator = draft_of(task, row)
        done = cut_to(brief.prompter, draft, budget, "end", separator)
        return sample_of(brief, index, row["id"], done, row["outputs"], document=draft.document)

    materials: dict[str, dict[str, Any]] = {
        "data": {"source": found.source, "revision": found.revision, "sha256": found.sha256}
    }
    return cell_of(brief, [str(row["id"]) for row in rows], make, materials, wording_of(task, rows))
