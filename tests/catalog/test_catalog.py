"""Tasks and suites by name, alias, group and glob; a user's files before ours; and what is wrong with a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lcbench import catalog
from lcbench.benchmarks import BUILDERS
from lcbench.benchmarks.wording import wording
from lcbench.errors import UsageError
from lcbench.lengths import parse_length, show_length
from lcbench.schema import PARAMS, Suite, Task
from lcbench.scoring import bind

NEEDLES = [f"ruler/niah_{n}" for n in ("multikey_1", "multikey_2", "multikey_3", "multiquery", "multivalue")]
TASK = """\
name: {name}
version: 7
benchmark: ruler.niah
description: Mine.
source: mine
prompts: {{texts: ruler, key: niah}}
score: ruler.match_all
generate: {{max_new_tokens: 16}}
params: {{haystack: noise, keys: words, values: numbers, num_k: 1, num_v: 1, num_q: 1}}
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("LCBENCH_TASKS", "LCBENCH_SUITES"):
        monkeypatch.delenv(variable, raising=False)
    for found in (catalog.tasks, catalog.suites):
        found.cache_clear()
    yield
    for found in (catalog.tasks, catalog.suites):
        found.cache_clear()


def names(*asked: str) -> list[str]:
    return [s.task.name for s in catalog.select(asked)]


@pytest.mark.parametrize(
    ("asked", "found", "named"),
    [
        ("ruler/vt", ["ruler/vt"], True),
        ("vt", ["ruler/vt"], True),
        ("qa_1", ["ruler/qa_squad"], True),
        ("ruler/qa_1", ["ruler/qa_squad"], True),
        ("niah_multi*", NEEDLES, False),
        ("ruler/niah_multi*", NEEDLES, False),
        ("niah_multikey_[12]", NEEDLES[:2], False),
        ("qa_?", ["ruler/qa_hotpot", "ruler/qa_squad"], False),
    ],
)
def test_select(asked: str, found: list[str], named: bool) -> None:
    chosen = catalog.select([asked])
    assert [(s.task.name, s.named) for s in chosen] == [(n, named) for n in found]


def test_a_group_is_all_of_its_tasks() -> None:
    assert len(names("ruler")) == 13
    assert names("ruler") == sorted(names("ruler"))


def test_tasks_come_once_in_the_order_asked_for() -> None:
    assert names("vt", "fwe", "ruler/vt", "cwe") == ["ruler/vt", "ruler/fwe", "ruler/cwe"]
    chosen = {s.task.name: s.named for s in catalog.select(["niah_multi*", "niah_multivalue"])}
    assert [n for n, named in chosen.items() if named] == ["ruler/niah_multivalue"]


@pytest.mark.parametrize("asked", ["", "nosuch", "nosuch*", "VT", "ruler/"])
def test_a_name_that_matches_nothing(asked: str) -> None:
    with pytest.raises(UsageError, match="Unknown task"):
        catalog.select([asked])


def test_a_users_task_hides_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a/deep/vt.yaml").write_text(TASK.format(name="ruler/vt"))
    (tmp_path / "b/vt.yaml").write_text(TASK.format(name="ruler/vt").replace("version: 7", "version: 8"))
    (tmp_path / "b/new.yaml").write_text(TASK.format(name="mine/new"))
    (tmp_path / "b/_builtin.yaml").write_text("anything: [")
    monkeypatch.setenv("LCBENCH_TASKS", f"{tmp_path}/a:{tmp_path}/b")
    assert catalog.tasks()["ruler/vt"].version == 7
    assert names("new", "mine", "vt") == ["mine/new", "ruler/vt"]
    assert len(names("ruler")) == 13


def test_a_task_file_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(TASK.format(name="mine/new"))
    [chosen] = catalog.select([str(tmp_path / "mine.yaml")])
    assert (chosen.task.name, chosen.named) == ("mine/new", True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("score:", "scores:", r":7: scores: unknown key; did you mean score"),
        ("max_new_tokens", "max_tokens", r":8: generate.max_tokens: unknown key; did you mean max_new_tokens\?"),
        ("texts: ruler", "text: ruler", r":6: prompts.text: unknown key; did you mean texts\?"),
        ("version: 7", "version: 0", r":2: version: input should be greater than or equal to 1"),
        ("version: 7", "version: x", r":2: version: input should be a valid integer"),
        ("name: mine/new\n", "", r":1: name: is missing"),
        ("generate: {max_new_tokens: 16}\n", "generate: {}\n", r":8: generate.max_new_tokens: is missing"),
        ("{max_new_tokens: 16}\n", "\n  max_new_tokens: 1\n  stop: [a, 3]\n", r":10: generate.stop.1: input"),
        ("source: mine", "source: {", r"not YAML"),
        ("source: mine", "source: mine\nversion: 8", r":6: version: the key stands twice"),
        ("source: mine", "source: 2024-13-45", r"not YAML: month must be in 1\.\.12"),
        ("prompts: {", "data: {fiel: rows.jsonl}\nprompts: {", r":6: data.fiel: unknown key; did you mean file"),
        ("prompts: {", "data: rows.jsonl\nprompts: {", r":6: data: should be `file:` or"),
        ("mine/new", "mine/new:x=1", r":1: name: 'mine/new:x=1' is not of the form group/name"),
        ("num_k: 1", "num_kk: 1", r":9: params.num_kk: unknown key; did you mean num_k"),
        ("source: mine", "sorce: mine\nversions: 3", r":5: sorce: unknown key; .* \(and 1 more\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_task_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    text = TASK.format(name="mine/new")
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=said) as told:
        catalog.load_task(file)
    assert told.value.message.startswith(str(file))
    assert told.value.hint == f"lcbench tasks validate {file}"


@pytest.mark.parametrize("text", ["", "just text", "- a\n- list", "42"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        catalog.load(tmp_path / "mine.yaml", Task)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes("name: a\ndescription: \u00e9".encode("latin-1"))
    for name, said in (("folder", "cannot be read: Is a directory"), ("latin", r"latin\.yaml:2: not UTF-8")):
        with pytest.raises(UsageError, match=said):
            catalog.load(tmp_path / f"{name}.yaml", Task)


def test_a_suite_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quick.yaml").write_text("{name: quick, description: Mine., tasks: [vt], lengths: [1k], samples: 3}")
    monkeypatch.setenv("LCBENCH_SUITES", str(tmp_path))
    assert catalog.suite("quick") == Suite(name="quick", description="Mine.", tasks=("vt",), lengths=("1k",), samples=3)
    with pytest.raises(UsageError, match="Unknown suite 'rulr'; did you mean ruler"):
        catalog.suite("rulr")


@pytest.mark.parametrize("task", catalog.tasks().values(), ids=lambda t: t.name)
def test_every_shipped_task_names_parts_that_there_are(task: Task) -> None:
    assert task.benchmark in BUILDERS
    for scorer in (task.scorer, *task.scorers_beside):
        bind(scorer.name, scorer.arguments)
    PARAMS[task.benchmark].model_validate(task.params)
    if task.prompts is not None:
        assert wording(task, "builtin").entry


@pytest.mark.parametrize("task", [t for t in catalog.tasks().values() if t.group == "ruler"], ids=lambda t: t.name)
def test_builtin_prompts_of_ruler_have_a_place_for_the_haystack(task: Task) -> None:
    assert "{context}" in wording(task, "builtin").template


def test_params_ride_behind_a_colon() -> None:
    [chosen] = catalog.select(["babilong/qa1:variant=en,samples=hub"])
    assert chosen.task.name == "babilong/qa1:variant=en,samples=hub"
    assert chosen.task.params == {"question": 1, "variant": "en", "samples": "hub"}
    assert {s.task.params["split"] for s in catalog.select(["zero_scrolls:split=test"])} == {"test"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("babilong/qa1:varient=en", "babilong/qa1 has no param 'varient'; did you mean variant"),
        ("babilong/qa1:variant=de", "babilong/qa1: param 'variant'"),
        ("babilong/qa1:variant", "params are written NAME:key=value"),
        ("gsm8k:n=3", "gsm8k has no param 'n'"),
    ],
)
def test_params_that_do_not_exist(asked: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        catalog.select([asked])


@pytest.mark.parametrize("suite", catalog.suites().values(), ids=lambda s: s.name)
def test_every_shipped_suite_can_be_selected(suite: Suite) -> None:
    assert catalog.select(suite.tasks, named=False)
    assert all(show_length(parse_length(x)) == x for x in suite.lengths)
