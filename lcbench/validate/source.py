"""A task's YAML file, and errors of its task told of its lines."""

from __future__ import annotations

import re

import yaml

from lcbench import catalog
from lcbench.benchmarks.templates import TemplateProblem
from lcbench.errors import LcbenchError
from lcbench.schema import Task
from lcbench.yamlfile import Failure, Key, YamlFile

__all__ = ["Failure", "Key", "Source"]


class Source(YamlFile):
    """The file of a task."""

    def task(self) -> Task | None:
        """The task of the file; None where it is none, with the reasons added to `failures`."""
        return catalog.read_task(self)

    def located(self, error: LcbenchError, key: Key = ()) -> Failure:
        """An error as a failure: of the template's line that it names, else of the key that it begins with, else of
        `key`.
        """
        reason = error.message + (f" ({error.hint})" if error.hint and "did you mean" in error.hint else "")
        reason = re.sub("^The ", "the ", reason)
        if isinstance(error, TemplateProblem):
            where = _key_of(error.key)
            line, node = self.find(where)
            if error.line is not None and isinstance(node, yaml.ScalarNode):
                line = node.start_mark.line + 1 + (error.line if node.style == "|" else 0)
            return self.failure(where, error.why.rstrip("."), line)
        begins = re.match(rf"\S+: (({'|'.join(Task.model_fields)})(\.\w+)*)(?=:? )", reason)
        if begins:
            return self.failure(_key_of(begins[1]), reason[begins.end() :].removeprefix(":").strip().rstrip("."))
        return self.failure(key, reason.rstrip("."))


def _key_of(dotted: str) -> Key:
    return tuple(int(part) if part.isdigit() else part for part in dotted.split("."))
