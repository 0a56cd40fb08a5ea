"""Samples of an lm-eval task: its own prompt builder writes them, with or without the chat template in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lcbench.benchmarks.base import Brief, Cell
from lcbench.benchmarks.items import cell_of
from lcbench.benchmarks.lm_eval.loading import Loaded, load, quietly
from lcbench.benchmarks.lm_eval.verdict import check_packages, verdict_of
from lcbench.errors import CannotBuild
from lcbench.prompting import Prompter
from lcbench.records import Option, Sample
from lcbench.schema import LmEvalParams

Messages = tuple[dict[str, str], ...]
# how tasks spell the most new tokens, in order of precedence: lm-eval models/utils.py, normalize_gen_kwargs
MOST_TOKENS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


def open_cell(brief: Brief) -> Cell:
    """The samples of a task of lm-eval, in seeded order of its items, as any task of ours takes them."""
    loaded = load(LmEvalParams.model_validate(brief.task.params))
    check_packages(loaded)

    def make(index: int, item: int) -> Sample:
        with quietly():
            requests = requests_of(loaded, brief.prompter, item)
        build = generated if loaded.task.OUTPUT_TYPE == "generate_until" else compared
        return replace(build(brief, loaded, item, requests), index=index)

    cell = cell_of(brief, [str(i) for i in range(len(loaded.docs))], make, loaded.materials)
    return replace(cell, verdict=verdict_of(loaded))


def requests_of(loaded: Loaded, prompter: Prompter, item: int) -> list[tuple[Any, ...]]:
    """The arguments of an item's requests, as lm-eval's evaluator has them built (api/task.py, build_all_requests).

    With a chat template a context is a list of messages, because the function that would render them gives them back.
    """
    task, doc = loaded.task, loaded.docs[item]
    chat = prompter.template is not None
    if loaded.shots:
        task.sampler.turn_to(item)
    context = task.fewshot_context(
        doc,
        num_fewshot=loaded.shots,
        system_instruction=prompter.system,
        apply_chat_template=chat,
        chat_template=_as_they_are if chat else None,
        gen_prefix=task.doc_to_prefix(doc),
    )
    built = task.construct_requests(
        doc=doc, ctx=context, metadata=(loaded.name, item, task.config.repeats), apply_chat_template=chat
    )
    return [instance.args for instance in (built if isinstance(built, list) else [built])]


def _as_they_are(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> list[dict[str, str]]:
    return messages


def said(context: str | Sequence[dict[str, str]], prefix: str) -> tuple[Messages, str]:
    """A context as messages, and what the answer begins with: nothing twice."""
    if isinstance(context, str):
        begins = prefix if context.endswith(prefix) else ""
        return ({"role": "user", "content": context.removesuffix(begins)},), begins
    if context[-1]["role"] == "assistant":
        return tuple(context[:-1]), context[-1]["content"]
    return tuple(context), ""


def generated(brief: Brief, loaded: Loaded, item: int, requests: list[tuple[Any, ...]]) -> Sample:
    """An item that is answered in words."""
    context, how = requests[0][:2]
    messages, prefix = said(context, loaded.task.doc_to_prefix(loaded.docs[item]) or "")
    tokens = brief.prompter.count(brief.prompter.render(messages, prefix))
    new = brief.max_new_tokens
    if not brief.overridden:
        new = int(next((how[key] for key in MOST_TOKENS if how.get(key) is not None), new))
    if brief.limit is not None and tokens + new > brief.limit:
        raise CannotBuild(f"needs {tokens + new} tokens, {brief.limit} are there")
    until = how.get("until") or ()
    stops = [until] if isinstance(until, str) else until
    sample = finished(brief, loaded, item, messages, prefix, tokens, new)
    return replace(sample, stop=tuple(dict.fromkeys(s for s in stops if s)))


def compared(brief: Brief, loaded: Loaded, item: int, requests: list[tuple[Any, ...]]) -> Sample:
    """An item that is answered by how likely texts are: its options, in lm-eval's order of requests."""
    prefix = loaded.task.doc_to_prefix(loaded.docs[item]) or ""
    options = tuple(option_of(arguments, prefix) for arguments in requests)
    sizes = [sum(map(len, brief.prompter.encode_option(option))) for option in options]
    if brief.limit is not None and max(sizes) > brief.limit:
        raise CannotBuild(f"needs {max(sizes)} tokens, {brief.limit} are there")
    # an option that nothing comes before is itself what is read
    messages = options[0].messages or ({"role": "user", "content": options[0].continuation},)
    tokens = brief.prompter.count(brief.prompter.render(messages, options[0].answer_prefix))
    sample = finished(brief, loaded, item, messages, options[0].answer_prefix, tokens, max(1, max(sizes) - tokens))
    return replace(sample, options=options)


def option_of(arguments: tuple[Any, ...], prefix: str) -> Option:
    """(context, continuation), or (text,) alone, as an option."""
    *before, continuation = arguments
    if not before or not before[0]:
        return Option((), "", str(continuation))
    messages, begins = said(before[0], prefix)
    return Option(messages, begins, str(continuation))


def finished(brief: Brief, loaded: Loaded, item: int, messages: Messages, prefix: str, tokens: int, new: int) -> Sample:
    """What both kinds of sample have. `fields` names the item for the verdict; references are for the reader."""
    name = brief.sample_id(item)
    return Sample(
        id=name,
        task=brief.task.name,
        length=brief.length,
        index=0,
        messages=messages,
        answer_prefix=prefix,
        references=references_of(loaded.task, loaded.docs[item]),
        context_id=name,
        prompt_tokens=tokens,
        max_new_tokens=new,
        fields={"doc": item},
    )


def references_of(task: Any, doc: Any) -> tuple[str, ...]:
    """The accepted answers in words."""
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return ()
    # where the options are contexts, the text names the right one: lm-eval api/task.py, process_results
    target = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    choices = task.doc_to_choice(doc) if task.config.doc_to_choice else ()
    answers = target if isinstance(target, (list, tuple)) else [target]
    return tuple(
        str(choices[a]) if isinstance(a, int) and 0 <= a < len(choices) else str(a) for a in answers if a is not None
    )
