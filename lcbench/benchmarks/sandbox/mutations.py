"""Logical bugs of one line: the syntax tree says where one fits, and only that place of the text is changed."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from lcbench.benchmarks.sandbox.rules import RULES, Change

LONGEST = 80  # lines of a function, so that it can be shown whole
WIDEST = 40  # characters of an expression that is told in words


@dataclass(frozen=True)
class Bug:
    """A changed line (from 1) of a function, which is lines first to last, and what is told of it."""

    line: int
    text: str
    first: int
    last: int
    function: str
    kind: str
    symptom: str


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, but for f-strings: older Pythons do not know where their parts stand."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.JoinedStr):
            yield child
            yield from _nodes(child)


def _functions(node: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions and methods, with the names of their classes before theirs; not those inside other functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield outer + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{outer}{child.name}.")
        elif isinstance(child, (ast.If, ast.Try)):
            yield from _functions(child, outer)


def _changes(node: ast.AST, lines: list[str]) -> Iterator[Change]:
    """The changes that one node offers, of those that can be told in few words."""
    number = getattr(node, "lineno", None)
    if number is None or number != getattr(node, "end_lineno", None) or not lines[number - 1].isascii():
        return  # columns are bytes

    def said(part: ast.AST) -> str:
        return lines[number - 1][part.col_offset : part.end_col_offset]  # type: ignore[attr-defined]

    for rule in RULES:
        for change in rule(node, lines[number - 1], said):
            if all(len(told) <= WIDEST for told in change.symptom.split("`")[1::2]):
                yield change


@lru_cache(maxsize=512)
def bugs(text: str) -> dict[str, list[Bug]]:
    """The bugs that each function of a file may have. A changed line is like no other line of its function, and on no
    other line could a bug of its kind be told with the same expressions: there is one answer.
    """
    if "\r" in text:
        return {}  # Python counts lines at these too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(text)
    lines = text.split("\n")
    found: dict[str, list[Bug]] = {}
    for name, function in _functions(tree):
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        last = function.end_lineno or first
        if last - first >= LONGEST:
            continue
        known = {line.strip() for line in lines[first - 1 : last]}
        places: dict[tuple[str, ...], set[int]] = {}  # kind and expressions -> lines where they would be told
        own: list[Bug] = []
        for node in (n for statement in function.body for n in (statement, *_nodes(statement))):
            for change in _changes(node, lines):
                number = node.lineno  # type: ignore[attr-defined]
                line = lines[number - 1]
                new = line[: change.start] + change.new + line[change.end :]
                places.setdefault((change.kind, *change.symptom.split("`")[1::2]), set()).add(number)
                if new.strip() not in known:
                    bug = Bug(number, new, first, last, name, change.kind, change.symptom)
                    own.append(bug)
        alone = [bug for bug in own if len(places[(bug.kind, *bug.symptom.split("`")[1::2])]) == 1]
        if alone:
            found.setdefault(name, []).extend(alone)
    return found


def changed(text: str, bug: Bug) -> str:
    """The file with the bug in it."""
    lines = text.split("\n")
    return "\n".join([*lines[: bug.line - 1], bug.text, *lines[bug.line :]])
