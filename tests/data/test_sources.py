"""Pulling from a server on this machine: good bytes arrive, anything else leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lcbench.cli.data import app
from lcbench.data import sources, texts
from lcbench.data.convert import (
    babi_archive,
    babilong_texts,
    essay_lines,
    json_lines,
    longbench_texts,
    ruler_texts,
    unchanged,
    zip_member,
)
from lcbench.data.pinned import SOURCES
from lcbench.data.source import Download, Source
from lcbench.errors import MissingError, UsageError

BODY = json.dumps([{"question": f"Is {n} odd?", "answer": "yes" if n % 2 else "no"} for n in range(5000)]).encode()
SHA256 = hashlib.sha256(BODY).hexdigest()
CONVERTED = b"".join(json.dumps(row).encode() + b"\n" for row in json.loads(BODY))


class Handler(BaseHTTPRequestHandler):
    """Answers as `server.script` says, one entry a request; the last entry for all that follow."""

    def do_GET(self) -> None:
        server = self.server
        server.paths.append(self.path)
        how = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        if isinstance(how, int):
            self.send_error(how)
            return
        body = {"wrong": BODY.replace(b"odd", b"0dd"), "long": BODY + b" "}.get(how, BODY)
        self.send_response(200)
        if how != "long":  # without a length the client has to notice by itself
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if how in ("half", "hang") else body)
        self.wfile.flush()
        if how == "hang":
            server.released.wait(20)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.script, server.paths, server.released = ["good"], [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("LCBENCH_DATA_MIRROR", f"http://127.0.0.1:{server.server_port}/mirror/")
    monkeypatch.setenv("no_proxy", "*")
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def quiz(monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source of our own in the table: one JSON array that becomes lines."""
    source = Source(
        name="quiz",
        file="quiz/rows.jsonl.gz",
        purpose="tests",
        licence="CC0-1.0",
        origin="example.org",
        revision="v1",
        base="http://127.0.0.1:9",
        downloads=(Download("deep/rows.json", len(BODY), SHA256),),
        convert=json_lines,
    )
    monkeypatch.setitem(SOURCES, "quiz", source)
    return source


def pull_quickly() -> sources.Found:
    return sources.pull("quiz", timeout_s=0.3, backoff_s=0.01)


def left_behind(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


def test_a_pull_checks_converts_and_notes(server, folder, quiz):
    found = pull_quickly()
    assert server.paths == ["/mirror/quiz/rows.json"]
    assert gzip.decompress(found.path.read_bytes()) == CONVERTED
    assert found.sha256 == hashlib.sha256(CONVERTED).hexdigest()
    assert (found.licence, found.source, found.revision) == ("CC0-1.0", "example.org", "v1")
    assert left_behind(folder) == ["manifest.json", "quiz/rows.jsonl.gz"]
    assert json.loads((folder / "manifest.json").read_text())["quiz/rows.jsonl.gz"] == {
        "sha256": found.sha256,
        "source": "example.org",
        "revision": "v1",
        "licence": "CC0-1.0",
    }
    assert sources.find("quiz") == found
    assert pull_quickly() == found
    assert len(server.paths) == 1, "what is here and verified is not fetched again"


@pytest.mark.parametrize(
    ("script", "says", "requests"),
    [
        (["wrong"], "is not the pinned file: its sha256 is", 1),
        (["long"], "is not the pinned file: it is longer than", 1),
        (["half"], f"broke off after {len(BODY) // 2} of {len(BODY)} bytes", 3),
        (["hang"], "timed out", 3),
        ([404], "HTTP 404", 1),
        ([500], "HTTP 500", 3),
    ],
)
def test_a_bad_answer_leaves_nothing(server, folder, quiz, script, says, requests):
    server.script = script
    with pytest.raises(MissingError, match=r"127\.0\.0\.1") as caught:
        pull_quickly()
    assert says in caught.value.message
    assert caught.value.hint
    assert len(server.paths) == requests
    assert left_behind(folder) == []
    with pytest.raises(MissingError):
        sources.find("quiz")


@pytest.mark.parametrize("script", [[500, 503, "good"], ["half", "good"], ["hang", "half", "good"]])
def test_a_passing_failure_is_tried_again(server, folder, quiz, script):
    server.script = script
    assert gzip.decompress(pull_quickly().path.read_bytes()) == CONVERTED


def test_nobody_answers(folder, quiz, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LCBENCH_DATA_MIRROR", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "*")
        with pytest.raises(MissingError, match=r"3 attempts.*refused"):
            pull_quickly()
    assert left_behind(folder) == []


def test_without_a_mirror_the_address_is_the_upstream_one(server, folder, quiz, monkeypatch):
    monkeypatch.delenv("LCBENCH_DATA_MIRROR")
    upstream = dataclasses.replace(quiz, base=f"http://127.0.0.1:{server.server_port}/upstream")
    monkeypatch.setitem(SOURCES, "quiz", upstream)
    pull_quickly()
    assert server.paths == ["/upstream/deep/rows.json"]


def test_a_folder_can_be_the_mirror(folder, quiz, tmp_path, monkeypatch):
    (tmp_path / "mirror" / "quiz").mkdir(parents=True)
    (tmp_path / "mirror" / "quiz" / "rows.json").write_bytes(BODY)
    monkeypatch.setenv("LCBENCH_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    assert gzip.decompress(pull_quickly().path.read_bytes()) == CONVERTED


def test_a_failed_pull_keeps_what_stood_there(server, folder, quiz, monkeypatch):
    before = pull_quickly()
    moved = dataclasses.replace(quiz, revision="v2", downloads=(Download("deep/rows.json", len(BODY), "0" * 64),))
    monkeypatch.setitem(SOURCES, "quiz", moved)
    with pytest.raises(MissingError, match="not the pinned file"):
        pull_quickly()
    assert gzip.decompress(before.path.read_bytes()) == CONVERTED
    assert sources.inspect("quiz").state == "unverified", "the note is of another revision"


PULL = """
from lcbench.data import convert, pinned, source, sources
rows = source.Download("deep/rows.json", {size}, "{sha256}")
quiz = source.Source(name="quiz", file="quiz/rows.jsonl.gz", purpose="", licence="", origin="", revision="v1",
                     base="", downloads=(rows,), convert=convert.json_lines)
pinned.SOURCES["quiz"] = quiz
sources.pull("quiz", timeout_s=30)
"""


def test_a_killed_pull_leaves_nothing_that_is_used(server, folder, quiz, root):
    server.script = ["hang"]
    code = PULL.format(size=len(BODY), sha256=SHA256)
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)})
    part = folder / "quiz" / ".rows.jsonl.gz.part"
    give_up = time.monotonic() + 15
    while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < give_up:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert left_behind(folder) == ["quiz/.rows.jsonl.gz.part"]
    assert sources.inspect("quiz").state == "missing"
    server.script = ["good"]
    assert gzip.decompress(pull_quickly().path.read_bytes()) == CONVERTED
    assert left_behind(folder) == ["manifest.json", "quiz/rows.jsonl.gz"]


def test_pulls_at_once_do_not_disturb_each_other(server, folder, quiz, monkeypatch):
    names = ["quiz", "quiz_b", "quiz_c"]
    for name in names[1:]:
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(quiz, name=name, file=f"quiz/{name}.jsonl.gz"))
    threads = [threading.Thread(target=sources.pull, args=(name,)) for name in names * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {sources.inspect(name).state for name in names} == {"verified"}
    assert len(json.loads((folder / "manifest.json").read_text())) == 3


def test_too_little_space(server, folder, quiz, monkeypatch):
    more = shutil.disk_usage(folder.parent).total
    huge = dataclasses.replace(quiz, downloads=(Download("deep/rows.json", more, SHA256),))
    monkeypatch.setitem(SOURCES, "quiz", huge)
    with pytest.raises(UsageError, match="are free"):
        pull_quickly()
    assert server.paths == []


def test_a_folder_that_cannot_be_written(server, quiz, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(UsageError, match="cannot store quiz") as caught:
        pull_quickly()
    assert "LCBENCH_DATA" in caught.value.hint
    assert server.paths == []


def test_a_read_only_folder(server, quiz, monkeypatch):
    uid = os.geteuid()
    with tempfile.TemporaryDirectory() as readable:
        monkeypatch.setenv("LCBENCH_DATA", readable)
        os.chmod(readable, 0o555)
        if uid == 0:  # root writes anywhere: become somebody else for a moment
            os.seteuid(65534)
        try:
            with pytest.raises(UsageError, match="Permission denied"):
                pull_quickly()
        finally:
            os.seteuid(uid)
    assert server.paths == []


def test_a_changed_file_is_refused(server, folder, quiz):
    path = pull_quickly().path
    path.write_bytes(gzip.compress(CONVERTED.replace(b"yes", b"no ")))
    with pytest.raises(UsageError, match="not the pinned file") as caught:
        sources.find("quiz")
    assert caught.value.hint == "lcbench data pull quiz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UsageError, match="cannot be decompressed"):
        sources.find("quiz")
    pull_quickly()
    assert sources.find("quiz").revision == "v1"


def test_another_compression_of_the_same_content_is_the_same_file(server, folder, quiz):
    found = pull_quickly()
    found.path.write_bytes(gzip.compress(CONVERTED, compresslevel=1, mtime=1))
    assert sources.find("quiz") == found


def test_a_file_put_there_by_hand(folder, quiz):
    (folder / "quiz").mkdir(parents=True)
    (folder / "quiz" / "rows.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    found = sources.find("essays", "quiz")
    assert (found.name, found.revision) == ("quiz", None)
    assert found.sha256 == hashlib.sha256(b"{}\n").hexdigest()


def test_what_is_missing_says_how_to_get_it(folder):
    with pytest.raises(MissingError, match=r"squad/dev-v2.0.json.gz.*xquad_en") as caught:
        sources.find("squad", "xquad_en")
    assert caught.value.hint == "lcbench data pull squad"
    with pytest.raises(MissingError, match="put it in place by hand"):
        sources.pull("hotpotqa_200")
    with pytest.raises(UsageError, match="no data source 'nosuch'"):
        sources.find("nosuch")


def test_every_source_is_pinned():
    for source in SOURCES.values():
        assert bool(source.downloads) == bool(source.convert) == bool(source.base) == (source.by_hand is None)
        assert len({download.filename for download in source.downloads}) == len(source.downloads)
        for download in source.downloads:
            assert (download.bytes is None) == (download.sha256 is None)
            if download.sha256 is None:
                assert re.search(r"/[0-9a-f]{40}$", source.base), "a commit stands for the hash"
            else:
                assert download.bytes > 0
                assert len(bytes.fromhex(download.sha256)) == 32
    assert len({source.file for source in SOURCES.values()}) == len(SOURCES)
    assert len(SOURCES["essays"].downloads) == 49


CONSTANTS = b'''
"""A module like the upstream one, in words of our own."""
raise SystemExit("this module is read, not run")
TASKS = {
    "find": {"tokens_to_generate": 8, "template": """Look for {query}:\\n{context}""", "answer_prefix": " It is"},
}
'''


def test_prompts_are_read_from_a_module_without_running_it(folder, monkeypatch):
    download = Download("a/constants.py", len(CONSTANTS), "ab" * 32)
    source = dataclasses.replace(SOURCES["ruler"], downloads=(download,), sha256=None)
    content = ruler_texts(source, {"a/constants.py": CONSTANTS})
    monkeypatch.setitem(SOURCES, "ruler", source)
    (folder / "texts").mkdir(parents=True)
    (folder / "texts" / "ruler.json").write_bytes(content)
    loaded = texts.load("ruler")
    assert loaded.strings["find"]["template"] == "Look for {query}:\n{context}"
    assert (loaded.source, loaded.revision) == ("github.com/NVIDIA/RULER", "c3f5e3b")
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
    assert json.loads(content)["files"] == {"a/constants.py": "ab" * 32}


@pytest.mark.parametrize("module", [b"OTHER = {}", b"TASKS = {}\nTASKS = {}", b"TASKS = dict(a=open('x'))"])
def test_prompts_that_are_not_one_literal_are_refused(module):
    with pytest.raises(ValueError, match=r"TASKS|malformed"):
        ruler_texts(SOURCES["ruler"], {"constants.py": module})


LABELS = b'TASK_LABELS = {"qa1": ["attic"]}\nother = 1'
PROMPTS = """
TASK_TEMPLATE = "{instruction}"
USER_TEMPLATE = "{context}"
DEFAULT_TEMPLATE = f"{TASK_TEMPLATE}{USER_TEMPLATE}"
DEFAULT_PROMPTS = {"qa1": {"instruction": "Say ’so’ " "twice."}}
raise SystemExit("this module is read, not run")
""".encode()


def test_prompts_of_the_other_benchmarks():
    files = {"b/prompts.py": PROMPTS, "b/metrics.py": LABELS}
    assert json.loads(babilong_texts(SOURCES["babilong"], files))["strings"] == {
        "TASK_TEMPLATE": "{instruction}",
        "USER_TEMPLATE": "{context}",
        "DEFAULT_PROMPTS": {"qa1": {"instruction": "Say ’so’ twice."}},
        "TASK_LABELS": {"qa1": ["attic"]},
    }
    with pytest.raises(ValueError, match="TASK_LABELS"):
        babilong_texts(SOURCES["babilong"], files | {"b/metrics.py": b""})
    document = json.loads(longbench_texts(SOURCES["longbench_v2"], {"p/0shot.txt": "$Q$ –".encode()}))
    assert (document["strings"], document["revision"]) == ({"0shot": "$Q$ –"}, "2e00731")


def test_the_other_converters():
    assert zip_member("a/b")(SOURCES["babi"], {"x": zipped({"a/b": b"1", "a/c": b"2"})}) == b"1"
    story = {"x/en/qa1_a_test.txt": b"1", "x/en/qa1_b_train.txt": b"2", "x/hn/qa1_a_test.txt": b"3"}
    with tarfile.open(fileobj=io.BytesIO(babi_archive(SOURCES["babi"], {"x": zipped(story)}))) as archive:
        assert archive.getnames() == ["en", "en/qa1_a_test.txt", "en/qa1_b_train.txt"]
    assert unchanged(SOURCES["squad"], {"x": b"\xff\x00"}) == b"\xff\x00"
    lines = essay_lines(SOURCES["essays"], {"d/b.txt": "é\n".encode(), "d/a.txt": b"two"})
    assert lines == b'{"id": "b", "text": "\\u00e9\\n"}\n{"id": "a", "text": "two"}'


def test_the_texts_at_hand_are_the_pinned_ones(shared, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    states = {status.name: status.state for status in sources.describe()}
    texts_and_data = ["ruler", "essays", "xquad_en", "babilong", "babi", "longbench_v2"]
    texts_and_data += ["gsm8k_test", "gsm8k_train", "math500", "squality"]
    assert {name: states[name] for name in texts_and_data} == dict.fromkeys(texts_and_data, "verified")
    by_hand = ["books", "longbench_v2_short", "longbench_v2_questions", "musique", "zero_scrolls_qmsum"]
    assert {name: states[name] for name in by_hand} == dict.fromkeys(by_hand, "unverified")
    assert sources.find("zero_scrolls_musique", "musique").name == "musique"


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the upstream of everything."""
    monkeypatch.setenv("LCBENCH_DATA_MIRROR", (tmp_path / "mirror").as_uri())
    return tmp_path / "mirror"


def put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_a_commit_in_the_address_can_stand_for_the_hash(folder, mirror):
    rows = b'{"id": "a", "input": "x", "output": "y"}\n'
    put(mirror / "zero_scrolls_qmsum", "qmsum.zip", zipped({"qmsum/validation.jsonl": rows, "qmsum/test.jsonl": b""}))
    found = sources.pull("zero_scrolls_qmsum")
    assert gzip.decompress(found.path.read_bytes()) == rows
    assert found.path == folder / "zero_scrolls" / "validation" / "qmsum.jsonl.gz"
    status = sources.inspect("zero_scrolls_qmsum")
    assert (status.state, status.download_bytes) == ("verified", None), "by the hash noted at pull"
    assert found.sha256 == hashlib.sha256(rows).hexdigest()
    found.path.write_bytes(gzip.compress(rows * 2))
    with pytest.raises(UsageError, match="not the pinned file"):
        sources.find("zero_scrolls_qmsum")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>", "not a zip file"),
        (zipped({"other/validation.jsonl": b""}), "no item named 'qmsum/validation.jsonl'"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing(folder, mirror, content, says):
    put(mirror / "zero_scrolls_qmsum", "qmsum.zip", content)
    with pytest.raises(MissingError, match=says):
        sources.pull("zero_scrolls_qmsum")
    assert left_behind(folder) == []


def test_content_that_is_not_the_pinned_one_leaves_nothing(server, folder, quiz, monkeypatch):
    monkeypatch.setitem(SOURCES, "quiz", dataclasses.replace(quiz, sha256="0" * 64))
    with pytest.raises(MissingError, match="the content made of it has sha256"):
        pull_quickly()
    assert left_behind(folder) == []


def test_an_unknown_size_is_the_announced_one(server, folder, quiz, monkeypatch):
    monkeypatch.setitem(SOURCES, "quiz", dataclasses.replace(quiz, downloads=(Download("deep/rows.json"),)))
    server.script = ["half"]
    with pytest.raises(MissingError, match=f"broke off after {len(BODY) // 2} of {len(BODY)} bytes"):
        pull_quickly()
    assert left_behind(folder) == []
    server.script = ["half", "good"]
    assert gzip.decompress(pull_quickly().path.read_bytes()) == CONVERTED
    with _exit(0, "list") as output:
        row = next(line for line in output.splitlines() if line.startswith("zero_scrolls_musique "))
    assert row.split()[1:3] == ["missing", "(n/a)"]


def test_babi_becomes_the_same_archive_everywhere(shared, folder, mirror):
    with tarfile.open(shared / "data" / "babi_en_and_en-10k.tar.gz") as archive:
        stories = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
    members = {f"tasks_1-20_v1-2/{name}": stories[name] for name in reversed(stories)}
    members["tasks_1-20_v1-2/en-10k/qa3_three-supporting-facts_train.txt"] = b"1 Left out.\n"
    members["tasks_1-20_v1-2/hn/qa1_single-supporting-fact_test.txt"] = b"1 Not English.\n"
    members["__MACOSX/tasks_1-20_v1-2/en/._qa1_single-supporting-fact_test.txt"] = b"\0"
    put(mirror / "babi", "tasks_1-20_v1-2.zip", zipped(members))
    assert sources.pull("babi").sha256 == SOURCES["babi"].sha256


@contextlib.contextmanager
def _exit(code: int, *arguments: str) -> Iterator[str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    yield result.output


def test_the_commands(server, folder, quiz):
    with _exit(1, "verify", "quiz") as output:
        assert output.split() == ["quiz", "missing"]
    with _exit(0, "pull", "quiz") as output:
        assert output == f"quiz: {folder}/quiz/rows.jsonl.gz (CC0-1.0)\n"
    with _exit(0, "verify") as output:
        assert output.split() == ["quiz", "verified"]
    with _exit(0, "list", "--format", "json") as output:
        rows = {row["name"]: row for row in json.loads(output)}
    assert rows["quiz"]["state"] == "verified"
    assert rows["quiz"]["bytes"] == (folder / "quiz" / "rows.jsonl.gz").stat().st_size
    assert (rows["ruler"]["state"], rows["ruler"]["bytes"], rows["ruler"]["licence"]) == ("missing", None, "Apache-2.0")
    with _exit(0, "list") as output:
        assert output.splitlines()[0].split() == ["name", "state", "size", "licence", "revision", "for"]
        assert len(output.splitlines()) == len(SOURCES) + 1
    (folder / "quiz" / "rows.jsonl.gz").write_bytes(b"not gzip")
    with _exit(1, "verify") as output:
        assert "cannot be decompressed" in output
