"""BABILong: a question of bAbI whose facts stand, in their order, somewhere in the sentences of books.

params: question 1 to 20, variant and split of bAbI; samples made here, or the authors' own from the hub.
Source: booydar/babilong 7a6efee, babilong/prompts.py (get_formatted_input) and babilong/babilong_utils.py
(SentenceSampler, NoiseInjectionDataset); arXiv:2406.10149.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np

from lcbench.benchmarks.background import Background, Reading, background, hide, reading
from lcbench.benchmarks.base import Brief, Cell, fill
from lcbench.benchmarks.cutting import whole
from lcbench.benchmarks.items import cell_of, sample_of
from lcbench.data import babi, sources
from lcbench.data.pinned_benchmarks import HUB
from lcbench.data.rows import hub_rows
from lcbench.errors import CannotBuild, UsageError
from lcbench.lengths import show_length
from lcbench.prompting import CONTEXT, Context, Frame
from lcbench.records import Sample
from lcbench.schema import BabilongParams

LEAST_TOKENS = 10  # min_sentence_len: shorter sentences are no background
SLACK = 1.25  # where the tokens of sentences do not add up, more of them may fit
MOST_CHARACTERS = 20  # a token: a corpus of more is long enough for sure, and is not counted
NOTHING = Reading([], np.zeros(0, dtype=np.int64), True)


def frame_of(brief: Brief, question: str) -> Frame:
    """The prompt around the context: the task's template, then the user's, white space at both ends stripped."""
    strings = brief.wording.strings
    template = strings["TASK_TEMPLATE"] + "\n\n" + strings["USER_TEMPLATE"]
    text = fill(template, **brief.wording.entry, context=CONTEXT, question=question)
    return brief.prompter.frame(text.strip(), "")


def fields_of(brief: Brief, params: BabilongParams, question: str) -> dict[str, Any]:
    """What the metric reads."""
    return {"question": question, "labels": list(brief.wording.strings["TASK_LABELS"][f"qa{params.question}"])}


def background_of(brief: Brief) -> Background:
    """The sentences to hide facts in. Raises CannotBuild where there are too few for the length."""
    texts = background(brief.prompter, brief.wording.prompt, brief.filled, LEAST_TOKENS)
    if sum(map(len, texts.pieces)) < MOST_CHARACTERS * brief.filled:
        tokens = texts.total()
        if tokens < 0.95 * brief.filled - brief.max_new_tokens:
            raise CannotBuild(f"the {texts.name} hold {tokens} tokens, {brief.filled} were asked for")
    return texts


def made(brief: Brief, params: BabilongParams) -> Cell:
    """Samples made here. Length 0 has the facts alone, whatever tokens they take."""
    questions = babi.questions(params.question, params.variant, params.split)
    texts = background_of(brief) if brief.length else None
    fitter, found = brief.fitter(), sources.find("babi")
    materials = {"babi": {"source": found.name, "sha256": found.sha256}}
    if texts:
        materials["background"] = {"source": texts.name, "sha256": texts.sha256}

    def make(index: int, item: int) -> Sample:
        asked, rng = questions[item], random.Random(brief.seed_for(index))
        around, needed = frame_of(brief, asked.question), set(asked.supporting)
        facts = reading(brief.prompter, asked.facts)
        among = texts.read(rng, SLACK * fitter.budget) if texts else NOTHING
        places = rng.getrandbits(64)

        def build(n: int) -> Context:
            return hide(facts, among, n, needed, random.Random(places + n))

        context = fitter.fit(around, build, 0, len(among.pieces), among.tokens) if texts else build(0)
        fields = fields_of(brief, params, asked.question)
        sample = fitter.sample(index, around, context, (asked.answer,), item, fields)
        if not texts and brief.limit and sample.prompt_tokens + sample.max_new_tokens > brief.limit:
            raise CannotBuild(f"has {sample.prompt_tokens} tokens, {brief.limit} are there for prompt and answer")
        return sample

    return cell_of(brief, [str(i) for i in range(len(questions))], make, materials)


def ready_made(brief: Brief, params: BabilongParams) -> Cell:
    """The authors' own samples of this length, whole. Their lengths are those of the context alone, in another
    tokenizer: here only the model's context bounds them, and what does not fit is passed over.
    """
    length = show_length(brief.length)
    found = hub_rows(params.repo, dict(HUB.values())[params.repo], f"qa{params.question}", length)
    budget = brief.context - brief.max_new_tokens if brief.context else None

    def make(index: int, item: int) -> Sample:
        row = found.rows[item]
        around = frame_of(brief, row["question"])
        content = around.content_left + row["input"].strip() + around.content_right
        done = whole(brief.prompter, content, "", budget)
        fields = fields_of(brief, params, row["question"])
        return sample_of(brief, index, item, done, [row["target"]], fields=fields)

    materials = {f"samples-{length}": {"source": found.source, "revision": found.revision, "sha256": found.sha256}}
    return replace(cell_of(brief, [str(i) for i in range(len(found.rows))], make, materials), bounded=False)


def open_cell(brief: Brief) -> Cell:
    """The samples of one of the twenty tasks at one length."""
    params = BabilongParams.model_validate(brief.task.params)
    key = f"DEFAULT_PROMPTS.qa{params.question}"
    if brief.task.prompts is None or brief.task.prompts.key != key:
        raise UsageError(f"{brief.task.name} asks question {params.question}: its prompts.key has to be {key}.")
    return ready_made(brief, params) if params.samples == "hub" else made(brief, params)
