"""Does this machine's attention compute what it should? Every implementation that runs here, against float64.

`run_checks` is the loop: mechanism, case, pass, implementation. What is compared with what stands in `attend`, `lucid`
and `outside`, the dense definitions in `exact`, tolerances in `measure`, the grids in `grid`, and which passes and
implementations a mechanism has in `subjects`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import torch

from lcbench.attention.checks.grid import LONGEST, Case, Inputs, cases, make_inputs, wanted
from lcbench.attention.checks.measure import poisoned
from lcbench.attention.checks.subjects import Pass, covered, reason_against, subject

SHOWN = 5  # failures of one pass that the table lists; the JSON has all


@dataclass(frozen=True)
class Check:
    """One comparison. error: None where the output is not finite or the call failed, which `note` then explains."""

    name: str
    attn: str
    impl: str
    error: float | None
    bound: float | None
    ok: bool
    note: str | None = None


@dataclass
class Report:
    """What was checked, and which implementations were not, with the reason: (attn, impl, reason)."""

    grid: str
    device: str
    dtype: str
    checks: list[Check] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Everything passed, and of every mechanism there was something to pass."""
        return bool(self.checks) and all(check.ok for check in self.checks)


def run_checks(
    names: list[str],
    grid: str | None = None,
    device: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Check the mechanisms of these names on a grid, by default "full" on a CUDA device and "reduced" without one.

    In bfloat16 on CUDA, in float32 on a CPU. tell: called with a line when a mechanism's head size is finished, whose
    kernels CUDA compiles first. Raises UsageError for an unknown name, MissingError where a package that brings a
    mechanism cannot be imported.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    grid = grid or ("full" if device == "cuda" else "reduced")
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    report = Report(grid, device, str(dtype).removeprefix("torch."))
    for name, passes in {name: subject(name) for name in names}.items():
        running = _running(name, passes, report)
        before = len(report.checks)
        for size, alike in groupby(sorted(cases(grid), key=attrgetter("size")), key=attrgetter("size")):
            found: list[Check] = []
            for case in alike:
                inputs = make_inputs(case, device, dtype, group=_group(device, case))
                found += _checks_on(inputs, name, passes, running, report)
            report.checks += found
            tell(f"{name} d{size}: {len(found)} checks, {sum(not check.ok for check in found)} failed")
        checked = {check.impl for check in report.checks[before:]}
        report.checks += [_nothing(name, impl, "it refused every case") for impl in sorted(running - checked)]
        if not running:
            report.checks.append(_nothing(name, "-", "no implementation of it runs here"))
    return report


def _checks_on(inputs: Inputs, name: str, passes: dict[str, Pass], running: set[str], report: Report) -> list[Check]:
    """The checks of a mechanism on one case; what is refused is written down as skipped."""
    found = []
    for title, one in passes.items():
        if not (one.applies(inputs.case) and wanted(report.grid, title, inputs.case)):
            continue
        impls = [impl for impl in one.impls if impl in running and covered(impl, title, inputs.case)]
        with torch.no_grad():
            found += [check for impl in impls if (check := _check(name, title, one, impl, inputs, report))]
    return found


def _nothing(name: str, impl: str, why: str) -> Check:
    """A mechanism or an implementation of which nothing was checked: that is no success."""
    return Check("anything", name, impl, None, None, False, why)


def _running(name: str, passes: dict[str, Pass], report: Report) -> set[str]:
    """Implementations that run on the device; the others are written down as skipped."""
    running = set()
    for impl in dict.fromkeys(impl for one in passes.values() for impl in one.impls):
        reason = reason_against(name, impl, report.device)
        if reason is None:
            running.add(impl)
        else:
            report.skipped.append((name, impl, reason))
    return running


def _group(device: str, case: Case) -> int:
    """Query heads a KV head; fewer where a CPU computes, and one where it computes the longest case."""
    if device == "cuda":
        return 4
    return 2 if case.tokens < LONGEST else 1


def _check(attn: str, title: str, one: Pass, impl: str, inputs: Inputs, report: Report) -> Check | None:
    """One comparison; None where the implementation says by ValueError that it does not do this, which is noted."""
    name = f"{title} {inputs.case}"
    # FlexAttention allocates inside of what torch compiled, where nothing can be put in between.
    try:
        with nullcontext() if impl == "flex" else poisoned():
            error, bound = one.judge(impl, inputs)
    except ValueError as refused:
        if (said := (attn, impl, str(refused))) not in report.skipped:
            report.skipped.append(said)
        return None
    except Exception as failure:  # a kernel that stops is a failed check, and the others are still worth knowing
        return Check(name, attn, impl, None, None, False, f"{type(failure).__name__}: {failure}".splitlines()[0])
    if not math.isfinite(error):
        return Check(name, attn, impl, None, bound, False, "not finite")
    return Check(name, attn, impl, error, bound, error <= bound)


def as_json(report: Report) -> dict[str, Any]:
    """{"ok", "grid", "device", "dtype", "checks": [{"name", "attn", "impl", "error", "bound", "ok"}],
    "skipped": [{"attn", "impl", "reason"}]}. error is null where an output is not finite or a call failed.
    """
    keys = ("name", "attn", "impl", "error", "bound", "ok")
    return {
        "ok": report.ok,
        "grid": report.grid,
        "device": report.device,
        "dtype": report.dtype,
        "checks": [{key: getattr(check, key) for key in keys} for check in report.checks],
        "skipped": [dict(zip(("attn", "impl", "reason"), one, strict=True)) for one in report.skipped],
    }


def as_table(report: Report) -> str:
    """A line for each mechanism, implementation and pass with its worst check, then every check that failed."""
    groups: dict[tuple[str, str, str], list[Check]] = {}
    for check in report.checks:
        groups.setdefault((check.attn, check.impl, _title(check)), []).append(check)
    lines = [("attn", "impl", "pass", "checks", "worst error", "its bound", "on", "")]
    for (attn, impl, title), checks in groups.items():
        worst = max(checks, key=_used)
        on = worst.name.removeprefix(title).strip()
        count, failed = len(checks), sum(not check.ok for check in checks)
        verdict = f"{failed} FAILED" if failed else "ok"
        lines.append((attn, impl, title, str(count), _number(worst.error), _number(worst.bound), on, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.append("")
    for checks in groups.values():
        wrong = [check for check in checks if not check.ok]
        text += [f"FAILED {_sentence(check)}" for check in wrong[:SHOWN]]
        text += [f"FAILED .. and {len(wrong) - SHOWN} more of these"] * (len(wrong) > SHOWN)
    text += [f"not checked: {attn} {impl}: {reason}" for attn, impl, reason in report.skipped]
    verdict = "all right" if report.ok else "something is WRONG"
    text.append(f"{len(report.checks)} checks on {report.device} in {report.dtype}, {report.grid} grid: {verdict}")
    return "\n".join(text)


def _title(check: Check) -> str:
    """The pass: what of a check's name comes before the case."""
    return check.name.rsplit(" ", 3)[0]


def _used(check: Check) -> float:
    """How much of its bound a check has used up."""
    if check.error is None or check.bound is None:
        return math.inf
    return check.error / check.bound if check.bound else check.error


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2e}"


def _sentence(check: Check) -> str:
    why = check.note or f"error {_number(check.error)}, bound {_number(check.bound)}"
    return f"{check.attn} {check.impl}: {check.name}: {why}"


__all__ = ["Case", "Check", "Report", "as_json", "as_table", "run_checks"]
