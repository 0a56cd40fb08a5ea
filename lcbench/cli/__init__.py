"""The command line: a table of contents. Each command is a module of this package, and imports late what it needs."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lcbench import __version__
from lcbench.cli import attn, compare, data, leaderboard, models, report, run, score, tasks
from lcbench.errors import LcbenchError


class Root(TyperGroup):
    """The outermost command: an LcbenchError becomes one paragraph, its hint, and its exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # --debug may stand anywhere: people append it to the command that has just failed.
        rest = [arg for arg in args if arg != "--debug"]
        return super().parse_args(ctx, rest if rest == args else ["--debug", *rest])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LcbenchError as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            print(f"Error: {error.message}", file=sys.stderr)
            if error.hint:
                print(f"hint: {error.hint}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def print_version(wanted: bool) -> None:
    if wanted:
        print(f"lcbench {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
) -> None:
    """Measure how well a language model uses long context, under a chosen attention mechanism, and what that costs."""


app.command("run")(run.run)
app.add_typer(tasks.app, name="tasks", help="Tasks and suites: what can be run.")
app.command("score")(score.score)
app.command("compare")(compare.compare)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("report")(report.report)
app.add_typer(attn.app, name="attn", help="Attention mechanisms, and what each needs.")
app.add_typer(models.app, name="models", help="Models known by name.")
app.add_typer(data.app, name="data", help="Texts and data that belong to the benchmarks.")


def main() -> None:
    """The `lcbench` script."""
    app(prog_name="lcbench")
