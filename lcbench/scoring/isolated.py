"""A function in a process of its own, for work that may hang, crash or eat the memory.

Neither a signal nor a thread can stop a power of integers or a regular expression that is under way; killing a process
can. The process starts with the first call, serves one call after the other, and is killed and replaced when one takes
too long. It is a fresh interpreter and no fork, so it holds no locks or GPU of ours.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from lcbench.errors import MissingError

MEMORY_BYTES = 2 << 30
START_SECONDS = 120.0
CALLS = 1000  # then a new process, so that caches inside cannot grow towards the memory limit
CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from lcbench.scoring import isolated; isolated.serve()"


class Sandbox:
    """`module:function`, called with JSON values in a worker process. `example` is a first call that warms it up."""

    def __init__(self, function: str, example: list[Any]):
        self.function = function
        self.example = example
        self.process: subprocess.Popen[bytes] | None = None
        self.calls = 0
        self.lock = threading.Lock()
        ALL.append(self)

    def call(self, *arguments: Any, timeout: float) -> tuple[Any, str | None]:
        """(what the function returned, None), or (None, why not): "timeout" or "worker died".

        A worker that dies is given a second chance with a new one, so that no verdict depends on the calls before it.
        """
        with self.lock:
            for _ in range(2):
                if self.calls >= CALLS:
                    self.stop()
                fresh = self.process is None
                if fresh:
                    self._start()
                answer = self._ask({"arguments": arguments, "timeout": timeout}, timeout)
                if answer is None:
                    self.stop()
                    return None, "timeout"
                if answer:
                    return answer["answer"], None
                self.stop()
                if fresh:
                    break
            return None, "worker died"

    def stop(self) -> None:
        """Kill the worker. The next call starts another."""
        process, self.process, self.calls = self.process, None, 0
        if process:
            process.kill()
            process.wait()
            _close(process)

    def forget(self) -> None:
        """After a fork, in the child: the worker is the parent's."""
        if self.process:
            _close(self.process)
            self.process.returncode = 0  # it is no child of ours to wait for
        self.process, self.calls, self.lock = None, 0, threading.Lock()

    def _start(self) -> None:
        command = [sys.executable, "-P", "-c", CODE, json.dumps(sys.path)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        ready = self._ask({"function": self.function, "example": self.example}, START_SECONDS)
        if not ready or "answer" not in ready:
            self.stop()
            why = ready["why"] if ready else "no answer"
            raise MissingError(f"The worker process of {self.function} did not start: {why}", "pip install lcbench")

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any] | None:
        """The worker's reply; {} where it died, None where the time is up."""
        try:
            return self._exchange(request, timeout)
        except BaseException:  # Ctrl-C between question and answer: the next question must not get this answer
            self.stop()
            raise

    def _exchange(self, request: dict[str, Any], timeout: float) -> dict[str, Any] | None:
        assert self.process and self.process.stdin and self.process.stdout
        deadline = time.monotonic() + timeout
        self.calls += 1
        try:
            line = memoryview(json.dumps(request).encode() + b"\n")
            while line:
                line = line[os.write(self.process.stdin.fileno(), line) :]
        except BrokenPipeError:
            return {}
        reply = b""
        poller = select.poll()
        poller.register(self.process.stdout, select.POLLIN)
        while not reply.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(left * 1000):
                return None
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                return {}
            reply += part
        return json.loads(reply)


ALL: list[Sandbox] = []


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def _stop_all() -> None:
    for sandbox in ALL:
        sandbox.stop()


def _forget_all() -> None:
    for sandbox in ALL:
        sandbox.forget()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)


def serve() -> None:
    """The worker: one line of JSON in, one out, until the input ends."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # what a library prints is no reply

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message).encode() + b"\n")

    first = json.loads(requests.readline())
    try:
        module, name = first["function"].split(":")
        function = getattr(importlib.import_module(module), name)
        reply({"answer": function(*first["example"])})
    except Exception as error:
        reply({"why": f"{type(error).__name__}: {error}"})
        return
    for line in requests:
        request = json.loads(line)
        # The parent kills us when the time is up. Should it be gone, this does: the default action ends the process.
        signal.setitimer(signal.ITIMER_REAL, request["timeout"] + 1)
        answer = function(*request["arguments"])  # an error ends the worker, which is an answer too
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply({"answer": answer})
