"""What the documents tell people to type works, and what is shipped as YAML can be read."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from lcbench.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
YAML = sorted(path for folder in ("tasks", "configs") for path in (ROOT / folder).rglob("*.y*ml"))

# These load a model, fetch something, or read or write files of one's own: of them the command and its options are
# checked. Every other one is run.
LONG = (
    "run",
    "compare",
    "report",
    "leaderboard results --export-lm-eval",
    "models pull",
    "data pull",
    "data verify",
    "tasks build",
    "tasks new",
    "tasks show",
    "tasks validate",
    "tasks schema -o",
    "score",
    "attn check",
    "attn bench",
)


def commands() -> list[tuple[str, str]]:
    """(document, command) of every line of a fenced block marked sh; comments are dropped, continued lines joined."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"^```sh\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            split = [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]
            found += [(document.name, shlex.join(words)) for words in split if words]
    return found


COMMANDS = sorted(set(commands()))
LINES = sorted({line for _, line in COMMANDS})
OURS = [words for line in LINES if (words := shlex.split(line))[0] == "lcbench"]


def test_the_documents_have_commands() -> None:
    assert {"make demo", "make test"} <= {line for document, line in COMMANDS if document == "README.md"}
    assert any(words[1] == "run" for words in OURS)


@pytest.mark.parametrize("line", LINES)
def test_every_command_is_of_a_kind_that_is_checked(line: str) -> None:
    assert shlex.split(line)[0] in {"make", "lcbench", "git", "cd", "pip", "pytest", "export"}


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_make_has_the_target(line: str) -> None:
    subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_lcbench_has_the_command_and_its_options(words: list[str]) -> None:
    command, rest = get_command(app), words[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--debug"}
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= known


@pytest.mark.parametrize("words", [w for w in OURS if not " ".join(w[1:]).startswith(LONG)], ids=" ".join)
def test_lcbench_commands_run(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_can_be_read(path: Path) -> None:
    assert path.suffix == ".yaml"
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
