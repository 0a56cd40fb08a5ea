"""Code corpora: which files are taken, in which order, and how few are read."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

from lcbench.data import code
from lcbench.errors import UsageError


def module(name: str) -> str:
    return f'"""Module {name}."""\n\n' + "".join(f"def {name}_{n}():\n    return {n}\n\n\n" for n in range(40))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = {
        **{f"pkg/part{n}/mod{n}.py": module(f"m{n}") for n in range(12)},
        "pkg/copy.py": module("m3"),
        "pkg/tests/helper.py": module("h"),
        "pkg/test_it.py": module("t"),
        "pkg/_vendor/six.py": module("v"),
        "pkg/small.py": "x = 1\n",
        "pkg/large.py": "".join(f"x{n} = {n}\n" for n in range(30_000)),
        "pkg/broken.py": module("b") + "def (:\n",
        "pkg/table.py": module("w") + f"WIDE = {list(range(200))}\n",
        "pkg/notes.txt": module("n"),
    }
    for name, text in made.items():
        (tmp_path / "repo" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repo" / name).write_text(text)
    (tmp_path / "repo" / "pkg" / "latin.py").write_bytes(module("l").encode() + b"# \xff\n")
    return tmp_path / "repo"


def test_what_is_taken(folder: Path) -> None:
    corpus = code.python_files(folder)
    texts = [file.text for file in corpus.files]
    assert sorted(texts) == sorted(module(f"m{n}") for n in range(12)), "every text once, nothing else"
    assert corpus.name == "repo"
    paths = [file.path for file in corpus.files]
    assert paths == sorted(paths, key=lambda path: hashlib.sha256(path.encode()).digest())
    assert all((folder / path).read_text() == text for path, text in zip(paths, texts, strict=True))
    assert code.python_files(folder) == corpus


def test_no_more_is_read_than_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = code.python_files(folder)
    read: list[Path] = []
    real = code._fitting
    monkeypatch.setattr(code, "_fitting", lambda path, *state: read.append(path) or real(path, *state))
    some = code.python_files(folder, characters=2_000)
    assert some.files == whole.files[: len(some.files)]
    assert 2_000 <= sum(len(file.text) for file in some.files) < 5_000
    assert len(read) < 12
    assert some.sha256 != whole.sha256


def test_a_folder_without_code(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no Python file"):
        code.python_files(tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        code.python_files(tmp_path / "nosuch")


def test_the_packages_of_this_machine() -> None:
    corpus = code.python_files(characters=300_000)
    assert sum(len(file.text) for file in corpus.files) >= 300_000
    assert "torch " in corpus.name and "numpy " in corpus.name
    assert len({file.path.split("/")[0] for file in corpus.files}) > 1, "packages mix"
    for file in corpus.files:
        ast.parse(file.text)
        assert max(map(len, file.text.split("\n"))) <= code.LONGEST_LINE
        assert not {"tests", "_vendor"} & set(file.path.split("/"))


def test_a_licence_that_is_not_open_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_licence", lambda found: "Proprietary")
    assert code._installed() == ("", {})
    assert not code.OPEN_SOURCE.search("Permitted for members only")
