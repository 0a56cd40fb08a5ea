"""`lcbench compare`: what is better, by how much, and whether the samples show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lcbench.cli.run import Format


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is the baseline.", metavar="RUN")],
    attn: Annotated[str, typer.Option(help="Mechanisms that count, in this order. Default: all.")] = "",
    format: Annotated[Format, typer.Option(help="What is printed.")] = Format.table,
    fail_if_worse: Annotated[
        float | None,
        typer.Option(min=0, help="Exit 1 where a cell or the pooled effect is significantly worse, by so many points."),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Level of the tests, p adjusted over the cells.")
    ] = 0.05,
) -> None:
    """Compare runs, or the mechanisms of one run, on the same samples: differences, intervals, tests and costs."""
    from lcbench.compare.tables import FORMATS
    from lcbench.compare.tables import compare as outcome_of
    from lcbench.runs import read_run
    from lcbench.schema import split_specs

    chosen = split_specs("--attn", attn)
    outcome = outcome_of([read_run(path) for path in runs], chosen, alpha, fail_if_worse)
    print(FORMATS[format.value](outcome).rstrip("\n"))
    if outcome.gate is not None and not outcome.gate.passed:
        raise typer.Exit(1)
