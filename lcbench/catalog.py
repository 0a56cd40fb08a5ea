"""Finds tasks and suites by name, alias, group or glob. A user's folders come before the bundled ones."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from lcbench.errors import UsageError, nearest
from lcbench.paths import shipped
from lcbench.yamlfile import YamlFile

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lcbench.schema import Average, Data, Suite, Task

Model = TypeVar("Model", bound="BaseModel")
NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def folders(kind: str) -> list[Path]:
    """Where YAML of this kind ("tasks", "suites") is looked for: the folders in LCBENCH_TASKS or LCBENCH_SUITES,
    then ours.
    """
    own = os.environ.get(f"LCBENCH_{kind.upper()}", "")
    bundled = shipped("tasks") if kind == "tasks" else shipped("configs") / kind
    return [*(Path(p) for p in own.split(os.pathsep) if p), bundled]


def load(path: Path, model: type[Model]) -> Model:
    """A YAML file checked against its schema. Raises UsageError with file, line, key and the nearest known key."""
    file = YamlFile(path)
    found = file.read(model)
    if found is None or file.failures:
        raise refused(file)
    return found


def load_task(path: Path) -> Task:
    """A task's YAML file, its builder's params included. Raises UsageError as `load` does."""
    file = YamlFile(path)
    task = read_task(file)
    if task is None:
        raise refused(file, hint=f"lcbench tasks validate {path}")
    return task


def read_task(file: YamlFile) -> Task | None:
    """The task of a file; None where it is none, with every reason in the file's `failures`."""
    from lcbench.schema import PARAMS, Task

    task = file.read(Task)
    if task is not None:
        if not NAME.fullmatch(task.name):
            file.failures.append(file.failure(("name",), f"{task.name!r} is not of the form group/name"))
        if task.benchmark in PARAMS:
            file.read(PARAMS[task.benchmark], ("params",))
    if task is None or file.failures:
        return None
    data, shots = _beside(file.path, task.data), task.few_shot
    if shots is not None:
        shots = shots.model_copy(update={"data": _beside(file.path, shots.data)})
    return task.model_copy(update={"data": data, "few_shot": shots})


def refused(file: YamlFile, hint: str | None = None) -> UsageError:
    """What is wrong with a file, as one error: the first reason, and how many more there are."""
    first, *others = sorted(file.failures, key=lambda failure: failure.line)
    more = f" (and {len(others)} more)" if others else ""
    return UsageError(f"{first}{more}", hint)


def _beside(path: Path, data: tuple[str, ...] | Data) -> tuple[str, ...] | Data:
    """A file of rows is looked for beside the YAML file that names it."""
    if isinstance(data, tuple) or data.file is None:
        return data
    return data.model_copy(update={"file": str((path.parent / Path(data.file).expanduser()).resolve())})


def _natural(path: Path) -> tuple[object, ...]:
    """qa2 before qa10."""
    return path.parent, *((int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path.stem))


@cache
def tasks() -> dict[str, Task]:
    """Every task by its name. A file of a user's folder hides the bundled task of the same name."""
    found: dict[str, Task] = {}
    for folder in folders("tasks"):
        for path in sorted(folder.glob("**/*.yaml"), key=_natural):
            if not path.name.startswith("_"):
                task = load_task(path)
                found.setdefault(task.name, task)
    return found


@cache
def suites() -> dict[str, Suite]:
    """Every suite by its name."""
    from lcbench.schema import Suite

    found: dict[str, Suite] = {}
    for folder in folders("suites"):
        for path in sorted(folder.glob("*.yaml")):
            suite = load(path, Suite)
            found.setdefault(suite.name, suite)
    return found


@cache
def averages() -> list[Average]:
    """The means over tasks that benchmarks report, from tasks/*/_group.yaml."""
    from lcbench.schema import Group

    found = [load(path, Group) for folder in folders("tasks") for path in sorted(folder.glob("*/_group.yaml"))]
    return [average for group in found for average in group.averages]


def suite(name: str) -> Suite:
    """The suite of this name. Raises UsageError with the nearest names."""
    if name not in suites():
        raise UsageError(f"Unknown suite {name!r}{nearest(name, suites())}", hint=f"suites: {', '.join(suites())}")
    return suites()[name]


@dataclass(frozen=True)
class Selected:
    """A task of a run; `named` when it was asked for by its own name, so that what it cannot do is refused, not
    skipped.
    """

    task: Task
    named: bool


def select(names: Sequence[str], named: bool = True) -> list[Selected]:
    """Tasks for names, aliases, groups, globs and YAML files, each once, in the order asked for. Params of the builder
    ride behind a colon (`babilong/qa1:variant=en`); `lm_eval:NAME` is a task of the installed lm-eval.

    Raises UsageError for a name that matches nothing, with the nearest names, and for params that do not exist.
    """
    chosen: dict[str, Selected] = {}
    for name in names:
        for task, full in _with_params(name):
            known = chosen.get(task.name)
            chosen[task.name] = Selected(task, (full and named) or (known is not None and known.named))
    return list(chosen.values())


def _with_params(spec: str) -> list[tuple[Task, bool]]:
    if spec.startswith("lm_eval:"):
        return [(_lm_eval(spec), True)]
    name, colon, told = spec.partition(":")
    found = _matches(name)
    return [(_changed(task, told), full) for task, full in found] if colon else found


def _lm_eval(spec: str) -> Task:
    """A task of lm-eval: what it is stands in the installed lm-eval, and is read when its cell is opened."""
    from lcbench.schema import Generate, Task

    name, _, told = spec.removeprefix("lm_eval:").partition(":")
    task = Task(
        name=f"lm_eval:{name}",
        benchmark="lm_eval",
        group="lm_eval",
        score="lm_eval",
        lengths="ignored",
        generate=Generate(max_new_tokens=256),
        params={"task": name},
    )
    return _changed(task, told) if told else task


def _changed(task: Task, told: str) -> Task:
    """The task with other params, `K=V,K=V`, and these in its name: its samples are others."""
    from pydantic import ValidationError

    from lcbench.schema import PARAMS

    model = PARAMS.get(task.benchmark)
    pairs = [part.partition("=") for part in told.split(",")]
    if model is None or not all(equals for _, equals, _ in pairs):
        raise UsageError(f"{task.name}:{told}: params are written NAME:key=value,key=value.")
    asked = {key: yaml.safe_load(value) for key, _, value in pairs}
    for key in asked:
        if key not in model.model_fields:
            known = list(model.model_fields)
            raise UsageError(
                f"{task.name} has no param {key!r}{nearest(key, known)}", hint=f"params: {', '.join(known) or 'none'}"
            )
    try:
        changes = model.model_validate({**task.params, **asked}).changes()
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{task.name}: param {first['loc'][0]!r}: {first['msg'].lower()}.") from error
    return task.model_copy(update={"name": f"{task.name}:{told}", "params": {**task.params, **asked}, **changes})


def _matches(name: str) -> list[tuple[Task, bool]]:
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise UsageError(f"No task file {name}.")
        return [(load_task(Path(name)), True)]
    if name in tasks():
        return [(tasks()[name], True)]
    for task in tasks().values():
        if name in _names(task):
            return [(task, True)]
    if "*" in name or "?" in name or "[" in name:
        found = [t for t in tasks().values() if any(fnmatch.fnmatchcase(n, name) for n in _names(t))]
    else:
        found = [t for t in tasks().values() if t.group == name]
    if not found:
        every = {n for t in tasks().values() for n in (*_names(t), t.group)}
        raise UsageError(f"Unknown task {name!r}{nearest(name, every)}", hint="lcbench tasks list")
    return [(t, False) for t in found]


def _names(task: Task) -> list[str]:
    """All names of a task: its own, without the group, and its aliases with and without the group."""
    short = [task.name.split("/")[-1], *task.aliases]
    return [task.name, *short, *(f"{task.group}/{a}" for a in task.aliases)]
