"""Scorers by name: pure functions (completion, references) -> Score. A gold answer scores 1 and an empty one 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lcbench.records import Score
from lcbench.scoring import ruler

SCORERS: dict[str, Callable[[str, Sequence[str]], Score]] = {
    "ruler.match_all": ruler.match_all,
    "ruler.match_part": ruler.match_part,
}
