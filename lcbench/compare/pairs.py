"""What is compared with what: systems, which are a run under one mechanism, in pairs of a baseline and another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lcbench.errors import UsageError, nearest
from lcbench.runs import Row, Run


@dataclass(frozen=True, eq=False)
class System:
    """A run under one of its mechanisms. name: what tables call it, no longer than telling it apart needs."""

    run: Run = field(repr=False)
    attn: str
    name: str

    def rows(self, task: str, length: int | None) -> list[Row]:
        return self.run.rows[self.attn, task, length]

    def cell(self, task: str, length: int | None) -> Row:
        return self.run.cell((self.attn, task, length))

    @property
    def places(self) -> list[tuple[str, int | None]]:
        """(task, length) of its cells, in the order of the run."""
        return [(task, length) for attn, task, length in self.run.rows if attn == self.attn]


Pair = tuple[System, System]


def every_system(runs: Sequence[Run], attn: Sequence[str] = ()) -> list[System]:
    """Each run under each of its mechanisms, or of those in `attn`, in that order.

    Raises UsageError for a mechanism that no run has.
    """
    has = [list(dict.fromkeys(spec for spec, _, _ in run.rows)) for run in runs]
    known = dict.fromkeys(spec for specs in has for spec in specs)
    for spec in attn:
        if spec not in known:
            hint = f"they have: {', '.join(known)}"
            raise UsageError(f"No run has a mechanism {spec!r}{nearest(spec, known)}", hint=hint)
    asked = dict.fromkeys(attn)
    chosen = [(run, spec) for run, specs in zip(runs, has, strict=True) for spec in asked or specs if spec in specs]
    several = len({spec for _, spec in chosen}) > 1
    return [System(run, spec, _name(runs, run, spec, several)) for run, spec in chosen]


def systems(runs: Sequence[Run], attn: Sequence[str] = ()) -> list[Pair]:
    """(baseline, other) of every comparison that these runs make.

    Of one run: every mechanism against its first. Of several: every mechanism of the later runs against the same one of
    the first run, or against that run's first where it has no such. attn: the mechanisms that count, in this order;
    all by default. Raises UsageError where there is nothing to compare, and for a mechanism that no run has.
    """
    if not runs:
        raise UsageError("Nothing to compare: no run was named.", hint="lcbench compare RUN RUN..")
    every = every_system(runs, attn)
    first = {s.attn: s for s in every if s.run is runs[0]}
    if not first:
        raise UsageError(f"{runs[0].path}, the baseline, has none of {', '.join(attn)}.", hint="name another run first")
    baseline, *rest = first.values()
    if len(runs) == 1:
        pairs = [(baseline, other) for other in rest]
    else:
        pairs = [(first.get(other.attn, baseline), other) for other in every if other.run is not runs[0]]
    if not pairs:
        raise UsageError(
            f"Nothing to compare with {runs[0].path} under {baseline.attn}.",
            hint="name a second run, or a run of several mechanisms",
        )
    return pairs


def _name(runs: Sequence[Run], run: Run, attn: str, several: bool) -> str:
    """The mechanism within one run; else the folder, by its whole path where its name is not its own, and the
    mechanism where there are several.
    """
    if len(runs) == 1:
        return attn
    folder = run.path.name if [r.path.name for r in runs].count(run.path.name) == 1 else str(run.path)
    return f"{folder} {attn}" if several else folder
