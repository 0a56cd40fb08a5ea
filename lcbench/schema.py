"""What people write: tasks and suites in YAML, and the configuration of a run. Unknown keys are refused."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lcbench.errors import UsageError

PromptSource = Literal["official", "builtin"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generate(Strict):
    """How an answer is generated. `stop`: strings that end it."""

    max_new_tokens: int = Field(gt=0)
    stop: tuple[str, ...] = ()


class Prompts(Strict):
    """Which entry of the benchmark's texts this task uses: `texts` names the file, `key` the entry, in both prompt
    sources.
    """

    texts: str
    key: str


class Task(Strict):
    """One task of tasks/*/*.yaml.

    name: group/name. version: raised whenever a sample of the task would change. benchmark: the builder in
    lcbench.benchmarks.
    score: the scorer in lcbench.scoring. params: for the builder. data: names of data sources, any one of which will
    do.
    divergences: where our samples differ from the benchmark's own, each with its reason.
    """

    name: str
    version: int = Field(ge=1)
    benchmark: str
    description: str
    source: str
    prompts: Prompts
    score: str
    generate: Generate
    params: dict[str, Any] = {}
    data: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    divergences: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.name.split("/")[0]


class NiahParams(Strict):
    """Of `ruler.niah`: what the needles stand in, what keys and values are, how many there are and how many are
    asked.
    """

    haystack: Literal["noise", "essay", "needle"]
    keys: Literal["words", "numbers", "uuids"]
    values: Literal["words", "numbers", "uuids"]
    num_k: int = Field(ge=1)
    num_v: int = Field(ge=1)
    num_q: int = Field(ge=1)


class VtParams(Strict):
    num_hops: int = Field(ge=1)


class CweParams(Strict):
    num_cw: int = Field(ge=1)
    freq_cw: int = Field(ge=1)
    freq_ucw: int = Field(ge=1)


class FweParams(Strict):
    alpha: float = Field(gt=1)
    word_length: int = Field(ge=2)


class QaParams(Strict):
    format: Literal["squad", "hotpotqa"]


PARAMS: dict[str, type[Strict]] = {
    "ruler.niah": NiahParams,
    "ruler.vt": VtParams,
    "ruler.cwe": CweParams,
    "ruler.fwe": FweParams,
    "ruler.qa": QaParams,
}


class Suite(Strict):
    """A named selection of configs/suites/*.yaml; the command line's flags override its lengths, samples and prompt."""

    name: str
    description: str
    tasks: tuple[str, ...]
    lengths: tuple[str, ...] = ()
    samples: int | None = Field(default=None, gt=0)
    prompt: PromptSource = "official"


class RunConfig(Strict):
    """One run, as asked for: what travels from the command line to the runner. Frozen; its hash names the run
    folder.
    """

    model: str
    model_args: dict[str, str] = {}
    attn: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    lengths: tuple[int, ...] = ()
    samples: int | None = None
    prompt: PromptSource | None = None
    max_new_tokens: int | None = None
    strategy: str = "greedy"
    engine: str = "transformers"
    dtype: str = "auto"
    device: str = "auto"
    seed: int = 0
    chat_template: str | None = None
    system: str | None = None


def names(flag: str, text: str) -> tuple[str, ...]:
    """`a,b` -> (a, b). Raises UsageError where commas stand for nothing."""
    found = tuple(name for name in text.split(",") if name)
    if text and not found:
        raise UsageError(f"{flag} {text} names nothing.")
    return found


def split_attention(text: str) -> tuple[str, ...]:
    """`softmax,lucid:impl=reference,layers=full` -> two: a part with = and no colon before it belongs to the one
    before.
    """
    specs: list[str] = []
    for part in names("--attn", text):
        if specs and "=" in part.split(":")[0]:
            specs[-1] += "," + part
        else:
            specs.append(part)
    return tuple(specs)
