"""RULER's weighted averages and the effective length, held against its published table and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.stats import THRESHOLD, effective_length, weighted_averages

LENGTHS = (4096, 8192, 16384, 32768, 65536, 131072)


@pytest.mark.parametrize(
    ("scores", "rising", "falling"),
    [
        ((96.6, 96.3, 95.2, 93.2, 87.0, 81.2), 89.0, 94.1),  # GPT-4-1106-preview
        ((96.5, 95.8, 95.4, 94.8, 88.4, 66.6), 85.5, 93.7),  # Llama-3.1-70B
    ],
)
def test_weighted_averages_of_the_published_table(scores: tuple[float, ...], rising: float, falling: float) -> None:
    """Hsieh et al. 2024, table 3."""
    found = weighted_averages(dict(zip(LENGTHS, scores, strict=True)))
    assert [round(x, 1) for x in found] == [rising, falling]


def test_weighted_averages_go_by_length_not_by_order() -> None:
    assert weighted_averages({8192: 40.0, 4096: 100.0}) == pytest.approx((60.0, 80.0))
    assert weighted_averages({4096: 70.0}) == (70.0, 70.0)
    with pytest.raises(ValueError, match="at least one length"):
        weighted_averages({})


def shares(*points: int, n: int = 100) -> dict[int, dict[str, list[float]]]:
    """Lengths whose two tasks have these scores in the mean."""
    return {
        length: {"a": [1.0] * p + [0.0] * (n - p), "b": [1.0] * p + [0.0] * (n - p)}
        for length, p in zip(LENGTHS, points, strict=False)
    }


@pytest.mark.parametrize(
    ("points", "length", "other"),
    [
        ((99, 95, 90, 80), 16384, None),
        ((99, 80, 90, 70), 4096, 16384),
        ((80, 70), None, None),
        ((80, 90), None, 8192),
        ((99, 99), 8192, None),
        ((86,), 4096, None),
    ],
)
def test_all_shorter_lengths_have_to_pass(points: tuple[int, ...], length: int | None, other: int | None) -> None:
    found = effective_length(shares(*points))
    assert (found.length, found.other, found.threshold) == (length, other, THRESHOLD)
    assert found.passes == {at: p >= 85.6 for at, p in zip(LENGTHS, points, strict=False)}


def test_the_threshold_itself_passes() -> None:
    """0.856 of 1,000, as a mean of tasks whose rounding would fall short of it."""
    at = {4096: {f"task {i}": [1.0] * k + [0.0] * (1000 - k) for i, k in enumerate((800, 912, 856))}}
    assert effective_length(at, 85.6).length == 4096
    assert effective_length(at, 85.6 + 1e-6).length is None


def test_tasks_count_alike_whatever_their_samples() -> None:
    found = effective_length({4096: {"many": [1.0] * 1000, "few": [0.0] * 10}}, threshold=50)
    assert found.passes == {4096: True}
    assert not effective_length({4096: {"many": [1.0] * 1000, "few": [0.0] * 10}}, threshold=51).passes[4096]


def test_shares_against_a_bootstrap_one_draw_at_a_time() -> None:
    at = shares(90, 87, 85, n=100)
    found = effective_length(at)
    rng, counts, draws = np.random.default_rng(1), dict.fromkeys(at, 0), 4000
    values = {length: [np.array(v) for v in tasks.values()] for length, tasks in at.items()}
    for _ in range(draws):
        last = None
        for length in sorted(at):
            if 100 * np.mean([v[rng.integers(100, size=100)].mean() for v in values[length]]) < 85.6 - 1e-9:
                break
            last = length
        if last:
            counts[last] += 1
    assert found.share == pytest.approx({k: c / draws for k, c in counts.items()}, abs=0.04)
    assert 0 < sum(found.share.values()) < 1  # the rest of the draws has no length


def test_certain_lengths_have_all_draws() -> None:
    assert effective_length(shares(100, 100, 10)).share == {4096: 0.0, 8192: 1.0, 16384: 0.0}
    assert sum(effective_length(shares(0, 100)).share.values()) == 0.0


def test_clusters_are_drawn_as_a_whole() -> None:
    """20 contexts of 50 alike samples each are 20 draws: as uncertain as 20 samples, not as certain as 1,000."""
    verdicts = ([1.0] * 18 + [0.0] * 2) * 50
    alone = effective_length({4096: {"a": verdicts}}).share[4096]
    clustered = effective_length({4096: {"a": verdicts}}, clusters={4096: {"a": list(range(20)) * 50}}).share[4096]
    twenty = effective_length({4096: {"a": verdicts[:20]}}).share[4096]
    assert alone > 0.99
    assert clustered == pytest.approx(twenty, abs=0.05)
    assert clustered < 0.8


def test_it_is_seeded() -> None:
    assert effective_length(shares(90, 87, 85)) == effective_length(shares(90, 87, 85))


@pytest.mark.parametrize("nothing", [{}, {4096: {}}, {4096: {"a": [1.0]}, 8192: {}}])
def test_lengths_without_tasks(nothing: dict[int, dict[str, list[float]]]) -> None:
    with pytest.raises(ValueError, match="lengths with tasks"):
        effective_length(nothing)
    with pytest.raises(ValueError, match="at least one value"):
        effective_length({4096: {"a": []}})
