"""What is not the same never stands in one figure: prompt sources, task versions, settings, repeated runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcbench.stats import mean_of_means
from tests.leaderboard.conftest import RULER, Command, lines, ruler, run

GSM8K = ("gsm8k", None)


def figures(found: list[dict[str, Any]], name: str) -> list[tuple[Any, ...]]:
    """(settings, length, score) of the lines of one name."""
    return [(x["settings"], x["length"], x["score"]) for x in found if x["name"] == name]


def test_runs_of_one_configuration_complete_one_another(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "a", ruler({4096: 1.0}))
    run(tmp_path / "b", ruler({8192: 0.5}), identity={"samples": 99})
    found = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    assert figures(found, "ruler, 13 tasks") == [("", 4096, 100.0), ("", 8192, 50.0)]
    assert {tuple(x["runs"]) for x in found} == {("a", "b")}


def test_the_mean_is_that_of_the_cells_as_their_summary_has_them(lcbench: Command, tmp_path: Path) -> None:
    cells = {(t, 4096): [1.0] * i + [0.0] * (20 - i) for i, t in enumerate(RULER)}
    run(tmp_path / "a", cells)
    each = lines(lcbench("leaderboard", tmp_path, "--by", "task", "--format", "json"))
    (mean,) = [x for x in lines(lcbench("leaderboard", tmp_path, "--format", "json")) if x["kind"] == "mean"]
    expected = mean_of_means([(x["score"], *x["ci"]) for x in each])
    assert (mean["score"], *mean["ci"]) == pytest.approx(expected, abs=0.005)
    assert mean["n"] == 13 * 20


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"max_new_tokens": 7}, "max_new_tokens 7"),
        ({"seed": 1}, "seed 1"),
        ({"system": "Be brief."}, "system Be brief."),
        ({"something_new": [1, 2]}, "something_new [1,2]"),
    ],
)
def test_other_settings_are_another_row(lcbench: Command, tmp_path: Path, other: dict[str, Any], told: str) -> None:
    run(tmp_path / "a", {GSM8K: [1.0, 1.0]}, prompt="task")
    run(tmp_path / "b", {GSM8K: [0.0, 0.0]}, prompt="task", identity=other)
    found = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    assert {x["score"]: x["settings"].endswith(told) for x in found} == {100.0: False, 0.0: True}


def test_two_models_of_one_name_are_told_apart(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "a", {GSM8K: [1.0]}, prompt="task")
    run(tmp_path / "b", {GSM8K: [0.0]}, prompt="task", identity={"model_fingerprint": "another"})
    result = lcbench("leaderboard", tmp_path, "--format", "json")
    assert len({x["model"] for x in lines(result)}) == 2
    assert "differ in model_fingerprint." in result.stdout


def test_a_repeated_run_is_never_pooled(lcbench: Command, tmp_path: Path) -> None:
    for name, score in (("a", 1.0), ("b", 0.0), ("c", 1.0)):
        run(tmp_path / name, {GSM8K: [score] * 4}, prompt="task")
    found = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    assert [(x["runs"], x["settings"], x["score"], x["n"]) for x in found] == [
        (["a"], "", 100.0, 4),
        (["b"], "repeat 1", 0.0, 4),
        (["c"], "repeat 2", 100.0, 4),
    ]


def test_a_folder_named_twice_is_read_once(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "x/a", {GSM8K: [1.0]}, prompt="task")
    (found,) = lines(lcbench("leaderboard", tmp_path, tmp_path / "x", "--format", "json"))
    assert found["runs"] == [f"{tmp_path}/x/a"]


def test_prompt_sources_are_never_averaged(lcbench: Command, tmp_path: Path) -> None:
    cells = ruler({4096: 1.0})
    run(tmp_path / "a", dict(list(cells.items())[:6]), prompt="official")
    run(tmp_path / "b", dict(list(cells.items())[6:]), prompt="builtin")
    result = lcbench("leaderboard", tmp_path, "--format", "json")
    found = lines(result)
    assert not [x for x in found if x["kind"] == "mean"]
    tasks: dict[str, set[str]] = {}
    for x in found:
        if x["kind"] == "task":
            tasks.setdefault(x["prompt"], set()).add(x["name"])
    assert tasks == {"official": set(RULER[:6]), "builtin": set(RULER[6:])}
    assert "No mean of ruler, 13 tasks, where tasks are missing" in result.stdout


def test_versions_are_never_averaged_nor_side_by_side(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "a", ruler({4096: 1.0}))
    run(tmp_path / "b", ruler({8192: 0.5}), versions={"ruler/vt": 2})
    found = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    means = [x for x in found if x["kind"] == "mean"]
    assert len({x["name"] for x in means}) == len({x["edition"] for x in means}) == 2
    assert not [x for x in found if x["kind"] == "weighted"]  # no figure over lengths of two versions
    each = lines(lcbench("leaderboard", tmp_path, "--task", "ruler/vt", "--format", "json"))
    assert sorted(x["name"].partition(",")[0] for x in each) == ["ruler/vt (version 1", "ruler/vt (version 2"]
    table = lcbench("leaderboard", tmp_path, "--task", "ruler/vt", "--by", "attn", "--format", "csv")
    assert table.exit_code == 0


def test_other_data_is_another_edition(lcbench: Command, tmp_path: Path) -> None:
    for name, sha in (("a", "1"), ("b", "2")):
        data = {"materials": {"ruler/qa_squad/data": {"source": name, "sha256": sha}}}
        run(tmp_path / name, {("ruler/qa_squad", 4096): [1.0]}, identity=data, model=name)
    found = lines(lcbench("leaderboard", tmp_path, "--by", "task", "--format", "json"))
    assert len({x["name"] for x in found}) == 2


def test_a_mechanism_that_the_weights_do_not_know_is_marked(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "a", {GSM8K: [1.0]}, prompt="task", attn="lucid:block=8")
    run(tmp_path / "b", {GSM8K: [1.0]}, prompt="task", attn="lucid:block=8", model="made for it", trained="lucid")
    found = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    assert {x["model"]: x["untrained"] for x in found} == {"tiny": True, "made for it": False}
    text = lcbench("leaderboard", tmp_path).stdout
    assert text.count("100.0†") == 1 and "† the weights were trained under another mechanism" in text


def test_failed_samples_count_and_a_cell_of_them_alone_has_no_score(lcbench: Command, tmp_path: Path) -> None:
    cells = ruler({4096: 1.0}) | {("ruler/vt", 4096): [None] * 8, GSM8K: [1.0, None]}
    run(tmp_path / "a", cells)
    found = {x["name"]: x for x in lines(lcbench("leaderboard", tmp_path, "--format", "json"))}
    assert (found["gsm8k"]["score"], found["gsm8k"]["n"], found["gsm8k"]["n_failed"]) == (50.0, 2, 1)
    mean = found["ruler, 13 tasks"]
    assert (mean["score"], mean["ci"], mean["na"]) == (None, None, "no score of ruler/vt")
    assert found["ruler, effective length"]["na"] == "12 of 13 tasks at 4k"
