"""Rows of our own making in the format of ZeroSCROLLS' ten tasks, with the offsets that come with its data."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.tokenizers_made import lines

OFFSETS = ("document_start_index", "document_end_index", "query_start_index", "query_end_index", "truncation_seperator")
# task -> heading of the document, heading of the query where there is one, query, heading of the answer, answers
FORMS: dict[str, tuple[str, str | None, str, str, tuple[str, str]]] = {
    "gov_report": ("Report:", None, "", "Summary:", ("Tin is dear.", "Tin was sold.")),
    "summ_screen_fd": ("Episode Script:", None, "", "Summary:", ("They quarrel.", "They part.")),
    "qmsum": ("Transcript:", "Query:", "What was said of tin?", "Answer:", ("That it is dear.", "Nothing.")),
    "squality": ("Story:", "Question:", "What is the plot?", "Answer:", ("A town sells tin.", "A river floods.")),
    "qasper": ("Article:", "Question:", "Which metal is it?", "Answer:", ("tin", "zinc")),
    "narrative_qa": ("Story:", "Question:", "Who sells tin?", "Answer:", ("the town", "people of the town")),
    "quality": (
        "Story:",
        "Question and Possible Answers:",
        "What is sold?\n\n (A) tin\n (B) zinc\n (C) lead\n (D) iron",
        "Answer:",
        ("A", "A"),
    ),
    "musique": ("Paragraphs:", "Question:", "Which river is near it?", "Answer:", ("Danube", "unanswerable")),
    "space_digest": ("Reviews:", None, "", "Percentage of Positive Reviews:", ("60%", "25.5%")),
    "book_sum_sort": ("Summaries:", None, "", "Summary IDs in Correct Order:", ("2, 1, 3", "3, 1, 2")),
}
ROWS = 4  # inputs of a task


def row_of(task: str, n: int, split: str = "validation", document: str | None = None) -> dict[str, Any]:
    """One row, put together from its parts; the offsets count characters, as upstream's do."""
    heading, asked, query, answer, outputs = FORMS[task]
    if document is None:
        document = f"Chapter {n}. 🙂 Zoë.\n\n" + "\n\n".join(lines()[10 * n : 10 * n + 8])
    instruction = f"You are given a text of {task}. Do as it is said below,\nin few words. "
    start = len(instruction) + 2
    text = f"{instruction}\n\n{heading}\n{document}\n\n"
    end = query_start = query_end = len(text)
    if asked:
        text += f"{asked}\n{query}\n\n"
        query_end = len(text)
    text += f"{answer}\n"
    return {
        "id": f"{task}-{n}",
        "pid": f"{task}-{n}_0",
        "input": text,
        "output": None if split == "test" else outputs[n % 2],
        "document_start_index": start,
        "document_end_index": end,
        "query_start_index": query_start,
        "query_end_index": query_end,
        "truncation_seperator": f"... [The rest of the {heading[:-1].lower()} is omitted]\n\n",
    }


def write(data: Path, task: str, rows: Sequence[dict[str, Any]], split: str = "validation") -> None:
    """These rows as `lcbench data pull` lays them out."""
    folder = data / "zero_scrolls" / split
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{task}.jsonl.gz").write_bytes(gzip.compress(text.encode()))


def write_all(data: Path, split: str = "validation", rows: int = ROWS) -> None:
    for task in FORMS:
        write(data, task, [row_of(task, n, split) for n in range(rows)], split)
