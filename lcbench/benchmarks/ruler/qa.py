"""RULER's question answering: the documents of one question among other documents (SQuAD, HotpotQA).

params: format squad|hotpotqa. Source: NVIDIA/RULER c3f5e3b, scripts/data/synthetic/qa.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from lcbench.benchmarks.base import Brief, Cell, frame
from lcbench.benchmarks.ruler.documents import Question, lengths_of, read
from lcbench.data import sources
from lcbench.errors import CannotBuild
from lcbench.prompting import Context, Frame
from lcbench.records import Sample
from lcbench.seeds import generator

MOST_CHARACTERS = 20  # a token: a pool of more is long enough for sure, and is not counted


def open_cell(brief: Brief) -> Cell:
    """The samples of one question-answering task at one length: questions in seeded order, those that do not fit
    passed over.
    """
    form = brief.task.params["format"]
    found = sources.find(*brief.task.data)
    pool = read(found.path, form)
    lengths = lengths_of(brief.prompter, found.path, form)
    order = generator(brief.seed, brief.task.name, brief.task.version, "order").sample(
        range(len(pool.questions)), len(pool.questions)
    )
    fitter = brief.fitter()
    enough = 0.95 * brief.filled - brief.max_new_tokens
    if sum(map(len, pool.documents)) < MOST_CHARACTERS * brief.filled:
        tokens = brief.prompter.count("\n\n".join(pool.documents))
        if tokens < enough:
            what = f"all {len(pool.documents)} documents of {found.name} hold {tokens} tokens"
            raise CannotBuild(f"{what}, {brief.filled} were asked for")
    fitting: list[int] = []
    tried = 0

    def draft(question: Question, seed: int) -> tuple[Frame, Callable[[int], Context], int]:
        rng = random.Random(seed)
        around = frame(brief, brief.wording.template, brief.wording.answer_prefix, query=question.text)
        related = rng.sample(question.related, len(question.related))
        taken = {*question.needs, *related}
        others = [d for d in range(len(pool.documents)) if d not in taken]
        documents = [*question.needs, *related, *rng.sample(others, len(others))]
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            chosen = random.Random(places + n).sample(documents[:n], n)
            pieces = [f"Document {i}:\n{pool.documents[d]}\n\n" for i, d in enumerate(chosen, 1)]
            pieces[-1] = pieces[-1].removesuffix("\n\n")
            return Context(pieces, lengths.of(chosen), sorted((i, i) for i in map(chosen.index, question.evidence)))

        return around, build, len(documents)

    def fits(question: Question) -> bool:
        around, build, _ = draft(question, 0)
        return fitter.tokens(around, build(len(question.needs))) <= fitter.budget

    def prepare(samples: int) -> tuple[int, int]:
        nonlocal tried
        while len(fitting) < samples and tried < len(order):
            if fits(pool.questions[order[tried]]):
                fitting.append(order[tried])
            tried += 1
        last = order.index(fitting[samples - 1]) + 1 if samples <= len(fitting) else tried
        return min(samples, len(fitting)), last - min(samples, len(fitting))

    def sample(index: int) -> Sample:
        if prepare(index + 1)[0] <= index:
            raise CannotBuild(f"only {len(fitting)} questions of {found.name} fit {brief.filled} tokens")
        question = pool.questions[fitting[index]]
        around, build, most = draft(question, brief.seed_for(index))
        context = fitter.fit(around, build, least=len(question.needs), most=most, per_unit=160.0)
        return fitter.sample(index, around, context, question.answers)

    return Cell(sample, prepare, {"data": {"source": found.name, "sha256": found.sha256}})
