"""The arrows between the rooms of the house point one way, and light rooms stay light."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LEAVES = {"lcbench", "errors", "records", "paths", "lengths", "seeds"}  # "lcbench" is the package itself: its version

# room -> the rooms that it may import, beside the leaves and itself. A new room is a new line.
ARROWS: dict[str, set[str]] = {
    "lcbench_kernels": set(),
    "schema": set(),
    "scoring": set(),
    "prompting": set(),
    "stats": set(),
    "figures": {"stats"},
    "stopping": {"figures", "stats"},
    "store": {"schema"},
    "runs": {"store"},
    "excerpts": set(),
    "compare": {"runs", "figures", "stats"},
    "leaderboard": {"schema", "catalog", "stats", "figures"},
    "yamlfile": {"schema"},
    "catalog": {"schema", "yamlfile"},
    "data": {"schema", "catalog"},
    "models": {"schema", "catalog"},
    "benchmarks": {"schema", "prompting", "data", "scoring"},
    "attention": {"lcbench_kernels"},
    "engines": {"attention"},
    "strategies": {"engines"},
    "plan": {
        "schema",
        "catalog",
        "models",
        "data",
        "benchmarks",
        "prompting",
        "strategies",
        "engines",
        "attention",
        "scoring",
        "stopping",
    },
    "export": {"catalog", "benchmarks", "schema"},
    "answers": {"schema", "data", "benchmarks"},
    "score": {"answers", "catalog", "schema", "figures", "scoring"},
    "starter": {"data"},
    "validate": {
        "answers",
        "plan",
        "schema",
        "yamlfile",
        "catalog",
        "models",
        "data",
        "benchmarks",
        "prompting",
        "scoring",
    },
    "show": {"validate", "answers", "score", "plan", "schema", "benchmarks", "prompting", "scoring"},
    "build": {"plan", "store", "schema", "catalog", "models", "prompting"},
    "flops": {"attention"},
    "summary": {"plan", "catalog", "attention", "store", "stats", "figures", "stopping", "flops"},
    "schedule": {"attention", "plan", "stopping", "store"},
    "identity": {"plan", "engines", "schema"},
    "runner": {
        "excerpts",
        "identity",
        "plan",
        "schedule",
        "summary",
        "schema",
        "prompting",
        "strategies",
        "engines",
        "attention",
        "scoring",
        "store",
    },
    "report": {"runner", "schedule", "plan", "attention", "summary", "store", "stats", "figures", "runs", "compare"},
}
ARROWS["cli"] = set(ARROWS) - {"lcbench_kernels"}

# room -> what it may import from outside the standard library. Rooms that are not named may import anything.
THIRD_PARTY: dict[str, set[str]] = {
    "lcbench": set(),
    "errors": set(),
    "records": set(),
    "paths": set(),
    "scoring": {"math_verify", "rouge_score"},
    "figures": set(),
    "stats": {"numpy", "scipy"},
    "stopping": set(),
    "compare": {"scipy"},
    "leaderboard": {"numpy", "pyarrow"},
    "schema": {"pydantic"},
    "lcbench_kernels": {"torch", "triton"},
}


def files() -> list[tuple[str, Path]]:
    """(room, file) of every module: a room is a module or a package directly under lcbench/, or lcbench_kernels."""
    rooms = []
    for path in sorted((ROOT / "lcbench").rglob("*.py")):
        first = path.relative_to(ROOT / "lcbench").parts[0].removesuffix(".py")
        rooms.append(({"__init__": "lcbench", "__main__": "cli"}.get(first, first), path))
    return rooms + [("lcbench_kernels", p) for p in sorted((ROOT / "kernels/lcbench_kernels").rglob("*.py"))]


FILES = files()
ROOMS = {room for room, _ in FILES}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import of a file, wherever it stands: in functions and under TYPE_CHECKING too."""
    base = (
        path.relative_to(ROOT).parent if ROOT / "lcbench" in path.parents else path.relative_to(ROOT / "kernels").parent
    )
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = base.parts[: len(base.parts) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def room_of(name: str) -> str | None:
    """The room that a dotted name is of, None for what is not ours."""
    parts = name.split(".")
    if parts[0] == "lcbench_kernels":
        return "lcbench_kernels"
    if parts[0] != "lcbench":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "lcbench"


def against(room: str, path: Path) -> list[str]:
    """Imports of a file that its room may not have, as file:line: what."""
    allowed = LEAVES | {room} | ARROWS.get(room, set()) if room != "lcbench_kernels" else {room}
    found = []
    for line, name in imports(path):
        target, top = room_of(name), name.split(".")[0]
        foreign = target is None and top not in sys.stdlib_module_names and top not in THIRD_PARTY.get(room, {top})
        if foreign or (target is not None and target not in allowed):
            found.append(f"{path.name}:{line}: {room} imports {name}")
    return found


def test_every_room_has_its_line() -> None:
    assert ROOMS - LEAVES - set(ARROWS) == set()


def test_the_table_has_no_cycle() -> None:
    assert list(TopologicalSorter(ARROWS).static_order())


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_import_goes_against_the_arrows(room: str) -> None:
    assert [wrong for r, path in FILES if r == room for wrong in against(r, path)] == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("benchmarks", "from lcbench.engines import base"),
        ("benchmarks", "from lcbench import engines"),
        ("benchmarks", "from ..engines import base"),
        ("engines", "import lcbench.benchmarks"),
        ("engines", "def later():\n    from lcbench.schema import Task"),
        ("records", "import numpy as np"),
        ("scoring", "def later():\n    import torch"),
        ("errors", "from lcbench import cli"),
        ("runner", "from lcbench.cli import run"),
    ],
)
def test_an_import_against_an_arrow_is_found(
    room: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "ROOMS", ROOMS | LEAVES | set(ARROWS))
    path = tmp_path / "lcbench" / room / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(against(room, path)) == 1


def test_kernels_know_nothing_of_the_harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "kernels/lcbench_kernels/module.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "from lcbench import errors\nfrom .common import tiles\nimport triton.language as tl\nimport transformers\n"
    )
    assert [w.split(": ", 1)[1] for w in against("lcbench_kernels", path)] == [
        "lcbench_kernels imports lcbench.errors",
        "lcbench_kernels imports transformers",
    ]
