"""A run on disk -> Source: what tells it from other runs, its cells as its summary has them, and its verdicts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcbench.errors import UsageError
from lcbench.leaderboard.find import Found
from lcbench.leaderboard.records import Verdicts, read_verdicts
from lcbench.seeds import digest

Row = dict[str, Any]

# What a cell of the leaderboard is. edition: the task's version and a digest of all that decides its samples.
FIELDS = (
    "task", "edition", "length", "attn", "strategy", "prompt", "metric", "score", "ci", "n", "n_failed",
    "n_unextracted", "n_truncated", "n_skipped", "overridden", "stopped", "split", "na",
)  # fmt: skip
# What a run's identity says of the model, and what it says of single cells or of their number; all else is settings.
WEIGHTS = (
    "model_revision", "model_fingerprint", "model_args", "tokenizer", "chat_template", "chat_template_args",
    "chat_frame",
)  # fmt: skip
OF_CELLS = (
    "lcbench", "model", "model_source", "attn", "tasks", "lengths", "samples", "until_ci", "prompt", "texts",
    "materials", "strategy",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One run. model: its name; weights and settings: what else tells it from others, by field; trained: the mechanism
    that the weights were trained under. cells: rows of FIELDS; verdicts: those of each cell, empty where they are not
    there.
    """

    label: str
    stamp: str
    kind: str
    model: str
    weights: Row
    settings: Row
    trained: str | None
    cells: list[Row]
    verdicts: list[Verdicts]


def read(found: Found, stamp: str) -> Source:
    """A run of lcbench. Raises UsageError where a file of it cannot be read."""
    about, summary = (load(path) for path in found.files[:2])
    identity, resolved = about["identity"], about["resolved"]
    editions = {task: _edition(identity, task) for task in identity["tasks"]}
    cells = [{k: editions[c["task"]] if k == "edition" else c.get(k) for k in FIELDS} for c in summary["cells"]]
    samples = found.files[2:]
    names = [f"{c['attn']}|{c['task']}:{'-' if c['length'] is None else c['length']}" for c in cells]
    settings = {k: v for k, v in identity.items() if k not in (*WEIGHTS, *OF_CELLS) and v is not None}
    return Source(
        label=found.label,
        stamp=stamp,
        kind=found.kind,
        model=identity["model"],
        weights={k: identity.get(k) for k in WEIGHTS},
        settings={**settings, **{k: resolved[k]["impl"] for k in ("device", "dtype")}},  # what `auto` came to
        trained=about["model"]["trained_attention"],
        cells=cells,
        verdicts=read_verdicts(samples[0], names) if samples else [Verdicts()] * len(cells),
    )


def load(path: Path) -> Row:
    """A JSON file. Raises UsageError where it is none."""
    try:
        content: Row = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}.") from error
    return content


def _edition(identity: Row, task: str) -> str:
    """`version 1, 3f0c92ab`: equal for equal samples only, its texts and data included."""
    told = identity["tasks"][task]  # `version 1, DIGEST`, in the first releases the number alone
    version = f"version {told}" if isinstance(told, int) else told.partition(",")[0]
    materials = {k: m.get("sha256") or m for k, m in identity["materials"].items() if k.startswith(f"{task}/")}
    return f"{version}, {digest([told, identity['texts'].get(task), materials])[:8]}"
