"""`lcbench` in processes of their own, forked from one that has imported torch: real processes to kill, without the
wait.

Run as a script it reads commands, a JSON list each, forks a process for each, and prints its process id and its exit
code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Background:
    """Starts one command at a time. What they print goes to `log`."""

    def __init__(self, server: subprocess.Popen[str], log: Path):
        self.server = server
        self.log = log

    def start(self, *arguments: str | Path) -> int:
        """`lcbench ARGUMENTS`, started: its process id."""
        assert self.server.stdin is not None
        print(json.dumps([str(a) for a in arguments]), file=self.server.stdin, flush=True)
        return self._answer()

    def wait(self) -> int:
        """The exit code of what was started last, minus the signal where one ended it."""
        return self._answer()

    def _answer(self) -> int:
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, self.log.read_text()  # the server is gone
        return int(line)


@contextmanager
def background(log: Path) -> Iterator[Background]:
    """A server of commands that is ready: imports are done."""
    command = [sys.executable, "-m", "tests.run.background"]
    with log.open("w") as errors, subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as server:  # fmt: skip
        commands = Background(server, log)
        commands.start("--version")
        assert commands.wait() == 0, log.read_text()
        yield commands
        assert server.stdin is not None
        server.stdin.close()


def serve() -> None:
    import transformers.models.llama.modeling_llama  # noqa: F401

    import lcbench.runner  # noqa: F401
    from lcbench.cli import main

    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            sys.argv = ["lcbench", *json.loads(line)]
            main()
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
