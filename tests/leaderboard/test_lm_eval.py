"""Results that lm-eval itself writes are read, and what is written for it is read by lm-eval's own tools."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lcbench.stats import mean_interval
from tests.leaderboard.conftest import RULER, Command, lines, ruler, run

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install 'lcbench[lm-eval]'")

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{input}}}}"
doc_to_target: "{{{{outputs[0]}}}}"
generation_kwargs: {{do_sample: false, max_gen_toks: 4, until: []}}
metadata: {{version: 2.0}}
"""
QUIZ = """
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
LONG = """
process_results: !function utils.process_results
metric_list:
  - {metric: "4096", aggregation: !function utils.aggregate_metrics, higher_is_better: true}
  - {metric: "8192", aggregation: !function utils.aggregate_metrics, higher_is_better: true}
"""
GROUP = """
group: my_group
task: [my_quiz]
aggregate_metric_list:
  - {metric: exact_match, weight_by_size: true}
metadata: {version: 1}
"""
RUN = """
import sys
import lm_eval
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
folder = sys.argv[1]
tracker = EvaluationTracker(output_path=f"{folder}/out")
results = lm_eval.simple_evaluate(
    model="dummy", model_args="pretrained=some/model", tasks=["my_ruler", "my_group"], log_samples=True,
    task_manager=TaskManager(include_path=folder, include_defaults=False), evaluation_tracker=tracker,
    bootstrap_iters=100,
)
samples = results.pop("samples")
tracker.save_results_aggregated(results=results, samples=samples)
for name, rows in samples.items():
    tracker.save_results_samples(task_name=name, samples=rows)
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lm-eval writes for a task of its RULER kind at one length, a quiz, and a group. Its model says `lol`."""
    folder = tmp_path_factory.mktemp("lm_eval")
    rows = [{"input": f"q{i}", "outputs": ["lol" if i % 3 else "x"], "max_length": 8192} for i in range(12)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    imports = "from lm_eval.tasks.ruler.common_utils import aggregate_metrics, process_results\n"
    (folder / "utils.py").write_text(imports, encoding="utf-8")
    for name, more in (("my_ruler", LONG), ("my_quiz", QUIZ)):
        text = TASK.format(name=name, rows=folder / "rows.jsonl") + more
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "group.yaml").write_text(GROUP, encoding="utf-8")
    alone = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    asked = subprocess.run([sys.executable, "-c", RUN, str(folder)], env=alone, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    return folder / "out"


def test_results_of_lm_eval_are_rows_marked_as_such(lcbench: Command, theirs: Path) -> None:
    found = {x["name"]: x for x in lines(lcbench("leaderboard", theirs, "--by", "task", "--format", "json"))}
    assert {(x["model"], x["prompt"], x["attn"]) for x in found.values()} == {("some/model", "lm-eval", None)}
    assert set(found) == {"lm_eval:my_ruler", "lm_eval:my_quiz", "lm_eval:my_group"}
    quiz = found["lm_eval:my_quiz"]
    interval = mean_interval([float(i % 3 > 0) for i in range(12)])
    assert (quiz["score"], quiz["n"], quiz["metric"]) == (66.67, 12, "exact_match,none")
    assert quiz["ci"] == [round(100 * interval.low, 2), round(100 * interval.high, 2)]
    assert quiz["edition"] == "lm-eval's version 2.0, 0 shots"


def test_a_length_that_was_not_run_is_absent_and_not_minus_one(lcbench: Command, theirs: Path) -> None:
    (results,) = theirs.glob("*/results_*.json")
    assert json.loads(results.read_text(encoding="utf-8"))["results"]["my_ruler"]["4096,none"] == -1
    found = lines(lcbench("leaderboard", theirs, "--task", "*my_ruler", "--format", "json"))
    assert [(x["length"], x["score"], x["n"]) for x in found] == [(8192, 66.67, 12)]


def write(folder: Path, results: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results_2026-01-01T00-00-00.000000.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("metrics", "n", "score", "ci"),
    [
        ({"acc,none": 0.5, "acc_stderr,none": 0.05}, 100, 50.0, [40.2, 59.8]),
        ({"acc,none": 0.99, "acc_stderr,none": 0.05}, 100, 99.0, [89.2, 100.0]),
        ({"acc,none": 1.0, "acc_stderr,none": 0.0}, 100, 100.0, [96.3, 100.0]),  # Wilson's, and no width of 0
        ({"acc,none": 0.5, "acc_stderr,none": "N/A"}, 100, 50.0, [40.38, 59.62]),
        ({"acc,none": 0.5, "acc_stderr,none": "N/A"}, None, 50.0, None),
        ({"word_perplexity,none": 0.5, "word_perplexity_stderr,none": "N/A"}, 100, 0.5, None),
        ({"bits_per_byte,none": 0.75}, 100, 0.75, None),
        ({"bleu,none": 23.456789}, 100, 23.4568, None),
        ({"acc,none": float("nan")}, 100, None, None),
        ({"acc,none": "N/A"}, 100, None, None),
    ],
)
def test_figures_without_samples(
    lcbench: Command, tmp_path: Path, metrics: dict[str, Any], n: int | None, score: float, ci: list[float] | None
) -> None:
    counted = {} if n is None else {"n-samples": {"t": {"original": 1000, "effective": n}}}
    write(tmp_path, {"results": {"t": {"alias": "t", **metrics}}, "model_name": "m", **counted})
    (line,) = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    assert (line["score"], line["n"]) == (score, n)
    assert line["ci"] == (None if ci is None else pytest.approx(ci, abs=0.005))


def test_the_flexible_filter_and_the_first_metric_are_shown(lcbench: Command, tmp_path: Path) -> None:
    metrics = {"f1,strict": 0.1, "exact_match,strict": 0.2, "exact_match,flexible-extract": 0.3}
    configs = {"t": {"metric_list": [{"metric": "exact_match"}, {"metric": "f1"}]}}
    write(tmp_path, {"results": {"t": metrics}, "configs": configs, "model_name": "m"})
    (line,) = lines(lcbench("leaderboard", tmp_path, "--format", "json"))
    assert (line["metric"], line["score"]) == ("exact_match,flexible-extract", 30.0)


def test_a_group_with_minus_one_in_its_mean_is_absent(lcbench: Command, tmp_path: Path) -> None:
    tasks = {"a": {"4096,none": 0.5, "8192,none": 0.5}, "b": {"4096,none": -1, "8192,none": 0.7}}
    group = {"4096,none": -0.25, "8192,none": 0.6}
    results = {"results": {**tasks, "g": group}, "groups": {"g": group}, "group_subtasks": {"g": ["a", "b"]}}
    write(tmp_path, {**results, "model_name": "m"})
    found = lines(lcbench("leaderboard", tmp_path, "--task", "*:g", "--format", "json"))
    assert [(x["length"], x["score"]) for x in found] == [(8192, 60.0)]


def test_what_is_not_of_lm_eval_is_left_out_and_told(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "a", {("gsm8k", None): [1.0]}, prompt="task")
    write(tmp_path / "b", {"something": "else"})
    result = lcbench("leaderboard", tmp_path)
    assert result.exit_code == 1 and "has not what a run has" in result.stderr
    assert "gsm8k" in result.stdout


def test_samples_that_are_cut_short_leave_their_run_out(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "a", {("gsm8k", None): [1.0]}, prompt="task")
    content = {"results": {"quiz": {"acc,none": 0.5}}, "model_name": "some/model"}
    samples = write(tmp_path / "b", content) / "samples_quiz_2026-01-01T00-00-00.000000.jsonl"
    samples.write_text('{"acc": 1}\n{"acc":', encoding="utf-8")
    result = lcbench("leaderboard", tmp_path)
    assert result.exit_code == 1 and f"{samples} is damaged" in result.stderr
    assert "gsm8k" in result.stdout


def export(lcbench: Command, runs: Path, folder: Path) -> list[dict[str, Any]]:
    result = lcbench("leaderboard", runs, "--export-lm-eval", folder)
    assert result.exit_code == 0, result.output
    return [json.loads(Path(line).read_text(encoding="utf-8")) for line in result.stdout.splitlines()]


def test_lm_eval_makes_its_table_of_an_export(lcbench: Command, tmp_path: Path) -> None:
    from lm_eval import utils

    cells = ruler({4096: 1.0, 8192: 0.5}) | {("ruler/vt", 8192): [1.0, 0.5, 0.0, None]}
    run(tmp_path / "runs/a", cells, attn="lucid")
    (results,) = export(lcbench, tmp_path / "runs", tmp_path / "out")
    table = utils.make_table(results)
    error = statistics.stdev([1.0, 0.5, 0.0, 0.0]) / 2
    vt = [line for line in table.split("\n") if "8192" in line and f"{error:.4f}" in line]
    assert len(vt) == 1 and "0.3750" in vt[0]
    assert all(task in table for task in RULER)
    means = utils.make_table(results, "groups")
    assert "ruler, 13 tasks" in means and "1.0000" in means
    paths = [str(p) for p in (tmp_path / "out").rglob("*.json")]
    assert utils.get_results_filenames(paths) == paths
    assert utils.get_latest_filename(paths) == paths[0]
    assert (
        results["model_name_sanitized"]
        == Path(paths[0]).parent.name
        == utils.sanitize_model_name(results["model_name_sanitized"])
    )


def test_an_export_has_the_keys_of_lm_eval_s_schema(lcbench: Command, tmp_path: Path) -> None:
    from lm_eval.result_schema import EvalResults

    run(tmp_path / "runs/a", {("gsm8k", None): [1.0, 0.0]}, prompt="task")
    (results,) = export(lcbench, tmp_path / "runs", tmp_path / "out")
    assert set(results) - {"lcbench_version"} <= set(EvalResults.__annotations__)
    assert results["versions"] == {"gsm8k": 1}


def test_a_run_whose_files_have_spaces_in_their_names(lcbench: Command, tmp_path: Path) -> None:
    path = run(tmp_path / "runs/a", {("gsm8k", None): [1.0, 0.0]}, prompt="task")
    for name in ("run.json", "summary.json", "samples.jsonl"):
        (path / name).rename(path / f"my 1k-{name}")
    (results,) = export(lcbench, tmp_path / "runs", tmp_path / "out")
    assert results["date"] == max(file.stat().st_mtime_ns for file in path.glob("my *")) / 1e9


def test_an_export_comes_back_with_the_same_scores(lcbench: Command, tmp_path: Path) -> None:
    run(tmp_path / "runs/a", ruler({4096: 0.75}) | {("gsm8k", None): [None, None]}, attn="softmax")
    run(tmp_path / "runs/b", ruler({4096: 0.5}), attn="lucid")
    export(lcbench, tmp_path / "runs", tmp_path / "out")
    ours = lines(lcbench("leaderboard", tmp_path / "runs", "--by", "task", "--format", "json"))
    back = lines(lcbench("leaderboard", tmp_path / "out", "--by", "task", "--format", "json"))
    scores = sorted((x["name"], x["score"]) for x in ours if x["score"] is not None)
    single = [x for x in back if "13 tasks" not in x["name"]]
    assert sorted((x["name"].removeprefix("lm_eval:"), x["score"]) for x in single) == scores
    assert len(back) - len(single) == 2


def test_nothing_of_lm_eval_s_own_is_exported(lcbench: Command, theirs: Path, tmp_path: Path) -> None:
    result = lcbench("leaderboard", theirs, "--export-lm-eval", tmp_path / "out")
    assert result.exit_code == 2 and "lm-eval's own" in result.stderr
