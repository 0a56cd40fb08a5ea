"""A real model on real prompts, in float32: our completions are those of transformers' own `generate`, and those of a
batch are those of each prompt alone.

Where the first difference stands, the two leading logits must be nearer than the noise of the path: there rounding
decides, and neither road is wrong. Each such case is printed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from lcbench.attention import parse, resolve
from lcbench.engines.transformers import TransformersEngine
from lcbench.plan import Plan, make_plan
from lcbench.records import Request
from lcbench.schema import RunConfig

NOISE = {"softmax": 1e-3, "lucid": 0.2}  # of logits: LUCID on weights trained for softmax amplifies rounding

pytestmark = pytest.mark.slow


def planned(shared: Path, monkeypatch: pytest.MonkeyPatch, **config: object) -> Plan:
    model = os.environ.get("LCBENCH_REAL_MODEL")
    if model is None:
        pytest.skip("set LCBENCH_REAL_MODEL to a model, e.g. smollm2-135m: minutes on two cores")
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    return make_plan(RunConfig.model_validate({"model": model, **config}))


def requests_of(plan: Plan, most_new: int | None = None) -> dict[str, list[Request]]:
    """The requests of every cell, by task."""
    found = {}
    for cell in plan.runnable:
        assert cell.cell is not None
        samples = [cell.cell.sample(i) for i in range(cell.n)]
        ids = [plan.prompter.encode(plan.prompter.render(s.messages, s.answer_prefix)) for s in samples]
        found[cell.id] = [
            Request(s.id, tuple(i), min(s.max_new_tokens, most_new or s.max_new_tokens))
            for s, i in zip(samples, ids, strict=True)
        ]
    return found


def first_difference(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)


def test_completions_are_those_of_generate(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five samples of every RULER task at 1k."""
    plan = planned(shared, monkeypatch, tasks=("ruler",), lengths=(1024,), samples=5, attn=("softmax",))
    engine = TransformersEngine.load(plan.model.path, dtype="fp32")
    softmax, _ = resolve(parse("softmax"), engine.device, engine.dtype)
    engine.use(softmax, "all", softmax)
    plain = AutoModelForCausalLM.from_pretrained(plan.model.path, dtype=torch.float32, attn_implementation="sdpa")
    plain.to(engine.device).eval()

    compared, near = 0, []
    for requests in requests_of(plan).values():
        ours = {c.key: c.ids for c in engine.generate(requests)}
        for request in requests:
            prompt = torch.tensor([request.ids], device=engine.device)
            whole = plain.generate(
                prompt, do_sample=False, max_new_tokens=request.max_new_tokens, attention_mask=torch.ones_like(prompt)
            )
            theirs = tuple(whole[0, prompt.shape[1] :].tolist())
            compared += 1
            if ours[request.key] == theirs:
                continue
            at = first_difference(ours[request.key], theirs)
            with torch.inference_mode():
                logits = plain(whole[:, : prompt.shape[1] + at], logits_to_keep=1).logits[0, -1]
            first, second = logits.topk(2).values.tolist()
            near.append(f"{request.key} at token {at}: {first - second:.1e}")
            assert first - second < NOISE["softmax"], near[-1]
    print(f"{compared} completions compared, {compared - len(near)} identical; the others: {near or 'none'}")
    assert compared >= 60


@pytest.mark.parametrize("name", ["softmax", "lucid"])
def test_a_batch_gives_what_each_prompt_gives_alone(name: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of unequal lengths: three tasks at two lengths."""
    tasks = ("ruler/niah_single_2", "ruler/niah_multikey_2", "ruler/fwe")
    plan = planned(shared, monkeypatch, tasks=tasks, lengths=(300, 800), samples=2, attn=(name,))
    engine = TransformersEngine.load(plan.model.path, dtype="fp32")
    softmax, _ = resolve(parse("softmax"), engine.device, engine.dtype)
    engine.use(resolve(parse(name), engine.device, engine.dtype)[0], "all", softmax)
    requests = [r for cell in requests_of(plan, most_new=32).values() for r in cell]
    batch = {c.key: c.ids for c in engine.generate(requests)}
    near = []
    for request in requests:
        [alone] = list(engine.generate([request]))
        if alone.ids == batch[request.key]:
            continue
        at = first_difference(alone.ids, batch[request.key])
        logits = engine.prefill([Request("again", request.ids + alone.ids[:at], 1)]).logits[0]
        first, second = logits.topk(2).values.tolist()
        near.append(f"{request.key} at token {at}: {first - second:.1e}")
        assert first - second < NOISE[name], near[-1]
    print(f"{name}: {len(requests)} completions, {len(requests) - len(near)} identical; the others: {near or 'none'}")
