"""Python source for code haystacks: the open-source packages of this machine, or a folder of the user's.

The files are those that a person could have been given to read: they parse, are neither tiny nor huge, have no
generated lines, are not tests and not copies. What a machine has installed differs, so `name` has the versions and
`sha256` the content. No file is read before its text is needed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lcbench.errors import MissingError, UsageError

LEAST_BYTES, MOST_BYTES = 1_000, 200_000
LONGEST_LINE = 200
MOST_FILES = 3_000
CHARACTERS = 4_000_000

# distribution: its folder of modules. All are dependencies of this package or of those.
PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "numpy": "numpy",
    "datasets": "datasets",
    "accelerate": "accelerate",
    "huggingface-hub": "huggingface_hub",
    "safetensors": "safetensors",
    "pydantic": "pydantic",
    "pandas": "pandas",
    "sympy": "sympy",
    "networkx": "networkx",
    "fsspec": "fsspec",
    "rich": "rich",
    "Jinja2": "jinja2",
}
OPEN_SOURCE = re.compile(r"\b(apache|mit|bsd|psf|isc|mpl|mozilla public|python software foundation)\b", re.IGNORECASE)
SKIPPED_FOLDERS = re.compile(
    r"tests?|testing|_?vendor(ed)?|third_party|extern(al)?s?|node_modules|_generated|__pycache__|\..*"
)
SKIPPED_FILES = re.compile(r"test_.*|.*_test\.py|conftest\.py|.*_pb2\.py|_?version\.py")


@dataclass(frozen=True)
class CodeFile:
    """One file: its path below the folder, with slashes, and its text."""

    path: str
    text: str


@dataclass(frozen=True)
class CodeCorpus:
    """Files in a fixed order. `sha256` is that of paths and texts, `name` the packages with their versions."""

    files: list[CodeFile]
    sha256: str
    name: str


def python_files(folder: Path | None = None, characters: int = CHARACTERS) -> CodeCorpus:
    """Python files until `characters` are together, or all that there are; of `folder`, else of PACKAGES.

    The order is that of the hashes of their paths, so that packages mix; a larger corpus begins with the smaller one.
    Raises UsageError where a folder has no fitting file, MissingError where no package is installed.
    """
    name, places = (str(folder.name or folder), {"": folder}) if folder else _installed()
    if folder and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    files = list(_taken(places, characters))
    if not files and folder:
        raise UsageError(f"{folder} has no Python file of {LEAST_BYTES} to {MOST_BYTES} bytes that parses.")
    if not files:
        raise MissingError("no open-source package with Python files is installed.", hint="pip install transformers")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.text}\0".encode())
    return CodeCorpus(files, digest.hexdigest(), name)


def _installed() -> tuple[str, dict[str, Path]]:
    """The name of the corpus and the folders of the open-source packages that are here."""
    places, versions = {}, []
    for package, folder in PACKAGES.items():
        try:
            found = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            continue
        place = Path(str(found.locate_file(folder)))
        if place.is_dir() and OPEN_SOURCE.search(_licence(found)):
            places[folder] = place
            versions.append(f"{package} {found.version}")
    return ", ".join(versions), places


def _licence(found: metadata.Distribution) -> str:
    """What a package's metadata says of its licence: an expression, a classifier, or the first line of a text."""
    fields = found.metadata
    stated = [*(fields.get_all("License-Expression") or []), *(fields.get_all("License") or [])]
    classifiers = [line for line in fields.get_all("Classifier") or [] if line.startswith("License :: OSI Approved")]
    return "\n".join([*(text.split("\n", 1)[0] for text in stated), *classifiers])


def _taken(places: dict[str, Path], characters: int) -> Iterator[CodeFile]:
    """Fitting files until there are enough of them."""
    seen: set[str] = set()
    total = 0
    for path, place in sorted(_candidates(places), key=lambda item: hashlib.sha256(item[0].encode()).digest()):
        if total >= characters or len(seen) == MOST_FILES:
            return
        stat = place.stat()
        text = _fitting(place, stat.st_mtime_ns, stat.st_size)
        if text is not None and text not in seen:
            seen.add(text)
            total += len(text)
            yield CodeFile(path, text)


def _candidates(places: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """(path below the folder, file) of every file that its name and its size let in. Opens none."""
    for name, place in places.items():
        for walked, folders, files in os.walk(place):
            folders[:] = [inner for inner in folders if not SKIPPED_FOLDERS.fullmatch(inner)]
            folder = Path(walked)
            below = name / folder.relative_to(place)
            for file in files:
                if file.endswith(".py") and not SKIPPED_FILES.fullmatch(file):
                    path = folder / file
                    if path.is_file() and LEAST_BYTES <= path.stat().st_size <= MOST_BYTES:
                        yield (below / file).as_posix(), path


@functools.lru_cache(maxsize=MOST_FILES)
def _fitting(path: Path, mtime_ns: int, size: int) -> str | None:
    """The text of a file, None where it is not UTF-8, does not parse or has a line that nobody wrote by hand."""
    try:
        text = path.read_bytes().decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError):
        return None
    if max(map(len, text.split("\n"))) > LONGEST_LINE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return text
