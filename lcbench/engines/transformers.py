"""The engine on the decoders of the transformers library, with the attention and its state taken over.

A model is loaded with the attention implementation "lcbench", which hands each layer's queries, keys and values (after
rotary embedding) to a mechanism of `lcbench.attention`. No mask function is registered under that name: transformers
then builds no mask at all (its own provision for backends without one), and the lengths in the state are the mask. Its
caches are not used.

    load -> use(mechanism) -> generate: prefill in chunks, then one token a row and step until every row is finished
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, AutoTokenizer

from lcbench.attention.base import Choice, LayerState, Mechanism
from lcbench.engines.base import Generation
from lcbench.engines.loading import (
    CHUNK_TOKENS,
    DTYPES,
    MODEL_ARGS,
    check_layers,
    choose_device,
    choose_dtype,
    layer_windows,
    quantization_config,
    scale_rotary,
)
from lcbench.engines.logprobs import Places, likelihoods
from lcbench.engines.sampling import Row, choose
from lcbench.errors import EngineOutOfMemory, UsageError
from lcbench.records import BatchCost, Completion, Request

IMPLEMENTATION = "lcbench"
CPU_BATCH_TOKENS = 32768
LOGITS_TOKENS = 1024  # positions whose logits one pass holds at most: half a GB of fp32 at 128k words
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory", "CUDA error: out of memory")

# What decoders hand to their attention that changes nothing beside a state: anything else has a meaning that the
# mechanisms do not know (softcap, s_aux, sinks, position_bias, indices, ..), and the model is refused.
UNDERSTOOD = {
    "dropout",
    "position_ids",
    "position_embeddings",
    "cache_position",
    "past_key_values",
    "use_cache",
    "sliding_window",
    "is_causal",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
}


# ------------------------------------------------------------------------------------------ the way into the attention


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    lcbench_pass: Any = None,
    **extras: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer: query [B, Hq, T, D], key and value [B, Hkv, T, D] -> [B, T, Hq, D].

    The forward pass it belongs to rides along as a keyword argument of the model.
    """
    if lcbench_pass is None:
        raise UsageError(
            f"{type(module).__name__} receives none of the model's keyword arguments, so no state reaches it."
        )
    return lcbench_pass.attend(module, query, key, value, scaling, extras), None


AttentionInterface.register(IMPLEMENTATION, _attention)


@dataclass(frozen=True)
class Shape:
    """One layer as seen at work. scale: what query-key products are multiplied by; window: tokens, None for full."""

    kv_heads: int
    head_size: int
    scale: float
    window: int | None


class _Probe:
    """Stands in for a pass once after loading: learns each layer's shape, and refuses what the seam cannot carry."""

    def __init__(self, windows: list[int | None]):
        self.windows = windows
        self.shapes: dict[int, Shape] = {}

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        extras: dict,
    ) -> torch.Tensor:
        where = f"Layer {module.layer_idx} ({type(module).__name__})"
        strange = sorted(name for name, given in extras.items() if given is not None and name not in UNDERSTOOD)
        if strange:
            raise UsageError(f"{where} adds {', '.join(strange)} to its attention, which no mechanism here computes.")
        if extras.get("is_causal") is False or getattr(module, "is_causal", True) is False:
            raise UsageError(f"{where} is not causal: this engine runs decoders.")
        if query.shape[-1] != key.shape[-1] or key.shape != value.shape:
            raise UsageError(
                f"{where} has queries, keys and values of unlike sizes: {key.shape[-1]} and {value.shape[-1]}."
            )
        window = self.windows[module.layer_idx]
        if extras.get("sliding_window") not in (None, window):
            raise UsageError(
                f"{where} uses a window of {extras['sliding_window']} tokens, and its config says {window}."
            )
        head_size = key.shape[-1]
        scale = head_size**-0.5 if scaling is None else float(scaling)
        self.shapes[module.layer_idx] = Shape(key.shape[1], head_size, scale, window)
        return torch.zeros_like(query).transpose(1, 2).contiguous()


@dataclass(frozen=True)
class Layer:
    """What stands in one layer: a mechanism, its parameters for that layer, and the layer's shape."""

    mechanism: Mechanism
    params: Any
    shape: Shape

    def state_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of state per token."""
        return len(self.mechanism.tensors) * self.shape.kv_heads * self.shape.head_size * dtype.itemsize


class BatchState:
    """The state of every layer for one batch. Rows stand in slots; slot i is live for i < len(lengths), with lengths[i]
    tokens in it. Each forward pass is `begin` (whose tokens, how many), the model's calls of `attend`, and `end`.
    """

    def __init__(self, layers: list[Layer], rows: int, capacity: int, device: torch.device, dtype: torch.dtype):
        self.layers = layers
        self.device = device
        self.lengths = [0] * rows
        self.tensors = [
            {
                name: torch.zeros(
                    rows, layer.shape.kv_heads, capacity, layer.shape.head_size, device=device, dtype=dtype
                )
                for name in layer.mechanism.tensors
            }
            for layer in layers
        ]
        self.views = self.tensors
        self.states: list[LayerState] = []
        self.new = [0] * rows

    def begin(self, new: list[int], steps: int) -> torch.Tensor:
        """A pass of `steps` tokens over the first len(new) slots, new[i] real. Returns positions [rows, steps]."""
        rows = len(new)
        if rows != len(self.new):
            self.views = [{name: tensor[:rows] for name, tensor in tensors.items()} for tensors in self.tensors]
        self.new = new
        lengths = self.lengths[:rows]
        past, real = torch.tensor([lengths, new], device=self.device)
        total_max = max(length + count for length, count in zip(lengths, new, strict=True))
        uniform = min(lengths) == max(lengths) and min(new) == steps
        self.states = [
            LayerState(
                view, past, real, max(lengths), total_max, uniform, layer.shape.scale, layer.shape.window, layer.params
            )
            for layer, view in zip(self.layers, self.views, strict=True)
        ]
        return past[:, None] + torch.arange(steps, device=self.device)

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        extras: dict,
    ) -> torch.Tensor:
        mechanism, state = self.layers[module.layer_idx].mechanism, self.states[module.layer_idx]
        mechanism.write(state, key, value)
        return mechanism.attend(state, query).transpose(1, 2).contiguous()

    def end(self) -> None:
        for slot, count in enumerate(self.new):
            self.lengths[slot] += count

    @torch.inference_mode()
    def drop(self, finished: list[int]) -> list[int]:
        """Free slots: the last live rows move into the holes, in place. Returns where each row that stays stood."""
        gone = set(finished)
        stay = len(self.lengths) - len(gone)
        holes = [slot for slot in range(stay) if slot in gone]
        movers = [slot for slot in range(stay, len(self.lengths)) if slot not in gone]
        for hole, mover in zip(holes, movers, strict=True):
            used = self.lengths[mover]
            for tensors in self.tensors:
                for tensor in tensors.values():
                    tensor[hole, :, :used] = tensor[mover, :, :used]
        moved = dict(zip(holes, movers, strict=True))
        origin = [moved.get(slot, slot) for slot in range(stay)]
        self.lengths = [self.lengths[slot] for slot in origin]
        return origin


# ----------------------------------------------------------------------------------------------------------- the engine


@dataclass
class Context:
    """A batch after its prompts: slot i is requests[i], longest first. logits: [B, V], at each row's last token."""

    requests: list[Request]
    state: BatchState
    logits: torch.Tensor


class TransformersEngine:
    """Decoders of transformers with the attention of a mechanism. `use` a mechanism before generating.

    config: the model's text config. device: "cpu", "cuda". dtype: "bfloat16", "float16", "float32" or "float64".
    choices: what was picked for "device", "dtype" and "chunk", with reasons.
    """

    name = "transformers"
    version = transformers.__version__
    capabilities = frozenset({"generate", "logprobs"})

    def __init__(self, model: Any, tokenizer: Any, choices: dict[str, Choice]):
        self.model = model
        self.tokenizer = tokenizer
        self.choices = choices
        self.config = model.config.get_text_config(decoder=True)
        self.device = choices["device"].impl
        self.dtype = choices["dtype"].impl
        self.chunk_tokens = int(choices["chunk"].impl)
        self.eos = _eos_ids(model)
        self.layers: list[Layer] = []
        self._kept: tuple[torch.Tensor, torch.Tensor] | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._keep)
        self.shapes = self._probe()

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        model_args: dict[str, str] | None = None,
        chunk_tokens: int | None = None,
    ) -> TransformersEngine:
        """Read a model folder (config.json, safetensors, tokenizer).

        model_args: rope_scaling ("yarn:4" or JSON), quantization ("bnb-4bit", "bnb-8bit"). chunk_tokens: tokens of one
        prefill pass over all rows. Raises UsageError for what cannot run as asked, models that the seam cannot carry
        included, and MissingError where a package is not there.
        """
        if not (path / "config.json").is_file():
            raise UsageError(f"{path} is not a model folder: it has no config.json.")
        asked = model_args or {}
        unknown = sorted(set(asked) - set(MODEL_ARGS))
        if unknown:
            raise UsageError(f"Unknown model argument {', '.join(unknown)}. Known: {', '.join(MODEL_ARGS)}.")
        transformers.utils.logging.disable_progress_bar()
        shared = {"trust_remote_code": trust_remote_code, "local_files_only": True}
        try:
            config = AutoConfig.from_pretrained(path, **shared)
        except ValueError as error:
            raise UsageError(
                f"transformers {cls.version} cannot read the config of {path}: {error}",
                hint="pip install -U transformers",
            ) from error
        where = choose_device(device)
        if where.impl.startswith("cuda:"):
            torch.cuda.set_device(where.impl)  # on which whatever names no device runs, Triton's kernels among it
        what = choose_dtype(dtype, where.impl, config.get_text_config(decoder=True).dtype)
        if "rope_scaling" in asked:
            scale_rotary(config.get_text_config(decoder=True), asked["rope_scaling"])
        quantized = {}
        if "quantization" in asked:
            quantized["quantization_config"] = quantization_config(asked["quantization"], DTYPES[what.impl])
            quantized["device_map"] = {"": where.impl}
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path, config=config, dtype=DTYPES[what.impl], attn_implementation=IMPLEMENTATION, **quantized, **shared
            )
        except SafetensorError as error:
            raise UsageError(
                f"The weights in {path} cannot be read: {error}.", hint="pull or copy them again"
            ) from error
        if not quantized:
            model.to(where.impl)
        tokenizer = AutoTokenizer.from_pretrained(path, **shared)
        chunk = Choice(str(chunk_tokens), "asked for")
        if chunk_tokens is None:
            default = CHUNK_TOKENS[where.impl.partition(":")[0]]
            chunk = Choice(
                str(default), "tokens of a pass over all rows: enough to fill the device, with activations bounded"
            )
        return cls(model.eval(), tokenizer, {"device": where, "dtype": what, "chunk": chunk})

    def use(self, mechanism: Mechanism, layers: str, softmax: Mechanism) -> None:
        """From now on layers go through `mechanism`: all of them, or the full-attention ones with layers="full".

        The others go through `softmax`, which honours windows. Raises UsageError as `check_layers` does, and for a
        mechanism that wants queries and keys before rotary embedding, which these decoders do not hand out.
        """
        check_layers(self.model.config.to_dict(), mechanism.windows, layers)
        if mechanism.rotary != "after":
            raise UsageError(
                f"{mechanism.name} works before rotary embedding, and decoders of transformers hand out what is after."
            )

        def stand_in(index: int, shape: Shape) -> Layer:
            chosen = softmax if layers == "full" and shape.window is not None else mechanism
            return Layer(chosen, chosen.build(self.config, index), shape)

        self.layers = [stand_in(index, shape) for index, shape in enumerate(self.shapes)]

    def generate(self, requests: Sequence[Request]) -> Generation:
        """Exactly these requests as one batch. Iterating raises EngineOutOfMemory when it does not fit."""
        return Generation(self._generate(requests))

    def logprobs(self, requests: Sequence[Request]) -> Generation:
        """The likelihood of each request's target after its ids. Iterating raises EngineOutOfMemory like `generate`."""
        return Generation(self._logprobs(requests))

    @torch.inference_mode()
    def prefill(self, requests: Sequence[Request]) -> Context:
        """Fill a fresh state with the prompts (none is empty), longest first."""
        ordered = sorted(requests, key=lambda request: -len(request.ids))
        state = self.state_for(len(ordered), max(len(request.ids) + request.max_new_tokens for request in ordered))
        sequences = [request.ids for request in ordered]
        ends = {}
        for places, logits in self.passes(state, sequences, [len(ids) - 1 for ids in sequences]):
            ends.update({slot: row for (slot, _), row in zip(places, logits, strict=True)})
        return Context(ordered, state, torch.stack([ends[slot] for slot in range(len(ordered))]))

    def state_for(self, rows: int, capacity: int) -> BatchState:
        """An empty state of the mechanism in use, for rows of at most `capacity` tokens."""
        return BatchState(self.layers, rows, capacity, torch.device(self.device), DTYPES[self.dtype])

    def passes(
        self, state: BatchState, sequences: Sequence[tuple[int, ...]], first: Sequence[int]
    ) -> Iterator[tuple[Places, torch.Tensor]]:
        """Put sequences, longest first, through an empty state, in passes of at most `chunk_tokens` over all rows.
        Gives, pass by pass, the places from position first[slot] on that are in it, and their logits [places, V].

        Rows whose sequence is over leave the passes from behind. One pass ends where the shortest row does: all before
        it is free of padding, which mechanisms compute faster.
        """
        lengths = [len(ids) for ids in sequences]
        longest, shortest = lengths[0], lengths[-1]
        ids = torch.zeros(len(sequences), longest, dtype=torch.int64)
        for slot, sequence in enumerate(sequences):
            ids[slot, : lengths[slot]] = torch.tensor(sequence)
        ids = ids.to(self.device)

        start = 0
        while start < longest:
            rows = sum(length > start for length in lengths)
            stop = min(start + max(1, self.chunk_tokens // rows), longest)
            if start < shortest < stop:
                stop = shortest
            while True:
                ends = [min(length, stop) for length in lengths[:rows]]
                places = [(slot, at) for slot in range(rows) for at in range(max(start, first[slot]), ends[slot])]
                if len(places) <= LOGITS_TOKENS or stop == start + 1:
                    break
                stop = start + (stop - start) // 2
            kept = [(slot, at - start) for slot, at in places] or [(0, 0)]  # a model has to compute some logits
            logits = self._forward(state, ids[:rows, start:stop], [end - start for end in ends], kept)
            if places:
                yield places, logits
            start = stop

    def batch_budget(self) -> tuple[int, str]:
        """Tokens (prompt + new, over all rows) that a batch may hold with the mechanism in use, and why."""
        if not self.device.startswith("cuda"):
            return CPU_BATCH_TOKENS, "the default on a CPU: 32 rows of 1k, beyond which its arithmetic is the limit"
        per_token = sum(layer.state_bytes(DTYPES[self.dtype]) for layer in self.layers)
        free, _ = torch.cuda.mem_get_info(self.device)
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        tokens = 1 << (max(1, int(0.6 * free) // per_token).bit_length() - 1)
        reason = (
            f"60% of {free / 2**30:.1f} GiB free at {per_token} bytes of state a token, rounded down to a power of two"
        )
        return tokens, reason

    def warm_up(self) -> None:
        """A small untimed prefill, in two passes as its rows differ in length, and a decode step: kernels are compiled
        when they are first called, and those for tokens with a past are others.
        """
        context = self.prefill([Request("warm-up", (0,) * length, 1) for length in (32, 16)])
        self._step(context.state, [0, 0])

    def _generate(self, requests: Sequence[Request]) -> Generator[Completion, None, BatchCost]:
        clock = time.perf_counter()
        on_cuda = self.device.startswith("cuda")
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        context = logits = None
        try:
            context = self.prefill(requests)
            rows = [Row(request, self.eos, self.tokenizer) for request in context.requests]
            logits = context.logits
            prefill_s, decode_s, steps, new_tokens = 0.0, 0.0, 0, 0
            while True:
                tokens = choose(logits, rows)
                if not new_tokens:
                    prefill_s = time.perf_counter() - clock
                    clock = time.perf_counter()
                new_tokens += len(tokens)
                finished = [slot for slot, row in enumerate(rows) if row.take(tokens[slot])]
                completions = [rows[slot].completion() for slot in finished]
                if finished:
                    rows = [rows[slot] for slot in context.state.drop(finished)]
                decode_s += time.perf_counter() - clock
                yield from completions
                if not rows:
                    break
                clock = time.perf_counter()
                logits = self._step(context.state, [row.ids[-1] for row in rows])
                steps += 1
            peak = torch.cuda.max_memory_allocated(self.device) if on_cuda else None
            prompt_tokens = sum(len(request.ids) for request in requests)
            return BatchCost(len(requests), prompt_tokens, new_tokens, prefill_s, decode_s, steps, peak)
        except RuntimeError as error:
            if (told := out_of_memory(error)) is None:
                raise
        # Outside the handler, because the error's traceback holds the activations of the pass that failed.
        context = logits = None
        raise self._did_not_fit(len(requests), told)

    def _logprobs(self, requests: Sequence[Request]) -> Generator[Completion, None, BatchCost]:
        clock = time.perf_counter()
        on_cuda = self.device.startswith("cuda")
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        told = None
        try:
            found = self._likelihoods(requests)
        except RuntimeError as error:
            if (told := out_of_memory(error)) is None:
                raise
        if told is not None:
            raise self._did_not_fit(len(requests), told)
        seconds = time.perf_counter() - clock
        peak = torch.cuda.max_memory_allocated(self.device) if on_cuda else None
        for request, likelihood in zip(requests, found, strict=True):
            yield Completion(request.key, "", (), "scored", likelihoods=(likelihood,))
        tokens = sum(len(request.ids) + len(request.target) for request in requests)
        return BatchCost(len(requests), tokens, 0, seconds, 0.0, 0, peak)

    @torch.inference_mode()
    def _likelihoods(self, requests: Sequence[Request]) -> list[tuple[float, bool]]:
        capacity = max(len(request.ids) + len(request.target) for request in requests)
        state = self.state_for(len(requests), capacity)
        return likelihoods(requests, lambda sequences, first: self.passes(state, sequences, first))

    def _did_not_fit(self, rows: int, told: str) -> EngineOutOfMemory:
        """What to raise for a batch that ran out of memory, after giving back what the failed pass held."""
        self._kept = None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        return EngineOutOfMemory(f"A batch of {rows} did not fit: {told}")

    @torch.inference_mode()
    def _step(self, state: BatchState, tokens: list[int]) -> torch.Tensor:
        """One decode step: the newest token of each row -> logits [B, V]."""
        ids = torch.tensor(tokens, device=self.device)[:, None]
        return self._forward(state, ids, [1] * len(tokens))

    def _forward(
        self, state: BatchState, ids: torch.Tensor, new: list[int], kept: Places | None = None
    ) -> torch.Tensor:
        """One pass of ids [B, T], new[b] tokens of row b real -> logits [places, V] at the (slot, step) pairs of
        `kept`; a decode step has those of all its rows.
        """
        positions = state.begin(new, ids.shape[1])
        self._kept = None
        if kept is not None:
            slots, steps = torch.tensor(kept, device=ids.device).T
            self._kept = slots, steps
        output = self.model(input_ids=ids, position_ids=positions, use_cache=False, lcbench_pass=state)
        state.end()
        return output.logits[:, 0]

    def _keep(self, head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """Before the output embedding: hidden states [B, T, H] -> [places, 1, H], so that logits never are [B, T, V].

        Here and not after: what a model does to its logits (a scale, a cap) is then done to these as well.
        """
        return None if self._kept is None else (inputs[0][self._kept][:, None],)

    @torch.inference_mode()
    def _probe(self) -> list[Shape]:
        """Each layer's shape, from one pass of two tokens. Raises UsageError for a model that the seam cannot carry."""
        kind = type(self.model).__name__
        windows = layer_windows(self.model.config.to_dict())
        rotary = getattr(self.config, "rope_parameters", None) or {}
        moving = {"dynamic", "longrope"} & {
            part.get("rope_type") for part in (rotary, *rotary.values()) if isinstance(part, dict)
        }
        if moving:
            raise UsageError(
                f"This {kind} has {moving.pop()} rotary scaling: its frequencies depend on the longest row of a pass, "
                "so that a prompt computed in chunks or in another batch would be another prompt.",
                hint="--model-args rope_scaling=yarn:4",
            )
        probe = _Probe(windows)
        ids = torch.zeros(1, 2, dtype=torch.int64, device=self.device)
        positions = torch.arange(2, device=self.device)[None]
        self._kept = torch.zeros(1, dtype=torch.int64, device=self.device), ids.new_ones(1)
        logits = self.model(input_ids=ids, position_ids=positions, use_cache=False, lcbench_pass=probe).logits
        missing = sorted(set(range(len(windows))) - set(probe.shapes))
        if missing:
            raise UsageError(f"{kind} computes layers {missing} without the attention interface of transformers.")
        if logits.shape[1] != 1:
            raise UsageError(f"{kind} does not compute its logits through its output embedding.")
        return [probe.shapes[index] for index in range(len(windows))]


def out_of_memory(error: RuntimeError) -> str | None:
    """What an error says, where it is one of memory: torch.OutOfMemoryError is; the CPU's allocator raises plainly."""
    told = str(error)
    known = isinstance(error, torch.OutOfMemoryError) or any(phrase in told for phrase in OUT_OF_MEMORY)
    return told if known else None


def _eos_ids(model: Any) -> frozenset[int]:
    """The ids that end a sequence: the generation config's, or else the config's. There may be one, several or none."""
    for config in (model.generation_config, model.config.get_text_config(decoder=True)):
        ids = getattr(config, "eos_token_id", None)
        if ids is not None:
            return frozenset([ids] if isinstance(ids, int) else ids)
    return frozenset()
