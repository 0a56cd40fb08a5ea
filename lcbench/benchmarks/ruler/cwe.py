"""RULER's common words: a numbered list in which ten words stand more often than the others.

params: num_cw, and by length the repeats of common and uncommon words and of the example's. One solved example comes
first.
Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/common_words_extraction.py.
"""

from __future__ import annotations

import random

from lcbench.benchmarks.base import Brief, Cell, frame, literal, redrawn
from lcbench.data import words
from lcbench.errors import CannotBuild
from lcbench.prompting import Context
from lcbench.records import Sample

CAREFUL = 4096  # below it RULER repeats words less often


def numbered(rng: random.Random, common: list[str], uncommon: list[str], repeats: tuple[int, int]) -> list[str]:
    """The words in the order of the list: each common one repeats[0] times, each other repeats[1] times, shuffled."""
    order = common * repeats[0] + uncommon * repeats[1]
    rng.shuffle(order)
    return order


def example(brief: Brief, rng: random.Random, size: int, repeats: tuple[int, int]) -> str:
    """A solved example with `size` different words."""
    num_cw = brief.task.params["num_cw"]
    drawn = rng.sample(words.all_words(), size)
    order = numbered(rng, drawn[:num_cw], drawn[num_cw:], repeats)
    listed = " ".join(f"{i}. {w}" for i, w in enumerate(order, 1))
    answers = " ".join(f"{i}. {w}" for i, w in enumerate(drawn[:num_cw], 1))
    return (brief.wording.template + brief.wording.answer_prefix).replace("{context}", listed) + " " + answers + "\n"


def open_cell(brief: Brief) -> Cell:
    """The samples of common words at one length."""
    p = brief.task.params
    short = brief.filled < CAREFUL
    size, shot_repeats = (20, (3, 1)) if short else (40, (10, 3))
    repeats = (6, 1) if short else (p["freq_cw"], p["freq_ucw"])
    fitter = brief.fitter()
    vocabulary = words.all_words()
    position = {w: i for i, w in enumerate(vocabulary)}
    of_word = brief.prompter.measure([(" 7.", " " + w) for w in vocabulary])
    of_number = brief.prompter.measure([(f" {i}.", " word") for i in range(1, brief.filled // 3 + 1)])

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        shot = example(brief, rng, size, shot_repeats)
        drawn = rng.sample(vocabulary, len(vocabulary))
        common, uncommon = drawn[: p["num_cw"]], drawn[p["num_cw"] :]
        template = literal(shot) + brief.wording.template
        around = frame(brief, template, brief.wording.answer_prefix)
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            order = numbered(random.Random(places), common, uncommon[:n], repeats)
            pieces = [f" {i}. {w}" for i, w in enumerate(order, 1)]
            pieces[0] = pieces[0].lstrip(" ")
            if of_word is None or of_number is None or len(order) > len(of_number):
                return Context(pieces, None, [])
            counts = of_word[[position[w] for w in order], 1] + of_number[: len(order), 0]
            return Context(pieces, counts, [])

        most = len(uncommon)
        context = fitter.fit(around, build, least=1, most=most, per_unit=6.0 * repeats[1])
        sample = fitter.sample(index, around, context, common)
        used = sample.prompt_tokens + sample.max_new_tokens
        if len(context.pieces) == p["num_cw"] * repeats[0] + most * repeats[1] and used < 0.95 * brief.filled:
            raise CannotBuild(
                f"the {len(vocabulary)} different words of the list fill {used} tokens, {brief.filled} were asked for"
            )
        return sample

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)))
