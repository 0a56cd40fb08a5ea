"""What the figures are made of, against the records and by brute force."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.errors import UsageError
from lcbench.report.page import report
from lcbench.report.page.costs import front
from lcbench.report.page.samples import MOST_CHARACTERS, shortened
from lcbench.runs import Run, read_run
from lcbench.stats import holm, mean_of_means, paired
from tests.report import made


def edited(path: Path, change: Any) -> Path:
    """A run folder with its summary.json changed."""
    summary = json.loads((path / "summary.json").read_text())
    change(summary)
    (path / "summary.json").write_text(json.dumps(summary))
    return path


def test_the_curve_is_the_mean_of_the_cells(figures: dict[str, Any], run: Run) -> None:
    curve = figures["curves"][0]
    assert curve["name"] == "mean of 3 tasks"
    assert [c["name"] for c in figures["curves"][1:]] == list(made.TASKS)
    assert len(curve["points"]) == 6
    for p in curve["points"]:
        attn = ("softmax", "lucid")[p["system"]]
        cells = [c for c in run.summary["cells"] if (c["attn"], c["length"]) == (attn, p["length"])]
        mean, low, high = mean_of_means([(c["score"], *c["ci"]) for c in cells])
        assert (p["score"], p["ci"], p["n"]) == (mean, [low, high], 150)


def test_a_line_never_changes_what_it_is_a_mean_of(tmp_path: Path) -> None:
    def change(summary: dict[str, Any]) -> None:
        missing = next(c for c in summary["cells"] if (c["task"], c["length"]) == ("ruler/vt", 8192))
        missing.update(score=None, ci=None, na="below its least length")

    figures = report([read_run(edited(made.run_folder(tmp_path / "run", n=5), change))])[1]
    assert figures["curves"][0]["name"] == "mean of 2 tasks"
    assert [x["tasks"] for x in figures["costs"][0]["lengths"]] == [[*made.TASKS], [*made.NEEDLES], [*made.TASKS]]


def test_a_line_ends_where_a_system_failed(tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["cell"].startswith("lucid") and row["cell"].endswith(":16384"):
            row.update(finish="failed", completion=None, extracted=None, error="out of memory", score=0.0)

    figures = report([read_run(made.run_folder(tmp_path / "run", n=5, change=change))])[1]
    curve = figures["curves"][0]
    assert curve["name"] == "mean of 3 tasks"
    assert [(p["system"], p["length"]) for p in curve["points"]] == [(0, x) for x in made.LENGTHS] + [
        (1, 4096),
        (1, 8192),
    ]
    assert figures["lead"].startswith("Mean over 3 tasks at 4k, 8k:")
    cells = figures["depths"]["maps"][0]["cells"]
    assert {(c["system"], c["length"]) for c in cells} == {(p["system"], p["length"]) for p in curve["points"]}


def test_systems_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    one, two = (read_run(made.run_folder(tmp_path / m, n=2, model=f"org/{m}")) for m in ("small", "large"))
    alone = read_run(made.run_folder(tmp_path / "again", n=2, attns=("softmax",), model="org/small"))

    def called(*runs: Run) -> list[str]:
        return [s["name"] for s in report(runs)[1]["systems"]]

    assert called(one) == ["softmax", "lucid"]
    assert called(one, two) == ["small softmax", "small lucid", "large softmax", "large lucid"]
    assert called(two, alone) == ["large softmax", "large lucid", "small softmax"]
    assert called(one, alone) == ["small softmax", "small lucid", "again softmax"]  # by the names of their folders


def test_prompts_of_two_sources_are_not_averaged(tmp_path: Path) -> None:
    def change(summary: dict[str, Any]) -> None:
        for c in summary["cells"]:
            c["prompt"] = "official" if c["task"] == "ruler/vt" else "builtin"

    figures = report([read_run(edited(made.run_folder(tmp_path / "run", n=5), change))])[1]
    assert [c["name"] for c in figures["curves"]] == list(made.TASKS)
    assert "two sources are not averaged" in figures["lead"]


def test_depths_hold_every_record_of_one_piece_of_evidence(figures: dict[str, Any], run: Run) -> None:
    depths = figures["depths"]
    assert [m["task"] for m in depths["maps"]] == ["all of these tasks", *made.NEEDLES]
    assert depths["several"] == ["ruler/vt"]
    together, *single = depths["maps"]
    assert sum(c["n"] for c in together["cells"]) == sum(c["n"] for m in single for c in m["cells"]) == 600
    for m, task in zip(single, made.NEEDLES, strict=True):
        for c in m["cells"]:
            rows = run.rows[("softmax", "lucid")[c["system"]], task, c["length"]]
            here = [r["score"] for r in rows if c["band"] / 10 <= r["evidence"][0]["depth"] < (c["band"] + 1) / 10]
            assert (c["score"], c["n"]) == (pytest.approx(100 * fmean(here)), len(here))


def test_a_needle_at_the_very_end_and_one_that_failed(tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        row["evidence"] = ({"start": 0, "end": 1, "depth": 1.0},)
        row["score"] = 1.0
        if row["index"] == 0:
            row.update(finish="failed", completion=None, extracted=None, error="out of memory", score=1.0)

    run = made.run_folder(tmp_path / "run", attns=("softmax",), tasks=(made.NEEDLES[0],), n=4, change=change)
    cells = report([read_run(run)])[1]["depths"]["maps"][0]["cells"]
    assert [(c["band"], c["score"], c["n"]) for c in cells] == [(9, 75.0, 4)] * 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return (a[0] < b[0] and a[1] >= b[1]) or (a[0] <= b[0] and a[1] > b[1])

    assert front(points) == [not any(beats(q, p) for q in points) for p in points]


def test_costs_are_means_over_tasks_and_memory_is_the_most(figures: dict[str, Any], run: Run) -> None:
    for axis in figures["costs"]:
        assert [x["name"] for x in axis["lengths"]] == ["4k", "8k", "16k"]
        for at in axis["lengths"]:
            for p in at["points"]:
                attn = ("softmax", "lucid")[p["system"]]
                found = [
                    c[axis["key"]] for c in run.summary["cells"] if (c["attn"], c["length"]) == (attn, at["length"])
                ]
                expected = {"peak_memory_bytes": max(found) / 2**30, "flops": fmean(found) / 1e12}
                assert p["cost"] == pytest.approx(expected.get(axis["key"], fmean(found)))


def test_a_cost_that_is_absent_has_its_reason(tmp_path: Path) -> None:
    def older(summary: dict[str, Any]) -> None:
        for c in summary["cells"]:
            del c["flops"], c["seconds"]

    figures = report([read_run(edited(made.run_folder(tmp_path / "run", n=5, cuda=False), older))])[1]
    reasons = {axis["key"]: {a["reason"] for x in axis["lengths"] for a in x["absent"]} for axis in figures["costs"]}
    older_run = "its run was made before this was kept: run it again"
    assert reasons["seconds"] == reasons["flops"] == {older_run}
    assert reasons["peak_memory_bytes"] == {"it is measured on CUDA alone"}
    assert reasons["ttft_s"] == set()
    assert all(x["points"] == [] for axis in figures["costs"] if axis["key"] != "ttft_s" for x in axis["lengths"])


def test_differences_are_paired_and_adjusted(figures: dict[str, Any], run: Run) -> None:
    (pair,) = figures["forests"]
    assert (pair["a"], pair["b"], len(pair["rows"])) == (0, 1, 9)
    ps = []
    for row in pair["rows"]:
        softmax, lucid = (run.rows[attn, row["task"], row["length"]] for attn in ("softmax", "lucid"))
        by_hand = paired([r["score"] for r in softmax], [r["score"] for r in lucid])
        assert (row["difference"], row["p"]) == (pytest.approx(100 * by_hand.difference), by_hand.p)
        ps.append(by_hand.p)
    assert [row["p_holm"] for row in pair["rows"]] == holm(ps)
    assert [row["shown"] for row in pair["rows"]] == [p <= 0.05 for p in holm(ps)]
    assert [e["whole"] for e in pair["pooled"]] == [True]


def test_the_headline_says_who_leads_and_whether_it_is_shown(figures: dict[str, Any], tmp_path: Path) -> None:
    means = [fmean(c["score"] for c in figures["cells"] if c["system"] == i) for i in (0, 1)]
    assert figures["headline"] == "softmax scores higher than lucid"
    assert f"softmax {means[0]:.1f}, lucid {means[1]:.1f}" in figures["lead"]
    few = report([read_run(made.run_folder(tmp_path / "few", attns=("softmax", "laser"), n=4))])[1]
    assert few["headline"].startswith("No difference is shown between")
    assert "would have been found" in few["lead"]
    pair = figures["forests"][0]
    below = sum(row["shown"] and row["difference"] < 0 for row in pair["rows"])
    assert f"Of 9 cells lucid is above softmax in 0, below it in {below}; in {9 - below} no" in pair["takeaway"]
    assert f"{pair['pooled'][0]['difference']:.1f} points [".replace("-", "−") in pair["takeaway"]


@pytest.mark.parametrize("scores", [(1.0, 1.0), (1.0, 0.0)])
def test_one_cell_is_tested_as_itself(tmp_path: Path, scores: tuple[float, float]) -> None:
    def change(row: dict[str, Any]) -> None:
        row["score"] = scores[row["cell"].startswith("lucid")]

    path = made.run_folder(tmp_path / "run", tasks=(made.NEEDLES[0],), lengths=(4096,), n=20, change=change)
    figures = report([read_run(path)])[1]
    assert figures["headline"] == (
        "softmax scores higher than lucid" if scores[1] == 0 else "No difference is shown between softmax and lucid"
    )
    assert "over 1 cell, p" in figures["lead"]


def test_a_lead_over_fewer_cells_than_the_pair_has_is_not_called_shown(tmp_path: Path) -> None:
    """The third run has 16k alone, where the second leads; over all that the first two have the first does."""

    def first(row: dict[str, Any]) -> None:
        row["score"] = float(not row["cell"].endswith(":16384") or row["index"] < 20)

    def second(row: dict[str, Any]) -> None:
        row["score"] = float(row["cell"].endswith(":16384"))

    def third(row: dict[str, Any]) -> None:
        row["score"] = 0.0

    runs = [
        read_run(made.run_folder(tmp_path / change.__name__, attns=("softmax",), lengths=lengths, change=change))
        for change, lengths in ((first, made.LENGTHS), (second, made.LENGTHS), (third, made.LENGTHS[2:]))
    ]
    figures = report(runs)[1]
    assert "Mean over 3 tasks at 16k: second 100.0, first 40.0, third 0.0" in figures["lead"]
    assert figures["headline"] == "first scores higher than second where both are scored"


def test_a_lead_is_tested_under_the_prompts_it_is_a_lead_in(tmp_path: Path) -> None:
    def change(summary: dict[str, Any]) -> None:
        for c in summary["cells"]:
            c["prompt"] = "official" if c["task"] == "ruler/vt" else "builtin"

    tasks = {"a": made.TASKS, "b": made.TASKS, "c": (made.SEVERAL,)}
    paths = [made.run_folder(tmp_path / k, attns=("softmax",), tasks=x, n=4) for k, x in tasks.items()]
    lead = report([read_run(edited(path, change)) for path in paths])[1]["lead"]
    assert lead.startswith("Mean over 1 task at 4k, 8k, 16k:") and " over 3 cells, p" in lead


def test_a_curve_of_other_lengths_says_so(tmp_path: Path) -> None:
    lengths = {"a": made.LENGTHS[:2], "b": made.LENGTHS[1:], "c": made.LENGTHS}
    paths = [made.run_folder(tmp_path / k, attns=("softmax",), lengths=x, n=4) for k, x in lengths.items()]
    told = report([read_run(path) for path in paths])[1]["curves"][0]["takeaway"]
    figure = r"[\d.]+ → [\d.]+"
    expected = rf"From 4k to 16k: a {figure} \(from 4k to 8k\), b {figure} \(from 8k to 16k\), c {figure}\."
    assert re.fullmatch(expected, told)


def test_a_run_named_twice_is_refused(tmp_path: Path) -> None:
    path = made.run_folder(tmp_path / "run", n=4)
    (tmp_path / "link").symlink_to(path)
    for other in (path, tmp_path / "link"):
        with pytest.raises(UsageError, match=f"{other} is the same run as {path}"):
            report([read_run(path), read_run(other)])


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    path = made.run_folder(tmp_path / "run", n=4)
    (path / name).write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=f"{name} is damaged"):
        read_run(path)


def test_one_system_alone_needs_no_other(tmp_path: Path) -> None:
    html, figures = report([read_run(made.run_folder(tmp_path / "run", attns=("softmax",), n=4))])
    assert figures["forests"] == []
    assert figures["headline"].startswith("softmax scores ")
    assert html.endswith("</html>\n")


def test_items_are_shared_only_where_they_are_the_same(tmp_path: Path) -> None:
    seeds = {"a": 0, "b": 0, "c": 1}
    paths = [made.run_folder(tmp_path / k, attns=("softmax",), n=4, seed=seed) for k, seed in seeds.items()]
    a, b, c = (read_run(path) for path in paths)
    assert [len(i["answers"]) for i in browsed([a, b])] == [2] * 36
    assert [len(i["answers"]) for i in browsed([a, c])] == [1] * 72
    rows = report([a, c])[1]["forests"][0]["rows"]
    assert all("seed" in row["unpaired"] for row in rows)


def browsed(runs: list[Run]) -> list[dict[str, Any]]:
    """The items of the page, read back out of it."""
    block = re.search(r'<script type="text/plain" id="packed">([A-Za-z0-9+/=]+)</script>', report(runs)[0])
    assert block is not None
    found: list[dict[str, Any]] = json.loads(zlib.decompress(base64.b64decode(block[1])))
    return found


def test_another_version_of_a_task_is_refused(tmp_path: Path) -> None:
    a, b = (made.run_folder(tmp_path / name, n=4) for name in "ab")
    about = json.loads((b / "run.json").read_text())
    about["identity"]["tasks"]["ruler/vt"] = "version 2, abc"
    (b / "run.json").write_text(json.dumps(about))
    with pytest.raises(UsageError, match="ruler/vt has another version"):
        report([read_run(a), read_run(b)])


def test_tasks_without_length_labels_or_a_share(tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        row["score"] = None

    path = made.run_folder(tmp_path / "run", lengths=(None,), n=3, change=change)
    figures = report([read_run(path)])[1]
    assert figures["curves"] == [] and figures["costs"][0]["lengths"] == []
    assert figures["headline"] == "The systems have no common score"
    assert {c["score"] for c in figures["cells"]} == {None}
    assert all(row["na"] for row in figures["forests"][0]["rows"])
    assert figures["forests"][0]["takeaway"] == "No cell of softmax and lucid can be compared."


def test_a_long_text_keeps_both_ends() -> None:
    text = "a" * 5000 + "b" * 5000
    short = shortened(text)
    assert short is not None and len(short) < MOST_CHARACTERS + 60
    assert short.startswith("aaa") and short.endswith("bbb") and "6000 characters left out" in short
    assert shortened("a" * MOST_CHARACTERS) == "a" * MOST_CHARACTERS
    assert shortened(None) is None
