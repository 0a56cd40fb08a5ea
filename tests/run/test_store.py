"""The run folder: what a torn file keeps, who may write, and a disk without room."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcbench.errors import UsageError
from lcbench.records import BatchCost, Record
from lcbench.store import RunFolder, open_run
from tests.run.background import ROOT

SIZES = (3, 1, 4, 1)
TEXT = 'ends "here"\n\u2028 \r and \x85 there, é 漢 🙂'  # every kind of line end, inside


def batch(number: int) -> list[Record]:
    cost = asdict(BatchCost(SIZES[number], 10, 2, 0.5, 0.25, 1, None))
    rows = [f"{number}.{i}" for i in range(SIZES[number])]
    return [
        Record(
            f"key {r}",
            "cell",
            f"batch {number}",
            r,
            i,
            "builtin",
            10,
            2,
            TEXT,
            "eos",
            None,
            1.0,
            r,
            (),
            (r,),
            False,
            (),
            cost,
        )
        for i, r in enumerate(rows)
    ]


def contents(number: int) -> bytes:
    return "".join(json.dumps(asdict(r), ensure_ascii=False) + "\n" for r in batch(number)).encode()


WHOLE = b"".join(contents(n) for n in range(len(SIZES)))
ENDS = [sum(len(contents(n)) for n in range(k)) for k in range(len(SIZES) + 1)]
LINES = [i + 1 for i, byte in enumerate(WHOLE) if byte == ord("\n")]


def opened(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.load()
    return folder


def check_cut(cut: int) -> None:
    """After a crash that left `cut` bytes: exactly the whole batches are there, and computing the others gives the
    same file.
    """
    with TemporaryDirectory() as path:
        file = Path(path) / "samples.jsonl"
        file.write_bytes(WHOLE[:cut])
        folder = opened(Path(path))
        kept = sum(end <= cut for end in ENDS[1:])
        assert list(folder.batches) == [f"batch {n}" for n in range(kept)]
        assert file.read_bytes() == WHOLE[: ENDS[kept]]
        for number in range(kept, len(SIZES)):
            folder.append(batch(number))
        assert file.read_bytes() == WHOLE
        assert opened(Path(path)).batches == folder.batches


@given(st.integers(0, len(WHOLE)))
def test_a_torn_file_keeps_the_whole_batches(cut: int) -> None:
    check_cut(cut)


@pytest.mark.parametrize("cut", sorted({0, *ENDS, *LINES, *(e - 1 for e in LINES), *(e + 1 for e in LINES[:-1])}))
def test_a_file_torn_at_the_end_of_a_line(cut: int) -> None:
    check_cut(cut)


def test_zeros_behind_the_last_batch_are_cut_off(tmp_path: Path) -> None:
    """What some file systems leave where the power fails: the length has grown, the bytes have not come."""
    (tmp_path / "samples.jsonl").write_bytes(WHOLE[: ENDS[2]] + bytes(100))
    assert list(opened(tmp_path).batches) == ["batch 0", "batch 1"]
    assert (tmp_path / "samples.jsonl").read_bytes() == WHOLE[: ENDS[2]]


def test_a_split_is_remembered(tmp_path: Path) -> None:
    opened(tmp_path).split("batch 0", 2)
    assert opened(tmp_path).splits == {"batch 0": 2}


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("summary.json", {"old": 1})
    with pytest.raises(TypeError):
        folder.write("summary.json", {"new": [1] * 10_000, "unknown to JSON": object()})
    assert folder.read("summary.json") == {"old": 1}
    assert folder.read("nosuch.json") is None


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    with open_run(tmp_path, {"seed": 0, "lengths": ["4k"]}, 1, fresh=False) as folder:
        folder.write("run.json", {"identity": {"seed": 0, "lengths": ["4k"]}})
    with open_run(tmp_path, {"seed": 0, "lengths": ("4k",)}, 1, fresh=False):
        pass  # the same, before and after JSON
    with pytest.raises(UsageError, match=r'seed: 0 there, 1 now; system: null there, "Be brief." now') as told:
        open_run(tmp_path, {"seed": 1, "lengths": ["4k"], "system": "Be brief."}, 1, fresh=False).__enter__()
    assert "lengths" not in told.value.message
    assert "--fresh" in str(told.value.hint)


def test_of_what_lies_within_a_field_only_what_differs_is_named(tmp_path: Path) -> None:
    shots = {"source": "/a/long/way/to/a/file/of/solved/examples.jsonl", "sha256": "0" * 64}
    known = {"materials": {"t/data": {"source": "/d.jsonl", "sha256": "1" * 64}, "t/few_shot": shots}}
    with open_run(tmp_path, known, 1, fresh=False) as folder:
        folder.write("run.json", {"identity": known})
    asked = {"materials": {**known["materials"], "t/few_shot": {**shots, "sha256": "2" * 64}}}
    with pytest.raises(UsageError) as told:
        open_run(tmp_path, asked, 1, fresh=False).__enter__()
    assert f'(materials: t/few_shot: sha256: "{"0" * 64}" there, "{"2" * 64}" now)' in told.value.message


def test_fresh_starts_over(tmp_path: Path) -> None:
    with open_run(tmp_path, {"seed": 0}, 1, fresh=False) as folder:
        folder.write("run.json", {"identity": {"seed": 0}})
        folder.append(batch(0))
        folder.split("batch 1", 1)
    (tmp_path / "notes.txt").write_text("mine")
    with open_run(tmp_path, {"seed": 1}, 1, fresh=True) as folder:
        assert (folder.batches, folder.splits, folder.read("run.json")) == ({}, {}, None)
    assert (tmp_path / "notes.txt").read_text() == "mine"


HOLDER = """
import sys
from pathlib import Path
from lcbench.store import open_run
with open_run(Path(sys.argv[1]), {}, 0, fresh=False):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_write_one_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"is being written by process {holder.pid} on "):
            open_run(tmp_path, {}, 0, fresh=True).__enter__()
        holder.kill()
    with open_run(tmp_path, {}, 0, fresh=False):
        pass  # whoever is gone holds nothing


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which is a disk without room")
def test_a_full_disk_keeps_what_is_finished(tmp_path: Path) -> None:
    with open_run(tmp_path, {}, 1, fresh=False) as folder:
        folder.append(batch(0))
        file, aside = tmp_path / "samples.jsonl", tmp_path / "aside"
        file.rename(aside)
        file.symlink_to("/dev/full")
        with pytest.raises(UsageError, match="No space left on the disk") as told:
            folder.append(batch(1))
        assert "batch 1" not in folder.batches
        file.unlink()
        aside.rename(file)
    assert "run the same command again" in str(told.value.hint)
    assert list(opened(tmp_path).batches) == ["batch 0"]


def test_a_disk_without_room_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5000))
    with open_run(tmp_path, {}, 1, fresh=False):
        pass
    with pytest.raises(UsageError, match="5000 bytes free; 2 records need about"):
        open_run(tmp_path, {}, 2, fresh=False).__enter__()


def test_another_failure_to_write_is_not_called_a_full_disk(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "gone")
    with pytest.raises(OSError) as told:
        folder.append(batch(0))
    assert told.value.errno == errno.ENOENT


def test_starting_over_forgets_the_records_before_their_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two removals, no record of the old run is left without the run.json that says whose it is."""
    with open_run(tmp_path, {"seed": 0}, 1, fresh=False) as folder:
        folder.write("run.json", {"identity": {"seed": 0}})
        folder.append(batch(0))

    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        assert (tmp_path / "run.json").exists() or not (tmp_path / "samples.jsonl").exists()

    monkeypatch.setattr(Path, "unlink", killed)
    with open_run(tmp_path, {"seed": 1}, 1, fresh=True) as folder:
        assert folder.batches == {}
