"""`lcbench score`: verdicts on answers made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lcbench.cli.options import ListFormat


def score(
    task: Annotated[str, typer.Argument(help="A task by name, or its YAML file.")],
    predictions: Annotated[
        Path, typer.Option(help="JSONL: `completion`, and `id` or `references`, in each row.", metavar="FILE.jsonl")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A verdict for each row, in its order.", metavar="VERDICTS.jsonl")
    ] = None,
    samples: Annotated[
        Path | None, typer.Option(help="What ids of made samples stand for: a file of `tasks build`.", metavar="FILE")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Another scorer than the task's.", metavar="NAME")] = None,
    format: Annotated[ListFormat, typer.Option(help="table or json.")] = ListFormat.table,
) -> None:
    """Score answers made elsewhere; needs no model."""
    from lcbench import score as scoring

    told, verdicts = scoring.score(task, predictions, samples, metric)
    if out is not None:
        scoring.write(out, verdicts)
    print(json.dumps(told, ensure_ascii=False) if format is ListFormat.json else scoring.line(told))
