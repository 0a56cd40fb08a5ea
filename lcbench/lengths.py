"""Lengths as people write them: `0k`, `4k`, `1M` (k = 1024, M = 1024 k) or plain integers of tokens."""

from __future__ import annotations

import re

from lcbench.errors import UsageError

K = 1024
_UNITS = {"": 1, "k": K, "m": K * K}


def parse_length(text: str | int) -> int:
    """`4k` -> 4096. Raises UsageError for anything else."""
    match = re.fullmatch(r"(\d+)([kKmM]?)", str(text).strip())
    if match is None:
        raise UsageError(f"{text!r} is not a length.", hint="write 512, 4k or 1M")
    return int(match[1]) * _UNITS[match[2].lower()]


def parse_lengths(text: str) -> tuple[int, ...]:
    """`4k,8k` -> (4096, 8192); nothing for an empty text."""
    return tuple(parse_length(part) for part in text.split(",") if text)


def show_length(tokens: int | None) -> str:
    """4096 -> `4k`, 1048576 -> `1M`, 1000 -> `1000`, 0 -> `0k`; a task without a length shows `-`."""
    if tokens is None:
        return "-"
    if tokens == 0:
        return "0k"
    if tokens and tokens % (K * K) == 0:
        return f"{tokens // (K * K)}M"
    if tokens and tokens % K == 0:
        return f"{tokens // K}k"
    return str(tokens)
