"""Softmax attention whose scores fall by `slope` a token of distance, alike in every head."""

import torch
import torch.nn.functional as F

from lcbench.attention.base import Choice, MechanismInfo


class UniformDecay:
    name, tensors, rotary, windows = "uniform_decay", ("k", "v"), "after", False

    def __init__(self, slope: float):
        self.slope = slope

    def build(self, config, layer):
        return None

    def write(self, state, k, v):
        state.append("k", k)
        state.append("v", v)

    def attend(self, state, q):
        tokens = torch.arange(state.total_max, device=q.device)
        own = state.past[:, None] + torch.arange(q.shape[2], device=q.device)
        distance = own.clamp(max=state.total_max - 1)[:, None, :, None] - tokens
        bias = (-self.slope * distance).masked_fill(distance < 0, -torch.inf).to(q.dtype)
        k, v = (state.tensors[name][:, :, : state.total_max] for name in self.tensors)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=state.scale, enable_gqa=True)


INFO = MechanismInfo(
    name="uniform_decay",
    summary="softmax(q k^T - slope * distance) v",
    cost="as softmax, with a bias of T x S a forward pass",
    state="k, v",
    impls=("sdpa",),
    make=lambda impl, arguments: UniformDecay(float(arguments.get("slope", "0.01"))),
    choose=lambda impl, device, dtype, windows, head_size: Choice("sdpa", "the only implementation"),
    available=lambda impl, device: None,
    arguments={"slope": "what a score loses a token of distance (0.01)"},
)
