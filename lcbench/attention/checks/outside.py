"""What can be checked of a mechanism that another package brings: however its tokens are cut, it gives one answer."""

from __future__ import annotations

import torch

from lcbench.attention import AttentionSpec, resolve
from lcbench.attention.base import LayerState, Mechanism
from lcbench.attention.checks.grid import Inputs
from lcbench.attention.checks.measure import by_head, largest

# Another order of sums, and in half precision another rounding of what is kept between passes.
BOUND = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 2e-2}


def seam(name: str, impl: str, x: Inputs) -> tuple[float, float]:
    """Chunks and single tokens in a padded batch against each row alone in one pass: (error, bound)."""
    dtype = str(x.q.dtype).removeprefix("torch.")
    mechanism, _ = resolve(AttentionSpec(name, impl), x.q.device.type, dtype)
    long, short = x.lengths
    third = max(1, short // 3)
    passes = [[long - third - 2, short - third - 1], [third, third], [1, 1], [1, 0]]
    together = drive(mechanism, x, [0, 1], passes)
    errors = []
    for row, length in enumerate(x.lengths):
        (alone,) = drive(mechanism, x, [row], [[length]])
        errors.append(by_head(together[row][None], alone.double()[None]))
    return largest(errors), BOUND[x.q.dtype]


def drive(mechanism: Mechanism, x: Inputs, rows: list[int], passes: list[list[int]]) -> list[torch.Tensor]:
    """What an engine does: passes[i][b] new tokens of the b-th row in pass i. Outputs [Hq, N, D] of each row."""
    q, k, v = (t[rows] for t in (x.q, x.k, x.v))
    room = x.case.tokens + max(map(max, passes))
    tensors = {name: k.new_zeros(*k.shape[:2], room, k.shape[3]) for name in mechanism.tensors}
    past, outputs = [0] * len(rows), [[] for _ in rows]  # type: ignore[var-annotated]
    for new in passes:
        fresh = [t.new_zeros(*t.shape[:2], max(new), t.shape[3]) for t in (q, k, v)]
        for b, count in enumerate(new):
            for padded, whole in zip(fresh, (q, k, v), strict=True):
                padded[b, :, :count] = whole[b, :, past[b] : past[b] + count]
        total = [before + count for before, count in zip(past, new, strict=True)]
        state = LayerState(
            tensors=tensors,
            past=torch.tensor(past, device=k.device),
            new=torch.tensor(new, device=k.device),
            past_max=max(past),
            total_max=max(total),
            uniform=len(set(past)) == 1 and len(set(new)) == 1,
            scale=x.scale,
        )
        mechanism.write(state, fresh[1], fresh[2])
        out = mechanism.attend(state, fresh[0])
        for b, count in enumerate(new):
            outputs[b].append(out[b, :, :count])
        past = total
    return [torch.cat(parts, dim=1) for parts in outputs]
