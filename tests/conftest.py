"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

settings.register_profile("lcbench", deadline=None, derandomize=True)
settings.load_profile("lcbench")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Golden samples and the texts of benchmarks: `LCBENCH_SHARED`, else `../shared` beside the repository."""
    folder = Path(os.environ.get("LCBENCH_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no benchmark texts at {folder} (LCBENCH_SHARED)")
    return folder
