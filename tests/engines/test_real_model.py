"""A real model on real prompts: our engine's completions are those of transformers' own `generate`.

Five samples of every RULER task at 1k, in float32. Where the first difference stands, the two leading logits may
differ by less than 1e-3: there rounding decides, and neither road is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from lcbench.attention import parse, resolve
from lcbench.engines.transformers import TransformersEngine
from lcbench.plan import make_plan
from lcbench.records import Request
from lcbench.schema import RunConfig

NEAR = 1e-3


@pytest.mark.slow
def test_completions_are_those_of_generate(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = os.environ.get("LCBENCH_REAL_MODEL")
    if model is None:
        pytest.skip(
            "set LCBENCH_REAL_MODEL to a model's name or folder, e.g. smollm2-135m: takes ten minutes on two cores"
        )
    monkeypatch.setenv("LCBENCH_DATA", str(shared / "data"))
    plan = make_plan(RunConfig(model=model, tasks=("ruler",), lengths=(1024,), samples=5, attn=("softmax",)))
    engine = TransformersEngine.load(plan.model.path, dtype="fp32")
    softmax, _ = resolve(parse("softmax"), engine.device, engine.dtype)
    engine.use(softmax, "all", softmax)
    plain = AutoModelForCausalLM.from_pretrained(plan.model.path, dtype=torch.float32, attn_implementation="sdpa")
    plain.to(engine.device).eval()

    compared, near = 0, []
    for cell in plan.runnable:
        assert cell.cell is not None
        samples = [cell.cell.sample(i) for i in range(cell.n)]
        prompts = {s.id: plan.prompter.encode(plan.prompter.render(s.messages, s.answer_prefix)) for s in samples}
        ours = {
            c.key: c.ids
            for c in engine.generate([Request(s.id, tuple(prompts[s.id]), s.max_new_tokens) for s in samples])
        }
        for sample in samples:
            prompt = torch.tensor([prompts[sample.id]], device=engine.device)
            theirs = plain.generate(
                prompt, do_sample=False, max_new_tokens=sample.max_new_tokens, attention_mask=prompt * 0 + 1
            )
            theirs = tuple(theirs[0, prompt.shape[1] :].tolist())
            compared += 1
            if ours[sample.id] == theirs:
                continue
            at = next(i for i, (a, b) in enumerate(zip(ours[sample.id], theirs, strict=False)) if a != b)
            with torch.inference_mode():
                logits = plain(
                    torch.cat([prompt, prompt.new_tensor([theirs[:at]])], 1).long(), logits_to_keep=1
                ).logits[0, -1]
            first, second = logits.topk(2).values.tolist()
            near.append(f"{sample.id} at token {at}: {first - second:.1e}")
            assert first - second < NEAR, near[-1]
    print(f"{compared} completions compared, {compared - len(near)} identical; the others: {near or 'none'}")
    assert compared >= 60
