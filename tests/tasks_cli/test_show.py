"""`lcbench tasks show`: what a task says of itself, and its first finished prompt with its tokens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lcbench.prompting import Prompter
from tests.run.conftest import Command


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A task with a document that may be cut and a second request."""
    (tmp_path / "rows.jsonl").write_text(
        "".join(f'{{"text": "{"word " * 3000}", "n": {i}, "last": "word"}}\n' for i in range(3))
    )
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine/long\ndescription: A long one.\nsource: ours\ndata: {file: rows.jsonl}\n"
        "prompt: |-\n  {{ text }}\n  The last word of {{ n }} is\nreferences: last\ngenerate: {max_new_tokens: 16}\n"
        "truncate: {column: text, cut: end, separator: ' ..'}\ndivergences: [Made up.]\n"
        "turns:\n  - prompt: You said {{ answer }}. Sure?\n    generate: {max_new_tokens: 8}\n"
        "score: {name: includes, ignore_case: false}\n"
    )
    return path


def test_what_is_shown(mine: Path, lcbench: Command, tiny: Path) -> None:
    done = lcbench("tasks", "show", mine, "--model", tiny, "--lengths", "1k", "--full")
    assert done.exit_code == 0, done.output
    text = done.stdout
    for said in (
        "mine/long, version 1\n  A long one.\n  source: ours\n",
        "score: includes(ignore_case=False)",
        "differs: Made up.",
        "--- request 2, up to 8 tokens",
        "You said [answer 1]. Sure?",
        "references: 'word'",
        "gold: 'word' scores 1, an empty completion 0",
        "of 1k, cut to fit",
        "prompt: task",
    ):
        assert said in text
    found = re.search(r"^--- mine/long:1024:\d\n(.*?)^--- request 2", text, re.DOTALL | re.MULTILINE)
    tokens = re.search(r"^tokens: (\d+) of prompt \+ 16 of answer = (\d+)", text, re.MULTILINE)
    assert found
    assert tokens
    assert Prompter(tiny).count(found[1].removesuffix("\n")) == int(tokens[1])
    assert 1000 < int(tokens[2]) <= 1024


def test_a_long_prompt_loses_its_middle_on_the_screen_only(mine: Path, lcbench: Command, tiny: Path) -> None:
    done = lcbench("tasks", "show", mine, "--model", tiny)
    assert re.search(r"\[\.\. [\d,]+ characters left out; --full shows them \.\.\]", done.stdout)
    assert len(done.stdout) < 6000


def test_another_sample(mine: Path, lcbench: Command, tiny: Path) -> None:
    shown = {lcbench("tasks", "show", mine, "--model", tiny, "--index", str(i)).stdout for i in range(3)}
    assert len(shown) == 3
    done = lcbench("tasks", "show", mine, "--model", tiny, "--index", "3")
    assert done.exit_code == 2
    assert "only 3 of its items fit 4096 tokens" in done.stderr


def test_a_made_task_takes_the_least_length_that_does(lcbench: Command, tiny: Path) -> None:
    done = lcbench("tasks", "show", "niah_single_1", "--model", tiny, "--prompt", "builtin")
    assert done.exit_code == 0, done.output
    assert "--- ruler/niah_single_1:2048:0" in done.stdout
    assert "prompt: builtin" in done.stdout
    assert " scores 1, an empty completion 0" in done.stdout


@pytest.mark.parametrize(
    ("task", "gold"),
    [
        ("gsm8k", "####"),
        ("math500", r"\\boxed"),
        ("babilong/qa1", "gold: '"),
        ("longbench_v2", "The correct answer is ("),
        ("zero_scrolls/qasper", "gold: '"),
        ("ruler/cwe", "gold: '"),
    ],
)
def test_shipped_tasks(
    task: str, gold: str, lcbench: Command, tiny: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    done = lcbench("tasks", "show", task, "--model", tiny)
    assert done.exit_code == 0, done.output
    assert gold in done.stdout
    assert "scores 1, an empty completion 0" in done.stdout


def test_missing_data_is_told_after_what_the_task_is(lcbench: Command, tiny: Path) -> None:
    done = lcbench("tasks", "show", "gsm8k/zero_shot", "--model", tiny)
    assert done.exit_code == 3
    assert done.stdout.startswith("gsm8k/zero_shot, version 1\n")
    assert "hint: lcbench data pull gsm8k_test" in done.stderr


def test_one_task_is_shown(lcbench: Command) -> None:
    done = lcbench("tasks", "show", "ruler")
    assert done.exit_code == 2
    assert "ruler is 13 tasks" in done.stderr
