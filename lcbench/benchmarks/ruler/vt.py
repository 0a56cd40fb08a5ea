"""RULER's variable tracking: a chain of assignments among noise lines; which variables hold the value?

params: num_hops. One whole example stands before the question. Source: NVIDIA/RULER c3f5e3b, variable_tracking.py.
"""

from __future__ import annotations

import random
import string
from itertools import pairwise

import numpy as np

from lcbench.benchmarks.base import Brief, Cell, fill, frame, redrawn
from lcbench.benchmarks.ruler.forms import NOISE
from lcbench.benchmarks.ruler.niah import Needles, insert
from lcbench.prompting import Context, Frame
from lcbench.records import Sample

EXAMPLE_TOKENS = 500


def chain(rng: random.Random, hops: int, letters: int) -> tuple[list[str], list[str], str]:
    """Different variable names, the lines that assign them in order, and the value they all hold."""
    names: dict[str, None] = {}
    while len(names) < hops + 1:
        names["".join(rng.choices(string.ascii_uppercase, k=letters))] = None
    order, value = list(names), str(rng.randint(10000, 99998))
    lines = [f"VAR {order[0]} = {value}\n"]
    lines += [f"VAR {new} = VAR {old} \n" for old, new in pairwise(order)]
    return order, lines, value


def among_noise(lines: list[str], counts: list[int] | None, noise: int | None, n: int, rng: random.Random) -> Context:
    """The lines of a chain, in order, among n noise lines."""
    at = sorted(rng.sample(range(n), len(lines)))
    known = noise is not None and counts is not None
    return insert([NOISE + "\n"] * n, np.full(n, noise) if known else None, at, Needles(lines, counts, "", []))


def example(brief: Brief, rng: random.Random) -> str:
    """A solved example of about 500 tokens, with its own names and value."""
    hops = brief.task.params["num_hops"]
    names, lines, value = chain(rng, hops, 3)
    template, prefix = brief.wording.template, brief.wording.answer_prefix
    places = rng.getrandbits(64)

    def text(n: int) -> str:
        context = "".join(among_noise(lines, None, None, n, random.Random(places)).pieces)
        return fill(template + prefix, context=context, query=value, num_v=str(hops + 1))

    n = hops + 1
    while brief.prompter.count(text(n + 1)) <= EXAMPLE_TOKENS:
        n += 1
    return text(n) + " " + " ".join(names) + "\n"


def open_cell(brief: Brief) -> Cell:
    """The samples of variable tracking at one length."""
    hops = brief.task.params["num_hops"]
    fitter = brief.fitter()
    measured = brief.prompter.measure([(NOISE + "\n",)] * 3)
    noise = None if measured is None else int(measured[0, 0])

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        shot = example(brief, rng)
        names, lines, value = chain(rng, hops, 5)
        counts = brief.prompter.measure([(line,) for line in lines])
        around, prefix = _frame(brief, shot, value, hops)
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            line_counts = None if counts is None else counts[:, 0].tolist()
            return among_noise(lines, line_counts, noise, n, random.Random(places + n))

        per_unit = float(noise or 24)
        context = fitter.fit(around, build, least=hops + 1, most=brief.length, per_unit=per_unit)
        return fitter.sample(
            id=brief.sample_id(index),
            task=brief.task.name,
            index=index,
            frame=around,
            context=context,
            answer_prefix=prefix,
            references=names,
            context_id=brief.sample_id(index),
        )

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)))


def _frame(brief: Brief, shot: str, value: str, hops: int) -> tuple[Frame, str]:
    template = shot.replace("{", "{{").replace("}", "}}") + "\n" + brief.wording.template
    return frame(brief, template, brief.wording.answer_prefix, query=value, num_v=str(hops + 1))
