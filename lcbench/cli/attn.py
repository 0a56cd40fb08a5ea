"""`lcbench attn`: the attention mechanisms there are, and what this machine can run of them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lcbench.attention import COMMON_ARGUMENTS, find, names
from lcbench.cli.options import ListFormat

app = typer.Typer(help="Attention mechanisms.", no_args_is_help=True)


@app.callback()
def attn() -> None:
    """Attention mechanisms."""


@app.command("list")
def list_mechanisms(
    format: Annotated[ListFormat, typer.Option(help="table for people, json for programs.")] = ListFormat.table,
) -> None:
    """Every mechanism: what it is, its state and cost, and which implementations run on this machine."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    mechanisms = [describe(name, device) for name in names()]
    if format is ListFormat.json:
        typer.echo(json.dumps({"device": device, "mechanisms": mechanisms}, indent=2))
        return
    for mechanism in mechanisms:
        typer.echo(render(mechanism, device))
    typer.echo("arguments of every mechanism (--attn NAME:key=value,..)")
    for key, help in COMMON_ARGUMENTS.items():
        typer.echo(f"  {key:<10} {help}")


def describe(name: str, device: str) -> dict[str, Any]:
    """What `--format json` says of one mechanism. `reason` is null where the implementation runs on `device`."""
    info = find(name)
    return {
        "name": info.name,
        "summary": info.summary,
        "state": info.state,
        "cost": info.cost,
        "trained": info.trained,
        "arguments": info.arguments,
        "impls": [{"name": impl, "reason": info.available(impl, device)} for impl in info.impls],
    }


def render(mechanism: dict[str, Any], device: str) -> str:
    """One mechanism as the lines of `--format table`."""
    running = [impl["name"] for impl in mechanism["impls"] if impl["reason"] is None]
    lines = [
        mechanism["name"],
        f"  is         {mechanism['summary']}",
        f"  state      {mechanism['state']}",
        f"  cost       {mechanism['cost']}",
        f"  weights    {'must be trained under it' if mechanism['trained'] else 'any decoder trained with softmax'}",
        f"  on {device:<7} {', '.join(running) or 'nothing runs'}",
    ]
    lines += [f"  not here   {impl['name']}: {impl['reason']}" for impl in mechanism["impls"] if impl["reason"]]
    lines += [f"  argument   {key}: {help}" for key, help in mechanism["arguments"].items()]
    return "\n".join(lines) + "\n"
