"""What the wheel puts on a machine, and that it works there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.build import build_wheel

from lcbench import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this checkout, and nothing else, installed into it."""
    built, target = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("target")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        wheel = built / build_wheel(str(built))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


def test_top_level_names(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    assert names == {"lcbench", "lcbench_kernels", f"lcbench-{__version__}.dist-info", "bin"}
    assert [path.name for path in (installed / "bin").iterdir()] == ["lcbench"]


@pytest.mark.parametrize("kind", ["tasks", "configs"])
def test_the_yaml_is_inside(installed: Path, kind: str) -> None:
    written = {path.relative_to(ROOT / kind) for path in (ROOT / kind).rglob("*.yaml")}
    shipped = installed / "lcbench/shipped" / kind
    assert written
    assert {path.relative_to(shipped) for path in shipped.rglob("*.yaml")} == written


def test_all_modules_and_nothing_but_the_package_are_inside(installed: Path) -> None:
    for package, source in {"lcbench": ROOT / "lcbench", "lcbench_kernels": ROOT / "kernels/lcbench_kernels"}.items():
        inside = {path.relative_to(installed / package) for path in (installed / package).rglob("*.py")}
        assert inside == {path.relative_to(source) for path in source.rglob("*.py")}
    assert not [path for path in installed.rglob("*") if "test" in path.name]


def test_it_runs_from_there(installed: Path, tmp_path: Path) -> None:
    """Shipped files come from the wheel, not from a checkout that happens to be importable too."""
    code = (
        "import lcbench_kernels, lcbench.paths as p; "
        "print(p.__file__, lcbench_kernels.__file__, p.shipped('tasks'), p.shipped('configs'))"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(installed)) for path in done.stdout.split())
    version = subprocess.run(
        [sys.executable, installed / "bin/lcbench", "--version"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (version.returncode, version.stdout) == (0, f"lcbench {__version__}\n")
