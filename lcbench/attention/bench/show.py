"""What a bench prints: a table for people, one JSON document for programs."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from lcbench import __version__
from lcbench.attention.bench import Bench, Row
from lcbench.lengths import show_length


def as_json(bench: Bench, command: str) -> dict[str, Any]:
    """{"ok", "command", "machine", "versions", "options", "ceilings", "rows"}; a row has the fields of `Row`, its
    name as "pass", and null where there is no figure.
    """
    options = asdict(bench.options) | {"dtype": str(bench.options.dtype).removeprefix("torch.")}
    return {
        "ok": bench.ok,
        "command": command,
        "machine": machine(),
        "versions": versions(),
        "options": options,
        "ceilings": bench.ceilings,
        "rows": [{"pass": row.name, **{k: v for k, v in asdict(row).items() if k != "name"}} for row in bench.rows],
    }


def machine() -> dict[str, Any]:
    """The GPU, its multiprocessors and its driver; null where there is none."""
    if not torch.cuda.is_available():
        return {"gpu": None, "multiprocessors": None, "driver": None, "cpu": platform.machine()}
    device = torch.cuda.get_device_properties(0)
    multiprocessors = device.multi_processor_count
    return {"gpu": device.name, "multiprocessors": multiprocessors, "driver": _driver(), "cpu": platform.machine()}


def versions() -> dict[str, str | int | None]:
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = None
    cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    return {
        "torch": torch.__version__,
        "triton": triton,
        "cuda": torch.version.cuda,
        "cudnn": cudnn,
        "lcbench": __version__,
    }


def head_line(bench: Bench) -> str:
    """The machine, what is timed, and the ceilings that fractions are of."""
    options, here, made = bench.options, machine(), versions()
    dtype = str(options.dtype).removeprefix("torch.")
    return (
        f"{here['gpu'] or 'no GPU'}, torch {made['torch']}, triton {made['triton'] or 'n/a'}; {dtype}, "
        f"{options.q_heads} query and {options.kv_heads} KV heads of {options.size}, {options.keys} keys\n"
        f"ceilings of this run: {bench.ceilings['tflops']:.0f} TFLOP/s (bfloat16 product), "
        f"{bench.ceilings['tbps']:.2f} TB/s (copy, read + write)"
    )


def as_table(bench: Bench) -> str:
    """A block for each pass and shape, a line for each contender; what was not run stands below with the reason."""
    blocks: dict[tuple[str, int, int], list[Row]] = {}
    for row in bench.rows:
        blocks.setdefault((row.name, row.batch, row.tokens), []).append(row)
    text = [head_line(bench)]
    for (name, batch, tokens), rows in blocks.items():
        text += ["", f"{name}, batch {batch}, {show_length(tokens)} tokens", *_block(rows)]
    text += [
        "",
        "a preconditioner's ratio to softmax attention is (it + softmax) / softmax; error and bound: see attn check",
    ]
    if not bench.ok:
        text.append("FAILED: something above is wrong, and has no speed")
    return "\n".join(text)


def line(row: Row) -> str:
    """One finished row, while others are running."""
    where = f"{row.name} batch {row.batch} {show_length(row.tokens)} {row.attn} {row.impl}"
    return f"{where}: {row.note or f'{row.ms:.3f} ms'}"


def _block(rows: list[Row]) -> list[str]:
    peers = list(dict.fromkeys(name for row in rows for name in row.ratios))
    shown = [row for row in rows if row.ms is not None or row.ok is False]
    cells = [["", "ms", "rate", "of ceiling", "error", "bound", "check", *(f"/ {name}" for name in peers)]]
    for row in shown:
        ratios = [_number(row.ratios.get(name), ".2f") for name in peers]
        verdict = {True: "ok", False: "WRONG", None: "none"}[row.ok]
        share = "n/a" if row.of_ceiling is None else f"{row.of_ceiling:.0%}"
        errors = [_number(row.error, ".1e"), _number(row.bound, ".1e")]
        cells.append([f"{row.attn} {row.impl}", _number(row.ms, ".3f"), _rate(row), share, *errors, verdict, *ratios])
    widths = [max(len(each[column]) for each in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip() for each in cells]
    return [*lines, *(f"{row.attn} {row.impl}: {row.note}" for row in rows if row.note)]


def _rate(row: Row) -> str:
    if row.tflops is not None:
        return f"{row.tflops:.0f} TFLOP/s"
    return "n/a" if row.tbps is None else f"{row.tbps:.2f} TB/s"


def _number(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def _driver() -> str | None:
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None
