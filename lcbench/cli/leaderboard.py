"""`lcbench leaderboard`: many runs as one table."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class By(StrEnum):
    benchmark = "benchmark"
    task = "task"
    length = "length"
    attn = "attn"
    model = "model"
    strategy = "strategy"


class Format(StrEnum):
    table = "table"
    md = "md"
    csv = "csv"
    json = "json"
    html = "html"


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with runs in or below them. Default: results, results/runs.", metavar="DIR"),
    ] = None,
    by: Annotated[By | None, typer.Option(help="What goes across. Default: benchmark; task with --task.")] = None,
    model: Annotated[str, typer.Option(help="Models, as globs separated by commas.")] = "",
    attn: Annotated[str, typer.Option(help="Mechanisms, in the same way.")] = "",
    strategy: Annotated[str, typer.Option(help="Strategies.")] = "",
    prompt: Annotated[str, typer.Option(help="Prompt sources: official, builtin, task, lm-eval.")] = "",
    task: Annotated[str, typer.Option(help="Tasks or groups.")] = "",
    length: Annotated[str, typer.Option(help="Lengths, as 4k,8k.")] = "",
    format: Annotated[Format, typer.Option(help="What is printed or written.")] = Format.table,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A file; between <!-- leaderboard --> marks, if it has them.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where -o FILE is stale.")] = False,
    export_lm_eval: Annotated[
        Path | None, typer.Option(help="Write the rows as results of lm-eval instead.", metavar="DIR")
    ] = None,
) -> None:
    """One table of many runs, lm-eval's results among them; what is not the same is never pooled."""
    from lcbench import leaderboard as boards
    from lcbench.errors import UsageError
    from lcbench.leaderboard.output import FORMATS, is_stale, renew

    if check and out is None:
        raise UsageError("--check needs the file that is checked.", hint="-o FILE --check")
    if export_lm_eval is not None and out is not None:
        raise UsageError("--export-lm-eval writes files of its own, and -o another.", hint="one of the two")
    globs = {"model": model, "attn": attn, "strategy": strategy, "prompt": prompt, "task": task, "length": length}
    filters = boards.Filters(**{k: tuple(part for part in v.split(",") if part) for k, v in globs.items()})
    across = by or (By.task if task else By.benchmark)
    each_task = across is By.task or (bool(task) and across is not By.benchmark)
    with boards.without_collector():
        found = boards.read(folders or boards.default_folders())
        if export_lm_eval is not None:
            text = "".join(f"{path}\n" for path in boards.export_lm_eval(found, filters, export_lm_eval))
        else:
            text = FORMATS[format.value](boards.leaderboard(found, filters, each_task), across.value)
    print("\n".join(found.messages), file=sys.stderr)
    if out is None:
        print(text, end="")
    elif not check:
        renew(out, text)
    elif is_stale(out, text):
        print(f"{out} is stale: the same command without --check renews it", file=sys.stderr)
        raise typer.Exit(1)
    if found.damaged:
        raise typer.Exit(1)
