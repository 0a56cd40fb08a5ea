"""Builders by name: what `benchmark:` in a task's YAML may say. Each turns a Brief into a Cell of samples."""

from __future__ import annotations

from collections.abc import Callable

from lcbench.benchmarks import babilong, items, longbench_v2, zero_scrolls
from lcbench.benchmarks.base import Brief, Cell
from lcbench.benchmarks.lm_eval import cell as lm_eval
from lcbench.benchmarks.ruler import cwe, fwe, niah, qa, vt
from lcbench.benchmarks.sandbox import bank_log, code_bug

BUILDERS: dict[str, Callable[[Brief], Cell]] = {
    "items": items.open_cell,
    "babilong": babilong.open_cell,
    "longbench_v2": longbench_v2.open_cell,
    "zero_scrolls": zero_scrolls.open_cell,
    "lm_eval": lm_eval.open_cell,
    "ruler.niah": niah.open_cell,
    "ruler.vt": vt.open_cell,
    "ruler.cwe": cwe.open_cell,
    "ruler.fwe": fwe.open_cell,
    "ruler.qa": qa.open_cell,
    "sandbox.bank_log": bank_log.open_cell,
    "sandbox.code_bug": code_bug.open_cell,
}
