"""plan -> execute -> record. The loop stands here, on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from lcbench.attention import AttentionSpec, parse, resolve
from lcbench.engines.loading import MODEL_ARGS
from lcbench.engines.transformers import TransformersEngine
from lcbench.errors import EngineOutOfMemory, LcbenchError, UsageError
from lcbench.excerpts import excerpts
from lcbench.identity import default_folder, identity, surroundings
from lcbench.plan import Plan, PlannedCell, make_plan
from lcbench.records import BatchCost, Completion, Option, Record, Sample, Sampling, Score, Turn
from lcbench.schedule import Batch, done, schedule
from lcbench.schema import RunConfig
from lcbench.seeds import digest
from lcbench.store import RunFolder, open_run
from lcbench.strategies import STRATEGIES
from lcbench.strategies.base import Item
from lcbench.summary import summarise


class View(Protocol):
    """What a run shows while it goes on."""

    def start(self, plan: Plan, folder: RunFolder) -> None: ...
    def say(self, text: str) -> None: ...
    def begin(self, batch: Batch) -> None: ...
    def sample(self, batch: Batch) -> None: ...
    def split(self, batch: Batch) -> None: ...
    def recorded(self, batch: Batch, folder: RunFolder) -> None: ...
    def ended(self, spec: AttentionSpec, cell: PlannedCell) -> None: ...
    def close(self) -> None: ...


def run(config: RunConfig, view: View, out: Path | None = None, fresh: bool = False) -> dict[str, Any]:
    """Compute what is not computed yet and give back the summary, which is also summary.json of the run folder.

    Raises LcbenchError for what cannot run, before any model is loaded.
    """
    plan = make_plan(config)
    path = out or default_folder(plan)
    with open_run(path, identity(plan), sum(c.n for c in plan.cells) * len(plan.attention), fresh) as folder:
        try:
            execute(plan, folder, view)
        finally:
            view.close()
        summary = summarise(plan, folder)
        folder.write("summary.json", summary)
    return summary


def execute(plan: Plan, folder: RunFolder, view: View) -> None:
    """Every batch of the plan that is not in the folder yet."""
    strategy = STRATEGIES[plan.config.strategy]
    engine = None
    if folder.read("run.json") is None:
        engine = load(plan, view)
        folder.write("run.json", {"identity": identity(plan), "resolved": resolved(plan, engine), **surroundings(plan)})
    settled = folder.read("run.json")["resolved"]
    view.start(plan, folder)
    current = None
    for batch in (b for b in schedule(plan, folder, settled, view.ended) if not done(folder, b)):
        engine = engine or load_again(plan, folder, settled, view)
        if batch.spec != current:
            use(engine, batch.spec, settled["attention"][str(batch.spec)]["impl"])
            engine.warm_up()
            current = batch.spec
        compute(plan, folder, engine, strategy, batch, settled, view)


def compute(
    plan: Plan,
    folder: RunFolder,
    engine: TransformersEngine,
    strategy: Any,
    batch: Batch,
    settled: dict[str, Any],
    view: View,
) -> None:
    """One batch, or its two halves where it does not fit in memory: a split is written down and used again."""
    if done(folder, batch):
        return
    if batch.id not in folder.splits:
        view.begin(batch)
        try:
            folder.append(answer(plan, engine, strategy, batch, settled, view))
            view.recorded(batch, folder)
            return
        except EngineOutOfMemory as error:
            if batch.last - batch.first == 1:
                folder.append([failed(plan, batch, settled, str(error))])
                view.recorded(batch, folder)
                return
        folder.split(batch.id, (batch.last - batch.first) // 2)
        view.split(batch)
    for half in batch.halves:
        compute(plan, folder, engine, strategy, half, settled, view)


def answer(
    plan: Plan, engine: TransformersEngine, strategy: Any, batch: Batch, settled: dict[str, Any], view: View
) -> list[Record]:
    """The records of one batch, in the order of its samples."""
    cell = batch.cell.cell
    assert cell is not None
    samples = {s.id: s for s in (cell.sample(i) for i in range(batch.first, batch.last))}
    prompts = {s.id: prompt_ids(plan, s) for s in samples.values()}
    items = [item(plan, batch, s, prompts[s.id]) for s in samples.values()]
    answers = strategy.answer(engine, items, Sampling(seed=plan.config.seed))
    judged: dict[str, tuple[Completion, Score]] = {}
    for completion in answers:
        sample = samples[completion.key]
        judged[completion.key] = completion, batch.cell.verdict(sample, completion)
        view.sample(batch)
    return [record(plan, batch, samples[k], prompts[k], *judged[k], answers.cost, settled) for k in samples]


def item(plan: Plan, batch: Batch, sample: Sample, prompt: tuple[int, ...]) -> Item:
    """What a strategy is given of a sample; its own prompt is encoded already."""
    limit = batch.cell.length or plan.context

    def render(messages: Sequence[dict[str, str]], answer_prefix: str) -> tuple[int, ...]:
        if messages is sample.messages and answer_prefix is sample.answer_prefix:
            return prompt
        return tuple(plan.prompter.encode(plan.prompter.render(messages, answer_prefix)))

    def render_turn(turn: Turn, answers: Sequence[str]) -> tuple[int, ...]:
        return tuple(plan.prompter.encode_turn(turn, answers, limit))

    def render_option(option: Option) -> tuple[tuple[int, ...], tuple[int, ...]]:
        before, target = plan.prompter.encode_option(option)
        return tuple(before), tuple(target)

    def extract(completion: str) -> str | None:
        return batch.cell.verdict(sample, Completion(sample.id, completion, (), "stop")).extracted

    return Item(sample.id, sample, stops(batch, sample), render, render_turn, render_option, extract)


def stops(batch: Batch, sample: Sample) -> tuple[str, ...]:
    """The strings that end a sample's first answer: its own, else the task's."""
    return batch.cell.task.generate.stop if sample.stop is None else sample.stop


def prompt_ids(plan: Plan, sample: Sample) -> tuple[int, ...]:
    """A sample's token ids, by the chat template as a whole. A count that is not true stops the run here, before
    anything is computed.
    """
    ids = plan.prompter.encode(plan.prompter.render(sample.messages, sample.answer_prefix))
    if len(ids) != sample.prompt_tokens:
        raise LcbenchError(
            f"{sample.id} was counted as {sample.prompt_tokens} tokens and has {len(ids)}: please report this."
        )
    return tuple(ids)


def record(
    plan: Plan,
    batch: Batch,
    sample: Sample,
    prompt: tuple[int, ...],
    completion: Completion,
    verdict: Score,
    cost: BatchCost,
    settled: dict[str, Any],
) -> Record:
    """One line of samples.jsonl."""
    others = {} if completion.error else {k: v(sample, completion).value for k, v in batch.cell.beside.items()}
    beside = {k: value for k, value in others.items() if value is not None}
    return Record(
        key=record_key(plan, batch, sample, prompt, settled),
        cell=f"{batch.spec}|{batch.cell.id}",
        batch=batch.id,
        sample_id=sample.id,
        index=sample.index,
        prompt=batch.cell.wording.prompt,
        prompt_tokens=sample.prompt_tokens,
        new_tokens=len(completion.ids),
        completion=None if completion.error else completion.text,
        finish=completion.finish,
        error=completion.error,
        score=0.0 if completion.error else verdict.value,
        extracted=None if completion.error else verdict.extracted,
        flags=verdict.flags,
        references=sample.references,
        truncated=sample.truncated,
        evidence=tuple(asdict(e) for e in sample.evidence),
        fields=sample.fields,
        tags=sample.tags,
        beside={**verdict.beside, **beside},
        earlier=completion.earlier,
        likelihoods=completion.likelihoods,
        cost=asdict(cost),
        context_id=sample.context_id,
        excerpt=excerpts(sample),
    )


def failed(plan: Plan, batch: Batch, settled: dict[str, Any], reason: str) -> Record:
    """The record of a sample that does not fit in memory even alone."""
    assert batch.cell.cell is not None
    sample = batch.cell.cell.sample(batch.first)
    why = f"out of memory with a prompt of {sample.prompt_tokens} tokens alone: {reason}".strip(": ")
    nothing = BatchCost(1, sample.prompt_tokens, 0, 0.0, 0.0, 0, None)
    completion = Completion(sample.id, "", (), "failed", why)
    score = Score(0.0, None, ("failed",))
    return record(plan, batch, sample, prompt_ids(plan, sample), completion, score, nothing, settled)


def record_key(plan: Plan, batch: Batch, sample: Sample, prompt: tuple[int, ...], settled: dict[str, Any]) -> str:
    """sha256 over everything that decides a record."""
    c, task = plan.config, batch.cell.task
    return digest([
        task.name, task.version, sample.id, prompt, batch.cell.wording.prompt, plan.prompter.template,
        plan.prompter.template_args, plan.model.fingerprint, plan.model.revision, settled["dtype"]["impl"],
        c.engine, TransformersEngine.version, settled["device"]["impl"].split(":")[0],
        str(batch.spec), settled["attention"][str(batch.spec)]["impl"],
        c.strategy, sample.max_new_tokens, list(stops(batch, sample)), [asdict(t) for t in sample.later],
        [asdict(o) for o in sample.options], c.seed,
        {k: c.model_args[k] for k in MODEL_ARGS if k in c.model_args},
    ])  # fmt: skip


def load(plan: Plan, view: View) -> TransformersEngine:
    """The engine with the weights of the plan's model."""
    c = plan.config
    view.say(f"loading {plan.model.name} from {plan.model.path}")
    args = {k: v for k, v in c.model_args.items() if k in MODEL_ARGS}
    trust = c.model_args.get("trust_remote_code") == "true"
    return TransformersEngine.load(
        plan.model.path, device=c.device, dtype=c.dtype, trust_remote_code=trust, model_args=args
    )


def load_again(plan: Plan, folder: RunFolder, settled: dict[str, Any], view: View) -> TransformersEngine:
    """The engine for a run that goes on. Raises UsageError where it would compute otherwise than before."""
    engine = load(plan, view)
    now = resolved(plan, engine)
    if any(now[k] != settled[k] for k in ("device", "dtype")):
        raise UsageError(
            f"{folder.path} was computed on {settled['device']['impl']} in {settled['dtype']['impl']}.",
            hint="--out DIR",
        )
    return engine


def use(engine: TransformersEngine, spec: AttentionSpec, impl: str) -> None:
    """Put a mechanism into the engine; layers that it leaves alone stay softmax."""
    chosen = AttentionSpec(spec.name, impl, spec.layers, spec.arguments)
    softmax, _ = resolve(parse("softmax"), engine.device, engine.dtype, windows=True)
    mechanism, _ = resolve(chosen, engine.device, engine.dtype, in_windows(engine, spec), widest(engine))
    engine.use(mechanism, spec.layers, softmax)


def in_windows(engine: TransformersEngine, spec: AttentionSpec) -> bool:
    """Whether the mechanism has to stand in sliding-window layers."""
    return spec.layers == "all" and any(shape.window is not None for shape in engine.shapes)


def widest(engine: TransformersEngine) -> int:
    """The largest head size of the model's layers."""
    return max(shape.head_size for shape in engine.shapes)


def resolved(plan: Plan, engine: TransformersEngine) -> dict[str, Any]:
    """What `auto` picked and why: device, dtype, prefill chunk, and for every mechanism its implementation and
    batch budget.
    """
    found: dict[str, Any] = {name: asdict(choice) for name, choice in engine.choices.items()}
    found["attention"] = {}
    for spec in plan.attention:
        _, choice = resolve(spec, engine.device, engine.dtype, in_windows(engine, spec), widest(engine))
        use(engine, spec, choice.impl)
        tokens, reason = engine.batch_budget()
        found["attention"][str(spec)] = {**asdict(choice), "batch_tokens": tokens, "batch_reason": reason}
    return found
