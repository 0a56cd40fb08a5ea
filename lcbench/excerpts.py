"""The part of a prompt that a reader wants to see beside its answer: around the evidence, else the end."""

from __future__ import annotations

from lcbench.records import Sample

AROUND = 160  # characters on each side of a piece of evidence
MOST = 4  # pieces
END = 320  # characters, where no evidence is known


def excerpts(sample: Sample) -> tuple[str, ...]:
    """The text around each piece of evidence in the last message, in the order of the text; overlapping ones joined."""
    text = sample.messages[-1]["content"]
    if not sample.evidence:
        return (text[-END:],)
    spans: list[tuple[int, int]] = []
    for piece in sorted(sample.evidence, key=lambda e: e.start)[:MOST]:
        start, end = max(0, piece.start - AROUND), min(len(text), piece.end + AROUND)
        if spans and start <= spans[-1][1]:
            before, until = spans.pop()
            start, end = before, max(until, end)
        spans.append((start, end))
    return tuple(text[start:end] for start, end in spans)
