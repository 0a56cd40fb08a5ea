"""Finds tasks and suites by name, alias, group or glob. A user's folders come before the bundled ones."""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml

from lcbench.errors import UsageError
from lcbench.paths import shipped

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lcbench.schema import Average, Data, Suite, Task

Model = TypeVar("Model", bound="BaseModel")


def folders(kind: str) -> list[Path]:
    """Where YAML of this kind ("tasks", "suites") is looked for: the folders in LCBENCH_TASKS or LCBENCH_SUITES,
    then ours.
    """
    own = os.environ.get(f"LCBENCH_{kind.upper()}", "")
    bundled = shipped("tasks") if kind == "tasks" else shipped("configs") / kind
    return [*(Path(p) for p in own.split(os.pathsep) if p), bundled]


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean a, b?`, or nothing where no name is near."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""


def load(path: Path, model: type[Model]) -> Model:
    """A YAML file checked against its schema. Raises UsageError with file, line, key and the nearest known key."""
    return _validated(path, model, ())


def load_task(path: Path) -> Task:
    """A task's YAML file, its builder's params included. Raises UsageError as `load` does."""
    from lcbench.schema import PARAMS, Task

    task = load(path, Task)
    if task.benchmark in PARAMS:
        _validated(path, PARAMS[task.benchmark], ("params",))
    data, shots = _beside(path, task.data), task.few_shot
    if shots is not None:
        shots = shots.model_copy(update={"data": _beside(path, shots.data)})
    return task.model_copy(update={"data": data, "few_shot": shots})


def _beside(path: Path, data: tuple[str, ...] | Data) -> tuple[str, ...] | Data:
    """A file of rows is looked for beside the YAML file that names it."""
    if isinstance(data, tuple) or data.file is None:
        return data
    return data.model_copy(update={"file": str((path.parent / Path(data.file).expanduser()).resolve())})


def _validated(path: Path, model: type[Model], under: tuple[str, ...]) -> Model:
    """What stands in the file at the keys `under`, as the model."""
    from pydantic import ValidationError

    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML: {error}") from error
    try:
        return model.model_validate(content if not under else content.get(under[0], {}))
    except ValidationError as error:
        raise UsageError(_explain(path, root, model, error, under)) from error


def _explain(path: Path, root: Any, model: type[BaseModel], error: Any, under: tuple[str, ...]) -> str:
    # A misspelt key is also a missing one: the spelling says more.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    keys = [*under, *map(str, first["loc"])]
    line = _line(root, (*under, *first["loc"]))
    known = _keys_at(model, first["loc"][:-1])
    if first["type"] == "extra_forbidden":
        return f"{path}:{line}: unknown key {'.'.join(keys)!r}{nearest(keys[-1], known)}"
    return f"{path}:{line}: key {'.'.join(keys)!r}: {first['msg'].lower()}"


def _keys_at(model: Any, loc: Sequence[str | int]) -> list[str]:
    for key in loc:
        field = getattr(model, "model_fields", {}).get(key)
        kinds = get_args(field.annotation) or (field.annotation,) if field is not None else ()
        model = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
    return list(getattr(model, "model_fields", {}))


def _line(node: Any, loc: Sequence[str | int]) -> int:
    """The line of the deepest key on the way to `loc` that the file has."""
    line = 1
    for key in loc:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(key)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            break
    return int(line)


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
