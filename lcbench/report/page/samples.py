"""Records -> the items of the sample browser: a sample with the answer of every system that was asked the same."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

from lcbench.compare import Difference, System

Row = dict[str, Any]
MOST_CHARACTERS = 4000  # of one completion: its two ends are shown, and the search looks no further


def items(systems: Sequence[System], differences: Sequence[Difference]) -> list[Row]:
    """[{"task", "length", "id", "references", "excerpt", "depths", "answers"}], by task, length and index.

    Systems share an item where they are of one run, or where the comparison pairs them; elsewhere one id stands for
    different texts, and is there once for each.
    """
    whose = origins(systems, differences)
    found: dict[tuple[Any, ...], Row] = {}
    for i, system in enumerate(systems):
        for task, length in system.places:
            for row in system.rows(task, length):
                key = task, length or 0, row["index"], row["sample_id"], whose[i, task, length]
                found.setdefault(key, item(task, length, row))["answers"].append(answer(i, row))
    return [found[key] for key in sorted(found)]


def origins(systems: Sequence[System], differences: Sequence[Difference]) -> dict[tuple[int, str, int | None], int]:
    """(system, task, length) -> the first system that has the same items there."""
    first = {s.run.path: i for i, s in reversed(list(enumerate(systems)))}
    whose = {(i, *place): first[s.run.path] for i, s in enumerate(systems) for place in s.places}
    number = {(s.run.path, s.attn): i for i, s in enumerate(systems)}
    for d in differences:
        if d.na is None and d.unpaired is None:
            a, b = (number[s.run.path, s.attn] for s in d.pair)
            whose[b, d.task, d.length] = whose[a, d.task, d.length]
    return whose


def item(task: str, length: int | None, row: Row) -> Row:
    return {
        "task": task,
        "length": length,
        "id": row["sample_id"],
        "references": row["references"],
        "excerpt": row.get("excerpt") or [],
        "depths": [round(e["depth"], 3) for e in row["evidence"]],
        "answers": [],
    }


def answer(system: int, row: Row) -> Row:
    """What one system said. score: 0 to 1, 0 for a failed sample, None where there are no labels."""
    said = {
        "system": system,
        "score": 0.0 if row["finish"] == "failed" else row["score"],
        "finish": row["finish"],
        "completion": shortened(row["completion"]),
        "extracted": shortened(row["extracted"]),
        "tokens": [row["prompt_tokens"], row["new_tokens"]],
    }
    more = {
        "earlier": [shortened(text) for text in row.get("earlier", ())],
        "likelihoods": row.get("likelihoods"),
        "flags": row["flags"],
        "error": row["error"],
        "truncated": row["truncated"],
    }
    return said | {k: v for k, v in more.items() if v}


def shortened(text: str | None) -> str | None:
    if text is None or len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[.. {len(text) - 2 * half} characters left out ..]\n{text[-half:]}"


def packed(content: Any) -> str:
    """JSON, deflated, in base64: no character of it means anything to HTML, and 10,000 records stay a small file.

    Beyond ASCII everything is escaped, lone surrogates too, which no encoding of text can hold.
    """
    data = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")
