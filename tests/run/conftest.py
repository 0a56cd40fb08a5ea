"""What the tests of the run share: a tiny model, one whose weights cannot be read, and the command line in this
process.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lcbench import catalog
from lcbench.cli import app
from tests import tiny_model

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that runs in a moment."""
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def unreadable(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder with weights that cannot be read: whoever tries to load it finds out."""
    folder = tmp_path_factory.mktemp("models") / "unreadable"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    return folder


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data, tasks or run folders but those that a test makes."""
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("LCBENCH_TASKS", raising=False)
    monkeypatch.chdir(tmp_path)
    catalog.tasks.cache_clear()


@pytest.fixture
def lcbench() -> Command:
    """The command line, run here: a traceback shows as `exception`."""

    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="lcbench", terminal_width=100)

    return command


def records(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run folder's samples.jsonl."""
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").split("\n") if line]
