"""The JSON Schema of a task's file, with every name that it may use, so that an editor completes them."""

from __future__ import annotations

from typing import Any

from lcbench.benchmarks import BUILDERS
from lcbench.data.pinned import SOURCES
from lcbench.schema import PARAMS, Task
from lcbench.scoring import SCORERS, arguments

KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}


def task_schema() -> dict[str, Any]:
    """The schema of `Task`, with scorers and their arguments, builders and their params, and sources of data."""
    schema = Task.model_json_schema()
    definitions, properties = schema["$defs"], schema["properties"]
    definitions["Scorer"] = {"anyOf": [{"enum": list(SCORERS)}, *map(_scorer, SCORERS)]}
    definitions.pop("ScoreBy", None)
    properties["score"] = {"$ref": "#/$defs/Scorer"}
    properties["beside"] = {"type": "array", "items": {"$ref": "#/$defs/Scorer"}, "default": []}
    properties["benchmark"] = {"enum": list(BUILDERS), "default": "items"}
    for holder in (properties, definitions["FewShot"]["properties"]):
        holder["data"] = {"anyOf": [{"type": "array", "items": {"enum": list(SOURCES)}}, {"$ref": "#/$defs/Data"}]}
    definitions["Data"]["oneOf"] = [
        {"required": ["file"], "not": {"required": ["hub"]}},
        {"required": ["hub", "revision"], "not": {"required": ["file"]}},
    ]
    schema["allOf"] = [_params(name) for name in BUILDERS if name in PARAMS]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "lcbench task", **schema}


def _scorer(name: str) -> dict[str, Any]:
    """A scorer as a mapping: its name and the arguments that it takes."""
    told = {a: {"type": KINDS[type(default)], "default": default} for a, default in arguments(name).items()}
    return {
        "type": "object",
        "properties": {"name": {"const": name}, **told},
        "required": ["name"],
        "additionalProperties": False,
    }


def _params(name: str) -> dict[str, Any]:
    """Where `benchmark:` names this builder (items where it names none), `params:` are its own."""
    told = {"properties": {"benchmark": {"const": name}}, "required": [] if name == "items" else ["benchmark"]}
    return {"if": told, "then": {"properties": {"params": PARAMS[name].model_json_schema()}}}
