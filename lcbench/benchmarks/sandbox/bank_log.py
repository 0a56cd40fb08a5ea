"""The log of a small bank with one flawed transfer: what is wrong, and where? The answer is `KIND TXnnnnnn`.

The kind of the flaw and its depth are drawn before the number of transfers, which is as many as fit.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

import numpy as np

from lcbench.benchmarks.base import Brief, Cell, redrawn
from lcbench.benchmarks.sandbox import frame
from lcbench.benchmarks.sandbox.ledger import (
    KINDS,
    LEAST_TRANSFERS,
    MOST_BALANCE,
    MOST_DEBT,
    NAMES,
    Flaw,
    Transfer,
    opening_balances,
    play,
)
from lcbench.prompting import CONTEXT, Context, Prompter
from lcbench.records import Sample
from lcbench.seeds import generator

LEAST_TOKENS = 16  # of a line: it has more words
ID_NUMBERS = range(100_000, 1_000_000)
ROUGHLY = 40.0  # tokens of a line, where they do not add up
PROBE = 100  # lines that tell how long they are on average


def words_of(t: Transfer) -> list[str]:
    """A line of the log in pieces: the id, and every further word with the space before it."""
    told = f"transfer {t.amount} from {t.payer} to {t.payee}"
    sides = [f"| {a} {b} -> {c}" for a, b, c in zip((t.payer, t.payee), t.before, t.after, strict=True)]
    return [t.id, *(" " + word for word in [told, *sides] for word in word.split(" "))]


class Lines:
    """Tokens of a line from the tokens of its words, each measured once; None where they do not add up."""

    def __init__(self, prompter: Prompter, ids: list[str]):
        line = words_of(Transfer("TX100000", NAMES[0], NAMES[1], 40, (100, 40), (60, 80)))
        varying = [" " + name for name in NAMES] + [f" {n}" for n in range(-MOST_DEBT, MOST_BALANCE + 1)]
        fixed = prompter.measure([(*line, "\n")])
        words = prompter.measure([(word, " ->") for word in varying])
        first = prompter.measure([(name, " transfer\n") for name in ids])
        self.additive = fixed is not None and words is not None and first is not None
        self.tokens: dict[str, int] = {}
        if fixed is not None and words is not None and first is not None:
            self.end = int(fixed[0, -1])
            self.tokens.update(zip(line, fixed[0, :-1].tolist(), strict=True))
            self.tokens.update(zip(varying, words[:, 0].tolist(), strict=True))
            self.tokens.update(zip(ids, first[:, 0].tolist(), strict=True))

    def of(self, lines: list[list[str]]) -> np.ndarray | None:
        """The tokens of each line, its line break included."""
        if not self.additive:
            return None
        return np.array([sum(map(self.tokens.__getitem__, words)) + self.end for words in lines], dtype=np.int64)


@lru_cache(maxsize=4)
def id_pool(prompter: Prompter, size: int) -> tuple[list[str], Lines]:
    """Ids of the same width in no order, so that neither a gap nor a step back betrays a line."""
    ids = [f"TX{n}" for n in generator("bank log", "ids", size).sample(ID_NUMBERS, size)]
    return ids, Lines(prompter, ids)


def open_cell(brief: Brief) -> Cell:
    """The samples of the bank log at one length."""
    fitter = brief.fitter()
    most = min(brief.filled // LEAST_TOKENS + LEAST_TRANSFERS, len(ID_NUMBERS))
    pool, lines = id_pool(brief.prompter, most)

    def make(index: int, seed: int) -> Sample:
        rng = random.Random(seed)
        flaw = Flaw(rng.choice(KINDS), rng.random(), rng.random())
        opening, moves = opening_balances(rng), rng.getrandbits(64)
        ids = rng.sample(pool, most)

        def build(n: int) -> Context:
            log, shown = play(opening, ids[:n], flaw, moves)
            words = [words_of(transfer) for transfer in log]
            pieces = ["".join(line) + "\n" for line in words]
            pieces[-1] = pieces[-1].removesuffix("\n")
            return Context(pieces, lines.of(words), [(i, i) for i in shown])

        balances = ", ".join(f"{name} {balance}" for name, balance in opening.items())
        around = frame(brief, balances=balances, log=CONTEXT)
        counts = build(min(PROBE, most)).counts
        mean = ROUGHLY if counts is None else float(counts.mean())
        context = fitter.fit(around, build, least=LEAST_TRANSFERS, most=most, per_unit=mean)
        flawed = context.pieces[context.evidence[-1][0]].split(" ")[0]
        sample = fitter.sample(index, around, context, [f"{flaw.kind} {flawed}"])
        return replace(sample, tags={"flaw": flaw.kind})

    return Cell(lambda index: redrawn(brief, index, lambda seed: make(index, seed)))
