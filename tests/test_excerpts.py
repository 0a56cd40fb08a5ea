"""What of a prompt is kept beside its answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lcbench.excerpts import AROUND, END, MOST, excerpts
from lcbench.records import Evidence, Sample


def sample(text: str, spans: list[tuple[int, int]]) -> Sample:
    evidence = tuple(Evidence(start, end, 0.5) for start, end in spans)
    messages = ({"role": "user", "content": text},)
    return Sample("t:1:0", "t", None, 0, messages, "", ("x",), "c", 1, 1, evidence)


def test_the_end_where_no_evidence_is_known() -> None:
    assert excerpts(sample("a" * 1000 + "the question", [])) == (("a" * 1000 + "the question")[-END:],)


def test_neighbours_are_joined_and_distant_ones_are_not() -> None:
    text = "".join(chr(97 + i % 26) for i in range(5000))
    found = excerpts(sample(text, [(3000, 3010), (1000, 1010), (1100, 1110)]))
    assert found == (text[1000 - AROUND : 1110 + AROUND], text[3000 - AROUND : 3010 + AROUND])


@given(st.lists(st.integers(0, 3900), min_size=1, max_size=9), st.integers(1, 90))
def test_each_piece_is_in_one_excerpt(starts: list[int], size: int) -> None:
    text = "".join(f"{i:05d} " for i in range(700))
    found = excerpts(sample(text, [(s, s + size) for s in starts]))
    assert all(part in text for part in found)
    assert all(any(text[s : s + size] in part for part in found) for s in sorted(starts)[:MOST])
    assert sum(map(len, found)) <= MOST * (size + 2 * AROUND)
