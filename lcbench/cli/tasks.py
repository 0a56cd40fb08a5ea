"""`lcbench tasks`: what there is to run, and samples built for use anywhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lcbench.cli.options import ListFormat, Prompt

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(format: Annotated[ListFormat, typer.Option(help="table or json.")] = ListFormat.table) -> None:
    """Every task and suite."""
    from lcbench import catalog

    found = list(catalog.tasks().values())
    if format is ListFormat.json:
        rows = [
            {"name": t.name, "aliases": list(t.aliases), "version": t.version, "description": t.description}
            for t in found
        ]
        print(json.dumps(rows, indent=1))
        return
    width = max(len(t.name) for t in found)
    for t in found:
        also = f" (also {', '.join(t.aliases)})" if t.aliases else ""
        print(f"{t.name.ljust(width)}  {t.description}{also}")
    for s in catalog.suites().values():
        print(f"{('suite ' + s.name).ljust(width)}  {s.description}")


@app.command("build")
def build(
    tasks: Annotated[str, typer.Argument(help="Names, groups or globs, separated by commas.")],
    lengths: Annotated[str, typer.Option(help="Tokens, answer included, as 4k,8k.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="A JSONL file, one finished sample a line.")],
    model: Annotated[str, typer.Option(help="Whose tokenizer and chat template count.")] = "smollm2-135m",
    model_args: Annotated[str, typer.Option(help="K=V,K=V: revision, chat_template.NAME ..")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Samples a cell.")] = 20,
    prompt: Annotated[Prompt, typer.Option(help="The benchmark's own prompts, or our wording.")] = Prompt.official,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Instead of each task's own.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    chat_template: Annotated[str | None, typer.Option(help="A Jinja2 file, or none.", metavar="FILE|none")] = None,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
) -> None:
    """Write finished samples of exact lengths; needs the tokenizer only."""
    from lcbench.build import build_samples
    from lcbench.lengths import parse_lengths
    from lcbench.models import parse_model_args
    from lcbench.schema import RunConfig, names

    config = RunConfig(
        model=model,
        model_args=parse_model_args(model_args),
        tasks=names("TASKS", tasks),
        lengths=parse_lengths(lengths),
        samples=samples,
        prompt=prompt.value,
        max_new_tokens=max_new_tokens,
        seed=seed,
        chat_template=chat_template,
        system=system,
    )
    for line in build_samples(config, out):
        print(line, file=sys.stderr)
