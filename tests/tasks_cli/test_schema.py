"""`lcbench tasks schema`: what an editor completes is what the harness accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lcbench.benchmarks import BUILDERS
from lcbench.schema import Task
from lcbench.scoring import SCORERS, arguments
from lcbench.validate.editors import task_schema
from tests.run.conftest import Command


def test_it_is_printed_or_written(lcbench: Command, tmp_path: Path) -> None:
    printed = lcbench("tasks", "schema")
    assert (printed.exit_code, printed.stderr) == (0, "")
    for _ in range(2):  # a second time replaces the first
        assert lcbench("tasks", "schema", "-o", "task.json").stdout == ""
    assert json.loads((tmp_path / "task.json").read_text()) == json.loads(printed.stdout) == task_schema()
    assert lcbench("tasks", "schema", "-o", "nosuch/task.json").exit_code == 2


def test_every_key_and_every_name_is_in_it() -> None:
    schema = task_schema()
    assert set(schema["properties"]) == set(Task.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["benchmark"]["enum"] == list(BUILDERS)
    names, *forms = schema["$defs"]["Scorer"]["anyOf"]
    assert names["enum"] == list(SCORERS)
    assert {f["properties"]["name"]["const"]: set(f["properties"]) - {"name"} for f in forms} == {
        name: set(arguments(name)) for name in SCORERS
    }
    assert [rule["if"]["properties"]["benchmark"]["const"] for rule in schema["allOf"]]


def test_every_reference_leads_somewhere() -> None:
    schema = task_schema()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [r for value in node.values() for r in references(value)]
        return [r for value in node for r in references(value)] if isinstance(node, list) else []

    assert references(schema)
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_rows_are_a_file_or_a_data_set_at_a_revision() -> None:
    file, hub = task_schema()["$defs"]["Data"]["oneOf"]
    assert (file["required"], hub["required"]) == (["file"], ["hub", "revision"])
