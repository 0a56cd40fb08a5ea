"""Likelihoods against transformers' own logits, on tiny random models in fp32 and fp64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, CohereConfig

from lcbench.attention import parse, resolve
from lcbench.engines import transformers as engine_module
from lcbench.engines.transformers import TransformersEngine
from lcbench.errors import EngineOutOfMemory
from lcbench.records import Request
from tests import tiny_model

SHAPES = ((1, 1), (7, 3), (33, 1), (64, 40), (20, 12), (90, 0))  # tokens before, tokens of the target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.save(tmp_path_factory.mktemp("tiny"))


def load(
    folder: Path, mechanism: str = "softmax", dtype: str = "fp64", chunk: int | None = None, device: str = "cpu"
) -> TransformersEngine:
    engine = TransformersEngine.load(folder, device=device, dtype=dtype, chunk_tokens=chunk)
    softmax, _ = resolve(parse("softmax"), device, engine.dtype)
    engine.use(resolve(parse(mechanism), device, engine.dtype)[0], "all", softmax)
    return engine


def requests(greedy: TransformersEngine | None = None) -> list[Request]:
    """One request a shape; with an engine, each target is what that engine answers."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for n, (before, after) in enumerate(SHAPES):
        ids = tuple(torch.randint(2, 4000, (before + after,), generator=generator).tolist())
        target = ids[before:]
        if greedy is not None and after:
            target = next(greedy.generate([Request("greedy", ids[:before], after)])).ids
        found.append(Request(str(n), ids[:before], 0, target=target))
    return found


def likelihoods(engine: TransformersEngine, asked: Sequence[Request]) -> dict[str, tuple[float, bool]]:
    completions = list(engine.logprobs(asked))
    assert [c.key for c in completions] == [r.key for r in asked]
    assert {(c.text, c.ids, c.finish) for c in completions} == {("", (), "scored")}
    return {c.key: c.likelihoods[0] for c in completions}


def by_transformers(folder: Path, dtype: torch.dtype, asked: Sequence[Request]) -> dict[str, tuple[float, bool]]:
    """Each request alone, by one forward pass with all logits."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()
    found = {}
    for request in asked:
        with torch.inference_mode():
            logits = model(torch.tensor([request.ids + request.target])).logits[0]
        logits = logits[len(request.ids) - 1 : len(request.ids) + len(request.target) - 1]
        target = torch.tensor(request.target, dtype=torch.int64)
        chances = logits.log_softmax(-1).gather(1, target[:, None])
        found[request.key] = (float(chances.sum()), bool((logits.argmax(-1) == target).all()))
    return found


def same(one: dict[str, tuple[float, bool]], other: dict[str, tuple[float, bool]], bound: float) -> None:
    assert {k: v[1] for k, v in one.items()} == {k: v[1] for k, v in other.items()}
    assert {k: v[0] for k, v in one.items()} == pytest.approx({k: v[0] for k, v in other.items()}, abs=bound)


@pytest.mark.parametrize("dtype, bound", [("fp64", 1e-4), ("fp32", 1e-3)])  # transformers rotates in fp32 in any dtype
@pytest.mark.parametrize("chunk", [1, 5, 16, 1000])
def test_a_ragged_batch_in_chunks_has_the_likelihoods_of_one_forward_pass(
    folder: Path, dtype: str, bound: float, chunk: int
) -> None:
    engine = load(folder, dtype=dtype, chunk=chunk)
    for asked in (requests(), requests(greedy=engine)):
        expected = by_transformers(folder, torch.float64 if dtype == "fp64" else torch.float32, asked)
        same(likelihoods(engine, asked), expected, bound)
    assert all(greedy for _, greedy in expected.values())


@pytest.mark.parametrize("mechanism", ["softmax", "lucid"])
def test_likelihoods_are_those_of_the_engines_own_logits(folder: Path, mechanism: str) -> None:
    engine = load(folder, mechanism, chunk=1000)
    asked = requests(greedy=engine)
    expected = {}
    for request in asked:
        chances = []
        for n, token in enumerate(request.target):
            logits = engine.prefill([Request("one", request.ids + request.target[:n], 1)]).logits[0]
            chances.append(float(logits.log_softmax(-1)[token]))
        expected[request.key] = (sum(chances), True)
    for chunk in (7, 1000):
        engine.chunk_tokens = chunk
        same(likelihoods(engine, asked), expected, 1e-4)
    if mechanism == "lucid":
        with pytest.raises(AssertionError):
            same(likelihoods(load(folder), asked), expected, 1e-1)


@pytest.mark.gpu
@pytest.mark.parametrize("mechanism", ["softmax", "lucid"])
@pytest.mark.parametrize(("dtype", "bound"), [("fp32", 2e-2), ("bf16", 0.05)])  # nats; bf16: of the likelihood
def test_likelihoods_on_a_gpu_are_those_on_a_cpu(folder: Path, mechanism: str, dtype: str, bound: float) -> None:
    asked = requests()
    expected = likelihoods(load(folder, mechanism, "fp64"), asked)
    found = likelihoods(load(folder, mechanism, dtype, chunk=16, device="cuda"), asked)
    for key, (chance, _) in expected.items():
        assert found[key][0] == pytest.approx(chance, abs=bound if dtype == "fp32" else 1.0 + bound * abs(chance))


def test_an_empty_target_is_certain(folder: Path) -> None:
    assert likelihoods(load(folder), requests())["5"] == (0.0, True)


def test_logits_are_held_for_a_bounded_number_of_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requests()
    whole = likelihoods(load(folder), asked)
    monkeypatch.setattr(engine_module, "LOGITS_TOKENS", 9)
    engine = load(folder)
    sizes: list[int] = []
    engine.model.get_output_embeddings().register_forward_hook(
        lambda head, given, logits: sizes.append(logits.shape[0])
    )
    same(likelihoods(engine, asked), whole, 1e-4)
    assert max(sizes) <= 9 and sum(sizes) >= sum(after for _, after in SHAPES)


def test_what_a_model_does_to_its_logits_is_done_to_these(folder: Path, tmp_path: Path) -> None:
    """Cohere scales its logits behind the output embedding."""
    config = CohereConfig(
        vocab_size=4000,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.5,
        logit_scale=0.25,
        use_cache=False,
    )
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    asked = requests()
    same(likelihoods(load(tmp_path), asked), by_transformers(tmp_path, torch.float64, asked), 1e-4)


def test_the_cost_counts_what_was_read(folder: Path) -> None:
    generation = load(folder).logprobs(requests())
    list(generation)
    cost = generation.cost
    assert (cost.size, cost.prompt_tokens, cost.new_tokens) == (len(SHAPES), sum(map(sum, SHAPES)), 0)
    assert cost.prefill_s > 0 and cost.decode_s == 0 and cost.peak_memory_bytes is None


def test_out_of_memory_is_said_and_the_engine_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(folder)
    mechanism = engine.layers[0].mechanism
    attend, calls = mechanism.attend, iter([False, False, True])

    def scarce(state: object, q: torch.Tensor) -> torch.Tensor:
        if next(calls, False):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return attend(state, q)  # type: ignore[arg-type]

    monkeypatch.setattr(mechanism, "attend", scarce)
    engine.chunk_tokens = 16
    with pytest.raises(EngineOutOfMemory, match="batch of 6") as caught:
        list(engine.logprobs(requests()))
    assert caught.value.__context__ is None
    same(likelihoods(engine, requests()), by_transformers(folder, torch.float64, requests()), 1e-4)
