"""Percentage points, held against the tables and scipy."""

from __future__ import annotations

import pytest

from lcbench.stats import Z95, student_t
from lcbench.stats.points import normal


def test_normal_points_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert normal(0.975) == pytest.approx(Z95)
    for p in (0.001, 0.05, 0.5, 0.8, 0.999):
        assert normal(p) == pytest.approx(float(stats.norm.ppf(p)))


@pytest.mark.parametrize(
    ("degrees", "point"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (19, 2.093), (120, 1.980)]
)
def test_student_t_of_the_tables(degrees: int, point: float) -> None:
    assert student_t(degrees) == pytest.approx(point, abs=0.0006)


def test_student_t_falls_to_the_normal_point() -> None:
    points = [student_t(degrees) for degrees in (*range(1, 200), 10**6)]
    assert points == sorted(points, reverse=True)
    assert points[-1] == pytest.approx(Z95, abs=1e-5)
