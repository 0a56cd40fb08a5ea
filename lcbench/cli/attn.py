"""`lcbench attn`: the attention mechanisms there are, whether they are right on this machine, and how fast."""

from __future__ import annotations

import json
import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lcbench.attention import COMMON_ARGUMENTS, find, names
from lcbench.cli.options import ListFormat
from lcbench.errors import UsageError

app = typer.Typer(help="Attention mechanisms.", no_args_is_help=True)


class Grid(StrEnum):
    full = "full"
    reduced = "reduced"


class Pass(StrEnum):
    prefill = "prefill"
    decode = "decode"
    train = "train"
    all = "all"


class Dtype(StrEnum):
    bf16 = "bf16"
    fp16 = "fp16"


class Keys(StrEnum):
    random = "random"
    clustered = "clustered"
    correlated = "correlated"
    duplicated = "duplicated"


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


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One mechanism. Default: all.")] = None,
    grid: Annotated[
        Grid | None, typer.Option(help="How much is checked. Default: full on a GPU, reduced without one.")
    ] = None,
    format: Annotated[ListFormat, typer.Option(help="table for people, json for programs.")] = ListFormat.table,
) -> None:
    """Prove this machine's implementations against float64, in every pass; exits with 1 when one is wrong."""
    chosen = [find(name).name] if name else names()
    # An unknown name has been refused by now, before torch is imported. Its threads spin while they wait for work: on a
    # CPU that others use too, many small checks then take five times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from lcbench.attention.checks import as_json, as_table, run_checks

    report = run_checks(
        chosen, grid.value if grid else None, tell=lambda line: print(line, file=sys.stderr, flush=True)
    )
    typer.echo(json.dumps(as_json(report), indent=2) if format is ListFormat.json else as_table(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def bench(
    mechanisms: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME..]", help="Mechanisms beside the peers. Default: all bundled.")
    ] = None,
    which: Annotated[Pass, typer.Option("--pass", help="What is timed.")] = Pass.all,
    lengths: Annotated[str, typer.Option(help="Tokens.")] = "8k,32k,128k",
    batch: Annotated[str, typer.Option(help="Rows, as 1,8.")] = "1",
    heads: Annotated[str, typer.Option(help="Query heads / KV heads.")] = "32/8",
    head_dim: Annotated[int, typer.Option(min=1, help="Head size.")] = 128,
    dtype: Annotated[Dtype, typer.Option(help="Of all inputs.")] = Dtype.bf16,
    keys: Annotated[Keys, typer.Option(help="Kind of keys.")] = Keys.clustered,
    peers: Annotated[
        str, typer.Option(help="cudnn, flash, flex, triton, solve_triangular, fla. Default: all that are here.")
    ] = "",
    format: Annotated[ListFormat, typer.Option(help="table for people, json for programs.")] = ListFormat.table,
    out: Annotated[Path | None, typer.Option(help="Write the JSON document there too.")] = None,
) -> None:
    """Time kernels beside their peers on a GPU, each only after its output was right; exits with 1 when one is not."""
    from lcbench.attention import MECHANISMS
    from lcbench.lengths import parse_lengths

    chosen = tuple(find(name).name for name in mechanisms or MECHANISMS)
    q_heads, kv_heads = whole_numbers("--heads", heads, "/", 2)
    import torch

    from lcbench.attention.bench import PASSES, Options, run_bench, show

    options = Options(
        names=chosen,
        passes=PASSES if which is Pass.all else (which.value,),
        lengths=parse_lengths(lengths),
        batches=whole_numbers("--batch", batch, ","),
        q_heads=q_heads,
        kv_heads=kv_heads,
        size=head_dim,
        dtype=torch.bfloat16 if dtype is Dtype.bf16 else torch.float16,
        keys=keys.value,
        peers=tuple(peer for peer in peers.split(",") if peer),
    )
    bench = run_bench(options, tell=lambda row: print(show.line(row), file=sys.stderr, flush=True))
    document = json.dumps(show.as_json(bench, shlex.join(["lcbench", *sys.argv[1:]])), indent=2)
    typer.echo(document if format is ListFormat.json else show.as_table(bench))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(document + "\n", encoding="utf-8")
    if not bench.ok:
        raise typer.Exit(1)


def whole_numbers(flag: str, text: str, between: str, count: int | None = None) -> tuple[int, ...]:
    """'32/8' -> (32, 8). Raises UsageError for what are not positive whole numbers, or not `count` of them."""
    parts = text.split(between)
    if not all(part.isdigit() and int(part) for part in parts) or count not in (None, len(parts)):
        raise UsageError(f"{flag} {text}: not positive whole numbers, written as in 32{between}8")
    return tuple(int(part) for part in parts)


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
