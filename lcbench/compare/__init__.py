"""From records to a decision: two systems on the same samples, cell by cell and pooled."""

from lcbench.compare.differences import Difference, compare_runs
from lcbench.compare.gate import Gate, gate
from lcbench.compare.pairs import System, every_system, systems
from lcbench.compare.pooling import Effect, pooled_effects

__all__ = [
    "Difference",
    "Effect",
    "Gate",
    "System",
    "compare_runs",
    "every_system",
    "gate",
    "pooled_effects",
    "systems",
]
