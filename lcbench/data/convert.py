"""From downloaded files to the content of one file below `LCBENCH_DATA`.

A converter is `(source, {path: bytes}) -> bytes`. It raises ValueError, or what ast, json and zipfile raise, where what
came is not what it expects; nothing that it reads is run.
"""

from __future__ import annotations

import ast
import functools
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

from lcbench.data.source import Source


def unchanged(source: Source, files: Mapping[str, bytes]) -> bytes:
    """The only file, as it is."""
    (content,) = files.values()
    return content


def ruler_texts(source: Source, files: Mapping[str, bytes]) -> bytes:
    """RULER's prompt strings: the literal dict `TASKS` of a Python module."""
    ((module, text),) = files.items()
    return _texts(source, _literals(module, text, "TASKS")["TASKS"])


def babilong_texts(source: Source, files: Mapping[str, bytes]) -> bytes:
    """BABILong's templates and prompts of two modules, and the labels that its metric looks for."""
    strings: dict[str, Any] = {}
    for module, text in files.items():
        wanted = ("TASK_LABELS",) if "metrics" in module else ("TASK_TEMPLATE", "USER_TEMPLATE", "DEFAULT_PROMPTS")
        strings |= _literals(module, text, *wanted)
    return _texts(source, strings)


def longbench_texts(source: Source, files: Mapping[str, bytes]) -> bytes:
    """LongBench-v2's prompts, one a file, keyed by the file's name without .txt."""
    strings = {path.rsplit("/", 1)[-1].removesuffix(".txt"): text.decode() for path, text in files.items()}
    return _texts(source, strings)


def essay_lines(source: Source, files: Mapping[str, bytes]) -> bytes:
    """One JSON object a line, {id, text}, in the order of the downloads; the id is the file name without .txt."""
    rows = ({"id": path.rsplit("/", 1)[-1].removesuffix(".txt"), "text": files[path].decode()} for path in files)
    return "\n".join(json.dumps(row) for row in rows).encode()


def json_lines(source: Source, files: Mapping[str, bytes]) -> bytes:
    """A JSON array as one element a line."""
    (content,) = files.values()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in json.loads(content)).encode()


def member(name: str, source: Source, files: Mapping[str, bytes]) -> bytes:
    """One member of the only file, a zip archive; bind the name with functools.partial."""
    (content,) = files.values()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name)


def zip_member(name: str) -> functools.partial[bytes]:
    """The converter that takes the member `name` out of a zip archive."""
    return functools.partial(member, name)


def babi_archive(source: Source, files: Mapping[str, bytes]) -> bytes:
    """The English stories of the bAbI archive (zip) as a tar archive that is the same on every machine.

    Only `en` and `en-10k`, without the 10,000 training stories of qa3: the largest file, and one whose bytes are not
    among those that our hash was computed over.
    """
    (content,) = files.values()
    stories: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if found := re.fullmatch(r"(?:[^/]+/)?(en(?:-10k)?/qa\d+_[^/]+_(?:train|test)\.txt)", name):
                stories[found[1]] = archive.read(name)
    stories.pop("en-10k/qa3_three-supporting-facts_train.txt", None)
    return _tar(stories)


def _tar(members: Mapping[str, bytes]) -> bytes:
    """Members in order of their names, folders first, with nothing of this machine in the headers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in sorted({name.rsplit("/", 1)[0] + "/" for name in members}):
            entry = _entry(folder.rstrip("/"), 0o755)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
            for name in sorted(name for name in members if name.startswith(folder)):
                entry = _entry(name, 0o644)
                entry.size = len(members[name])
                archive.addfile(entry, io.BytesIO(members[name]))
    return out.getvalue()


def _entry(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime, entry.uname, entry.gname = mode, 0, "root", "root"
    return entry


def _literals(module: str, text: bytes, *names: str) -> dict[str, Any]:
    """What a Python module assigns to these names, read without running it.

    Raises ValueError where one is not assigned exactly once or is more than a literal.
    """
    found: dict[str, list[ast.expr]] = {name: [] for name in names}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and (target := ", ".join(map(ast.unparse, node.targets))) in found:
            found[target].append(node.value)
    for name, values in found.items():
        if len(values) != 1:
            raise ValueError(f"{module} does not assign {name} exactly once")
    return {name: ast.literal_eval(values[0]) for name, values in found.items()}


def _texts(source: Source, strings: Mapping[str, Any]) -> bytes:
    """A texts/NAME.json: the strings, and where they are from."""
    texts = {
        "source": source.origin,
        "revision": source.revision and source.revision[:7],
        "licence": source.licence,
        "files": {download.path: download.sha256 for download in source.downloads},
        "strings": strings,
    }
    return json.dumps(texts, indent=1, ensure_ascii=False).encode()
