"""Strategies by name."""

from __future__ import annotations

from lcbench.strategies.base import Strategy
from lcbench.strategies.greedy import Greedy

STRATEGIES: dict[str, Strategy] = {"greedy": Greedy()}
