"""A YAML file with its lines: where a key stands, and what is wrong with the file itself or against its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from lcbench.errors import nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound="BaseModel")
Key = tuple[str | int, ...]

# Parts of pydantic's addresses that name one reading of a value and no key, and the kind of YAML that each reads.
READINGS = {"str": "scalar", "tuple[str, ...]": "sequence", "Data": "mapping", "ScoreBy": "mapping"}
# What a key may hold, where pydantic would list the types that it tried.
WANTED = {
    "data": "`file:` or `hub:` with `revision:` below it, or a list of names of `lcbench data list`",
    "score": "the name of a scorer, or `name:` and its arguments below it",
    "beside": "a list of scorers, each as in `score`",
    "references": "a column, a template, or a list of them",
}


@dataclass(frozen=True)
class Failure:
    """One thing that is wrong, and where: printed as file:line: key: reason."""

    path: Path
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.key + ': ' if self.key else ''}{self.reason}"


class YamlFile:
    """A YAML file. `root` is None where it is not YAML; `failures` then say why, and where a key stands twice."""

    def __init__(self, path: Path):
        self.path = path
        self.root: yaml.Node | None = None
        self.content: Any = None
        self.failures: list[Failure] = []
        try:
            text = path.read_text(encoding="utf-8")
            self.root = yaml.compose(text, Loader=yaml.CSafeLoader)
            self.content = yaml.load(text, Loader=yaml.CSafeLoader)
            self.failures += [self.failure(key, "the key stands twice", line) for key, line in _twice(self.root, ())]
        except yaml.MarkedYAMLError as error:
            # What is open until the end of the file is wrong where it begins.
            ends = error.problem and "end of stream" in error.problem
            mark = (error.context_mark if ends else None) or error.problem_mark or error.context_mark
            self._broken(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
        except UnicodeDecodeError as error:
            self._broken(error.object.count(b"\n", 0, error.start) + 1, "not UTF-8")
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2024-13-45 is a ValueError
            self._broken(1, f"not YAML: {' '.join(str(error).split())}")
        except OSError as error:
            self._broken(1, f"cannot be read: {error.strerror}")

    def _broken(self, line: int, reason: str) -> None:
        self.root = None
        self.failures.append(Failure(self.path, line, "", reason))

    def failure(self, key: Key, reason: str, line: int | None = None) -> Failure:
        """What is wrong with a key. line: of the file, by default the key's."""
        return Failure(self.path, line or self.find(key)[0], ".".join(map(str, key)), reason)

    def find(self, key: Key) -> tuple[int, yaml.Node | None]:
        """The line of the deepest part of a key that the file has, and the value where it has the whole key."""
        line, node = 1, self.root
        for part in key:
            found = None
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = (node.value[part], node.value[part])
            if found is None:
                return line, None
            line, node = found[0].start_mark.line + 1, found[1]
        return line, node

    def read(self, model: type[Model], under: Key = ()) -> Model | None:
        """What stands at the keys `under`, as the model; None where it is none, with the reasons in `failures`."""
        from pydantic import ValidationError

        if self.root is None:
            self.failures += [] if self.failures else [Failure(self.path, 1, "", "the file is empty")]
            return None
        content = self.content
        for part in under:
            content = content.get(part, {})
        try:
            return model.model_validate(content)
        except ValidationError as error:
            self.failures += self._explained(error, under, model)
            return None

    def _explained(self, error: ValidationError, under: Key, model: Any) -> list[Failure]:
        """Every error of the schema, by line, with the nearest known key for an unknown one."""
        found: dict[Key, Failure] = {}
        missing: dict[Key, Failure] = {}
        misread: dict[Key, Failure] = {}
        near = ""
        for told in error.errors():
            key = (*under, *(part for part in told["loc"] if _reading(part) is None))
            readings = {_reading(part) for part in told["loc"]} - {None}
            if readings and readings != {_kind(self.find(key[:1])[1])}:
                expected = WANTED.get(str(key[0]), told["msg"].lower())
                misread[key[:1]] = self.failure(key[:1], f"should be {expected}")
            elif told["type"] == "extra_forbidden":
                near += (guess := nearest(str(key[-1]), _known_keys(model, told["loc"][:-1])))
                found[key] = self.failure(key, f"unknown key{guess}")
            elif told["type"] == "missing":
                missing[key] = self.failure(key, "is missing")
            else:
                reason = told["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
                reason = re.sub("a valid dictionary or instance of .*", "a mapping of keys", reason)
                found.setdefault(key, self.failure(key, reason[:1].lower() + reason[1:]))
        # A misspelt key is also a missing one, and a value that is wrong inside is also none of its other readings.
        found |= {key: failure for key, failure in missing.items() if str(key[-1]) not in re.findall(r"\w+", near)}
        tops = {key[0] for key in found if key}
        told_once = [*found.values(), *(f for key, f in misread.items() if key[0] not in tops)]
        return sorted(told_once, key=lambda failure: failure.line)


def _reading(part: str | int) -> str | None:
    """The kind of YAML that a part of pydantic's address reads, None where it is a key: `function-after[f(), Data]`."""
    name = re.sub(r"^function-\w+\[.*, (\w+)\]$", r"\1", str(part))
    return READINGS.get(name)


def _kind(node: yaml.Node | None) -> str:
    return {"MappingNode": "mapping", "SequenceNode": "sequence"}.get(type(node).__name__, "scalar")


def _known_keys(model: Any, loc: Sequence[str | int]) -> list[str]:
    """The keys of the model at an address of pydantic's, whose readings name models of the schema."""
    from lcbench import schema

    for part in loc:
        if _reading(part) == "mapping":
            model = schema.Data if "Data" in str(part) else schema.ScoreBy
        elif not isinstance(part, int):
            field = getattr(model, "model_fields", {}).get(part)
            readings = (field.annotation, *getattr(field.annotation, "__args__", ())) if field else ()
            model = next((reading for reading in readings if hasattr(reading, "model_fields")), None)
    return list(getattr(model, "model_fields", {}))


def _twice(node: yaml.Node | None, above: Key) -> Iterator[tuple[Key, int]]:
    """Keys that stand twice in a mapping, with their line: YAML's readers keep the last one and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                yield (*above, key.value), key.start_mark.line + 1
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
            yield from _twice(value, (*above, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _twice(value, (*above, i))
