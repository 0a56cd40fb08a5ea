"""LongBench-v2: four-way multiple choice over long documents; 503 items.

params: setting zero_shot | cot (an answer after reasoning, in two requests) | no_context (the question alone: what a
model remembers). Source: THUDM/LongBench 2e00731, pred.py and prompts/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lcbench.benchmarks.base import Brief, Cell
from lcbench.benchmarks.cutting import Draft, cut_to, whole
from lcbench.benchmarks.items import SPARE, Row, cell_of, load, names_of, sample_of
from lcbench.errors import CannotBuild
from lcbench.records import Sample, Turn, answer_mark

PLACE = re.compile(r"\$(DOC|Q|C_[ABCD]|COT)\$")
TAGS = {"difficulty": "difficulty", "length": "length class", "domain": "domain"}
ANSWER_TOKENS = 128  # of the second request; the first may reason for longer


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its places filled in one pass: upstream replaces one after the other, and so also inside what a
    document happens to say.
    """
    return PLACE.sub(lambda place: values[place[1]], template)


def values_of(row: Row) -> dict[str, str]:
    """What the places of a prompt stand for, the document apart."""
    choices = {f"C_{letter}": row[f"choice_{letter}"].strip() for letter in "ABCD"}
    return {"Q": row["question"].strip(), **choices}


def open_cell(brief: Brief) -> Cell:
    """The samples of LongBench-v2 in one setting, documents cut in the middle to the budget."""
    setting = brief.task.params["setting"]
    rows = load(brief.task.data)
    budget = None if brief.limit is None else brief.limit - brief.max_new_tokens
    names = names_of(rows.rows)

    def later(values: dict[str, str]) -> tuple[Turn, ...]:
        if setting != "cot":
            return ()
        content = filled(str(brief.wording.strings[f"{brief.task.prompts.key}_ans"]), {**values, "COT": answer_mark(0)})  # type: ignore[union-attr]
        new = min(ANSWER_TOKENS, brief.max_new_tokens)
        whole(brief.prompter, content, "", None if budget is None else budget - new - SPARE)
        return (Turn(brief.prompter.conversation(content), "", new, stripped=True, needed=True),)

    def make(index: int, item: int) -> Sample:
        row = rows.rows[item]
        values = values_of(row)
        document = ""
        if setting == "no_context":
            done = whole(brief.prompter, filled(str(brief.wording.entry), values), "", budget)
        elif not row.get("context"):
            raise CannotBuild("its context is not in the data")
        else:
            document = row["context"].strip()
            head, tail = (filled(part, values) for part in str(brief.wording.entry).split("$DOC$"))
            done = cut_to(brief.prompter, Draft(head, document, tail), budget, "middle")
        tags = {told: str(row[column]) for column, told in TAGS.items()}
        return sample_of(
            brief, index, names[item], done, [row["answer"]], document=document, tags=tags, later=later(values)
        )

    materials: dict[str, dict[str, Any]] = {
        "data": {"source": rows.source, "revision": rows.revision, "sha256": rows.sha256}
    }
    return cell_of(brief, names, make, materials)
