"""Runs -> rows of the leaderboard: model x attention x strategy x prompt source, under one configuration.

Runs of one configuration complete one another: 4k from one, 8k from another. Nothing is pooled: where two runs have the
same cell, or a task in another edition, the later one stands in a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lcbench.leaderboard.records import Verdicts
from lcbench.leaderboard.sources import Row, Source
from lcbench.seeds import digest

Place = tuple[str, int | None]  # task, length


@dataclass
class Entry:
    """One row. weights and settings: as in `Source`; weights_id: a digest of the first; copy: how many rows of the same
    configuration come before it.
    """

    model: str
    attn: str | None
    strategy: str | None
    prompt: str
    weights: Row
    weights_id: str
    settings: Row
    trained: str | None
    copy: int
    sources: list[Source] = field(default_factory=list)
    cells: dict[Place, tuple[Row, Verdicts]] = field(default_factory=dict)
    editions: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join(x or "n/a" for x in (self.model, self.attn, self.strategy, self.prompt))

    @property
    def untrained(self) -> bool:
        """Whether the weights were trained under another mechanism."""
        return None not in (self.attn, self.trained) and _mechanism(self.attn) != _mechanism(self.trained)

    def lengths(self, tasks: Sequence[str]) -> list[int | None]:
        """The lengths at which the row has any of these tasks."""
        return list(dict.fromkeys(length for task, length in self.cells if task in tasks))

    def edition(self, tasks: Sequence[str]) -> str:
        """That of several tasks together: the version where it is one, and a digest of all."""
        editions = [self.editions.get(task) for task in tasks]
        versions = {e.partition(",")[0] for e in editions if e}
        return f"{versions.pop() if len(versions) == 1 else 'several versions'}, {digest(editions)[:8]}"

    def takes(self, cells: list[tuple[Row, Verdicts]]) -> bool:
        """Whether none of these cells is there, nor a task of theirs in another edition."""
        return all(
            (c["task"], c["length"]) not in self.cells and self.editions.get(c["task"], c["edition"]) == c["edition"]
            for c, _ in cells
        )

    def add(self, source: Source, cells: list[tuple[Row, Verdicts]]) -> None:
        self.sources.append(source)
        for cell, verdicts in cells:
            self.cells[cell["task"], cell["length"]] = cell, verdicts
            self.editions[cell["task"]] = cell["edition"]


def _mechanism(spec: str | None) -> str:
    return (spec or "").partition(":")[0]


def entries(sources: Iterable[Source]) -> list[Entry]:
    """The rows, in the order of their names."""
    known: dict[tuple[Any, ...], list[Entry]] = {}
    for source in sources:
        weights = digest(source.weights)
        about = (source.kind, source.model, weights, digest(source.settings), source.trained)
        for (attn, strategy, prompt), cells in _parts(source):
            copies = known.setdefault((*about, attn, strategy, prompt), [])
            entry = next((e for e in copies if e.takes(cells)), None)
            if entry is None:
                entry = Entry(
                    model=source.model,
                    attn=attn,
                    strategy=strategy,
                    prompt=prompt,
                    weights=source.weights,
                    weights_id=weights,
                    settings=source.settings,
                    trained=source.trained,
                    copy=len(copies),
                )
                copies.append(entry)
            entry.add(source, cells)
    return sorted((e for copies in known.values() for e in copies), key=lambda e: (e.name, e.sources[0].label))


def _parts(source: Source) -> Iterator[tuple[tuple[Any, ...], list[tuple[Row, Verdicts]]]]:
    """A run's cells by attention, strategy and prompt source."""
    parts: dict[tuple[Any, ...], list[tuple[Row, Verdicts]]] = {}
    for cell, verdicts in zip(source.cells, source.verdicts, strict=True):
        parts.setdefault((cell["attn"], cell["strategy"], cell["prompt"]), []).append((cell, verdicts))
    yield from parts.items()
