"""What people write: tasks and suites in YAML, and the configuration of a run. Unknown keys are refused."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lcbench.errors import UsageError

PromptSource = Literal["official", "builtin"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generate(Strict):
    """How an answer is generated. `stop`: strings that end it."""

    max_new_tokens: int = Field(gt=0)
    stop: tuple[str, ...] = ()


class Prompts(Strict):
    """Which entry of the benchmark's texts this task uses: `texts` names the file, `key` the entry (dots lead inwards),
    in both prompt sources.
    """

    texts: str
    key: str


class Data(Strict):
    """Rows of your own. Either `file`: JSON lines, CSV or Parquet, beside the task's YAML or by its full path; or
    `hub`: a data set of the Hugging Face hub, ORG/NAME, at the commit `revision`.
    """

    file: str | None = None
    hub: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str = "test"

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if (self.file is None) == (self.hub is None):
            raise ValueError("data needs either file or hub")
        if self.hub is not None and self.revision is None:
            raise ValueError("data from the hub needs a revision: the commit to read")
        return self


class Truncate(Strict):
    """How a prompt that is too long is cut: `column` is the text that may be cut, `cut` where it loses text,
    `separator` what stands there instead.
    """

    column: str
    cut: Literal["middle", "end", "start"] = "middle"
    separator: str = ""


class FewShot(Strict):
    """Solved examples before the question: `n` rows of `data`, each rendered by `shot`, joined by `separator`.

    order: the `first` rows; or `lm_eval`: drawn anew for each item as lm-eval draws them, from one generator of seed
    1234 in the order of the items.
    """

    n: int = Field(gt=0)
    data: tuple[str, ...] | Data
    shot: str
    separator: str = "\n\n"
    order: Literal["first", "lm_eval"] = "first"


class TurnSpec(Strict):
    """A later request of the same sample. Its prompt may use every column, and what was said before: `answers`, and
    `answer` for the last of them.
    """

    prompt: str
    answer_prefix: str = ""
    generate: Generate


class ScoreBy(BaseModel):
    """A scorer by name, with its arguments beside the name."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Task(Strict):
    """One task of tasks/*/*.yaml, or of a file of your own.

    name: group/name; group: the group it is chosen by, by default what stands before the slash. version: raised
    whenever a sample of the task would change. benchmark: the builder in lcbench.benchmarks; `items` makes samples from
    rows of data by the templates below.
    data: names of data sources, any one of which will do, or rows of your own. prompt, answer_prefix: Jinja2 templates
    over the columns of a row. references: the accepted answers: a column's name, a template, or several templates.
    gold: a template for a completion that must score 1; by default the first reference. truncate, few_shot, turns: see
    there.
    score: the scorer in lcbench.scoring. beside: scorers whose verdicts stand beside the score. by: columns by which
    results are broken down.
    lengths: `fill` where samples are made to fill the length asked for, `budget` where texts have their own length and
    it is the most they may have, `ignored` where it does not apply. split: said beside n where it is no test split.
    params: for the builder. prompts: the texts of a benchmark, in place of prompt. divergences: where our samples
    differ from the benchmark's own, each with its reason.
    """

    name: str
    version: int = Field(default=1, ge=1)
    benchmark: str = "items"
    description: str = ""
    source: str = ""
    group: str = ""
    data: tuple[str, ...] | Data = ()
    prompts: Prompts | None = None
    prompt: str | None = None
    answer_prefix: str = ""
    references: str | tuple[str, ...] | None = None
    gold: str | None = None
    truncate: Truncate | None = None
    few_shot: FewShot | None = None
    turns: tuple[TurnSpec, ...] = ()
    score: str | ScoreBy
    beside: tuple[str | ScoreBy, ...] = ()
    by: tuple[str, ...] = ()
    generate: Generate
    lengths: Literal["fill", "budget", "ignored"] | None = None
    split: str | None = None
    params: dict[str, Any] = {}
    aliases: tuple[str, ...] = ()
    divergences: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        name, benchmark = str(content.get("name", "")), content.get("benchmark", "items")
        return {
            **content,
            "group": content.get("group") or name.split("/")[0].split(":")[0],
            "lengths": content.get("lengths") or ("budget" if benchmark == "items" else "fill"),
        }

    @property
    def scorer(self) -> ScoreBy:
        return ScoreBy(name=self.score) if isinstance(self.score, str) else self.score

    @property
    def scorers_beside(self) -> tuple[ScoreBy, ...]:
        return tuple(ScoreBy(name=s) if isinstance(s, str) else s for s in self.beside)


class Params(Strict):
    """Of a builder. `changes`: what else of a task follows from its params."""

    def changes(self) -> dict[str, Any]:
        return {}


class NiahParams(Params):
    """Of `ruler.niah`: what the needles stand in, what keys and values are, how many there are and how many are
    asked.
    """

    haystack: Literal["noise", "essay", "needle"]
    keys: Literal["words", "numbers", "uuids"]
    values: Literal["words", "numbers", "uuids"]
    num_k: int = Field(ge=1)
    num_v: int = Field(ge=1)
    num_q: int = Field(ge=1)


class VtParams(Params):
    num_hops: int = Field(ge=1)


class CweParams(Params):
    num_cw: int = Field(ge=1)
    freq_cw: int = Field(ge=1)
    freq_ucw: int = Field(ge=1)


class FweParams(Params):
    alpha: float = Field(gt=1)
    word_length: int = Field(ge=2)


class QaParams(Params):
    format: Literal["squad", "hotpotqa"]


class BabilongParams(Params):
    """Of `babilong`: which of bAbI's 20 tasks; which variant and split of bAbI; whether samples are `made` here, or the
    authors' own are read from the `hub` (data set `repo`).
    """

    question: int = Field(ge=1, le=20)
    variant: Literal["en", "en-10k"] = "en-10k"
    split: Literal["test", "train"] = "test"
    samples: Literal["made", "hub"] = "made"
    repo: Literal["RMT-team/babilong", "RMT-team/babilong-1k-samples"] = "RMT-team/babilong"

    def changes(self) -> dict[str, Any]:
        return {"data": ()} if self.samples == "hub" else {}


class CodeBugParams(Params):
    """Of `sandbox.code_bug`: a folder of Python files to use in place of this machine's installed packages."""

    folder: str | None = None


class LongBenchParams(Params):
    """Of `longbench_v2`: how the question is asked."""

    setting: Literal["zero_shot", "cot", "no_context"]


class ZeroScrollsParams(Params):
    """Of `zero_scrolls`: the benchmark's name of the task; the `test` split has no labels. chat: the format of chat
    models, with the request for a bare answer and without the answer's heading.
    """

    task: str
    split: Literal["validation", "test"] = "validation"
    chat: bool = True

    def changes(self) -> dict[str, Any]:
        return {"data": (f"zero_scrolls_{self.task}_test",), "split": "test"} if self.split == "test" else {}


class LmEvalParams(Params):
    """Of `lm_eval`: a task's name there, and how many solved examples instead of its own number."""

    task: str
    num_fewshot: int | None = Field(default=None, ge=0)


class NoParams(Params):
    pass


PARAMS: dict[str, type[Params]] = {
    "items": NoParams,
    "babilong": BabilongParams,
    "longbench_v2": LongBenchParams,
    "zero_scrolls": ZeroScrollsParams,
    "sandbox.bank_log": NoParams,
    "sandbox.code_bug": CodeBugParams,
    "lm_eval": LmEvalParams,
    "ruler.niah": NiahParams,
    "ruler.vt": VtParams,
    "ruler.cwe": CweParams,
    "ruler.fwe": FweParams,
    "ruler.qa": QaParams,
}


class Average(Strict):
    """The unweighted mean of these tasks at each length, printed where a run has them all. In tasks/*/_group.yaml."""

    name: str
    tasks: tuple[str, ...]
    source: str


class Group(Strict):
    averages: tuple[Average, ...]


class Suite(Strict):
    """A named selection of configs/suites/*.yaml; the command line's flags override its lengths, samples and prompt.

    Its lengths are for tasks that fill a length; texts of their own length have the model's context as their budget.
    """

    name: str
    description: str
    tasks: tuple[str, ...]
    lengths: tuple[str, ...] = ()
    samples: int | None = Field(default=None, gt=0)
    prompt: PromptSource = "official"


class RunConfig(Strict):
    """One run, as asked for: what travels from the command line to the runner. Frozen; its hash names the run
    folder.

    until_ci: the half-width in points that every interval is to have; `samples` is then the most that a cell takes.
    """

    model: str
    model_args: dict[str, str] = {}
    attn: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    lengths: tuple[int, ...] = ()
    samples: int | None = None
    until_ci: float | None = Field(default=None, gt=0, le=50)
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


def split_specs(flag: str, text: str) -> tuple[str, ...]:
    """`softmax,lucid:impl=reference,layers=full` -> two: a part with = and no colon before it belongs to the one
    before.
    """
    specs: list[str] = []
    for part in names(flag, text):
        if specs and "=" in part.split(":")[0]:
            specs[-1] += "," + part
        else:
            specs.append(part)
    return tuple(specs)
