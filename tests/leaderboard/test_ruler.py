"""RULER's figures over lengths: equal to the statistics on the verdicts themselves, and refused with the reason."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from lcbench.stats import effective_length, mean_interval, weighted_averages
from tests.leaderboard.conftest import RULER, Command, lines, ruler, run


def effective(found: list[dict[str, Any]]) -> dict[str, Any]:
    (line,) = [x for x in found if x["kind"] == "effective"]
    return line


def verdicts(seed: int, lengths: tuple[int, ...], n: int = 12) -> dict[tuple[str, int | None], list[float | None]]:
    rng = random.Random(seed)
    values = (*[1.0] * 14, 0.5, 0.0, 0.0)  # a mean of 85.3
    return {(task, length): [rng.choice(values) for _ in range(n)] for length in lengths for task in RULER}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("folders", [1, 2])
def test_effective_length_of_the_records(lcbench: Command, tmp_path: Path, seed: int, folders: int) -> None:
    cells = verdicts(seed, (4096, 8192, 16384))
    for i in range(folders):
        run(tmp_path / str(i), {k: v for j, (k, v) in enumerate(cells.items()) if j * folders // len(cells) == i})
    expected = effective_length({x: {t: cells[t, x] for t in RULER} for x in (4096, 8192, 16384)})
    for _ in range(2):  # from the files, and from the cache
        found = effective(lines(lcbench("leaderboard", tmp_path, "--format", "json")))["effective"]
        assert (found["length"], found["other"]) == (expected.length, expected.other)
        assert found["share"] == list(expected.share.values())
        assert found["measured"] == [4096, 8192, 16384]


def test_samples_of_one_context_are_drawn_together(lcbench: Command, tmp_path: Path) -> None:
    cells = verdicts(7, (4096,))
    run(tmp_path, cells, contexts=lambda i: f"context {i // 6}")
    values = {4096: {t: cells[t, 4096] for t in RULER}}
    together = effective_length(values, clusters={4096: {t: [i // 6 for i in range(12)] for t in RULER}})
    found = effective(lines(lcbench("leaderboard", tmp_path, "--format", "json")))["effective"]
    assert found["share"] == [together.share[4096]]
    assert together.share != effective_length(values).share


def test_weighted_averages_and_their_interval(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, verdicts(3, (4096, 8192, 16384)))
    found = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    means = {x["length"]: x for x in found if x["kind"] == "mean"}
    up, down = weighted_averages({length: m["score"] for length, m in means.items()})
    weighted = {x["name"]: x for x in found if x["kind"] == "weighted"}
    for name, score, weights in (("inc", up, (1, 2, 3)), ("dec", down, (3, 2, 1))):
        line = weighted[f"ruler, wAvg ({name}) of 4k, 8k, 16k"]
        assert line["score"] == pytest.approx(score, abs=0.011)
        pairs = [(w / 6, means[length]) for w, length in zip(weights, (4096, 8192, 16384), strict=True)]
        below = sum((w * (m["score"] - m["ci"][0])) ** 2 for w, m in pairs) ** 0.5
        above = sum((w * (m["ci"][1] - m["score"])) ** 2 for w, m in pairs) ** 0.5
        assert line["ci"] == pytest.approx([score - below, score + above], abs=0.02)


def test_the_other_reading_is_printed_where_it_differs(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, ruler({4096: 1.0, 8192: 0.5, 16384: 1.0}))
    text = lcbench("leaderboard", tmp_path).stdout
    assert "4k (100% of draws), 16k passes by itself, of 4k, 8k, 16k" in text


def test_no_length_passes(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, ruler({4096: 0.5, 8192: 0.25}))
    assert "below 4k (100% of draws), of 4k, 8k" in lcbench("leaderboard", tmp_path).stdout


def test_without_samples_the_length_stands_and_its_share_does_not(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, ruler({4096: 1.0, 8192: 0.25}))
    (tmp_path / "samples.jsonl").unlink()
    found = effective(lines(lcbench("leaderboard", tmp_path, "--format", "json")))["effective"]
    assert (found["length"], found["share"]) == (4096, None)
    assert "of draws)" not in lcbench("leaderboard", tmp_path).stdout


def test_records_that_the_summary_does_not_know_give_no_share(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, ruler({4096: 1.0}))
    lines_of_it = (tmp_path / "samples.jsonl").read_text(encoding="utf-8").split("\n")
    (tmp_path / "samples.jsonl").write_text("\n".join([*lines_of_it[:4], *lines_of_it]), encoding="utf-8")
    found = effective(lines(lcbench("leaderboard", tmp_path, "--format", "json")))["effective"]
    assert (found["length"], found["share"]) == (4096, None)


@pytest.mark.parametrize(
    ("missing", "prompt", "why"),
    [
        (("ruler/vt", 8192), "official", "12 of 13 tasks at 8k"),
        (None, "builtin", "builtin prompts"),
        (("ruler/vt", 4096), "builtin", "builtin prompts"),
    ],
)
def test_refused_with_the_reason(
    lcbench: Command, tmp_path: Path, missing: tuple[str, int | None] | None, prompt: str, why: str
) -> None:
    cells = ruler({4096: 1.0, 8192: 1.0})
    run(tmp_path, {k: v for k, v in cells.items() if k != missing}, prompt=prompt)
    result = lcbench("leaderboard", tmp_path, "--format", "json")
    line = effective(lines(result))
    assert (line["na"], line["effective"], line["score"]) == (why, None, None)
    assert not [x for x in lines(result) if x["kind"] == "weighted"]
    assert f"n/a: {why}" in lcbench("leaderboard", tmp_path).stdout


def test_a_length_that_no_task_was_scored_at_was_not_measured(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, ruler({4096: 1.0}) | {(task, 8192): [None, None] for task in RULER})
    found = effective(lines(lcbench("leaderboard", tmp_path, "--format", "json")))["effective"]
    assert found["measured"] == [4096]


def test_a_filter_on_lengths_does_not_change_a_figure_over_lengths(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, ruler({4096: 0.5, 8192: 1.0}))
    whole = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    part = lines(lcbench("leaderboard", tmp_path, "--length", "8k", "--format", "json"))
    assert part == [x for x in whole if x["length"] != 4096]
    assert effective(part)["effective"]["length"] is None


def test_cells_are_as_their_summary_has_them(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path, {("gsm8k", None): [1.0] * 9 + [0.0]}, prompt="task")
    (line,) = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    interval = mean_interval([1.0] * 9 + [0.0])
    assert line["ci"] == [round(100 * interval.low, 2), round(100 * interval.high, 2)]
