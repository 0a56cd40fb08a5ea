"""Where models and data are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcbench import paths


def test_shipped_yaml_of_a_checkout_stands_beside_the_package(root: Path) -> None:
    assert paths.shipped("tasks") == root / "tasks"
    assert paths.shipped("configs") == root / "configs"


@pytest.mark.parametrize(
    ("find", "variable", "name"),
    [(paths.models_dir, "LCBENCH_MODELS", "models"), (paths.data_dir, "LCBENCH_DATA", "data")],
)
def test_folders(find, variable: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert find() == tmp_path / ".cache/lcbench" / name
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert find() == Path("/var/cache/lcbench") / name
    monkeypatch.setenv(variable, "~/own")
    assert find() == tmp_path / "own"
