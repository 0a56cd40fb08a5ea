"""What flows through the harness, from a task to a line of samples.jsonl. All the nouns, each made in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """Where the answer stands: characters [start, end) of the last message, and the depth in the context, 0 to 1."""

    start: int
    end: int
    depth: float


def answer_mark(turn: int) -> str:
    """Stands in the messages of a later turn where the completion of turn `turn` (from 0) goes."""
    return f"\ue001{turn}\ue001"


@dataclass(frozen=True)
class Turn:
    """A later request of the same sample, after its own messages; `answer_mark` says where earlier answers go.

    stripped: earlier answers go there without the white space at their ends. needed: an empty answer before this turn
    leaves the sample without any.
    """

    messages: tuple[dict[str, str], ...]
    answer_prefix: str
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    stripped: bool = False
    needed: bool = False


@dataclass(frozen=True)
class Option:
    """A text whose likelihood is asked for, after its messages and prefix, instead of a generated answer."""

    messages: tuple[dict[str, str], ...]
    answer_prefix: str
    continuation: str


@dataclass(frozen=True)
class Sample:
    """One finished question. Made by a benchmark (`lcbench.benchmarks`), read by strategies and scorers.

    `prompt_tokens` counts chat template + messages + answer prefix in the model's own tokenizer, and
    prompt_tokens + max_new_tokens <= length wherever length is not None. fields: what the metric reads beside the
    references. tags: what results are broken down by. later: further requests, each built on earlier answers. options:
    texts to be scored in place of an answer; then nothing is generated. stop: strings that end the answer, where the
    sample has its own.
    """

    id: str
    task: str
    length: int | None
    index: int
    messages: tuple[dict[str, str], ...]
    answer_prefix: str
    references: tuple[str, ...]
    context_id: str
    prompt_tokens: int
    max_new_tokens: int
    evidence: tuple[Evidence, ...] = ()
    truncated: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    later: tuple[Turn, ...] = ()
    options: tuple[Option, ...] = ()
    stop: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy. Noise is keyed by (seed, sample key, position), never by the
    batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """Token ids for an engine. `key` names the request in its completion and keys its sampling noise.

    target: token ids whose likelihood after `ids` is asked for (`Engine.logprobs`); then nothing is generated.
    """

    key: str
    ids: tuple[int, ...]
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    target: tuple[int, ...] = ()


@dataclass(frozen=True)
class Completion:
    """What an engine gave for one request, or a strategy for one sample.

    `finish` is "eos", "stop" (a stop string), "length", "scored" (a likelihood) or "failed" (see `error`). earlier: the
    answers of earlier turns; `ids` then counts their tokens too. likelihoods: for each option its log-probability in
    nats and whether it is what greedy decoding gives.
    """

    key: str
    text: str
    ids: tuple[int, ...]
    finish: str
    error: str | None = None
    earlier: tuple[str, ...] = ()
    likelihoods: tuple[tuple[float, bool], ...] = ()


@dataclass(frozen=True)
class BatchCost:
    """What one batch cost, measured by the engine. Seconds; bytes; tokens over all rows. None where not measurable."""

    size: int
    prompt_tokens: int
    new_tokens: int
    prefill_s: float
    decode_s: float
    decode_steps: int
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Score:
    """A verdict: `value` from 0 to 1, what was `extracted` from the completion (None where nothing was), and flags.

    `value` is None only where there is nothing to score against: a test split without labels. beside: verdicts of other
    metrics, where the benchmark gives several at once.
    """

    value: float | None
    extracted: str | None
    flags: tuple[str, ...] = ()
    beside: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One line of samples.jsonl: a sample, what the model said, its verdict, and the batch that it was computed in.

    beside: the verdicts of the same answer under other metrics, by their names. context_id: what samples of one context
    share. excerpt: the prompt's text around its evidence, else its end.
    """

    key: str
    cell: str
    batch: str
    sample_id: str
    index: int
    prompt: str
    prompt_tokens: int
    new_tokens: int
    completion: str | None
    finish: str
    error: str | None
    score: float | None
    extracted: str | None
    flags: tuple[str, ...]
    references: tuple[str, ...]
    truncated: bool
    evidence: tuple[dict[str, Any], ...]
    cost: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()
    likelihoods: tuple[tuple[float, bool], ...] = ()
    context_id: str = ""
    excerpt: tuple[str, ...] = ()
