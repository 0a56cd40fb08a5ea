"""Builders by name: what `benchmark:` in a task's YAML may say. Each turns a Brief into a Cell of samples."""

from __future__ import annotations

from collections.abc import Callable

from lcbench.benchmarks.base import Brief, Cell
from lcbench.benchmarks.ruler import cwe, fwe, niah, qa, vt

BUILDERS: dict[str, Callable[[Brief], Cell]] = {
    "ruler.niah": niah.open_cell,
    "ruler.vt": vt.open_cell,
    "ruler.cwe": cwe.open_cell,
    "ruler.fwe": fwe.open_cell,
    "ruler.qa": qa.open_cell,
}
