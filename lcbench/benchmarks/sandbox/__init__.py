"""One flaw, drawn before its haystack, which then grows to any length. After the two sandbox tasks of "Let's (Not) Just
Put Things in Context" (Bansal et al., ICLR 2026); formats, flaws and prompts are our own, since no code was published.
"""

from __future__ import annotations

from lcbench.benchmarks.base import Brief
from lcbench.benchmarks.templates import template
from lcbench.errors import UsageError
from lcbench.prompting import Frame


def frame(brief: Brief, **columns: str) -> Frame:
    """The prompt of the task's file around its haystack, which is one of the columns."""
    task = brief.task
    if task.prompt is None:
        raise UsageError(f"{task.name}: prompt is missing: a Jinja2 template over {', '.join(columns)}.")
    text = template(task.name, "prompt", task.prompt).render(columns)
    prefix = template(task.name, "answer_prefix", task.answer_prefix).render(columns)
    return brief.prompter.frame(text, prefix)
