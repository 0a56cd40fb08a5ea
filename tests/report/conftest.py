"""What the tests of the report share: a run of two mechanisms, its report, and a browser to open it in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lcbench.report.page import report, write
from lcbench.runs import Run, read_run
from tests.report import made

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,900",
)  # fmt: skip


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two mechanisms on three tasks at three lengths, with one sample that failed."""

    def change(row: dict[str, Any]) -> None:
        if row["cell"].startswith("lucid|ruler/vt:4096") and row["index"] == 3:
            row.update(finish="failed", completion=None, extracted=None, error="out of memory", score=0.0)

    return read_run(made.run_folder(tmp_path_factory.mktemp("runs") / "one", change=change))


@pytest.fixture(scope="session")
def figures(run: Run) -> dict[str, Any]:
    return report([run])[1]


@pytest.fixture(scope="session")
def page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "report.html"
    write(out, report([run])[0])
    return out


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, with what its console says kept."""
    webdriver = pytest.importorskip("selenium.webdriver")
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in found.items() if path is None]:
        pytest.skip(f"{' and '.join(missing)} not found (Debian: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(found["chromedriver"]))
    driver.set_script_timeout(30)
    yield driver
    driver.quit()
