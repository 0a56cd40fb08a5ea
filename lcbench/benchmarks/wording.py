"""The prompt strings of a task: the benchmark's own, pulled, or ours from tasks/GROUP/_builtin.yaml, or the task's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from lcbench.benchmarks.base import Wording
from lcbench.data import texts
from lcbench.errors import UsageError
from lcbench.paths import shipped
from lcbench.schema import PromptSource, Task
from lcbench.seeds import digest


def wording(task: Task, prompt: PromptSource | None) -> Wording:
    """The strings that a task's prompts are made of. prompt: None for the task's default.

    A task with a `prompt` of its own has that one, whatever is asked for, and says so in every record. Raises
    MissingError where the official texts are not pulled, UsageError where the prompts asked for do not exist.
    """
    if task.prompts is None and task.prompt is not None:
        own = [task.prompt, task.answer_prefix, *(turn.prompt for turn in task.turns)]
        return Wording("task", "the task's file", digest(own))
    if task.prompts is None:
        if prompt == "builtin":
            raise UsageError(f"{task.name} has no builtin prompt: its prompts come with its data.")
        return Wording("official", "the prompts in its data", digest(None))
    if prompt == "builtin":
        path = shipped("tasks") / task.group / "_builtin.yaml"
        if not path.is_file():
            raise UsageError(f"{task.name} has no builtin prompt.", hint="--prompt official")
        strings, source = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader), "lcbench"
    else:
        pulled = texts.load(task.prompts.texts)
        strings, source = pulled.strings, f"{pulled.source}@{pulled.revision}"
    entry = _entry(task, strings, task.prompts.key)
    return Wording("builtin" if prompt == "builtin" else "official", source, digest(entry), entry, strings)


def _entry(task: Task, strings: Mapping[str, Any], key: str) -> Any:
    found: Any = strings
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise UsageError(f"{task.name}: prompts.key {key!r} is none of {', '.join(strings)}.")
        found = found[part]
    return found
