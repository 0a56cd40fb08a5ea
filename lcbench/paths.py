"""Where files live: YAML shipped with the package, pulled models and pulled data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def shipped(kind: Literal["tasks", "configs"]) -> Path:
    """The folder of shipped YAML: inside an installed wheel, else beside the package in a checkout."""
    package = Path(__file__).parent
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def models_dir() -> Path:
    """Where pulled models live: `LCBENCH_MODELS`, else `lcbench/models` under the user's cache."""
    return _folder("LCBENCH_MODELS", "models")


def data_dir() -> Path:
    """Where pulled texts live: `LCBENCH_DATA`, else `lcbench/data` under the user's cache."""
    return _folder("LCBENCH_DATA", "data")


def _folder(variable: str, name: str) -> Path:
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "lcbench" / name
