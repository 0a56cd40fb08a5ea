"""The worker process: late, slow, dead, hungry, shared by threads, inherited by forks, and gone when its owner is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lcbench.errors import MissingError
from lcbench.scoring import isolated
from lcbench.scoring.isolated import Sandbox

PID = "__import__('os').getpid()"
ENDLESS = "9 ** 9 ** 9 ** 9"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    made = Sandbox("builtins:eval", ["1"])
    yield made
    made.stop()
    isolated.ALL.remove(made)


def ask(box: Sandbox, code: str, timeout: float = 30.0) -> object:
    answer, failure = box.call(code, timeout=timeout)
    return failure or answer


def test_it_starts_late_and_stays(box: Sandbox) -> None:
    assert box.process is None
    assert ask(box, PID) == ask(box, PID) == box.process.pid != os.getpid()


def test_a_slow_call_is_killed_and_the_next_one_served(box: Sandbox) -> None:
    first = ask(box, PID)
    start = time.monotonic()
    assert ask(box, ENDLESS, timeout=0.5) == "timeout"
    assert time.monotonic() - start < 10
    assert ask(box, PID) != first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


@pytest.mark.parametrize("code", ["__import__('os')._exit(3)", "1 / 0", "bytearray(3 << 30)", "object()"])
def test_death_is_told(box: Sandbox, code: str) -> None:
    ask(box, PID)
    assert ask(box, code) == "worker died"
    assert ask(box, "40 + 2") == 42


def test_a_worker_that_died_between_calls_costs_nobody_a_verdict(box: Sandbox) -> None:
    os.kill(ask(box, PID), 9)
    assert ask(box, "40 + 2") == 42


def test_ctrl_c_is_not_for_it(box: Sandbox) -> None:
    assert os.getpgid(ask(box, PID)) != os.getpgid(0)


def test_it_is_replaced_after_many_calls(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "CALLS", 3)
    assert len({ask(box, PID) for _ in range(6)}) > 1


def test_prints_are_no_replies(box: Sandbox) -> None:
    assert ask(box, "print('{}') or 5") == 5


def test_large_texts_pass(box: Sandbox) -> None:
    text = "\ud800\0" * 500_000
    assert box.call(f"len({text!r})", timeout=60.0) == (1_000_000, None)
    assert ask(box, "'x' * 1_000_000") == "x" * 1_000_000


def test_threads_share_it(box: Sandbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda n: ask(box, f"{n} * 2"), range(100))) == [2 * n for n in range(100)]


def test_a_fork_has_its_own(box: Sandbox) -> None:
    ours = ask(box, PID)
    child = os.fork()
    if child == 0:
        theirs = ask(box, PID)
        box.stop()
        os._exit(0 if isinstance(theirs, int) and theirs != ours else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ask(box, PID) == ours


def test_an_interrupted_question_leaves_no_answer_behind(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(box, PID)
    real = box._exchange

    def interrupted(request: dict, timeout: float) -> None:
        os.write(box.process.stdin.fileno(), b'{"arguments": ["1"], "timeout": 9}\n')
        raise KeyboardInterrupt

    monkeypatch.setattr(box, "_exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        box.call("1", timeout=1.0)
    monkeypatch.setattr(box, "_exchange", real)
    assert ask(box, "2") == 2


def test_what_cannot_start_says_why() -> None:
    for function in ("lcbench_no_such_module:f", "os:no_such_function"):
        box = Sandbox(function, [])
        with pytest.raises(MissingError, match="no_such"):
            box.call(timeout=1.0)
        isolated.ALL.remove(box)


@pytest.mark.parametrize(
    "end",
    [
        "",  # a normal end
        "os._exit(0)",  # nobody cleans up: the worker's input ends
        "threading.Thread(target=lambda: box.call(endless, timeout=1.0)).start(); time.sleep(0.5); os._exit(0)",
    ],
)
def test_it_goes_when_its_owner_goes(end: str, root: Path) -> None:
    code = f"""
import os, threading, time
from lcbench.scoring.isolated import Sandbox
box, endless = Sandbox("builtins:eval", ["1"]), {ENDLESS!r}
print(box.call({PID!r}, timeout=30.0)[0], flush=True)
{end}
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    worker = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{worker}/cmdline").exists() or not Path(f"/proc/{worker}/cmdline").read_bytes():
            return  # gone, or dead and not yet waited for
        time.sleep(0.1)
    pytest.fail("the worker outlives its owner")
