"""RULER's variable tracking: a chain of assignments among noise lines; which variables hold the value?

params: num_hops. One whole example stands before the question. Source: NVIDIA/RULER c3f5e3b, variable_tracking.py.
"""

from __future__ import annotations

import random
import string
from itertools import pairwise

from lcbench.benchmarks.base import Brief, Cell, fill, frame, literal, redrawn
from lcbench.benchmarks.ruler.haystacks import Haystack, Needles, insert, noise
from lcbench.prompting import Context
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


def example(brief: Brief, rng: random.Random, haystack: Haystack) -> str:
    """A solved example of about 500 tokens, with its own names and value."""
    hops = brief.task.params["num_hops"]
    names, lines, value = chain(rng, hops, 3)
    template, prefix = brief.wording.template, brief.wording.answer_prefix
    places = rng.getrandbits(64)

    def text(n: int) -> str:
        context = "".join(insert(haystack, n, Needles(lines, None, [True] * len(lines)), random.Random(places)).pieces)
        return fill(template + prefix, context=context, query=value, num_v=str(hops + 1))

    n = hops + 1
    while brief.prompter.count(text(n + 1)) <= EXAMPLE_TOKENS:
        n += 1
    return text(n) + " " + " ".join(names) + "\n"


def open_cell(brief: Brief) -> Cell:
    """The samples of variable tracking at one length."""
    hops = brief.task.params["num_hops"]
    fitter = brief.fitter()
    haystack = noise(brief.prompter, brief.filled)

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        template = literal(example(brief, rng, haystack)) + "\n" + brief.wording.template
        names, lines, value = chain(rng, hops, 5)
        counts = brief.prompter.measure([(line,) for line in lines])
        needles = Needles(lines, None if counts is None else counts[:, 0].tolist(), [True] * len(lines))
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            return insert(haystack, n, needles, random.Random(places + n))

        around = frame(brief, template, brief.wording.answer_prefix, query=value, num_v=str(hops + 1))
        context = fitter.fit(around, build, least=hops + 1, most=haystack.most, per_unit=haystack.per_unit)
        return fitter.sample(index, around, context, names)

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)))
