"""The engine against transformers' own generation, on tiny random models in fp64."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils._python_dispatch import TorchDispatchMode

from lcbench.attention import parse, resolve
from lcbench.engines.loading import check_layers, layer_windows, scale_rotary
from lcbench.engines.sampling import draw, uniform
from lcbench.engines.transformers import TransformersEngine
from lcbench.errors import EngineOutOfMemory, UsageError
from lcbench.records import Completion, Request, Sampling

LENGTHS = (1, 7, 33, 64, 100)
COMMON = dict(
    vocab_size=300,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=512,
    initializer_range=0.5,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
    tie_word_embeddings=False,
)
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**COMMON),
    "qwen2": lambda: transformers.Qwen2Config(**{k: v for k, v in COMMON.items() if k != "head_dim"}),
    "qwen3": lambda: transformers.Qwen3Config(**COMMON),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **COMMON, sliding_window=16, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    ),
}


class Softmax:
    """Plain softmax attention with every score at hand."""

    name = "softmax"
    tensors = ("k", "v")
    rotary = "after"
    windows = True

    def build(self, config, layer):
        return layer

    def write(self, state, k, v):
        state.append("k", k)
        state.append("v", v)

    def attend(self, state, q):
        groups = q.shape[1] // state.tensors["k"].shape[1]
        k, v = (state.tensors[name][:, :, : state.past_max + q.shape[2]].repeat_interleave(groups, 1) for name in "kv")
        queries = state.past[:, None] + torch.arange(q.shape[2], device=q.device)
        keys = torch.arange(k.shape[2], device=q.device)
        seen = keys <= queries[..., None]
        if state.window is not None:
            seen &= keys > queries[..., None] - state.window
        return F.scaled_dot_product_attention(q, k, v, seen[:, None], scale=state.scale)


class Windowless(Softmax):
    """Full attention whatever the window says; keeps the layers and windows that it was called with."""

    name = "windowless"
    windows = False

    def __init__(self):
        self.seen = set()

    def attend(self, state, q):
        self.seen.add((state.params, state.window))
        return super().attend(replace(state, window=None), q)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model folder for each architecture, all with the same byte-level tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(
        ["the cat sat on the mat and the dog sat on the cat that ran to the other hat"], trainer
    )
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")

    root = tmp_path_factory.mktemp("models")
    for name, config in CONFIGS.items():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config(), dtype=torch.float64)
        model.save_pretrained(root / name)
        fast.save_pretrained(root / name)
    return root


def bundled(name):
    return resolve(parse(name), "cpu", "float64")[0]


def load(folder, mechanism=None, layers="all", **arguments) -> TransformersEngine:
    engine = TransformersEngine.load(folder, device="cpu", dtype="fp64", **arguments)
    engine.use(mechanism or Softmax(), layers, Softmax())
    return engine


def prompt(length: int, seed: int = 0) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed + length)
    return tuple(torch.randint(1, 280, (length,), generator=generator).tolist())


def requests(**changes) -> list[Request]:
    return [replace(Request(str(n), prompt(n), 12), **changes) for n in LENGTHS]


def by_key(completions: Iterator[Completion]) -> dict[str, Completion]:
    return {completion.key: completion for completion in completions}


@pytest.fixture(scope="module")
def expected(folders):
    """What transformers' own greedy generation with eager attention answers, prompt by prompt."""

    def answers(name):
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folders / name, dtype=torch.float64, attn_implementation="eager"
        )
        return {
            str(n): tuple(model.generate(torch.tensor([prompt(n)]), max_new_tokens=12, do_sample=False)[0, n:].tolist())
            for n in LENGTHS
        }

    return {name: answers(name) for name in CONFIGS}


@pytest.mark.parametrize("mechanism", ["plain", "softmax"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_ragged_batch_in_chunks_is_transformers_own_greedy_generation(folders, expected, name, mechanism):
    engine = load(folders / name, Softmax() if mechanism == "plain" else bundled(mechanism))
    alone = {request.key: next(engine.generate([request])) for request in requests()}
    assert {key: completion.ids for key, completion in alone.items()} == expected[name]
    assert len({completion.ids for completion in alone.values()}) == len(LENGTHS), (
        "the model answers alike, which proves nothing"
    )
    for chunk in (1, 5, 16, 1000):
        engine.chunk_tokens = chunk
        assert by_key(engine.generate(requests())) == alone


@pytest.mark.parametrize("name, layers", [("llama", "all"), ("gemma3", "full")])
def test_lucid_in_a_ragged_batch_is_lucid_computed_anew_for_each_token(folders, expected, name, layers):
    engine = TransformersEngine.load(folders / name, device="cpu", dtype="fp64", chunk_tokens=16)
    engine.use(bundled("lucid"), layers, bundled("softmax"))
    batch = by_key(engine.generate(requests(max_new_tokens=4)))
    engine.chunk_tokens = 1000
    for request in requests(max_new_tokens=4):
        ids = request.ids
        for _ in range(4):
            ids += (int(engine.prefill([replace(request, ids=ids)]).logits.argmax()),)
        assert batch[request.key].ids == ids[len(request.ids) :]
    assert {key: completion.ids for key, completion in batch.items()} != {
        key: ids[:4] for key, ids in expected[name].items()
    }


def test_logits_do_not_depend_on_chunks_or_batch(folders):
    engine = load(folders / "gemma3", chunk_tokens=1000)
    whole = engine.prefill(requests()[3:4]).logits[0]
    engine.chunk_tokens = 7
    context = engine.prefill(requests())
    slot = [request.key for request in context.requests].index("64")
    # transformers normalises and rotates in fp32 in models of any dtype
    torch.testing.assert_close(context.logits[slot], whole, rtol=1e-5, atol=1e-5)


def test_rows_leave_as_they_finish_and_the_rest_is_undisturbed(folders, expected):
    engine = load(folders / "llama")
    budgets = {"1": 9, "7": 2, "33": 12, "64": 1, "100": 5}
    generation = engine.generate([replace(request, max_new_tokens=budgets[request.key]) for request in requests()])
    completions = list(generation)
    assert [completion.key for completion in completions] == ["64", "7", "100", "1", "33"]
    for completion in completions:
        assert completion.finish == "length"
        assert completion.ids == expected["llama"][completion.key][: budgets[completion.key]]
    cost = generation.cost
    assert (cost.size, cost.prompt_tokens, cost.new_tokens) == (5, sum(LENGTHS), sum(budgets.values()))
    assert cost.decode_steps == 11
    assert cost.prefill_s > 0 and cost.decode_s > 0 and cost.peak_memory_bytes is None


def test_end_of_sequence_ids_end_a_row_and_stay_in_its_ids(folders, expected):
    engine = load(folders / "llama")
    fourth, tenth = expected["llama"]["33"][3], expected["llama"]["33"][9]
    engine.eos = frozenset([fourth, tenth])
    completion = next(engine.generate([requests()[2]]))
    end = expected["llama"]["33"].index(fourth) + 1
    assert (completion.finish, completion.ids) == ("eos", expected["llama"]["33"][:end])


@pytest.mark.parametrize("written, ids", [(7, {7}), ([7, 9], {7, 9}), (None, set())])
def test_end_of_sequence_ids_come_from_the_configuration(folders, tmp_path, written, ids):
    for file in (folders / "llama").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for name in ("config.json", "generation_config.json"):
        content = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(json.dumps(content | {"eos_token_id": written}))
    assert load(tmp_path).eos == ids


def test_sampling_is_the_same_alone_in_a_batch_and_in_another_order(folders):
    engine = load(folders / "qwen3")
    sampled = requests(sampling=Sampling(temperature=1.5, top_p=0.95, top_k=50, seed=3))
    batch = by_key(engine.generate(sampled))
    assert by_key(engine.generate(sampled[::-1])) == batch
    assert {request.key: next(engine.generate([request])) for request in sampled} == batch
    assert by_key(engine.generate(requests())) != batch
    assert by_key(engine.generate(requests(sampling=replace(sampled[0].sampling, seed=4)))) != batch


def test_draw_follows_the_distribution_and_its_cuts():
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0, 3.0]])

    def counts(sampling):
        noise = [(i + 0.5) / 4000 for i in range(4000)]
        return torch.bincount(draw(logits.expand(4000, -1), [sampling] * 4000, noise), minlength=5) / 4000

    torch.testing.assert_close(counts(Sampling(2.0)), (logits[0] / 2).softmax(0), rtol=0, atol=1e-3)
    assert counts(Sampling(1.0, top_k=2)).tolist() == [0, 0.5, 0, 0, 0.5]
    # after top_k=3 the chances are 0.42, 0.42, 0.16: two of them reach 0.8, and none of 0.85 fits in two
    assert (counts(Sampling(1.0, top_p=0.8, top_k=3)) > 0).tolist() == [False, True, False, False, True]
    assert (counts(Sampling(1.0, top_p=0.85, top_k=3)) > 0).tolist() == [False, True, True, False, True]
    assert counts(Sampling(0.0)).tolist() == [0, 1, 0, 0, 0], "ties go to the lowest id"
    mixed = draw(logits.expand(2, -1), [Sampling(0.0), Sampling(5.0)], [0.999, 0.999])
    assert mixed.tolist() == [1, 3]


def test_noise_is_pinned_and_keyed_by_seed_key_and_position():
    first_bytes = hashlib.sha256(b'[0,"a",0]').hexdigest()[:16]
    assert uniform(0, "a", 0) == pytest.approx(int(first_bytes, 16) / 2**64, abs=2**-53)
    assert len({uniform(s, k, p) for s in range(3) for k in "ab" for p in range(3)}) == 18


def test_a_stop_string_ends_the_row_and_is_cut_from_its_text(folders):
    engine = load(folders / "llama")
    free = next(engine.generate([replace(requests()[2], max_new_tokens=40)]))
    stop = free.text[20:23]
    at = free.text.index(stop)
    completion = next(engine.generate([replace(requests()[2], max_new_tokens=40, stop=("never seen", stop))]))
    assert (completion.finish, completion.text) == ("stop", free.text[:at])
    assert completion.ids == free.ids[: len(completion.ids)] and len(completion.ids) < 40
    decode = engine.tokenizer.decode
    assert stop in decode(completion.ids) and stop not in decode(completion.ids[:-1])


def test_long_answers_are_not_decoded_anew_at_each_step(folders):
    engine = load(folders / "llama")
    sizes = []
    decode = engine.tokenizer.decode
    engine.tokenizer.decode = lambda ids, **options: sizes.append(len(ids)) or decode(ids, **options)
    next(engine.generate([replace(requests()[0], max_new_tokens=200, stop=("never seen",))]))
    assert sorted(sizes)[-2:] == [18, 200]


class OutOfMemory(Softmax):
    """Runs out of memory at a given call."""

    def __init__(self, error, calls):
        self.error = error
        self.calls = calls

    def attend(self, state, q):
        self.calls -= 1
        if self.calls == 0:
            raise self.error
        return super().attend(state, q)


@pytest.mark.parametrize("calls", [2, 11])
@pytest.mark.parametrize(
    "error",
    [torch.cuda.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_out_of_memory_frees_the_batch_and_leaves_the_engine_usable(folders, expected, error, calls):
    engine = load(folders / "llama", OutOfMemory(error, calls))
    with pytest.raises(EngineOutOfMemory, match=r"allocate|out of memory") as caught:
        list(engine.generate(requests()))
    assert caught.value.__context__ is None, "the first error's traceback would keep the activations alive"
    completions = by_key(engine.generate(requests()))
    assert {key: completion.ids for key, completion in completions.items()} == expected["llama"]


def test_other_errors_pass_through(folders):
    engine = load(folders / "llama", OutOfMemory(RuntimeError("a shape is wrong"), 2))
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        list(engine.generate(requests()))


class Constant(Softmax):
    """Writes, and attends to nothing: what is left is the engine's and the model's own memory."""

    def attend(self, state, q):
        return q


class Largest(TorchDispatchMode):
    """The largest floating-point result of an operation, in elements; the state, which is made by `zeros`, aside."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        made_here = isinstance(result, torch.Tensor) and result.data_ptr() not in self.states
        if function is torch.ops.aten.zeros.default:
            self.states.add(result.data_ptr())
        elif made_here and result.is_floating_point():
            self.elements = max(self.elements, result.numel())
        return result

    def __init__(self):
        super().__init__()
        self.states = set()


@pytest.mark.parametrize("length", [512, 4096])
def test_activations_are_bounded_by_the_chunk_and_never_hold_logits_of_every_token(folders, length):
    engine = load(folders / "llama", Constant(), chunk_tokens=32)
    with Largest() as largest:
        context = engine.prefill([Request(str(row), prompt(length - row), 1) for row in range(2)])
    feed_forward, logits = 32 * 48, 2 * 300
    assert largest.elements == max(feed_forward, logits)
    assert context.logits.shape == (2, 300)
    assert context.state.tensors[0]["k"].shape == (2, 2, length + 1, 8)


def test_warming_up_meets_an_empty_past_a_past_and_one_token(folders):
    met = []

    class Watched(Softmax):
        def write(self, state, k, v):
            met.append((state.past_max > 0, k.shape[2] > 1))
            super().write(state, k, v)

    engine = load(folders / "llama", Watched())
    met.clear()
    engine.warm_up()
    assert set(met) == {(False, True), (True, True), (True, False)}


def test_a_mechanism_without_windows_stands_in_full_layers_only(folders):
    windowless = Windowless()
    with pytest.raises(UsageError, match=r"2 of 3 layers .*\(0, 2\).*sliding window") as refused:
        load(folders / "gemma3", windowless)
    assert "layers=full" in str(refused.value.hint)
    assert windowless.seen == set()

    engine = load(folders / "gemma3", windowless, layers="full")
    list(engine.generate(requests()))
    assert windowless.seen == {(1, None)}


def test_full_layers_with_softmax_elsewhere_compute_what_softmax_everywhere_does(folders, expected):
    engine = load(folders / "gemma3", Windowless(), layers="full")
    completions = by_key(engine.generate(requests()))
    assert {key: completion.ids for key, completion in completions.items()} == expected["gemma3"]


def test_windows_are_read_from_raw_configurations():
    """config.json as published: defaults and layer types are not written out there."""
    gemma3 = {"model_type": "gemma3_text", "num_hidden_layers": 7, "sliding_window": 512}
    assert layer_windows(gemma3) == [512] * 5 + [None, 512]
    assert layer_windows({"model_type": "gemma3", "text_config": gemma3}) == [512] * 5 + [None, 512]
    qwen2 = {"model_type": "qwen2", "num_hidden_layers": 2, "sliding_window": 4096, "use_sliding_window": False}
    assert layer_windows(qwen2) == [None, None]
    mistral = {"model_type": "mistral", "num_hidden_layers": 2, "sliding_window": 4096}
    assert layer_windows(mistral) == [4096, 4096]
    assert layer_windows({"model_type": "of their own", "num_hidden_layers": 2}) == [None, None]
    with pytest.raises(UsageError, match="none is full"):
        check_layers(mistral, False, "full")
    with pytest.raises(UsageError, match="layers=some"):
        check_layers(gemma3, True, "some")
    assert layer_windows({"model_type": "gpt2", "n_layer": 2}) == [None, None]
    with pytest.raises(UsageError, match=r"linear_attention \(layer 0\)"):
        check_layers({"model_type": "qwen3_next", "num_hidden_layers": 4}, True, "all")
    check_layers(qwen2, False, "all")
    check_layers(gemma3, True, "all")


@pytest.mark.parametrize(
    "config, reason",
    [
        (transformers.Gemma2Config(**COMMON), "softcap"),
        (transformers.GptOssConfig(**COMMON, num_local_experts=2, num_experts_per_tok=1), "s_aux"),
        (
            transformers.LlamaConfig(
                **COMMON, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
            ),
            "dynamic rotary scaling",
        ),
    ],
)
def test_models_that_the_seam_cannot_carry_are_refused_at_load_time(folders, tmp_path, config, reason):
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(folders / "llama").save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=reason):
        TransformersEngine.load(tmp_path, device="cpu")


def test_a_mechanism_before_rotary_embedding_is_refused(folders):
    mechanism = Softmax()
    mechanism.rotary = "before"
    with pytest.raises(UsageError, match="before rotary"):
        load(folders / "llama", mechanism)


def test_automatic_choices_carry_their_reasons(folders):
    engine = TransformersEngine.load(folders / "llama")
    expected_device = "cuda" if torch.cuda.is_available() else "cpu"
    assert engine.choices["device"].impl == engine.device == expected_device
    if expected_device == "cpu":
        assert engine.dtype == "float32" and engine.model.dtype == torch.float32
        assert "CPU" in engine.choices["dtype"].reason and "CUDA" in engine.choices["device"].reason
        assert engine.choices["chunk"].impl == "2048"
        engine.use(Softmax(), "all", Softmax())
        assert engine.batch_budget()[0] == 32768
    assert load(folders / "llama").choices["dtype"].reason == "asked for"


def test_arguments_are_refused_by_name(folders):
    with pytest.raises(UsageError, match=r"flavour.*rope_scaling"):
        TransformersEngine.load(folders / "llama", model_args={"flavour": "mild"})
    with pytest.raises(UsageError, match="float8"):
        TransformersEngine.load(folders / "llama", dtype="float8")
    with pytest.raises(UsageError, match="awq"):
        TransformersEngine.load(folders / "llama", model_args={"quantization": "awq"})
    for written in ("yarn", "ntk:4", "{nothing", "llama3:4"):
        with pytest.raises(UsageError, match="rope_scaling"):
            TransformersEngine.load(folders / "llama", model_args={"rope_scaling": written})
    with pytest.raises(UsageError, match=r"config\.json"):
        TransformersEngine.load(folders)


def test_rotary_scaling_reaches_the_model(folders):
    engine = load(folders / "llama", model_args={"rope_scaling": "yarn:4"})
    assert engine.config.max_position_embeddings == 2048
    plain = load(folders / "llama")
    assert next(engine.generate([requests()[4]])).ids != next(plain.generate([requests()[4]])).ids

    reference = transformers.AutoConfig.from_pretrained(folders / "llama")
    scale_rotary(reference, json.dumps({"rope_type": "linear", "factor": 2.0}))
    assert reference.rope_parameters["rope_theta"] == 10000.0
    windowed = transformers.AutoConfig.from_pretrained(folders / "gemma3")
    scale_rotary(windowed, "linear:8")
    assert windowed.rope_parameters["full_attention"]["factor"] == 8
    assert windowed.rope_parameters["sliding_attention"]["rope_type"] == "default"
