"""`lcbench tasks validate`: what is wrong is told with file and line, and what is right passes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lcbench import catalog, scoring
from lcbench.errors import MissingError
from lcbench.records import Score
from lcbench.schema import RunConfig, Task
from lcbench.validate import checks, counting, every_file, validate
from lcbench.validate.source import Source
from tests.run.conftest import Command

BROKEN = sorted((Path(__file__).parents[1] / "broken_tasks").glob("*.yaml"))
EXPECT = re.compile(r"^# expect: (\d+): ?(.*)$", re.MULTILINE)
CAPITALS = """\
name: mine/capitals
data: {file: rows.jsonl}
prompt: "The capital of {{ country }} is"
references: capital
score: includes
generate: {max_new_tokens: 16}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rows of the broken tasks, and the working directory."""
    for path in BROKEN[0].parent.glob("*.jsonl"):
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("LCBENCH_MODELS", str(tmp_path / "models"))
    return tmp_path


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_at_the_right_line(path: Path, lcbench: Command, tiny: Path) -> None:
    [(line, said)] = EXPECT.findall(path.read_text(encoding="utf-8"))
    done = lcbench("tasks", "validate", path, "--model", tiny, "--prompt", "builtin")
    assert done.exit_code == 2, done.output
    first = done.stdout.splitlines()[1].strip()
    assert first.startswith(f"{path}:{line}: {said}"), done.stdout


def test_there_are_broken_files_enough() -> None:
    assert len(BROKEN) >= 12


def test_every_failure_of_a_file_is_told(folder: Path, lcbench: Command, tiny: Path) -> None:
    (folder / "bad.yaml").write_text(CAPITALS.replace("references", "reference").replace("16", "0"))
    done = lcbench("tasks", "validate", "bad.yaml", "--model", tiny)
    assert done.exit_code == 2
    assert [line.split(": ")[0].strip() for line in done.stdout.splitlines()[1:3]] == ["bad.yaml:4", "bad.yaml:6"]


def test_what_is_right_passes(folder: Path, lcbench: Command, tiny: Path) -> None:
    (folder / "mine.yaml").write_text(CAPITALS)
    done = lcbench("tasks", "validate", "mine.yaml", "--model", tiny)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == ("ok     mine/capitals: 4 prompts within 4096 tokens; gold 1, empty 0\n1 task: 1 ok.\n")


def test_ids_that_do_not_tell_items_apart_are_said(folder: Path, lcbench: Command) -> None:
    (folder / "rows.jsonl").write_text('{"id": 1, "country": "A", "capital": "B"}\n' * 2)
    (folder / "mine.yaml").write_text(CAPITALS)
    done = lcbench("tasks", "validate", "mine.yaml")
    assert "items are called by their numbers: not every row has 'id', or one stands twice" in done.stdout


def test_without_a_tokenizer_budgets_are_not_checked_and_that_is_said(folder: Path, lcbench: Command) -> None:
    (folder / "mine.yaml").write_text(CAPITALS + "truncate: {column: country}\n")
    done = lcbench("tasks", "validate", "mine.yaml")
    assert done.exit_code == 0
    assert "ok     mine/capitals: 4 prompts; gold 1, empty 0" in done.stdout
    assert "Budgets were not checked: there is no tokenizer here." in done.stdout
    (folder / "mine.yaml").write_text(CAPITALS.replace("country", "contry"))
    assert lcbench("tasks", "validate", "mine.yaml").exit_code == 2


def test_made_tasks_need_a_tokenizer(folder: Path, lcbench: Command) -> None:
    done = lcbench("tasks", "validate", "ruler/vt", "--prompt", "builtin")
    assert done.exit_code == 0
    assert "no samples were made, for want of a tokenizer" in done.stdout


def test_a_model_that_is_asked_for_is_needed(folder: Path, lcbench: Command) -> None:
    (folder / "mine.yaml").write_text(CAPITALS)
    done = lcbench("tasks", "validate", "mine.yaml", "--model", "nosuch")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "No model 'nosuch'" in done.stderr


def test_cut_and_passed_over_are_counted(folder: Path, lcbench: Command, tiny: Path) -> None:
    rows = [f'{{"id": {i}, "text": "{"word " * n}", "last": "word"}}' for i, n in enumerate((10, 2000, 3000))]
    (folder / "long.jsonl").write_text("\n".join(rows))
    (folder / "long.yaml").write_text(
        'name: mine/long\ndata: {file: long.jsonl}\nprompt: "{{ text }}\\nThe last word is"\nreferences: last\n'
        "score: includes\ngenerate: {max_new_tokens: 16}\ntruncate: {column: text, cut: start}\n"
    )
    done = lcbench("tasks", "validate", "long.yaml", "--model", tiny, "--lengths", "512,8k")
    assert done.exit_code == 0, done.stdout
    assert "3 prompts within 512 tokens (2 cut); 3 prompts within 8192 tokens; gold 1" in done.stdout
    few = lcbench("tasks", "validate", "long.yaml", "--model", tiny, "--lengths", "512", "--samples", "1")
    assert "1 prompts within 512 tokens" in few.stdout


def test_missing_data_exits_3_and_a_broken_file_beside_it_2(folder: Path, lcbench: Command, tiny: Path) -> None:
    done = lcbench("tasks", "validate", "gsm8k/zero_shot", "--model", tiny)
    assert done.exit_code == 3
    assert "absent gsm8k/zero_shot" in done.stdout
    assert "hint: lcbench data pull gsm8k_test" in done.stdout
    both = lcbench("tasks", "validate", "gsm8k/zero_shot", BROKEN[0], "--model", tiny)
    assert both.exit_code == 2


def test_unknown_names_are_refused(lcbench: Command) -> None:
    for name, said in (("nosuch", "Unknown task 'nosuch'"), ("nosuch.yaml", "No task file nosuch.yaml")):
        done = lcbench("tasks", "validate", name)
        assert (done.exit_code, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_task_of_a_users_folder_is_told_with_its_file(
    folder: Path, lcbench: Command, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own").mkdir()
    (folder / "own/mine.yaml").write_text(CAPITALS.replace("rows.jsonl", "../rows.jsonl").replace("country", "contry"))
    monkeypatch.setenv("LCBENCH_TASKS", str(folder / "own"))
    catalog.tasks.cache_clear()
    done = lcbench("tasks", "validate", "mine/capitals", "--model", tiny)
    catalog.tasks.cache_clear()
    assert done.exit_code == 2
    assert "own/mine.yaml:3: prompt: 'contry' is undefined" in done.stdout


@pytest.mark.parametrize("count", [467, 468, 469])
def test_a_known_exception_holds_exactly_or_fails(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(p for p in every_file() if p.name == "qa7.yaml")
    source = Source(path)
    task = source.task()
    assert task is not None
    labels = {"question": "How many objects is Mary carrying? ", "labels": ["none", "one", "two", "three"]}
    found = [checks.Answer((("none",) if i < count else ("two",)), labels, {}) for i in range(1000)]
    report = checks.Report(task.name)
    checks.verdicts(source, task, dict(zip(map(str, range(1000)), found, strict=True)), report)
    assert bool(report.failures) == (count != 468)
    assert any("cannot score `none`" in note for note in report.notes) == (count == 468)


def test_an_empty_completion_that_scores_is_a_failure(
    folder: Path, lcbench: Command, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scoring.SCORERS, "generous", lambda completion, references: Score(1.0, completion))
    (folder / "mine.yaml").write_text(CAPITALS.replace("includes", "generous"))
    done = lcbench("tasks", "validate", "mine.yaml", "--model", tiny)
    assert done.exit_code == 2
    assert "mine.yaml:5: score: the empty completion scores 1.0, not 0 (4 of 4 items, first 'fr')" in done.stdout


@pytest.fixture(scope="module")
def by(tmp_path_factory: pytest.TempPathFactory) -> counting.Counting:
    """A tokenizer for the shipped tasks, with a context long enough for all prompts that cannot be cut."""
    from tests import tiny_model

    folder = tiny_model.save(tmp_path_factory.mktemp("models") / "tiny")
    config = RunConfig(model=str(folder), samples=2, prompt="official")
    return counting.counting_with(config, asked=True)


@pytest.mark.parametrize(
    "path", [p.resolve() for p in every_file()], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_shipped_task_validates(
    path: Path, by: counting.Counting, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the benchmarks' own texts; a task whose data is not in the folder of the tests is skipped."""
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    source = Source(path)
    task = source.task()
    assert isinstance(task, Task)
    assert source.failures == []
    report = checks.check(source, task, by)
    if report.missing:
        assert all(isinstance(m, MissingError) for m in report.missing)
        pytest.skip(report.missing[0].message)
    assert [str(f) for f in report.failures] == []
    assert bool([n for n in report.notes if n.startswith("known")]) == (task.name == "babilong/qa7")


def test_without_names_every_task_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LCBENCH_MODELS", str(tmp_path))
    config = RunConfig(model=counting.DEFAULT_MODEL, samples=1, prompt="builtin")
    reports = list(validate([], config, asked_for_model=False))
    assert {r.name for r in reports} == set(catalog.tasks())
    assert not any(r.failures for r in reports)
