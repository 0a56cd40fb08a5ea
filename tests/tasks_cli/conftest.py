"""The tiny model and the command line of the tests of the run, in an empty folder."""

from __future__ import annotations

from tests.run.conftest import alone, lcbench, tiny

__all__ = ["alone", "lcbench", "tiny"]
