"""Scorers by name: pure functions (completion, references) -> Score. A gold answer scores 1 and an empty one 0.

Keyword-only parameters without a default are fields of the sample that a scorer reads; those with one are arguments
that a task may set.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from lcbench.errors import UsageError
from lcbench.records import Score
from lcbench.scoring import babilong, generic, gsm8k, longbench_v2, math, ruler, sandbox, zero_scrolls

SCORERS: dict[str, Callable[..., Score]] = {
    "ruler.match_all": ruler.match_all,
    "ruler.match_part": ruler.match_part,
    "babilong.official": babilong.official,
    "babilong.word_boundary": babilong.word_boundary,
    "longbench_v2.official": longbench_v2.official,
    "longbench_v2.lenient": longbench_v2.lenient,
    "zero_scrolls.rouge": zero_scrolls.rouge,
    "zero_scrolls.f1": zero_scrolls.f1,
    "zero_scrolls.choice": zero_scrolls.choice,
    "zero_scrolls.exponential_similarity": zero_scrolls.exponential_similarity,
    "zero_scrolls.concordance": zero_scrolls.concordance,
    "gsm8k.flexible": gsm8k.flexible,
    "gsm8k.strict": gsm8k.strict,
    "math.verify": math.verify,
    "sandbox.bank_log": sandbox.bank_log,
    "sandbox.code_bug": sandbox.code_bug,
    "exact_match": generic.exact_match,
    "includes": generic.includes,
    "includes_all": generic.includes_all,
    "starts_with": generic.starts_with,
    "regex": generic.regex,
    "number": generic.number,
    "choice": generic.choice,
    "f1": generic.f1,
    "rouge": generic.rouge,
}


def _keywords(name: str) -> dict[str, Any]:
    """The keyword-only parameters of a scorer with their defaults, `Parameter.empty` for none."""
    if name not in SCORERS:
        raise UsageError(f"There is no scorer {name!r}", _nearest(name, SCORERS))
    parameters = inspect.signature(SCORERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(known) or 'none'}"


def reads(name: str) -> tuple[str, ...]:
    """The fields of a sample that a scorer reads beside its references."""
    return tuple(p for p, default in _keywords(name).items() if default is inspect.Parameter.empty)


def arguments(name: str) -> dict[str, Any]:
    """The arguments that a task may set, with their defaults."""
    return {p: default for p, default in _keywords(name).items() if default is not inspect.Parameter.empty}


def _check(name: str, argument: str, value: Any, default: Any) -> None:
    wanted = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
        raise UsageError(f"{argument} of the scorer {name} is {value!r}, and must be like {default!r}")


def bind(name: str, chosen: Mapping[str, Any]) -> Callable[[str, Sequence[str], Mapping[str, Any]], Score]:
    """A scorer with its arguments set: (completion, references, fields of the sample) -> Score.

    Arguments are tried on an empty completion at once, so that a wrong one stops a run before it starts.
    """
    known, fields = arguments(name), reads(name)
    for argument, value in chosen.items():
        if argument not in known:
            raise UsageError(f"The scorer {name} has no argument {argument!r}", _nearest(argument, known))
        _check(name, argument, value, known[argument])
    scorer = SCORERS[name]
    scorer("", ("",), **dict.fromkeys(fields, ""), **chosen)

    def score(completion: str, references: Sequence[str], sample: Mapping[str, Any]) -> Score:
        missing = [f for f in fields if f not in sample]
        if missing:
            raise UsageError(f"The scorer {name} reads the field {missing[0]!r}, which this sample does not have")
        return scorer(completion, references, **{f: sample[f] for f in fields}, **chosen)

    return score
