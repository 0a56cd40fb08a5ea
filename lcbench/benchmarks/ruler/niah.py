"""RULER's eight needle-in-a-haystack tasks: keys hold values, somewhere in noise, essays or other needles.

params: haystack noise|essay|needle, keys words|uuids, values numbers|uuids, num_k, num_v, num_q (needles, values a
key, keys asked).
Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/niah.py.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from lcbench.benchmarks.base import Brief, Cell, frame, redrawn
from lcbench.benchmarks.ruler.forms import DEPTHS, NOISE, needle, pool, prose
from lcbench.prompting import Context, Units
from lcbench.records import Sample

LINE, ESSAY_WORD = 24.0, 1.3  # tokens, roughly
SINGULAR = (("Some", "A"), ("are all", "is"), ("are", "is"), ("answers", "answer"))


@dataclass(frozen=True)
class Needles:
    """The needles of one sample, in the order in which they stand, and what is asked of them."""

    lines: list[str]
    counts: list[int] | None
    query: str
    answers: list[str]


def draw(brief: Brief, rng: random.Random, keys: list[str], values: list[str], join: str) -> Needles:
    """Needles for these keys, each with its values, and a question about num_q of the keys."""
    p = brief.task.params
    pairs = [(k, values[i * p["num_v"] + j]) for i, k in enumerate(keys) for j in range(p["num_v"])]
    rng.shuffle(pairs)
    parts = [needle(p["values"], k, v) for k, v in pairs]
    units = [(" " + a, b, c) if join == " " else (a, b, c + "\n") for a, b, c in parts]
    counts = brief.prompter.measure(units)
    asked = rng.sample(range(len(keys)), p["num_q"])
    names = [keys[i] for i in asked]
    query = ", ".join(names[:-1]) + ", and " + names[-1] if len(names) > 1 else names[0]
    answers = [v for i in asked for v in values[i * p["num_v"] : (i + 1) * p["num_v"]]]
    lines = ["".join(u) for u in units]
    return Needles(lines, None if counts is None else counts.sum(axis=1).tolist(), query, answers)


def insert(units: list[str], counts: np.ndarray | None, at: list[int], needles: Needles) -> Context:
    """Needle i goes before unit at[i] (ascending). Separators at the two ends of the text are dropped."""
    pieces, evidence, last = [], [], 0
    for i, position in enumerate(at):
        pieces += units[last:position]
        evidence.append((len(pieces), len(pieces)))
        pieces.append(needles.lines[i])
        last = position
    pieces += units[last:]
    pieces[0] = pieces[0].lstrip(" ")
    pieces[-1] = pieces[-1].rstrip("\n")
    if counts is None or needles.counts is None:
        return Context(pieces, None, evidence)
    return Context(pieces, np.insert(counts, at, needles.counts), evidence)


def open_cell(brief: Brief) -> Cell:
    """The samples of one needle task at one length."""
    p = brief.task.params
    kind, total = p["haystack"], p["num_k"] * p["num_v"]
    singular = p["num_q"] * p["num_v"] == 1
    template, prefix = brief.wording.template, brief.wording.answer_prefix
    for plural, single in SINGULAR if singular else ():
        template, prefix = template.replace(plural, single), prefix.replace(plural, single)
    type_v = p["values"][:-1] if singular else p["values"]
    fitter = brief.fitter()
    materials = {}
    text = words_upto = None
    if kind == "essay":
        text = prose(brief.prompter, brief.wording.prompt, brief.length)
        words_upto = text.upto(brief.length)[1]
        materials["haystack"] = {"source": text.name, "sha256": text.sha256}
    size = 1 << max(10, (brief.length // 8).bit_length() - 1)
    keys, values = pool(p["keys"], size), pool(p["values"], size)
    needle_counts = _pool_counts(brief, keys, values) if kind == "needle" else None
    shortest = sum(int(np.min(c)) for c in needle_counts) if needle_counts else 8
    most_lines = min(brief.length // shortest + 1, size - total)
    noise = brief.prompter.measure([(NOISE + "\n",)] * 3) if kind == "noise" else None

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        distractors = most_lines if kind == "needle" else 0
        drawn_k = rng.sample(range(size), p["num_k"] + distractors)
        drawn_v = rng.sample(range(size), total + distractors)
        chosen = [keys[i] for i in drawn_k[: p["num_k"]]]
        needles = draw(brief, rng, chosen, [values[i] for i in drawn_v[:total]], " " if kind == "essay" else "\n")
        around, answer_prefix = frame(brief, template, prefix, type_needle_v=type_v, query=needles.query)
        places = rng.getrandbits(64)
        units, counts = [], None
        if kind == "needle":
            pairs = zip(drawn_k[p["num_k"] :], drawn_v[total:], strict=True)
            units = ["".join(needle(p["values"], keys[k], values[v])) + "\n" for k, v in pairs]
            if needle_counts is not None:
                fixed, of_key, of_value = needle_counts
                counts = fixed + of_key[drawn_k[p["num_k"] :]] + of_value[drawn_v[total:]]

        def build(n: int) -> Context:
            where = random.Random(places + n)
            if kind == "essay":
                assert text is not None
                words, word_counts, starts = text.upto(n)
                bounds = [*starts.tolist(), n]
                at = sorted(bounds[len(starts) * d // 100] for d in where.sample(DEPTHS, total))
                return insert(words, word_counts, at, needles)
            at = sorted(where.sample(range(n), total))
            if kind == "noise":
                return insert([NOISE + "\n"] * n, None if noise is None else np.full(n, noise[0, 0]), at, needles)
            return insert(units[:n], None if counts is None else counts[:n], at, needles)

        per_unit: Units = ESSAY_WORD if kind == "essay" else LINE
        if kind == "noise" and noise is not None:
            per_unit = float(noise[0, 0])
        if kind == "essay" and words_upto is not None:
            per_unit = words_upto
        if counts is not None:
            per_unit = counts
        most = len(units) if kind == "needle" else brief.length
        context = fitter.fit(around, build, least=total, most=most, per_unit=per_unit)
        return fitter.sample(
            id=brief.sample_id(index),
            task=brief.task.name,
            index=index,
            frame=around,
            context=context,
            answer_prefix=answer_prefix,
            references=needles.answers,
            context_id=brief.sample_id(index),
        )

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)), materials=materials)


def _pool_counts(brief: Brief, keys: list[str], values: list[str]) -> tuple[int, np.ndarray, np.ndarray] | None:
    """Tokens of the fixed words, of every key and of every value, in needle lines; None where they do not add up."""
    lines = [needle(brief.task.params["values"], k, v) for k, v in zip(keys, values, strict=True)]
    counts = brief.prompter.measure([(a, b, c + "\n") for a, b, c in lines])
    if counts is None or (counts[:, 0] != counts[0, 0]).any():
        return None
    return int(counts[0, 0]), counts[:, 1], counts[:, 2]
