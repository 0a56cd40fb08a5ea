"""NAME -> the YAML file that defines it among the tasks of the installed lm-eval.

Its own index parses all 14,000 files (9 s). Looking for the line `task: NAME` takes 0.2 s.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from lcbench.errors import MissingError, UsageError

MOST_NAMED = 100
INSTALL = "pip install 'lcbench[lm-eval]'"


def tasks_folder() -> Path:
    """Where the installed lm-eval keeps its tasks. Raises MissingError where it is not installed."""
    try:
        import lm_eval
    except ImportError as error:
        raise MissingError("Tasks called lm_eval:NAME need the package lm_eval.", hint=INSTALL) from error
    return Path(lm_eval.__file__).parent / "tasks"


def locate(name: str) -> tuple[Path, str]:
    """The YAML file of a task, and its name in there. A name may be the path of a file of your own.

    Of several files with the name the first in order of paths counts, as in lm-eval's index. Raises UsageError for what
    is no task: for a group it names the members.
    """
    folder = tasks_folder()
    if name.endswith((".yaml", ".yml")):
        return _own_file(Path(name).expanduser())
    wanted = re.compile(rb"""^task:[ \t]*["']?%s["']?[ \t]*(#.*)?\r?$""" % re.escape(name.encode()), re.MULTILINE)
    for path in sorted(folder.glob("**/*.yaml"), key=Path.as_posix):
        if wanted.search(path.read_bytes()):
            return path, name
    _not_a_task(name)


def _own_file(path: Path) -> tuple[Path, str]:
    if not path.is_file():
        raise UsageError(f"lm_eval:{path}: there is no such file.")
    found = re.search(r"""^task:[ \t]*["']?([^\s"'#]+)""", path.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise UsageError(f"{path} defines no task of lm-eval: it has no line `task: NAME`.")
    return path.resolve(), found[1]


def _not_a_task(name: str) -> NoReturn:
    """Says what a name is, by lm-eval's whole index: a group, a tag, or nothing."""
    index = _index()
    if name not in index:
        close = difflib.get_close_matches(name, index, n=3)
        nearest = f"; did you mean {', '.join(close)}?" if close else "."
        raise UsageError(f"lm-eval has no task {name!r}{nearest}", hint="lm-eval ls tasks")
    kind, members = index[name].kind.name.lower(), sorted(_members(name, index))
    more = f" and {len(members) - MOST_NAMED} more" if len(members) > MOST_NAMED else ""
    raise UsageError(
        f"lm_eval:{name} is a {kind} of lm-eval, not a task; name its tasks: {', '.join(members[:MOST_NAMED])}{more}.",
        hint=f"--tasks {','.join(f'lm_eval:{m}' for m in members[:2])},..",
    )


@cache
def _index() -> Mapping[str, Any]:
    from lm_eval.tasks import TaskManager

    return TaskManager().task_index


def _members(name: str, index: Mapping[str, Any]) -> set[str]:
    """The tasks of a group or tag, those of its groups included."""
    entry = index.get(name)
    if entry is None or entry.kind.name not in ("GROUP", "TAG"):
        return {name}
    listed = entry.tags if entry.kind.name == "TAG" else (entry.cfg or {}).get("task", ())
    names = [m if isinstance(m, str) else str(m.get("task") or m.get("group")) for m in listed]
    return set().union(*(_members(n, index) for n in names if n != name))
