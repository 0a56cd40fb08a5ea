"""`lcbench data`: the texts and data of the benchmarks, what is here, and fetching it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from lcbench.cli.options import ListFormat

if TYPE_CHECKING:
    from lcbench.data.sources import Status

app = typer.Typer(help="Texts and data of the benchmarks: list, pull, verify.", no_args_is_help=True)


@app.command("list")
def list_data(
    output: Annotated[ListFormat, typer.Option("--format", help="How to print.")] = ListFormat.table,
) -> None:
    """List what the benchmarks read, whether it is here, its licence and size."""
    from lcbench.data import sources

    statuses = sources.describe()
    if output is ListFormat.json:
        typer.echo(json.dumps([dataclasses.asdict(status) for status in statuses], indent=2))
        return
    rows = [["name", "state", "size", "licence", "revision", "for"]]
    rows += [[s.name, s.state, _size(s), s.licence, (s.revision or "-")[:17], s.purpose] for s in statuses]
    _table(rows)


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="What to fetch; `all` for everything.")],
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a server may stay silent.")] = 30.0,
) -> None:
    """Fetch data at its pinned revision into LCBENCH_DATA. What is here and verified is left as it is."""
    from lcbench.data import sources

    if names == ["all"]:
        names = [name for name, source in sources.SOURCES.items() if source.downloads]
    for name in names:
        found = sources.pull(name, timeout_s=timeout)
        typer.echo(f"{name}: {found.path} ({found.licence})")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="By default all that is here.")] = None,
) -> None:
    """Hold files against their pinned hashes. Exit code 1 where one differs or, named here, is missing."""
    from lcbench.data import sources

    statuses = [sources.inspect(name) for name in names] if names else sources.describe()
    if not names:
        statuses = [status for status in statuses if status.state != "missing"]
    _table([[status.name, status.state, status.problem or ""] for status in statuses])
    if any(status.state in ("damaged", "missing") for status in statuses):
        raise typer.Exit(1)


def _size(status: Status) -> str:
    """On disk, or in brackets what a pull downloads: n/a where that is not known before, - where nothing is pulled."""
    if status.bytes is not None:
        return f"{status.bytes / 1e3:,.0f} kB"
    if status.download_bytes is None:
        return "(n/a)"
    return f"({status.download_bytes / 1e3:,.0f} kB)" if status.download_bytes else "-"


def _table(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
