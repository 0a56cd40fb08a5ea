"""flags + YAML -> a plan: the cells of a run and everything that decides their samples. What cannot run is refused
here, before any model is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lcbench import catalog, models
from lcbench.attention import AttentionSpec, find, parse
from lcbench.benchmarks import BUILDERS
from lcbench.benchmarks.base import Brief, Cell, Wording
from lcbench.benchmarks.wording import wording
from lcbench.data import sources
from lcbench.errors import CannotBuild, LcbenchError, UsageError
from lcbench.lengths import parse_length, show_length
from lcbench.models import Model
from lcbench.prompting import Prompter
from lcbench.schema import PromptSource, RunConfig, Task
from lcbench.scoring import SCORERS

DEFAULT_SUITE = "quick"
DEFAULT_SAMPLES = 20


@dataclass(frozen=True)
class PlannedCell:
    """One task at one length. `na`: why there are no samples of it; then `cell` is None and n is 0."""

    task: Task
    length: int
    n: int
    skipped: int
    cell: Cell | None
    wording: Wording
    max_new_tokens: int
    na: str | None = None

    @property
    def id(self) -> str:
        return f"{self.task.name}:{self.length}"


@dataclass(frozen=True)
class Plan:
    """What a run computes: every cell under every attention, on the same samples."""

    config: RunConfig
    model: Model
    attention: list[AttentionSpec]
    cells: list[PlannedCell]
    prompter: Prompter
    prompt: PromptSource
    samples: int
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
    task: Task, length: int, prompter: Prompter, config: RunConfig, prompt: PromptSource
) -> tuple[Brief, Cell]:
    """The samples of one task at one length. Raises UsageError for a builder or scorer that does not exist."""
    for kind, name, known in (("benchmark", task.benchmark, BUILDERS), ("score", task.score, SCORERS)):
        if name not in known:
            raise UsageError(f"{task.name}: no {kind} is called {name!r}{catalog.nearest(name, known)}")
    words = wording(task, prompt)
    new = config.max_new_tokens or task.generate.max_new_tokens
    brief = Brief(task, prompter, length, new, config.seed, words)
    return brief, BUILDERS[task.benchmark](brief)


def selection(config: RunConfig) -> tuple[list[catalog.Selected], list[int], int, PromptSource]:
    """The tasks, lengths, samples and prompt source asked for, or the suite's where the flags are silent."""
    suite = None
    if config.suite or not config.tasks:
        suite = catalog.suite(config.suite or DEFAULT_SUITE)
    chosen = catalog.select(config.tasks) if config.tasks else catalog.select(suite.tasks if suite else (), named=False)
    lengths = list(dict.fromkeys(config.lengths))
    if not lengths:
        own = suite.lengths if suite else ()
        lengths = [parse_length(x) for x in own or catalog.suite(DEFAULT_SUITE).lengths]
    samples = config.samples or (suite.samples if suite else None) or DEFAULT_SAMPLES
    prompt = config.prompt or (suite.prompt if suite else "official")
    return chosen, lengths, samples, prompt


def make_plan(config: RunConfig) -> Plan:
    """Resolve everything a run needs but the weights. Raises LcbenchError for whatever cannot run as asked."""
    _check_names(config)
    chosen, lengths, samples, prompt = selection(config)
    specs = list(dict.fromkeys(parse(s) for s in config.attn))
    for task in chosen:
        wording(task.task, prompt)
        if task.task.data:
            sources.find(*task.task.data)
    model = models.resolve(config.model, config.model_args)
    specs = specs or [parse(model.trained_attention)]
    _check_context(model, config, lengths)
    _check_attention(model, specs)
    prompter = prompter_of(model, config)
    cells = [_planned(s, length, prompter, config, prompt, samples) for s in chosen for length in lengths]
    if not any(c.cell for c in cells):
        reasons = "; ".join(f"{c.task.name} at {show_length(c.length)}: {c.na}" for c in cells)
        raise UsageError(f"No cell is left to run: {reasons}.", hint="longer --lengths, or other --tasks")
    materials = {f"{c.task.name}/{k}": v for c in cells if c.cell for k, v in c.cell.materials.items()}
    return Plan(config, model, specs, cells, prompter, prompt, samples, materials)


def _check_names(config: RunConfig) -> None:
    from lcbench.engines.loading import choose_device, choose_dtype
    from lcbench.engines.transformers import TransformersEngine
    from lcbench.strategies import STRATEGIES

    for flag, name, known in (
        ("--strategy", config.strategy, STRATEGIES),
        ("--engine", config.engine, ("transformers",)),
    ):
        if name not in known:
            raise UsageError(f"{flag} {name}: there is {', '.join(known)}{catalog.nearest(name, known)}")
    lacking = STRATEGIES[config.strategy].needs - TransformersEngine.capabilities
    if lacking:
        raise UsageError(
            f"--strategy {config.strategy} needs {', '.join(lacking)}, which {config.engine} does not have."
        )
    choose_dtype(config.dtype, choose_device(config.device).impl, None)


def _check_context(model: Model, config: RunConfig, lengths: Sequence[int]) -> None:
    context = context_length(model, config)
    if context is None or max(lengths) <= context:
        return
    above = [show_length(x) for x in lengths if x > context]
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
    selected: catalog.Selected, length: int, prompter: Prompter, config: RunConfig, prompt: PromptSource, samples: int
) -> PlannedCell:
    task = selected.task
    try:
        brief, cell = open_cell(task, length, prompter, config, prompt)
        n, skipped = cell.prepare(samples)
        if n == 0:
            raise CannotBuild(f"none of its items fits {length} tokens")
        cell.sample(0)
        cell.sample(n - 1)
    except CannotBuild as error:
        if selected.named:
            raise LcbenchError(
                f"{task.name} at {show_length(length)}: {error.message}.", hint="a longer --lengths"
            ) from error
        new = config.max_new_tokens or task.generate.max_new_tokens
        return PlannedCell(task, length, 0, 0, None, wording(task, prompt), new, na=error.message)
    return PlannedCell(task, length, n, skipped, cell, brief.wording, brief.max_new_tokens)
