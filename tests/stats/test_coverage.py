"""The coverage study: its fast version passes, and its parts are what they say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lcbench.stats import wilson
from lcbench.stats.coverage import Line, bootstrap_t, fixed_n, normal_clusters, stopped, wilson_lines

RESULTS = Path(__file__).parents[2] / "results/statistics/coverage.json"


def test_the_fast_study_passes(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "coverage.json"
    command = [sys.executable, "-m", "lcbench.stats.coverage", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["ok"] and not found["full"]
    assert "FAILED" not in done.stdout
    for line in found["lines"]:
        assert f"{line['percent']:.2f}" in done.stdout
    assert {s["p"] for s in found["stops"]} == {0.5, 0.9, 0.99}


def test_the_stored_study_is_the_full_one_and_holds() -> None:
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert found["full"] and found["ok"]
    by_design = {(line["what"], line["design"]): line for line in found["lines"]}
    for design in ("30 clusters, normal means", "30 clusters, Beta(1, 1)"):
        line = by_design["cluster-wilson-t", design]
        assert line["trials"] == 20_000 and 93.5 <= line["percent"] <= 96.5
    for what, design in by_design:
        line = by_design[what, design]
        if what == "sequence":
            assert line["percent"] >= 95
        if design.startswith("p <= 0.05"):
            assert line["percent"] <= 5.5


@pytest.mark.parametrize(
    ("percent", "trials", "ok"),
    [(95.0, None, True), (93.4, None, False), (96.6, None, False), (93.4, 200, True), (88.0, 200, False),
     (93.4, 20_000, True), (92.9, 20_000, False)],
)  # fmt: skip
def test_a_line_is_judged_with_the_error_of_its_simulation(percent: float, trials: int | None, ok: bool) -> None:
    assert Line("what", "design", percent, trials, 93.5, 96.5).ok == ok


def test_wilson_s_enumeration_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    found = next(line for line in wilson_lines() if line.design == "n 100, mean over p")
    ends = np.array([wilson([1.0] * k + [0.0] * (100 - k)) for k in range(101)])
    beta = [stats.beta(k + 1, 101 - k) for k in range(101)]  # the likelihood of k, as a density of p
    exact = sum(b.cdf(high) - b.cdf(low) for b, (low, high) in zip(beta, ends, strict=True)) / 101
    assert found.percent == pytest.approx(100 * exact, abs=0.02)


def test_fixed_n_is_wilson_s() -> None:
    for p in (0.5, 0.9, 0.99):
        n = fixed_n(p)
        z = 1.959963984540054

        def half(n: int, p: float = p, z: float = z) -> float:
            return z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))

        assert half(n) <= 0.03 + 1e-9
        assert half(n - 1) > 0.03 or p == 0.99  # near 1 an end is cut off at 1


def test_a_run_stops_at_the_first_look_that_is_narrow_enough() -> None:
    n, low, high = stopped(np.ones(1000))
    assert n % 10 == 0 and n < 200
    assert high - low <= 0.06
    assert stopped(np.array([1.0, 0.0] * 100))[0] == 200


def test_normal_clusters_share_their_means() -> None:
    values, clusters = normal_clusters(np.random.default_rng(0))
    assert (len(values), len(set(clusters))) == (150, 30)
    between = np.var([values[np.array(clusters) == c].mean() for c in range(30)])
    assert between > 0.3 * values.var()


def test_bootstrap_t_of_a_wide_sample_is_student_s_interval() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).normal(0.5, 0.1, 100)
    expected = stats.t.interval(0.95, 99, values.mean(), stats.sem(values))
    assert bootstrap_t(values, np.ones(100)) == pytest.approx(expected, abs=0.003)
