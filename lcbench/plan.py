"""flags + YAML -> a plan: the cells of a run and everything that decides their samples. What cannot run is refused
here, before any model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lcbench import catalog, models
from lcbench.attention import AttentionSpec, find, parse
from lcbench.benchmarks import BUILDERS
from lcbench.benchmarks.base import Brief, Cell, Wording
from lcbench.benchmarks.wording import wording
from lcbench.data import sources
from lcbench.errors import CannotBuild, LcbenchError, MissingError, UsageError, nearest
from lcbench.lengths import parse_length, show_length
from lcbench.models import Model
from lcbench.prompting import Prompter
from lcbench.records import Completion, Sample, Score
from lcbench.schema import RunConfig, ScoreBy, Suite, Task
from lcbench.scoring import bind
from lcbench.stopping import unwatched

DEFAULT_SUITE = "quick"
DEFAULT_SAMPLES = 20
DEFAULT_MOST = 1000  # samples a cell under --until-ci
PULL = "lcbench data pull "


Verdict = Callable[[Sample, Completion], Score]


@dataclass(frozen=True)
class PlannedCell:
    """One task at one length. `na`: why there are no samples of it; then `cell` is None and n is 0.

    row_tokens: the most tokens that one sample of it can take, prompt and answers. verdict: the task's score of a
    completion; beside: the verdicts of the other metrics, by name.
    """

    task: Task
    length: int | None
    n: int
    skipped: int
    cell: Cell | None
    wording: Wording
    max_new_tokens: int
    row_tokens: int
    verdict: Verdict
    beside: dict[str, Verdict] = field(default_factory=dict)
    na: str | None = None

    @property
    def id(self) -> str:
        return f"{self.task.name}:{'-' if self.length is None else self.length}"


@dataclass(frozen=True)
class Plan:
    """What a run computes: every cell under every attention, on the same samples."""

    config: RunConfig
    model: Model
    attention: list[AttentionSpec]
    cells: list[PlannedCell]
    prompter: Prompter
    samples: int
    context: int | None
    materials: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def runnable(self) -> list[PlannedCell]:
        return [c for c in self.cells if c.cell is not None]


def prompter_of(model: Model, config: RunConfig) -> Prompter:
    """The tokenizer and chat template of a run."""
    args = {
        k.removeprefix("chat_template."): _literal(v)
        for k, v in config.model_args.items()
        if k.startswith("chat_template.")
    }
    trust = config.model_args.get("trust_remote_code") == "true"
    return Prompter(model.path, config.chat_template, config.system, args, trust)


def _literal(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), int(text) if text.isdigit() else text)


def open_cell(
    task: Task, length: int | None, prompter: Prompter, config: RunConfig, context: int | None = None
) -> tuple[Brief, Cell]:
    """The samples of one task at one length. context: the model's, which bounds what no length bounds.

    Raises UsageError for a builder that does not exist.
    """
    if task.benchmark not in BUILDERS:
        raise UsageError(f"{task.name}: no benchmark is called {task.benchmark!r}{nearest(task.benchmark, BUILDERS)}")
    words = wording(task, config.prompt)
    new = config.max_new_tokens or task.generate.max_new_tokens
    overridden = config.max_new_tokens is not None
    brief = Brief(task, prompter, length, length or context, new, config.seed, words, context, overridden)
    return brief, BUILDERS[task.benchmark](brief)


def verdict_of(task: Task, scorer: ScoreBy) -> Verdict:
    """A scorer as the runner calls it. What has nothing to be scored against has no score."""
    try:
        score = bind(scorer.name, scorer.arguments)
    except UsageError as error:
        raise UsageError(f"{task.name}: {error.message}.", hint=error.hint) from error

    def verdict(sample: Sample, completion: Completion) -> Score:
        if "" in completion.earlier and any(turn.needed for turn in sample.later):
            return Score(0.0 if sample.references else None, None, ("empty",))
        found = score(completion.text, sample.references, sample.fields)
        return found if sample.references else Score(None, found.extracted, found.flags)

    return verdict


def with_suite(config: RunConfig) -> tuple[RunConfig, Suite | None]:
    """The configuration with the suite's samples and prompt source where the flags are silent. Until an interval is
    narrow enough takes as many samples as it takes, whatever the suite's number.
    """
    if config.until_ci is not None:
        config = config.model_copy(update={"samples": config.samples or DEFAULT_MOST})
    if config.tasks and not config.suite:
        return config.model_copy(update={"samples": config.samples or DEFAULT_SAMPLES}), None
    suite = catalog.suite(config.suite or DEFAULT_SUITE)
    update = {
        "samples": config.samples or suite.samples or DEFAULT_SAMPLES,
        "prompt": config.prompt or suite.prompt,
    }
    return config.model_copy(update=update), suite


def selection(config: RunConfig, suite: Suite | None) -> list[catalog.Selected]:
    """The tasks asked for, or the suite's."""
    if config.tasks:
        return catalog.select(config.tasks)
    return catalog.select(suite.tasks if suite else (), named=False)


def lengths_of(task: Task, config: RunConfig, suite: Suite | None, context: int | None) -> list[int | None]:
    """The lengths that a task runs at: those asked for; where the flags are silent, the suite's for a task that fills
    a length, and the model's context for one whose texts have their own; none for one that ignores them.
    """
    if task.lengths == "ignored":
        return [None]
    if config.lengths:
        return list(dict.fromkeys(config.lengths))
    if task.lengths == "fill":
        own = suite.lengths if suite else ()
        return [parse_length(x) for x in own or catalog.suite(DEFAULT_SUITE).lengths]
    if context is None:
        raise UsageError(f"{task.name} needs a budget, and this model names no context.", hint="--lengths 32k")
    return [context]


def make_plan(config: RunConfig) -> Plan:
    """Resolve everything a run needs but the weights. Raises LcbenchError for whatever cannot run as asked."""
    _check_names(config)
    asked, suite = with_suite(config)
    chosen = selection(asked, suite)
    specs = list(dict.fromkeys(parse(s) for s in config.attn))
    check_texts([selected.task for selected in chosen], asked)
    model = models.resolve(config.model, config.model_args)
    specs = specs or [parse(model.trained_attention)]
    context = context_length(model, config)
    wanted = [(s, length) for s in chosen for length in lengths_of(s.task, asked, suite, context)]
    _check_context(model, context, [length for _, length in wanted if length is not None])
    _check_attention(model, specs)
    prompter = prompter_of(model, config)
    cells = [_planned(s, length, prompter, asked, context) for s, length in wanted]
    if not any(c.cell for c in cells):
        reasons = "; ".join(f"{c.task.name} at {show_length(c.length)}: {c.na}" for c in cells)
        raise UsageError(f"No cell is left to run: {reasons}.", hint="longer --lengths, or other --tasks")
    if asked.until_ci is not None:
        _check_watched([c.task for c in cells if c.cell])
    materials = {f"{c.task.name}/{k}": v for c in cells if c.cell for k, v in c.cell.materials.items()}
    return Plan(config, model, specs, cells, prompter, asked.samples or DEFAULT_SAMPLES, context, materials)


def check_texts(tasks: Sequence[Task], config: RunConfig) -> None:
    """That the prompts and pinned data of the tasks are here. Raises MissingError with the command that pulls them."""
    missing: dict[str, str] = {}  # hint -> what
    for task in tasks:
        named = (task.data, task.few_shot.data if task.few_shot else ())
        needs: list[Callable[[], object]] = [partial(wording, task, config.prompt)]
        needs += [partial(sources.find, *names) for names in named if isinstance(names, tuple) and names]
        for need in needs:
            try:
                need()
            except MissingError as error:
                missing[str(error.hint)] = error.message
    if missing:
        pulls = [hint.removeprefix(PULL) for hint in missing if hint.startswith(PULL)]
        raise MissingError(" ".join(missing.values()), hint=PULL + " ".join(pulls) if pulls else next(iter(missing)))


def _check_watched(tasks: Sequence[Task]) -> None:
    """That --until-ci can end one cell at least. Raises UsageError."""
    reasons = dict.fromkeys(unwatched(task.scorer.name) for task in tasks)
    if None not in reasons:
        raise UsageError(f"--until-ci has nothing to watch: {'; '.join(map(str, reasons))}.", hint="--samples N")


def _check_names(config: RunConfig) -> None:
    from lcbench.engines.loading import choose_device, choose_dtype
    from lcbench.engines.transformers import TransformersEngine
    from lcbench.strategies import STRATEGIES

    for flag, name, known in (
        ("--strategy", config.strategy, STRATEGIES),
        ("--engine", config.engine, ("transformers",)),
    ):
        if name not in known:
            raise UsageError(f"{flag} {name}: there is {', '.join(known)}{nearest(name, known)}")
    lacking = STRATEGIES[config.strategy].needs - TransformersEngine.capabilities
    if lacking:
        raise UsageError(
            f"--strategy {config.strategy} needs {', '.join(lacking)}, which {config.engine} does not have."
        )
    choose_dtype(config.dtype, choose_device(config.device).impl, None)


def _check_context(model: Model, context: int | None, lengths: Sequence[int]) -> None:
    if context is None or not lengths or max(lengths) <= context:
        return
    above = [show_length(x) for x in dict.fromkeys(lengths) if x > context]
    factor = -(-max(lengths) // (model.context_length or context))
    raise UsageError(
        f"--lengths {','.join(above)}: {model.name} has a context of {context} tokens.",
        hint=f"--lengths {show_length(context)}, or --model-args rope_scaling=yarn:{factor}",
    )


def context_length(model: Model, config: RunConfig) -> int | None:
    """The model's context in tokens, after the rotary scaling asked for. Raises UsageError where that cannot be
    read.
    """
    if "rope_scaling" not in config.model_args:
        return model.context_length
    from transformers import AutoConfig

    from lcbench.engines.loading import scale_rotary

    scaled = AutoConfig.for_model(**model.config).get_text_config(decoder=True)
    scale_rotary(scaled, config.model_args["rope_scaling"])
    return int(scaled.max_position_embeddings)


def _check_attention(model: Model, specs: Sequence[AttentionSpec]) -> None:
    from lcbench.engines.loading import check_layers

    for spec in specs:
        check_layers(model.config, windows_of(spec), spec.layers)


def windows_of(spec: AttentionSpec) -> bool:
    """Whether the mechanism honours sliding windows, whichever implementation runs."""
    info = find(spec.name)
    return info.make(info.impls[0], spec.arguments).windows


def _planned(
    selected: catalog.Selected, length: int | None, prompter: Prompter, config: RunConfig, context: int | None
) -> PlannedCell:
    task, samples = selected.task, config.samples or DEFAULT_SAMPLES
    verdict: Verdict = _no_verdict
    beside: dict[str, Verdict] = {}
    try:
        brief, cell = open_cell(task, length, prompter, config, context)
        verdict = cell.verdict or verdict_of(task, task.scorer)
        beside = {s.name: verdict_of(task, s) for s in task.scorers_beside}
        n, skipped = cell.prepare(samples)
        if n == 0:
            raise CannotBuild(f"none of its items fits {brief.limit} tokens")
        ends = [cell.sample(0), cell.sample(n - 1)]
    except CannotBuild as error:
        if selected.named:
            raise LcbenchError(
                f"{task.name} at {show_length(length)}: {error.message}.", hint="a longer --lengths"
            ) from error
        new = config.max_new_tokens or task.generate.max_new_tokens
        return PlannedCell(
            task, length, 0, 0, None, wording(task, config.prompt), new, 0, verdict, beside, na=error.message
        )
    # A length bounds every sample that is made to it; others are built to find the longest.
    widest = length if length and cell.bounded else max(map(_tokens_of, map(cell.sample, range(n))))
    new = ends[0].max_new_tokens
    return PlannedCell(task, length, n, skipped, cell, cell.wording or brief.wording, new, widest, verdict, beside)


def _no_verdict(sample: Sample, completion: Completion) -> Score:
    raise LcbenchError(f"{sample.task} has no samples to score.")


def _tokens_of(sample: Sample) -> int:
    """The most tokens that a sample holds in the engine at once."""
    answers = sample.max_new_tokens + sum(turn.max_new_tokens for turn in sample.later)
    return (sample.prompt_tokens + answers) * max(1, len(sample.options))
