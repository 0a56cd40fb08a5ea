"""`lcbench models`: what there is to evaluate, and fetching it ahead of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcbench.cli.options import ListFormat

if TYPE_CHECKING:
    from lcbench.models.spec import ModelSpec

app = typer.Typer(help="Find and fetch models.", no_args_is_help=True)


@app.command("list")
def list_models(
    output: Annotated[ListFormat, typer.Option("--format", help="How to print.")] = ListFormat.table,
) -> None:
    """List the aliases that --model knows, and which of them are on this machine."""
    from lcbench.models import aliases

    rows = [_row(name, spec) for name, spec in sorted(aliases().items())]
    if output is ListFormat.json:
        typer.echo(json.dumps(rows, indent=2))
        return
    columns = {"model": "name", "source": "source", "licence": "licence", "size": "size_bytes"}
    columns |= {"context": "context_length", "trained under": "trained_attention", "here": "present"}
    cells = [list(columns)] + [[_cell(key, row[key]) for key in columns.values()] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    for line in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@app.command("pull")
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME..", help="Aliases or hub ids (ORG/NAME).")],
) -> None:
    """Fetch models to this machine, converting where needed. What is already there is left as it is."""
    from lcbench.models import resolve

    for name in names:
        model = resolve(name)
        typer.echo(f"{name}: {model.path} ({model.source})")
        size, context = _cell("size_bytes", model.size_bytes), _cell("context_length", model.context_length)
        typer.echo(
            f"  licence {model.licence or 'n/a'}, {size}, context {context}, trained under {model.trained_attention}"
        )


def _row(name: str, spec: ModelSpec) -> dict[str, Any]:
    """One alias. What only the weights can tell is None until they are here."""
    from lcbench.models import resolve
    from lcbench.models.fetch import alias_present

    model = resolve(name) if alias_present(name) else None
    return {
        "name": name,
        "source": model.source if model else spec.sources[0],
        "licence": spec.licence,
        "size_bytes": model.size_bytes if model else None,
        "context_length": model.context_length if model else spec.context_length,
        "trained_attention": model.trained_attention if model else None,
        "present": model is not None,
    }


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "n/a"
    if key == "size_bytes":
        return f"{value / 1e6:,.0f} MB"
    if key == "present":
        return "yes" if value else "no"
    return str(value)
