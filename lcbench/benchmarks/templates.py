"""Jinja2 templates of tasks: sandboxed, and what is undefined is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lcbench.errors import UsageError

ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


class TemplateProblem(UsageError):
    """A template that cannot be read or rendered. key: of the task's file; line: within the template, from 1."""

    def __init__(self, task: str, key: str, why: str, line: int | None = None):
        super().__init__(f"{task}: {key}: {why}", hint="lcbench tasks validate FILE")
        self.key = key
        self.line = line
        self.why = why


@dataclass(frozen=True)
class TaskTemplate:
    """One template of a task."""

    task: str
    key: str
    template: Template

    def render(self, columns: Mapping[str, Any]) -> str:
        """The text for one row. Raises TemplateProblem for a column that is not there, and whatever else goes wrong."""
        try:
            return self.template.render(columns)
        except Exception as error:  # a template runs what its author wrote: filters, arithmetic, calls
            why = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            if isinstance(error, TemplateError) and "is undefined" in why:
                why += f"; columns: {', '.join(map(str, columns))}"
            raise TemplateProblem(self.task, self.key, why, _line_of(error)) from error


def _line_of(error: BaseException) -> int | None:
    """The line within the template where rendering broke off: Jinja2 leaves it in the traceback."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


@cache
def template(task: str, key: str, text: str) -> TaskTemplate:
    """A template of a task's file. Raises TemplateProblem where it cannot be read."""
    try:
        return TaskTemplate(task, key, ENVIRONMENT.from_string(text))
    except TemplateSyntaxError as error:
        raise TemplateProblem(task, key, error.message or "cannot be read", error.lineno) from error
