"""Rows and their figures -> lines: one a figure, with everything that a table, CSV or JSON says of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lcbench.errors import UsageError, nearest
from lcbench.leaderboard.figures import benchmark_figures, group_of, incomplete, task_figures
from lcbench.leaderboard.lm_eval import PROMPT as LM_EVAL
from lcbench.leaderboard.rows import Entry
from lcbench.leaderboard.sources import Row
from lcbench.lengths import show_length
from lcbench.seeds import canonical, digest
from lcbench.stats import THRESHOLD

# The columns of a line, in the order of CSV and JSON.
LINE = (
    "model", "attn", "strategy", "prompt", "settings", "runs", "kind", "name", "edition", "length", "metric", "score",
    "ci", "n", "n_failed", "n_unextracted", "n_truncated", "n_skipped", "overridden", "stopped", "untrained", "split",
    "na", "effective",
)  # fmt: skip
KINDS = ("mean", "weighted", "effective", "task")  # in the order of the table
FILTERS = ("model", "attn", "strategy", "prompt", "task", "length")


@dataclass(frozen=True)
class Filters:
    """Globs for what is shown, any of which may match; none shows all. Figures over several tasks or lengths are made
    of all that a row has, and then shown or not.
    """

    model: Sequence[str] = ()
    attn: Sequence[str] = ()
    strategy: Sequence[str] = ()
    prompt: Sequence[str] = ()
    task: Sequence[str] = ()
    length: Sequence[str] = ()


@dataclass(frozen=True)
class Board:
    """lines: dicts of LINE, in order; notes: what a reader has to know beside them."""

    lines: list[Row]
    notes: list[str]


def board(entries: Sequence[Entry], filters: Filters, each_task: bool, computed: dict[str, Any]) -> Board:
    """The lines of these rows. each_task: of single tasks only, else what benchmarks report. Raises UsageError where
    the filters leave nothing.
    """
    _check(entries, filters)
    shown = chosen(entries, filters)
    figures = [task_figures(e) if each_task else benchmark_figures(e, computed) for e in shown]
    models, settings = _models(shown), _settings(shown)
    lines = []
    for entry, of_entry in zip(shown, figures, strict=True):
        about = {
            "model": models[entry.model, entry.weights_id],
            "attn": entry.attn,
            "strategy": entry.strategy,
            "prompt": entry.prompt,
            "settings": settings(entry),
            "runs": [s.label for s in entry.sources],
            "untrained": entry.untrained,
        }
        for figure in of_entry:
            if _is_asked(figure["name"], figure["length"], filters):
                lines.append({k: about[k] if k in about else figure.get(k) for k in LINE})
    if not lines:
        raise UsageError("No figure matches all of these filters together.", hint="leave one of them out")
    notes = [*_marks(lines), *_names(shown), *_editions(lines), *([] if each_task else _left_out(shown, figures))]
    return Board(_with_editions(lines), notes)


def chosen(entries: Sequence[Entry], filters: Filters) -> list[Entry]:
    """The rows that the filters leave, whatever their figures."""
    keys = ("model", "attn", "strategy", "prompt")
    return [e for e in entries if all(_matches((getattr(e, k) or "n/a",), getattr(filters, k)) for k in keys)]


def _is_asked(name: str, length: int | None, filters: Filters) -> bool:
    names = (name, name.rpartition("/")[2], group_of(name), name.partition(",")[0])
    of_length = length is None and name.startswith("ruler,")  # a figure over lengths
    return _matches(names, filters.task) and (of_length or _matches((show_length(length), str(length)), filters.length))


def _matches(names: Iterable[str], globs: Sequence[str]) -> bool:
    return not globs or any(fnmatch.fnmatchcase(name, glob) for name in names for glob in globs)


def _check(entries: Sequence[Entry], filters: Filters) -> None:
    """That each filter matches something. Raises UsageError with the nearest of what there is."""
    there: dict[str, set[str]] = {key: set() for key in FILTERS}
    for entry in entries:
        for key in ("model", "attn", "strategy", "prompt"):
            there[key].add(getattr(entry, key) or "n/a")
        there["task"] |= {n for task, _ in entry.cells for n in (task, group_of(task), task.rpartition("/")[2])}
        there["length"] |= {n for _, length in entry.cells for n in (show_length(length), str(length))}
    for key, names in there.items():
        globs: Sequence[str] = getattr(filters, key)
        if globs and not _matches(names, globs):
            told = ", ".join(globs)
            raise UsageError(f"No run has the {key} {told}{nearest(globs[0], names)}", hint=f"--{key} NAME or a glob")


def _models(entries: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """The name of each model; where several go by one name, with the first digits of what tells them apart."""
    known: dict[str, dict[str, Row]] = {}
    for e in entries:
        known.setdefault(e.model, {})[e.weights_id] = e.weights
    return {
        (name, key): name if len(several) == 1 else f"{name} #{key[:6]}"
        for name, several in known.items()
        for key in several
    }


def _names(entries: Sequence[Entry]) -> list[str]:
    """Where several models go by one name, what tells them apart."""
    labels = _models(entries)
    found: dict[str, dict[str, Row]] = {}
    for e in entries:
        found.setdefault(e.model, {})[labels[e.model, e.weights_id]] = e.weights
    return [
        f"{', '.join(several)} differ in {', '.join(_varying(list(several.values())))}."
        for several in found.values()
        if len(several) > 1
    ]


def _varying(rows: Sequence[Row]) -> list[str]:
    """The fields in which rows differ."""
    fields = dict.fromkeys(k for row in rows for k in row)
    return [k for k in fields if len({canonical(row.get(k)) for row in rows}) > 1]


def _settings(entries: Sequence[Entry]) -> Callable[[Entry], str]:
    """What a row's settings are called: the fields in which not all rows are the same, and which row of one
    configuration it is.
    """
    varying = _varying([e.settings for e in entries])

    def name(entry: Entry) -> str:
        told = [f"{k} {_short(entry.settings[k])}" for k in varying if k in entry.settings]
        return ", ".join([*told, *([f"repeat {entry.copy}"] if entry.copy else [])])

    return name


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= 60 else f"{text[:40]}..#{digest(value)[:6]}"


def _with_editions(lines: list[Row]) -> list[Row]:
    """Figures of one name in several editions get names of their own, so that none stands beside another's."""
    several = _several(lines)
    for line in lines:
        if line["name"] in several and line["edition"] is not None:
            line["name"] += f" ({line['edition']})"
    return sorted(lines, key=place)


def _several(lines: Sequence[Row]) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for line in lines:
        if line["edition"] is not None:  # a figure that is refused is of none
            known.setdefault(line["name"], set()).add(line["edition"])
    return {name: editions for name, editions in known.items() if len(editions) > 1}


def _editions(lines: Sequence[Row]) -> list[str]:
    several = ", ".join(_several(lines))
    return [f"In several versions, or on different data, and so in places of their own: {several}."] if several else []


def place(line: Row) -> tuple[Any, ...]:
    """Where a line stands among others: rows by name, figures by benchmark, lengths rising."""
    row = tuple(line[k] or "" for k in ("model", "attn", "strategy", "prompt", "settings"))
    return *row, line["runs"], *figure_place(line)


def figure_place(line: Row) -> tuple[Any, ...]:
    return *name_place(line), -1 if line["length"] is None else line["length"]


def name_place(line: Row) -> tuple[Any, ...]:
    name = line["name"]
    return group_of(name.partition(",")[0]), KINDS.index(line["kind"]), name


def _marks(lines: Sequence[Row]) -> list[str]:
    """What the marks and prompt sources of these lines mean."""
    prompts = {line["prompt"] for line in lines}
    told = {
        "* the answer's length was set by hand (max_new_tokens), not by the task.": any(x["overridden"] for x in lines),
        "‡ run with --until-ci: a confidence sequence, wider than the interval of a fixed n.": any(
            map(sequential, lines)
        ),
        "† the weights were trained under another mechanism: the score says nothing about this one in a model trained "
        "for it.": any(x["untrained"] for x in lines),
        "builtin: lcbench's own wording of the prompts, not comparable with published scores.": "builtin" in prompts,
        "task: the prompts of the task's own file.": "task" in prompts,
        f"{LM_EVAL}: read from results of lm-eval.": LM_EVAL in prompts,
        "repeat: another run of the same configuration, never pooled with the first.": any(
            "repeat " in x["settings"] for x in lines
        ),
        f"Effective length: the longest at which RULER's mean is at least {THRESHOLD:g}, as at all shorter ones; with "
        "the share of bootstrap draws that agree, where the samples are there.": any(x["effective"] for x in lines),
    }
    return [text for text, there in told.items() if there]


def sequential(line: Row) -> bool:
    """Whether a figure's interval is one that was watched; cells say of themselves where it was not."""
    return line["stopped"] is not None and "not watched" not in line["stopped"]


def _left_out(entries: Sequence[Entry], figures: Sequence[Sequence[Row]]) -> list[str]:
    """Which means cannot be given, and that tasks stand behind those that can."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        for average, part, length in incomplete(entry):
            found.setdefault(average, []).append(f"{part} tasks at {show_length(length)} of {entry.name}")
    told = [
        f"No mean of {average}, where tasks are missing: {reasons[0]}"
        + (f", and {len(reasons) - 1} more." if len(reasons) > 1 else ".")
        for average, reasons in found.items()
    ]
    if any(f["kind"] == "mean" for of_entry in figures for f in of_entry):
        told.append("Where a benchmark's mean is given its tasks are not: --by task shows each.")
    return told
