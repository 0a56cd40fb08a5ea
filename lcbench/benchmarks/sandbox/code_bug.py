"""Python code with one changed line in it: what a function does wrong is told, and `folder/file.py:L123` is asked for.

params: folder, of Python files; by default the open-source packages of this machine.
Every sample is another function. The bug is drawn before the number of lines around it, which is as many as fit: of its
file, then of others.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np

from lcbench.benchmarks.base import Brief, Cell
from lcbench.benchmarks.items import cell_of
from lcbench.benchmarks.sandbox import frame
from lcbench.benchmarks.sandbox.mutations import Bug, bugs, changed
from lcbench.benchmarks.sandbox.numbered import Numbered, nearest, numbered, surroundings
from lcbench.data import code
from lcbench.errors import CannotBuild, UsageError
from lcbench.prompting import CONTEXT, Context
from lcbench.records import Sample
from lcbench.schema import CodeBugParams

CHARACTERS = 8  # of code for each token of the length
SLACK = 1.25  # where the tokens of lines do not add up, more of them may fit
ROUGHLY = 14.0  # tokens of a line


def drawn(rng: random.Random, own: list[Bug]) -> Bug:
    """A kind of bug that a function may have, and one of that kind."""
    kind = rng.choice(sorted({bug.kind for bug in own}))
    return rng.choice([bug for bug in own if bug.kind == kind])


def open_cell(brief: Brief) -> Cell:
    """The samples of the code bugs at one length."""
    folder = CodeBugParams.model_validate(brief.task.params).folder
    place = Path(folder).expanduser() if folder else None
    corpus = code.python_files(place, max(code.CHARACTERS, CHARACTERS * brief.filled))
    functions = [(file, name) for file in corpus.files for name in bugs(file.text)]
    if not functions:
        raise UsageError("None of the Python files has a function that a bug can be put in.")
    fitter = brief.fitter()

    def make(index: int, item: int) -> Sample:
        rng = random.Random(brief.seed_for(index))
        file, name = functions[item]
        bug = drawn(rng, bugs(file.text)[name])
        own = Numbered(brief.prompter, file.path, changed(file.text, bug))
        others = (numbered(brief.prompter, f) for f in nearest(corpus.files, file, rng))
        around = surroundings(own, others, rng.random(), SLACK * fitter.budget)

        def build(n: int) -> Context:
            pieces: list[str] = []
            counts, evidence = [], []
            for part, first, end in around.window(n, bug.first, bug.last):
                if part is own:
                    at = len(pieces) + bug.line - first  # the heading comes before the first line
                    evidence.append((at, at))
                lines, tokens = part.part(first, end)
                pieces += lines
                counts.append(tokens)
            pieces[-1] = pieces[-1].removesuffix("\n")
            return Context(pieces, np.concatenate(counts) if around.additive else None, evidence)

        edges = frame(brief, function=bug.function, symptom=bug.symptom, code=CONTEXT)
        least = bug.last - bug.first + 1
        context = fitter.fit(edges, build, least=least, most=around.most, per_unit=ROUGHLY)
        sample = fitter.sample(index, edges, context, [f"{file.path}:L{bug.line}"], f"{file.path}:{name}")
        used = sample.prompt_tokens + sample.max_new_tokens
        if used < 0.95 * brief.filled and len(context.pieces) > around.most:
            raise CannotBuild(f"the code of {corpus.name} fills {used} tokens, {brief.filled} were asked for")
        return replace(sample, tags={"bug": bug.kind})

    materials = {"code": {"source": corpus.name, "sha256": corpus.sha256}}
    return cell_of(brief, [f"{file.path}:{name}" for file, name in functions], make, materials)
