"""The kinds of bug: what each changes at a node of a syntax tree, and how the change is told.

What is told names what the function should do and what it does, in words and with the expressions of the right line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

OPPOSITE = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "!=", "!=": "=="}
SAID = {
    "<": "less than",
    ">": "greater than",
    "<=": "at most",
    ">=": "at least",
    "==": "equal to",
    "!=": "different from",
}
SCALE = re.compile(r"sqrt|scal|temper|size|len|dim|num|count|total|norm|std|sum|\d", re.IGNORECASE)
PATH = re.compile(r"path|dir|folder|file|root|name|[\"']", re.IGNORECASE)  # their / is no division
EVEN = re.compile(r"\*\*|abs|square|norm|pow|dist", re.IGNORECASE)  # the sign of a difference may not matter
SIMPLE = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
AXES = {"0": "1", "1": "0", "2": "1", "-1": "0", "-2": "-1"}


@dataclass(frozen=True)
class Change:
    """`new` in place of columns [start, end) of a line."""

    start: int
    end: int
    new: str
    kind: str
    symptom: str


def _between(line: str, left: ast.expr, right: ast.expr, operator: str) -> tuple[int, int] | None:
    """Where the operator stands between two operands, brackets aside."""
    found = re.fullmatch(rf"[)\s]*?(?P<operator>{operator})[(\s]*", line[left.end_col_offset : right.col_offset])
    start = left.end_col_offset or 0
    return (start + found.start("operator"), start + found.end("operator")) if found else None


def _compared(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return
    left, right = node.left, node.comparators[0]
    a, b = said(left), said(right)
    if place := _between(line, left, right, "<=|>=|==|!=|<|>"):
        old = line[slice(*place)]
        told = f"what it should do when `{a}` is {SAID[old]} `{b}`, it does when `{a}` is {SAID[OPPOSITE[old]]} `{b}`"
        yield Change(*place, OPPOSITE[old], "comparison", told)
    elif b == "None" and (place := _between(line, left, right, r"is\s+not|is")):
        new = "is" if "not" in line[slice(*place)] else "is not"
        told = f"it takes `{a}` for given where it is None, and for None where given"
        yield Change(*place, new, "missing value", told)


def _difference(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Sub) or EVEN.search(line):
        return
    left, right = node.left, node.right
    a, b = said(left), said(right)
    if isinstance(left, SIMPLE) and isinstance(right, SIMPLE) and a != b:
        between = line[left.end_col_offset : right.col_offset]
        if between.strip() == "-":
            told = f"it needs `{a}` less `{b}`, and takes the difference the other way round"
            yield Change(node.col_offset, node.end_col_offset or 0, b + between + a, "difference", told)


def _quotient(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
        return
    a, b = said(node.left), said(node.right)
    place = _between(line, node.left, node.right, "/")
    if place and SCALE.search(b) and not PATH.search(a + b):
        start = place[0] - (line[place[0] - 1] == " ")
        told = f"a value that should be divided by `{b}` is not scaled at all"
        yield Change(start, node.end_col_offset or 0, "", "scaling", told)


def _joined(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if not isinstance(node, ast.BoolOp) or len(node.values) != 2:
        return
    left, right = node.values
    a, b = said(left), said(right)
    if place := _between(line, left, right, "and"):
        yield Change(
            *place, "or", "connective", f"it should need both `{a}` and `{b}`, and is content with one of them"
        )
    elif place := _between(line, left, right, "or"):
        told = f"it should be content with either `{a}` or `{b}`, and needs both of them"
        yield Change(*place, "and", "connective", told)


def _negated(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if not isinstance(node, ast.UnaryOp) or not isinstance(node.op, ast.Not):
        return
    a = said(node.operand)
    if line[node.col_offset : node.operand.col_offset] == "not ":
        told = f"what it should do while `{a}` does not hold, it does while it holds"
        yield Change(node.col_offset, node.operand.col_offset, "", "negation", told)


def _called(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if not isinstance(node, ast.Call):
        return
    called, arguments = said(node.func), node.args
    if called == "range" and len(arguments) == 1 and isinstance(arguments[0], SIMPLE) and not node.keywords:
        a, end = said(arguments[0]), arguments[0].end_col_offset or 0
        yield Change(end, end, " - 1", "range", f"it should go over every index below `{a}`, and leaves out the last")
    if called in ("min", "max") and len(arguments) > 1:
        new, told = ("max", "smaller") if called == "min" else ("min", "larger")
        a = ", ".join(f"`{said(argument)}`" for argument in arguments)
        start = node.func.col_offset
        yield Change(start, start + 3, new, "extreme", f"it should take the {told} of {a}, and takes the other")
    for keyword in node.keywords:
        old = said(keyword.value)
        if keyword.arg in ("dim", "axis") and old in AXES:
            told = f"it should call `{called}` along dimension {old}, and works along another one"
            place = keyword.value.col_offset, keyword.value.end_col_offset or 0
            yield Change(*place, AXES[old], "dimension", told)


def _added(node: ast.AST, line: str, said: Callable[[ast.AST], str]) -> Iterator[Change]:
    if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub)):
        sign = "+" if isinstance(node.op, ast.Add) else "-"
        number = isinstance(node.value, SIMPLE) or (isinstance(node.value, ast.Constant) and said(node.value).isdigit())
        if number and (place := _between(line, node.target, node.value, re.escape(sign) + "=")):
            a, b = said(node.target), said(node.value)
            told = f"`{a}` should {'grow' if sign == '+' else 'shrink'} by `{b}`, and does the opposite"
            yield Change(*place, "-=" if sign == "+" else "+=", "accumulation", told)


RULES = (_compared, _difference, _quotient, _joined, _negated, _called, _added)
