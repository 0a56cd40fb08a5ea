"""Verdicts -> a score with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

import pytest

from lcbench.figures import figures, geometric_mean_of_rouge
from lcbench.scoring import zero_scrolls
from lcbench.stats import jackknife, mean_interval, wilson
from lcbench.summary import _beside

# the example in the documentation of the metric of tau-nlp/scrolls
EXAMPLE = [
    ("exact match example", ("exact match example",)),
    ("hello there", ("hello", "hi there")),
    ("general kenobi", ("commander kenobi",)),
]
ROUGE = "zero_scrolls.rouge"


@pytest.fixture(scope="module")
def scored() -> list[Any]:
    pytest.importorskip("rouge_score", reason="rouge-score is not installed")
    return [zero_scrolls.rouge(said, references) for said, references in EXAMPLE]


def test_rouge_of_the_published_example(scored: list[Any]) -> None:
    beside = [s.beside for s in scored]
    means = {name: 100 * mean(row[name] for row in beside) for name in ("rouge1", "rouge2", "rougeL")}
    assert means == pytest.approx({"rouge1": 72.2222, "rouge2": 33.3333, "rougeL": 72.2222}, abs=1e-4)
    assert 100 * geometric_mean_of_rouge(beside) == pytest.approx(55.8136, abs=1e-4)
    found = figures(ROUGE, [s.value for s in scored], beside)
    assert (found["score"], found["n"]) == (55.81, 3)
    assert mean(s.value for s in scored) == pytest.approx(1 / 3)  # what the mean of the verdicts would be


def test_a_geometric_mean_has_the_jackknife_s_interval() -> None:
    rows = [{"rouge1": 0.4 + 0.01 * i, "rouge2": 0.1 + 0.005 * i, "rougeL": 0.3 + 0.01 * (i % 3)} for i in range(9)]
    low, high = jackknife(rows, geometric_mean_of_rouge)
    found = figures(ROUGE, [0.0] * 9, rows)
    assert found["ci"] == [round(100 * low, 2), round(100 * high, 2)]
    assert found["ci"][0] < found["score"] < found["ci"][1]


def test_intervals_stay_between_0_and_100() -> None:
    rows = [{"rouge1": float(i), "rouge2": float(i), "rougeL": float(i)} for i in (0, 1)]
    assert figures(ROUGE, [0.0, 1.0], rows) == {"score": 50.0, "ci": [0.0, 100.0], "n": 2}
    assert figures(ROUGE, [1.0], rows[1:]) == {"score": 100.0, "ci": [0.0, 100.0], "n": 1}
    assert figures("includes", [1.0] * 5, [{}] * 5)["ci"][1] == 100.0
    assert figures("includes", [0.0] * 5, [{}] * 5)["ci"][0] == 0.0


def test_answers_without_a_common_word_score_0() -> None:
    rows = [{"rouge1": 0.5, "rouge2": 0.0, "rougeL": 0.5}] * 3
    assert figures(ROUGE, [0.0] * 3, rows) == {"score": 0.0, "ci": [0.0, 56.15], "n": 3}


@pytest.mark.parametrize("verdicts", [[1.0, 0.0, 1.0, 1.0], [0.0] * 500 + [1.0] * 499, [1.0]])
def test_pass_fail_metrics_are_means_with_wilson_s_interval(verdicts: Sequence[float]) -> None:
    low, high = wilson(verdicts)
    told = {
        "score": round(100 * mean(verdicts), 2),
        "ci": [round(100 * low, 2), round(100 * high, 2)],
        "n": len(verdicts),
    }
    assert figures("includes", verdicts, [{}] * len(verdicts)) == told
    assert figures("includes", verdicts, [{}] * len(verdicts), clusters=range(len(verdicts))) == told


@pytest.mark.parametrize("clusters", [None, [i // 4 for i in range(60)], list(range(60))])
@pytest.mark.parametrize("verdicts", [[0.25, 0.5, 1.0] * 20, [1.0, 1.0, 0.0] * 20])
def test_graded_metrics_and_shared_contexts_have_the_interval_of_the_mean(
    verdicts: Sequence[float], clusters: Sequence[int] | None
) -> None:
    expected = mean_interval(verdicts, clusters)
    found = figures("recall", verdicts, [{}] * 60, clusters)
    assert found["ci"] == [round(100 * expected.low, 2), round(100 * expected.high, 2)]
    assert found["ci"][0] < found["score"] < found["ci"][1]


def test_samples_of_one_context_count_as_one() -> None:
    """Every answer five times over widens nothing and narrows nothing, whether a mean or a geometric one."""
    verdicts = [0.2, 0.9, 0.4, 0.4, 0.7, 0.1, 0.3, 0.8]
    rows = [{"rouge1": v, "rouge2": v / 2, "rougeL": v} for v in verdicts]
    for metric in ("recall", ROUGE):
        alone = figures(metric, verdicts, rows)
        copied = figures(metric, verdicts * 5, rows * 5, [f"context {i}" for i in range(8)] * 5)
        assert (copied["score"], copied["n"]) == (alone["score"], 40)
        assert copied["ci"] == pytest.approx(alone["ci"], abs=0.02)
        apart = figures(metric, verdicts * 5, rows * 5)
        assert apart["ci"][1] - apart["ci"][0] < 0.6 * (copied["ci"][1] - copied["ci"][0])


def test_one_context_for_each_sample_or_an_error() -> None:
    for metric in ("includes", ROUGE):
        with pytest.raises(ValueError):
            figures(metric, [1.0, 0.0], [{"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0}] * 2, ["a"])


@pytest.mark.parametrize("metric", ["includes", ROUGE])
@pytest.mark.parametrize("verdicts", [[], [None], [None, None, None], [1.0, None], [None, 0.0, 1.0]])
def test_without_labels_or_samples_there_is_no_score(metric: str, verdicts: Sequence[float | None]) -> None:
    assert figures(metric, verdicts, [{}] * len(verdicts)) == {"score": None, "ci": None, "n": len(verdicts)}


@pytest.mark.parametrize("metric", ["bits_per_byte", "bits_per_byte,none"])
@pytest.mark.parametrize("values", [[0.5, 0.75], [0.5, 2.0], [1.5, 2.0]])
def test_bits_are_no_share_however_few(metric: str, values: Sequence[float]) -> None:
    assert figures(metric, values, [{}, {}]) == {"score": mean(values), "ci": None, "n": 2}


def test_a_failed_sample_has_0_of_a_share_and_no_bits() -> None:
    answered = {
        "finish": "scored",
        "score": None,
        "beside": {"bits_per_byte,none": 0.5, "acc_norm,none": 1.0},
        "context_id": "a",
    }
    bits, share = _beside([answered, {"finish": "failed", "score": 0.0, "beside": {}, "context_id": "b"}])
    assert bits == {"metric": "bits_per_byte,none", "score": None, "ci": None, "n": 2}
    assert (share["metric"], share["score"]) == ("acc_norm,none", 50.0)
