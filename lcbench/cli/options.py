"""Choices that several commands share."""

from __future__ import annotations

from enum import StrEnum


class Prompt(StrEnum):
    official = "official"
    builtin = "builtin"


class ListFormat(StrEnum):
    table = "table"
    json = "json"


class Split(StrEnum):
    validation = "validation"
    test = "test"
