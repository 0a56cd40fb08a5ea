"""docs/adding-a-task.md, followed literally: its files are written, its commands run, and a score comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lcbench import catalog
from tests.run.conftest import Command

DOCUMENT = Path(__file__).parents[2] / "docs/adding-a-task.md"
SAVED = re.compile(r"Save this as `([\w.-]+)`[^\n]*:\n\n```(?:jsonl|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
STEP = re.compile(rf"{SAVED.pattern}|^```sh\n(?P<commands>.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_walk_ends_with_a_working_task(
    tmp_path: Path, tiny: Path, lcbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model stands where smollm2-135m would have been pulled to."""
    monkeypatch.setenv("LCBENCH_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models/smollm2-135m").symlink_to(tiny)
    printed: dict[str, str] = {}
    for step in STEP.finditer(DOCUMENT.read_text(encoding="utf-8")):
        if step[1]:
            (tmp_path / step[1]).write_text(step[2], encoding="utf-8")
        for line in (step["commands"] or "").splitlines():
            words = shlex.split(line)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                monkeypatch.setenv(name, value)
                catalog.tasks.cache_clear()
                continue
            done = lcbench(*words[1:])
            assert done.exit_code == 0, f"{line}: {done.output}"
            printed[line] = done.stdout
    catalog.tasks.cache_clear()
    assert (
        "ok     mine/capitals: 4 prompts within 4096 tokens; gold 1, empty 0"
        in printed["lcbench tasks validate capitals.yaml"]
    )
    assert "It lies in" in printed["lcbench tasks show capitals.yaml"]
    assert re.search(r"^mine/capitals +- +\d+\.\d \[", printed[[*printed][-2]], re.MULTILINE), printed
    assert (tmp_path / "lcbench-task.json").is_file()


def test_the_mistake_in_the_document_is_told_as_it_says(tmp_path: Path, lcbench: Command) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    files = {name: content for name, content in SAVED.findall(text)}
    files["capitals.yaml"] = files["capitals.yaml"].replace("country }}", "contry }}")
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = lcbench("tasks", "validate", "capitals.yaml")
    assert done.exit_code == 2
    [told] = re.findall(r"^```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert done.stdout.startswith(told)


def test_the_starting_file_validates_before_it_is_edited(
    tmp_path: Path, lcbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCBENCH_MODELS", str(tmp_path / "models"))
    files = dict(SAVED.findall(DOCUMENT.read_text(encoding="utf-8")))
    (tmp_path / "capitals.jsonl").write_text(files["capitals.jsonl"], encoding="utf-8")
    lcbench("tasks", "new", "mine/capitals", "--data", "capitals.jsonl")
    assert lcbench("tasks", "validate", "capitals.yaml").exit_code == 0
