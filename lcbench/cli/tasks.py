"""`lcbench tasks`: what there is to run, tasks of one's own, and samples built for use anywhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lcbench.cli.options import ListFormat, Prompt, Split

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
    out: Annotated[Path, typer.Option("-o", "--out", help="A JSONL file, one finished sample a line.")],
    lengths: Annotated[str, typer.Option(help="Tokens, answer included, as 4k,8k.")] = "",
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
    from lcbench.schema import RunConfig, split_specs

    config = RunConfig(
        model=model,
        model_args=parse_model_args(model_args),
        tasks=split_specs("TASKS", tasks),
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


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="group/name, as in mine/capitals.")],
    data: Annotated[
        Path | None, typer.Option(help="Rows in JSONL, CSV or Parquet, whose columns are filled in.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The YAML file. Default: the name, here.")] = None,
) -> None:
    """Write a commented file to start a task from."""
    from lcbench.starter import write

    path = write(name, data, out)
    print(f"{path} is written. Next: lcbench tasks validate {path}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A task, or its YAML file.")],
    model: Annotated[str, typer.Option(help="Whose tokenizer and chat template count.")] = "smollm2-135m",
    model_args: Annotated[str, typer.Option(help="K=V,K=V: revision, chat_template.NAME ..")] = "",
    lengths: Annotated[str, typer.Option(help="Tokens, as 4k. Default: the least of 2k, 4k .. that does.")] = "",
    prompt: Annotated[Prompt, typer.Option(help="The benchmark's own prompts, or our wording.")] = Prompt.official,
    index: Annotated[int, typer.Option(min=0, help="Which sample.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="A long prompt in full.")] = False,
) -> None:
    """What a task is, and its first finished prompt with its tokens."""
    from lcbench.lengths import parse_lengths
    from lcbench.models import parse_model_args
    from lcbench.schema import RunConfig

    config = RunConfig(
        model=model, model_args=parse_model_args(model_args), lengths=parse_lengths(lengths), prompt=prompt.value
    )
    from lcbench import show as shown

    for line in shown.show(name, config, index, full):
        print(line)


@app.command("validate")
def validate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|FILE...]", help="By default every task there is.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Whose tokenizer counts. Default: smollm2-135m where it is pulled, else none.")
    ] = None,
    model_args: Annotated[str, typer.Option(help="K=V,K=V: revision, chat_template.NAME ..")] = "",
    lengths: Annotated[str, typer.Option(help="Tokens, as 4k,8k. Default: the model's context, or the least.")] = "",
    samples: Annotated[
        int | None, typer.Option(min=1, help="Items a task. Default: all of its data, else 5 made ones.")
    ] = None,
    prompt: Annotated[Prompt, typer.Option(help="The benchmark's own prompts, or our wording.")] = Prompt.official,
) -> None:
    """Check tasks: every prompt, its budget, and its score.

    Every prompt is rendered and must fit, the gold completion must score 1 and the empty one 0. What is wrong is told
    with file and line.
    """
    from lcbench import validate as validating
    from lcbench.lengths import parse_lengths
    from lcbench.models import parse_model_args
    from lcbench.schema import RunConfig

    config = RunConfig(
        model=model or validating.DEFAULT_MODEL,
        model_args=parse_model_args(model_args),
        lengths=parse_lengths(lengths),
        samples=samples,
        prompt=prompt.value,
    )
    reports = []
    for report in validating.validate(names or [], config, model is not None):
        reports.append(report)
        print("\n".join(validating.lines(report)), flush=True)
    print(validating.summary(reports))
    if code := validating.exit_code(reports):
        raise typer.Exit(code)


@app.command("schema")
def schema(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="A file. Default: standard output.")] = None,
) -> None:
    """The JSON Schema of task files, for editors."""
    from lcbench.validate.editors import task_schema

    text = json.dumps(task_schema(), indent=1, ensure_ascii=False)
    if out is None:
        print(text)
        return
    from lcbench.starter import save

    save(out, text + "\n", replace=True)


@app.command("export")
def export(
    group: Annotated[str, typer.Argument(help="A benchmark with a leaderboard: zero_scrolls.")],
    runs: Annotated[
        list[Path] | None, typer.Option("--run", help="A run folder, once or more often. Default: all in results/runs.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The CSV file to write.")] = Path(
        "zero_scrolls_predictions.csv"
    ),
    split: Annotated[Split, typer.Option(help="Whose answers.")] = Split.test,
    attn: Annotated[str | None, typer.Option(help="Which mechanism, where the runs hold several.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Write what there is, and say what is missing.")] = False,
) -> None:
    """Write the answers of finished runs as the file that the benchmark's own leaderboard takes."""
    from lcbench import export as exporting
    from lcbench.starter import save

    text, n, missing = exporting.export(group, split.value, runs or exporting.all_runs(), attn, partial)
    save(out, text, replace=True)
    print(f"{out}: {n} answers" + (f"; missing {', '.join(missing)}" if missing else ""))
