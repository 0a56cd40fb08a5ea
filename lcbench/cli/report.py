"""`lcbench report`: runs as one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is the baseline.", metavar="RUN..")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file.", metavar="FILE.html")] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(help="Write each figure here as PNG and SVG too.", metavar="DIR")
    ] = None,
) -> None:
    """Write one self-contained HTML file: figures, differences and a browser of every sample."""
    from lcbench.report.page import report, write
    from lcbench.runs import read_run

    page, data = report([read_run(path) for path in runs])
    write(out, page)
    print(out)
    if figures is not None:
        from lcbench.report import plots

        for file in plots.save(data, figures):
            print(file)
