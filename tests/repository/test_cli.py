"""The outermost command: quick, light, and short about errors."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from lcbench import __version__
from lcbench.cli import Root, app, root
from lcbench.errors import MissingError, UsageError

ROOT = Path(__file__).parents[2]
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "pandas",
    "numpy",
    "pydantic",
    "yaml",
    "jinja2",
    "rich",
    "triton",
    "datasets",
}
LAZY = {"torch", "transformers", "tokenizers", "pandas", "triton", "datasets"}


def python(code: str) -> str:
    """What a fresh interpreter prints last."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def top_level_modules(code: str) -> set[str]:
    return set(python(f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})").split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert top_level_modules(f"from lcbench.cli import app\napp({arguments}, standalone_mode=False)") & HEAVY == set()


@pytest.mark.parametrize("command", ["run", "compare", "leaderboard", "report", "tasks", "attn", "models", "data"])
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    """typer itself imports pydantic for a command with options."""
    loaded = top_level_modules(f"from lcbench.cli import app\napp(['{command}', '--help'], standalone_mode=False)")
    assert loaded & (HEAVY - {"pydantic"}) == set()


@pytest.mark.parametrize("module", ["cli", "records", "catalog", "schema", "models", "data"])
def test_light_modules_import_nothing_heavy(module: str) -> None:
    assert top_level_modules(f"import lcbench.{module}") & LAZY == set()


def test_help_answers_in_under_300_ms() -> None:
    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "lcbench", "--help"], cwd=ROOT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.3


def test_help_is_the_table_of_contents() -> None:
    shown = CliRunner().invoke(app, ["--help"], prog_name="lcbench", terminal_width=100)
    assert shown.output == (Path(__file__).parent / "help.txt").read_text()


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "lcbench", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"lcbench {__version__}\n")


@pytest.fixture(scope="module")
def small() -> typer.Typer:
    """The outermost command over commands that fail in every way."""
    app = typer.Typer(cls=Root, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(root)

    @app.command()
    def usage() -> None:
        raise UsageError("Unknown task 'rular'.", hint="lcbench tasks list")

    @app.command()
    def missing() -> None:
        raise MissingError("No model here.")

    @app.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    @app.command()
    def broken() -> None:
        raise RuntimeError("a defect")

    return app


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["usage"], 2, "Error: Unknown task 'rular'.\nhint: lcbench tasks list\n"),
        (["missing"], 3, "Error: No model here.\n"),
        (["interrupted"], 130, ""),
    ],
)
def test_errors_are_short(small: typer.Typer, arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(small, arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


@pytest.mark.parametrize("arguments", [["--debug", "usage"], ["usage", "--debug"]])
def test_debug_adds_the_traceback_wherever_it_stands(small: typer.Typer, arguments: list[str]) -> None:
    result = CliRunner().invoke(small, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("Error: Unknown task 'rular'.\nhint: lcbench tasks list\n")


def test_a_defect_is_not_dressed_up(small: typer.Typer) -> None:
    assert isinstance(CliRunner().invoke(small, ["broken"]).exception, RuntimeError)


@pytest.mark.parametrize("arguments", [["nosuch"], ["--nosuch"], ["run", "--nosuch"], ["tasks", "nosuch"], ["score"]])
def test_what_is_unknown_exits_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
