"""`lcbench run`: scores a model on tasks under one or more attention mechanisms."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lcbench.cli.options import Prompt


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"
    md = "md"


class Tui(StrEnum):
    on = "on"
    off = "off"
    auto = "auto"


def run(
    model: Annotated[
        str, typer.Option(help="Hub id, local folder, GGUF file, or a name of `lcbench models list`.")
    ] = "smollm2-135m",
    model_args: Annotated[
        str, typer.Option(help="K=V,K=V: revision, rope_scaling, quantization, chat_template.NAME ..")
    ] = "",
    attn: Annotated[
        str, typer.Option(help="Mechanisms, as softmax,lucid. Default: what the weights were trained under.")
    ] = "",
    tasks: Annotated[str, typer.Option(help="Names, groups, globs or YAML files, separated by commas.")] = "",
    suite: Annotated[
        str | None, typer.Option(help="A named selection of tasks. Default: quick, without --tasks.")
    ] = None,
    prompt: Annotated[Prompt | None, typer.Option(help="The benchmark's own prompts, or our wording.")] = None,
    lengths: Annotated[str, typer.Option(help="Tokens, answer included, as 4k,8k. Default: the suite's.")] = "",
    samples: Annotated[int | None, typer.Option(min=1, help="Samples a cell. Default: the suite's, else 20.")] = None,
    until_ci: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=50, help="Sample until half an interval is so many points; --samples, or 1000, is the most."
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Instead of each task's own; marks the cells.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="How an answer is produced.")] = "greedy",
    engine: Annotated[str, typer.Option(help="What runs the model.")] = "transformers",
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16, fp16 or fp64.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of samples and sampling.")] = 0,
    chat_template: Annotated[str | None, typer.Option(help="A Jinja2 file, or none.", metavar="FILE|none")] = None,
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: results/runs/NAME-HASH.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start the run folder over.")] = False,
    tui: Annotated[Tui, typer.Option(help="A live table of the cells; off: plain lines.")] = Tui.auto,
    format: Annotated[Format, typer.Option(help="What is printed in the end.")] = Format.table,
) -> None:
    """Score a model on tasks under one or more attention mechanisms, on the same samples; the same command resumes."""
    from lcbench.lengths import parse_lengths
    from lcbench.models import parse_model_args
    from lcbench.schema import RunConfig, split_specs

    config = RunConfig(
        model=model,
        model_args=parse_model_args(model_args),
        attn=split_specs("--attn", attn),
        tasks=split_specs("--tasks", tasks),
        suite=suite,
        lengths=parse_lengths(lengths),
        samples=samples,
        until_ci=until_ci,
        prompt=prompt.value if prompt else None,
        max_new_tokens=max_new_tokens,
        strategy=strategy,
        engine=engine,
        dtype=dtype,
        device=device,
        seed=seed,
        chat_template=chat_template,
        system=system,
    )
    # what is written wrong has been refused by now, before torch is imported
    from lcbench import runner
    from lcbench.report import live, table

    summary = runner.run(config, live.view(tui.value), out, fresh)
    print(table.FORMATS[format.value](summary).rstrip("\n"))
    if any(c["n_failed"] for c in summary["cells"]):
        raise typer.Exit(1)
