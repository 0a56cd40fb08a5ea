"""RULER's eight needle-in-a-haystack tasks: keys hold values, somewhere in noise, essays or other needles.

params: haystack noise|essay|needle, keys words|uuids, values numbers|uuids, num_k, num_v, num_q (needles, values a key,
keys asked). Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/niah.py.
"""

from __future__ import annotations

import random

from lcbench.benchmarks.base import Brief, Cell, frame, redrawn
from lcbench.benchmarks.ruler.forms import needle, pool, prose
from lcbench.benchmarks.ruler.haystacks import LINE, Haystack, Needles, anywhere, insert, noise, sentences
from lcbench.prompting import Context
from lcbench.records import Sample

SINGULAR = (("Some", "A"), ("are all", "is"), ("are", "is"), ("answers", "answer"))


class Distractors:
    """A haystack of needles of the same form: pairs of keys and values from the pools, whose tokens are measured
    once.
    """

    def __init__(self, brief: Brief, keys: list[str], values: list[str], asked: int):
        lines = [needle(brief.task.params["values"], k, v) for k, v in zip(keys, values, strict=True)]
        self.key_halves = [fixed + key for fixed, key, _ in lines]
        self.value_halves = [value + "\n" for _, _, value in lines]
        self.counts = brief.prompter.measure([(a, b, c + "\n") for a, b, c in lines])
        if self.counts is not None and (self.counts[:, 0] != self.counts[0, 0]).any():
            self.counts = None
        shortest = 8 if self.counts is None else int(self.counts.min(axis=0).sum())
        self.most = min(brief.filled // shortest + 1, len(keys) - asked)

    def haystack(self, keys: list[int], values: list[int]) -> Haystack:
        """The needles of these keys and values, in this order."""
        lines = [self.key_halves[k] + self.value_halves[v] for k, v in zip(keys, values, strict=True)]
        if self.counts is None:
            return Haystack(lambda n: (lines[:n], None), anywhere, LINE, len(lines))
        counts = self.counts[0, 0] + self.counts[keys, 1] + self.counts[values, 2]
        return Haystack(lambda n: (lines[:n], counts[:n]), anywhere, counts, len(lines))


def draw(
    brief: Brief, rng: random.Random, keys: list[str], values: list[str], join: str
) -> tuple[Needles, str, list[str]]:
    """Needles for these keys, each with its values, the keys that are asked about, and their values."""
    p = brief.task.params
    pairs = [(k, values[i * p["num_v"] + j]) for i, k in enumerate(keys) for j in range(p["num_v"])]
    rng.shuffle(pairs)
    parts = [needle(p["values"], k, v) for k, v in pairs]
    units = [(" " + a, b, c) if join == " " else (a, b, c + "\n") for a, b, c in parts]
    counts = brief.prompter.measure(units)
    asked = rng.sample(range(len(keys)), p["num_q"])
    names = [keys[i] for i in asked]
    tokens = None if counts is None else counts.sum(axis=1).tolist()
    needles = Needles(["".join(u) for u in units], tokens, [k in names for k, _ in pairs])
    query = ", ".join(names[:-1]) + ", and " + names[-1] if len(names) > 1 else names[0]
    return needles, query, [v for i in asked for v in values[i * p["num_v"] : (i + 1) * p["num_v"]]]


def open_cell(brief: Brief) -> Cell:
    """The samples of one needle task at one length."""
    p = brief.task.params
    num_k, total = p["num_k"], p["num_k"] * p["num_v"]
    singular = p["num_q"] * p["num_v"] == 1
    template, prefix = brief.wording.template, brief.wording.answer_prefix
    for plural, single in SINGULAR if singular else ():
        template, prefix = template.replace(plural, single), prefix.replace(plural, single)
    type_v = p["values"][:-1] if singular else p["values"]
    size = 1 << max(10, (brief.filled // 8).bit_length() - 1)
    keys, values = pool(p["keys"], size), pool(p["values"], size)
    fitter = brief.fitter()
    materials, distractors, around = {}, None, None
    if p["haystack"] == "needle":
        distractors = Distractors(brief, keys, values, total)
    elif p["haystack"] == "noise":
        around = noise(brief.prompter, brief.filled)
    else:
        text = prose(brief.prompter, brief.wording.prompt, brief.filled)
        around = sentences(text, brief.filled)
        materials["haystack"] = {"source": text.name, "sha256": text.sha256}

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        others = distractors.most if distractors else 0
        drawn_k, drawn_v = rng.sample(range(size), num_k + others), rng.sample(range(size), total + others)
        needles, query, answers = draw(
            brief,
            rng,
            [keys[i] for i in drawn_k[:num_k]],
            [values[i] for i in drawn_v[:total]],
            " " if p["haystack"] == "essay" else "\n",
        )
        haystack = around or distractors.haystack(drawn_k[num_k:], drawn_v[total:])  # type: ignore[union-attr]
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            return insert(haystack, n, needles, random.Random(places + n))

        edges = frame(brief, template, prefix, type_needle_v=type_v, query=query)
        context = fitter.fit(edges, build, least=total, most=haystack.most, per_unit=haystack.per_unit)
        return fitter.sample(index, edges, context, answers)

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)), materials=materials)
