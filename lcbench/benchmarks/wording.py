"""The prompt strings of a task: the benchmark's own, pulled, or ours from tasks/GROUP/_builtin.yaml."""

from __future__ import annotations

import yaml

from lcbench.benchmarks.base import Wording
from lcbench.data import texts
from lcbench.errors import UsageError
from lcbench.paths import shipped
from lcbench.schema import PromptSource, Task
from lcbench.seeds import digest


def wording(task: Task, prompt: PromptSource) -> Wording:
    """The task's template and answer prefix. Raises MissingError where the official texts are not pulled."""
    if prompt == "official":
        pulled = texts.load(task.prompts.texts)
        strings, source = pulled.strings, f"{pulled.source}@{pulled.revision}"
    else:
        path = shipped("tasks") / task.group / "_builtin.yaml"
        if not path.is_file():
            raise UsageError(f"{task.name} has no builtin prompt.", hint="--prompt official")
        strings, source = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader), "lcbench"
    if task.prompts.key not in strings:
        raise UsageError(f"{task.name}: prompts.key {task.prompts.key!r} is none of {', '.join(strings)} ({prompt}).")
    entry = strings[task.prompts.key]
    return Wording(
        entry["template"], entry["answer_prefix"], prompt, source, digest([entry["template"], entry["answer_prefix"]])
    )
