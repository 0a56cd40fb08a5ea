"""The cache beside the runs changes how long a call takes, and nothing else."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lcbench.leaderboard import Filters, cache, leaderboard, read
from lcbench.leaderboard.board import Board
from lcbench.leaderboard.cache import NAME, open_cache
from tests.leaderboard.conftest import ruler, run


def board(folder: Path) -> Board:
    return leaderboard(read([folder]), Filters(), each_task=False)


def anew(folder: Path) -> Board:
    """The board without a cache."""
    (folder / NAME).unlink(missing_ok=True)
    return board(folder)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    run(folder / "a", ruler({4096: 1.0, 8192: 0.9}))
    run(folder / "deep/b", {("gsm8k", None): [1.0, 0.0, None]}, attn="lucid", prompt="task")
    return folder


def same_runs(folder: Path) -> None:
    """What the cache holds is what the files hold, to the last verdict."""
    kept = open_cache(folder)
    assert not kept.stale
    (folder / NAME).rename(folder / "aside")
    read_again = open_cache(folder)
    (folder / "aside").rename(folder / NAME)
    assert list(kept.sources) == list(read_again.sources)
    for a, b in zip(kept.sources.values(), read_again.sources.values(), strict=True):
        assert (a.label, a.stamp, a.model, a.weights, a.settings, a.cells) == (
            b.label, b.stamp, b.model, b.weights, b.settings, b.cells,
        )  # fmt: skip
        assert [list(v.values) for v in a.verdicts] == [list(v.values) for v in b.verdicts]
        assert [list(v.contexts) for v in a.verdicts] == [list(v.contexts) for v in b.verdicts]


def test_a_second_call_reads_no_run_and_says_the_same(tree: Path) -> None:
    first = board(tree)
    same_runs(tree)
    before = (tree / NAME).stat().st_mtime_ns
    assert board(tree) == first
    assert (tree / NAME).stat().st_mtime_ns == before
    for path in tree.rglob("samples.jsonl"):  # size and time stay: nothing but the cache can know what was there
        stat = path.stat()
        path.write_bytes(b"x" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert board(tree) == first


def test_a_changed_run_is_read_again_and_the_others_are_not(tree: Path) -> None:
    board(tree)
    other = (tree / "a/samples.jsonl").stat()
    (tree / "a/samples.jsonl").write_bytes(b"x" * other.st_size)
    os.utime(tree / "a/samples.jsonl", ns=(other.st_atime_ns, other.st_mtime_ns))
    shutil.rmtree(tree / "deep/b")
    run(tree / "deep/b", {("gsm8k", None): [1.0, 1.0, 1.0]}, attn="lucid", prompt="task")
    scores = {line["name"]: line["score"] for line in board(tree).lines}
    assert scores["gsm8k"] == 100
    assert scores["ruler, 13 tasks"] is not None


@pytest.mark.parametrize("change", ["added", "removed", "moved"])
def test_runs_come_and_go(tree: Path, change: str) -> None:
    board(tree)
    if change == "added":
        run(tree / "c", {("gsm8k", None): [1.0]}, prompt="task")
    elif change == "removed":
        shutil.rmtree(tree / "deep")
    else:
        (tree / "deep").rename(tree / "elsewhere")
    made = board(tree)
    same_runs(tree)
    assert made == anew(tree)


@pytest.mark.parametrize("size", [0, 7, 100, 3000, -1])
def test_a_cache_cut_short_is_made_anew(tree: Path, size: int) -> None:
    first = board(tree)
    path = tree / NAME
    path.write_bytes(path.read_bytes()[:size])
    assert board(tree) == first
    same_runs(tree)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_damaged_cache_is_made_anew(tree: Path, place: int) -> None:
    first = board(tree)
    data = bytearray((tree / NAME).read_bytes())
    data[(place * len(data)) // 4 + 50] ^= 0x10
    (tree / NAME).write_bytes(data)
    assert open_cache(tree).stale
    assert board(tree) == first
    same_runs(tree)


def test_the_cache_of_another_version_is_made_anew(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.setattr(cache, "FORMAT", "lcbench 0.0.1: task")
        first = board(tree)
        assert not open_cache(tree).stale
    assert open_cache(tree).stale
    assert board(tree) == first
    same_runs(tree)


def test_a_folder_without_runs_has_a_cache_that_can_be_read(tree: Path) -> None:
    (tree / "empty").mkdir()
    for _ in range(2):
        found = read([tree / "a", tree / "empty"])
        assert leaderboard(found, Filters(), each_task=False).lines
    assert (tree / "empty" / NAME).exists()


def test_local_runs_that_are_read_too_are_not_told_as_left_out(tree: Path) -> None:
    run(tree / "runs/mine", {("gsm8k", None): [1.0]}, prompt="task")
    assert read([tree, tree / "runs"]).messages == ["3 runs, 212 samples"]


def test_a_damaged_run_is_left_out_and_told(tree: Path) -> None:
    (tree / "a/summary.json").write_text("{", encoding="utf-8")
    found = read([tree])
    assert found.damaged == 1
    assert any("summary.json is damaged" in message for message in found.messages)
    assert {line["name"] for line in leaderboard(found, Filters(), each_task=False).lines} == {"gsm8k"}


def test_a_file_that_is_not_there_or_not_a_record_leaves_its_run_out(tree: Path) -> None:
    run(tree / "c", {("gsm8k", None): [1.0]}, prompt="task")
    (tree / "c/samples.jsonl").write_text("{}\n", encoding="utf-8")
    (tree / "a/samples.jsonl").unlink()
    (tree / "a/samples.jsonl").symlink_to("nowhere")
    found = read([tree])
    assert found.damaged == 2
    assert [m.partition(".")[0] for m in found.messages[:2]] == ["a is left out", "c is left out"]
    assert [s.label for e in found.rows for s in e.sources] == ["deep/b"]


def test_an_unfinished_run_and_local_runs_are_left_out_and_told(tree: Path) -> None:
    (tree / "a/summary.json").unlink()
    run(tree / "runs/mine", {("gsm8k", None): [1.0]}, prompt="task")
    found = read([tree])
    assert [s.label for e in found.rows for s in e.sources] == ["deep/b"]
    assert any(str(tree / "runs") in message for message in found.messages)
    assert any("not come to its end" in message for message in found.messages)
    assert [s.label for e in read([tree / "runs"]).rows for s in e.sources] == ["mine"]


SCRIPT = """
import sys
from pathlib import Path
from lcbench.leaderboard import Filters, leaderboard, read
found = read([Path(sys.argv[1])])
print(leaderboard(found, Filters(), each_task=False).lines)
print(found.messages)
"""


def test_a_folder_that_cannot_be_written_to_works_without_a_cache(tree: Path) -> None:
    """A limit on the size of files stands for a full disk: the cache is larger, and nothing of it is left behind."""

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    asked = subprocess.run(
        [sys.executable, "-B", "-c", SCRIPT, str(tree)], capture_output=True, text=True, preexec_fn=small_files
    )
    assert asked.returncode == 0, asked.stderr
    assert "keeps no cache" in asked.stdout and "ruler, 13 tasks" in asked.stdout
    assert not list(tree.glob(f"{NAME}*"))


def test_a_read_only_folder_works_without_a_cache(tree: Path) -> None:
    tree.chmod(0o555)
    if os.access(tree, os.W_OK):  # the superuser writes anywhere
        tree.chmod(0o755)
        pytest.skip("this user can write into read-only folders")
    try:
        found = read([tree])
        assert leaderboard(found, Filters(), each_task=False).lines
        assert any("keeps no cache" in message for message in found.messages)
    finally:
        tree.chmod(0o755)


def test_a_kill_at_any_moment_leaves_a_cache_that_is_whole_or_none(tree: Path) -> None:
    expected = board(tree)
    writes = """
import sys
from pathlib import Path
from lcbench.leaderboard.cache import open_cache
cache = open_cache(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    cache.stale = True
    cache.keep()
"""
    for wait in (0.0, 0.011, 0.023, 0.037):
        writer = subprocess.Popen([sys.executable, "-c", writes, str(tree)], stdout=subprocess.PIPE)
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        time.sleep(wait)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        same_runs(tree)
        assert board(tree) == expected
