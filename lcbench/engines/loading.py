"""What has to be settled before a model is loaded: device, dtype, rotary scaling, quantization, and which layers a
mechanism may stand in.
"""

from __future__ import annotations

import importlib.util
import json
import math
from typing import Any

import torch
import transformers
from transformers import AutoConfig

from lcbench.attention.base import Choice
from lcbench.errors import MissingError, UsageError

DTYPES = {
    str(dtype).removeprefix("torch."): dtype for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64)
}
SHORT_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "fp64": "float64"}
MODEL_ARGS = ("quantization", "rope_scaling")
CHUNK_TOKENS = {"cpu": 2048, "cuda": 8192}


def choose_device(device: str) -> Choice:
    """The device and why. Raises UsageError for an unknown name, and where CUDA is named and absent."""
    if device == "auto":
        if torch.cuda.is_available():
            return Choice("cuda", f"a CUDA device is there: {torch.cuda.get_device_name()}")
        return Choice("cpu", "torch sees no CUDA device")
    kind, _, index = device.partition(":")
    if kind not in CHUNK_TOKENS or (index and not index.isdigit()):
        raise UsageError(f"No device is called {device}. Known: auto, cpu, cuda, cuda:N.", hint="--device auto")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"Device {device} was asked for, and torch sees no CUDA device.", hint="--device cpu")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise UsageError(
            f"Device {device} was asked for, and there are {torch.cuda.device_count()}.", hint="--device auto"
        )
    return Choice(device, "asked for")


def choose_dtype(dtype: str, device: str, stored: torch.dtype | None) -> Choice:
    """The name of the dtype, "bfloat16" and so on, and why. dtype: auto, such a name or its short form, as "bf16".

    `stored` is what the checkpoint's config names. Raises UsageError for an unknown name.
    """
    if dtype != "auto":
        name = SHORT_DTYPES.get(dtype, dtype)
        if name not in DTYPES:
            raise UsageError(
                f"No dtype is called {dtype}. Known: auto, {', '.join(SHORT_DTYPES)}.", hint="--dtype auto"
            )
        return Choice(name, "asked for")
    if not device.startswith("cuda"):
        return Choice("float32", "on a CPU it decodes faster than half precision, and exactly")
    for name in ("bfloat16", "float16"):
        if stored == DTYPES[name]:
            return Choice(name, "the checkpoint's own")
    return Choice("bfloat16", f"on CUDA, for a checkpoint stored in {str(stored).removeprefix('torch.')}")


def scale_rotary(config: Any, written: str) -> None:
    """Set rotary scaling on a text config: a JSON object of transformers' rope parameters, or TYPE:FACTOR.

    TYPE is linear or yarn; as JSON also llama3. Where layer types have rotary parameters of their own, those of the
    full-attention layers change. The context of the config grows to factor x the original one. Raises UsageError.
    """
    hint = "--model-args rope_scaling=yarn:4"
    kind, _, factor = written.partition(":")
    as_json = written.startswith("{")
    try:
        scaling = json.loads(written) if as_json else {"rope_type": kind, "factor": float(factor)}
    except ValueError as error:
        raise UsageError(f"rope_scaling={written} is neither a JSON object nor TYPE:FACTOR.", hint=hint) from error
    if scaling.get("rope_type") not in ("linear", "yarn", *(["llama3"] if as_json else [])):
        raise UsageError(f"rope_scaling={written}: rope_type is linear or yarn, or as JSON llama3.", hint=hint)
    grown = scaling.get("factor", 1.0)
    if not isinstance(grown, int | float) or not 1.0 <= grown < math.inf:
        raise UsageError(f"rope_scaling={written}: the factor is a number, 1 or more.", hint=hint)
    rotary = getattr(config, "rope_parameters", None)
    if not rotary:
        raise UsageError(f"rope_scaling={written}: this {config.model_type} model has no rotary embedding.")
    current = rotary.get("full_attention", rotary)
    original = current.get("original_max_position_embeddings") or config.max_position_embeddings
    scaling = {"original_max_position_embeddings": original, "rope_theta": current["rope_theta"]} | scaling
    if "factor" in scaling:
        config.max_position_embeddings = int(scaling["factor"] * scaling["original_max_position_embeddings"])
    config.rope_parameters = rotary | {"full_attention": scaling} if "full_attention" in rotary else scaling


def quantization_config(name: str, dtype: torch.dtype) -> Any:
    """transformers' config for "bnb-4bit" or "bnb-8bit".

    Raises UsageError on another name, MissingError without the package bitsandbytes.
    """
    if name not in ("bnb-4bit", "bnb-8bit"):
        raise UsageError(f"No quantization is called {name}. Known: bnb-4bit, bnb-8bit.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingError(
            f"quantization={name} needs the package bitsandbytes.", hint="pip install bitsandbytes accelerate"
        )
    if name == "bnb-8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def layer_windows(config: dict[str, Any]) -> list[int | None]:
    """The sliding window of each decoder layer in tokens, None for full attention, from the content of config.json.

    Raises UsageError where a layer is neither (linear, chunked, recurrent ..), or the config names no model type.
    """
    if "model_type" not in config:
        raise UsageError("The model's config.json names no model_type.")
    try:
        text = AutoConfig.for_model(**config).get_text_config(decoder=True)
    except ValueError:  # a model type that transformers does not know: its config says all there is to know
        text = transformers.PretrainedConfig(**config.get("text_config", config))
    window = getattr(text, "sliding_window", None)
    default = "full_attention" if window is None else "sliding_attention"
    kinds = getattr(text, "layer_types", None) or [default] * text.num_hidden_layers
    unknown = {kind: index for index, kind in reversed(list(enumerate(kinds)))}
    unknown = {kind: index for kind, index in unknown.items() if kind not in ("full_attention", "sliding_attention")}
    if unknown:
        told = ", ".join(f"{kind} (layer {index})" for kind, index in unknown.items())
        raise UsageError(f"This {text.model_type} model has layers that are not softmax attention: {told}.")
    return [window if kind == "sliding_attention" else None for kind in kinds]


def check_layers(config: dict[str, Any], mechanism_windows: bool, layers: str) -> None:
    """Refuse, before a model is loaded, a mechanism that cannot stand in the layers asked for.

    config: the content of config.json. mechanism_windows: whether the mechanism honours sliding windows. layers: "all",
    or "full" for the full-attention layers only, the windowed ones staying softmax. Raises UsageError.
    """
    if layers not in ("all", "full"):
        raise UsageError(
            f"layers={layers}: a mechanism replaces `all` layers or the `full`-attention ones.", hint="layers=full"
        )
    windows = layer_windows(config)
    windowed = [index for index, window in enumerate(windows) if window is not None]
    if layers == "full" and len(windowed) == len(windows):
        raise UsageError(
            f"layers=full: all {len(windows)} layers of this model attend within a sliding window, none is full."
        )
    if windowed and layers == "all" and not mechanism_windows:
        shown = ", ".join(map(str, windowed[:8])) + (", .." if len(windowed) > 8 else "")
        raise UsageError(
            f"{len(windowed)} of {len(windows)} layers of this {config.get('model_type')} model ({shown}) attend "
            "within a sliding window, and the attention asked for knows no windows.",
            hint="add layers=full to the attention, as in --attn lucid:layers=full: the windowed layers stay softmax",
        )
