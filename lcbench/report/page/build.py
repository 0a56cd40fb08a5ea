"""Runs -> one self-contained HTML file.

Whatever comes from a run is JSON in a data block: the page makes text nodes of it, never markup. The policy in the
page's head lets its own script and style run, by their hashes, and no request leave.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from string import Template
from typing import Any

from lcbench.report.page.samples import packed

Row = dict[str, Any]
SCRIPTS = ("dom.js", "charts.js", "heat.js", "samples.js", "sections.js")


def page(figures: Row, items: list[Row]) -> str:
    """The file's text, ASCII alone where it comes from a run."""
    style, script = resource("page.css"), "\n".join(resource(name) for name in SCRIPTS)
    policy = "; ".join([
        "default-src 'none'",
        f"script-src '{digest(script)}'",
        f"style-src '{digest(style)}'",
        "base-uri 'none'",
        "form-action 'none'",
    ])  # fmt: skip
    return Template(resource("page.html")).substitute(
        policy=policy, style=style, script=script, figures=as_block(figures), samples=packed(items)
    )


def resource(name: str) -> str:
    return (files("lcbench.report.page") / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def as_block(content: Any) -> str:
    """JSON for a <script> element: without `<` there is no end tag and no comment in it."""
    return json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
