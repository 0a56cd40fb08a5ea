"""The stories of bAbI: facts, a question about them, its answer, and the facts that it needs.

Questions are cut out as BABILong's own loader does (booydar/babilong 7a6efee, babilong/babilong_utils.py): one question
of a story has all the facts before it and none of the questions between.
"""

from __future__ import annotations

import functools
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lcbench.data import sources
from lcbench.errors import MissingError, UsageError

Variant = Literal["en", "en-10k"]
Split = Literal["test", "train", "valid"]


@dataclass(frozen=True)
class Question:
    """One question. Texts are verbatim, with the space that ends most questions; lists in answers are joined by commas.

    `supporting` are indices into `facts`, in the order in which the file names them.
    """

    facts: tuple[str, ...]
    question: str
    answer: str
    supporting: tuple[int, ...]


def questions(task: int, variant: Variant, split: Split, folder: Path | None = None) -> list[Question]:
    """The questions of a task from 1 to 20, in file order, from the source `babi` or a folder of the unpacked archive.

    Raises MissingError where there is no such file, UsageError with file and line where one is not a bAbI story.
    """
    name, content = _file(task, variant, split, folder)
    return list(_parsed(name, content))


def _file(task: int, variant: Variant, split: Split, folder: Path | None) -> tuple[str, str]:
    """The name and the text of the file. The validation splits lie in folders of their own, under shorter names."""
    inside = {"en": "en-valid", "en-10k": "en-valid-10k"}[variant] if split == "valid" else variant
    wanted = re.compile(rf"(?:.*/)?{inside}/qa{task}_(?:[^/]*_)?{split}\.txt")
    if folder:
        files: Mapping[str, Path | bytes] = {path.as_posix(): path for path in sorted(folder.rglob("*.txt"))}
        place = str(folder)
    else:
        found = sources.find("babi")
        files, place = _members(found.path, found.sha256), str(found.path)
    for name, file in files.items():
        if wanted.fullmatch(name):
            content = file.read_bytes() if isinstance(file, Path) else file
            return f"{place}:{name}" if isinstance(file, bytes) else name, content.decode()
    raise MissingError(f"bAbI task {task}, {variant} {split}, is not in {place}.", hint="lcbench data list")


@functools.lru_cache(maxsize=1)
def _members(path: Path, sha256: str) -> dict[str, bytes]:
    """The text files of the archive. The hash is part of the key: a replaced archive is read again."""
    with tarfile.open(fileobj=io.BytesIO(sources.read(path))) as archive:
        files = ((member.name, archive.extractfile(member)) for member in archive.getmembers() if member.isfile())
        return {name: file.read() for name, file in files if file}


@functools.lru_cache(maxsize=64)
def _parsed(name: str, content: str) -> tuple[Question, ...]:
    found = []
    facts: dict[int, str] = {}  # by their number in the story; questions count too
    for line_number, line in enumerate(content.strip().split("\n"), 1):
        try:
            first, text = line.split(" ", 1)
            number = int(first)
            if number == 1:
                facts = {}
            if "\t" not in text:
                facts[number] = text
                continue
            question, answer, supporting = text.split("\t")
            order = {fact: index for index, fact in enumerate(facts)}
            indices = tuple(order[int(fact)] for fact in supporting.split())
        except (ValueError, KeyError) as error:
            raise UsageError(f"{name}:{line_number}: this is no line of a bAbI story: {line[:60]!r}.") from error
        found.append(Question(tuple(facts.values()), question, answer, indices))
    return tuple(found)
