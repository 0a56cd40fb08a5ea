"""Rows from files, from pinned sources, and from a hub on this machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lcbench.data import rows
from lcbench.errors import MissingError, UsageError

ROWS = [{"q": 'zwei\u2028Zeilen, "so"', "a": "x" * 200_000}, {"q": "b", "a": "2"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
COMMIT = "a" * 40


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


CSV = "q,a\r\n" + "".join(f"{quoted(row['q'])},{quoted(row['a'])}\r\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "text"),
    [("r.jsonl", LINES), ("r.jsonl", LINES.replace("\n", "\n\n")), ("r.json", json.dumps(ROWS)), ("r.csv", CSV)],
)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_kind_of_file_gives_the_same_rows(
    tmp_path: Path, name: str, text: str, zipped: bool, mark: bytes
) -> None:
    content = mark + text.encode()
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert rows.read_rows(path) == ROWS
    assert rows.from_file(path) == rows.Rows(ROWS, str(path), None, hashlib.sha256(content).hexdigest())


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "r.parquet")
    assert rows.read_rows(tmp_path / "r.parquet") == ROWS
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"broken\.parquet is not a Parquet file"):
        rows.read_rows(tmp_path / "broken.parquet")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.jsonl", b'{"a": 1}\n\n{"a": }\n', r"r\.jsonl:3: not JSON: Expecting value at column 7"),
        ("r.jsonl", b'{"a": 1}\n[1]\n', r"r\.jsonl:2: every line is an object, this is an array"),
        ("r.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', r"r\.jsonl:2: not UTF-8"),
        ("r.jsonl", b'{"a": 1}\n' + b"[" * 100_000, r"r\.jsonl:2: not JSON that can be read"),
        ("r.jsonl", b'{"a": ' + b"1" * 5000 + b"}", r"r\.jsonl:1: not JSON that can be read"),
        ("r.jsonl", b'{"a": "\\ud83d\\ude00"}\n{"a": "\\ud83d"}', r"r\.jsonl:2: an escape \\u is half a character"),
        ("r.json", b'{"a": 1}', r"r\.json:1: .*this is an object"),
        ("r.json", b'[{"a": 1},\n{"a" 1}]', r"r\.json:2: not JSON"),
        ("r.json", b'[{"a": 1}, null]', r"element 2 is null, not an object"),
        ("r.csv", b"a,b\n1,2\n3\n", r"r\.csv:3: this row has not the 2 fields"),
        ("r.csv", b"a,b\n1,2\n3,4,5\n", r"r\.csv:3: this row has not the 2 fields"),
        ("r.csv", b'a,b\n1,"2\n', r"r\.csv:2: not CSV"),
        ("r.csv", b"a,a\n1,2\n", r"r\.csv:1: a column is named twice"),
        ("r.jsonl.gz", b"not gzip", r"r\.jsonl\.gz cannot be decompressed"),
        ("r.jsonl.gz", gzip.compress(b"{}\n", mtime=0)[:-9], r"r\.jsonl\.gz cannot be decompressed"),
        ("r.txt", b"", r"none of the endings \.jsonl\.gz"),
        ("r.parquet.gz", b"", r"none of the endings"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=says):
        rows.read_rows(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        rows.read_rows(tmp_path / "r.csv")


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"a": 1}\n')
    first = rows.read_rows(path)
    first.append({})
    assert rows.read_rows(path)[0] is first[0]
    path.write_text('{"a": 22}\n')
    assert rows.read_rows(path) == [{"a": 22}]


def test_the_first_source_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    with pytest.raises(MissingError, match="zero_scrolls_musique"):
        rows.named("zero_scrolls_musique", "musique")
    (tmp_path / "musique").mkdir()
    (tmp_path / "musique" / "dev_200.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a"}\n'))
    found = rows.named("zero_scrolls_musique", "musique")
    assert (found.rows, found.source, found.revision) == ([{"id": "a"}], "github.com/StonyBrookNLP/musique", None)


@pytest.mark.parametrize("config", [None, "4k"])
def test_a_copy_comes_before_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None) -> None:
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    folder = tmp_path / "hub" / "org" / "name" / (config or "")
    folder.mkdir(parents=True)
    (folder / "test.csv").write_text("a\n1\n")
    found = rows.hub_rows("org/name", COMMIT, "test", config)
    assert (found.rows, found.source, found.revision) == ([{"a": "1"}], str(folder / "test.csv"), None)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as one data set with one file needs."""

    BODY = b'{"q": "one", "n": 1}\n{"q": "two", "n": 2}\n'

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        file = {"type": "file", "path": "test.jsonl", "size": len(self.BODY), "oid": "b" * 40}
        if path.startswith("/api/datasets/org/name/revision/"):
            about = {"id": "org/name", "sha": COMMIT, "siblings": [{"rfilename": "test.jsonl"}], "tags": []}
            self.answer(200, json.dumps(about).encode())
        elif "/tree/" in path:
            self.answer(200, json.dumps([file]).encode())
        elif path.endswith("/test.jsonl"):
            self.answer(200, self.BODY, {"ETag": '"' + "b" * 40 + '"', "X-Repo-Commit": COMMIT})
        else:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import json, sys
from lcbench.data import rows
from lcbench.errors import LcbenchError
try:
    found = rows.hub_rows("org/name", sys.argv[1], "test", *sys.argv[2:])
    print(json.dumps([found.rows, found.source, found.revision, found.sha256]))
except LcbenchError as error:
    print(json.dumps([type(error).__name__, error.message, error.hint]))
"""


def ask(root: Path, tmp_path: Path, endpoint: str, *arguments: str, **more: str) -> list:
    """What a process of its own gets: the hub's library reads its address when it is imported."""
    places = {"HF_HOME": str(tmp_path / "hf"), "LCBENCH_DATA": str(tmp_path / "data"), "HF_ENDPOINT": endpoint}
    unset = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {**places, "PYTHONPATH": str(root), "no_proxy": "*", **more}
    command = [sys.executable, "-c", ASK, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_the_hub_at_a_revision_and_then_without_a_network(hub: str, root: Path, tmp_path: Path) -> None:
    found, source, revision, sha256 = ask(root, tmp_path, hub, "main")
    assert found == [{"q": "one", "n": 1}, {"q": "two", "n": 2}]
    assert (source, revision) == ("huggingface.co/datasets/org/name/test", COMMIT), "the branch became a commit"
    offline = ask(root, tmp_path, hub, COMMIT, HF_HUB_OFFLINE="1")
    assert offline == [found, source, revision, sha256]
    kind, message, _ = ask(root, tmp_path, hub, "c" * 40, HF_HUB_OFFLINE="1")
    assert kind == "MissingError", message
    assert "at another revision than ccc" in message
    assert ask(root, tmp_path, hub, "main", HF_HUB_OFFLINE="1")[0] == "UsageError", "a branch is no commit"


def test_a_hub_that_does_not_answer(root: Path, tmp_path: Path) -> None:
    kind, message, hint = ask(root, tmp_path, "http://127.0.0.1:9", "main", "4k")
    assert kind == "MissingError"
    assert "org/name/4k/test at main cannot be read from the hub" in message
    assert hint == f"put the rows at {tmp_path}/data/hub/org/name/4k/test.jsonl"


def test_without_the_optional_packages(root: Path) -> None:
    code = """
import sys
sys.modules["datasets"] = sys.modules["pyarrow"] = None
from lcbench.data import babi, code, convert, corpora, rows, sources
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)}, check=True, timeout=60)
