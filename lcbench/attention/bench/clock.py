"""How long something takes on a CUDA device, and what the device can do at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from lcbench_kernels.common import counts

Clock = Callable[[Callable[[], Any]], float]  # milliseconds of one call

SECONDS = 0.2  # of measuring, for one figure
LEAST, MOST = 5, 50  # calls
FLUSH_BYTES = 256 << 20  # several times the largest L2
CYCLES_PER_SECOND = 2e9

MATMUL = 8192
COPY_BYTES = 2 << 30


def cuda_clock(call: Callable[[], Any]) -> float:
    """Median milliseconds of one call by CUDA events, after warming up, with nothing of its inputs left in L2.

    Between calls L2 is filled by reading: filled by writing, it would have to be written back during the call, which
    takes 10 us and is no part of it. The device sleeps first while calls are queued, so that what the host needs to
    launch them is not in the figure.
    """
    flush = torch.zeros(FLUSH_BYTES // 4, device="cuda")
    for _ in range(2):
        call()
    torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    queued = time.perf_counter() - started
    torch.cuda.synchronize()
    taken = time.perf_counter() - started
    calls = round(min(max(SECONDS / taken, LEAST), MOST))
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(calls)]
    torch.cuda._sleep(int(min(1.5 * calls * queued, 0.5) * CYCLES_PER_SECOND))
    for before, after in events:
        flush.max()
        before.record()
        call()
        after.record()
    torch.cuda.synchronize()
    return statistics.median(before.elapsed_time(after) for before, after in events)


def ceilings(device: str, clock: Clock) -> dict[str, float]:
    """What everything is measured against: {"tflops", "tbps"} of one large bfloat16 product on random data, which zeros
    would make faster, and of one large copy on the device, its bytes read and written.
    """
    a, b = (torch.randn(MATMUL, MATMUL, device=device).bfloat16() for _ in range(2))
    flops = counts.matmul(MATMUL, MATMUL, MATMUL) / clock(lambda: a @ b) * 1e3
    source = torch.randint(-128, 127, (COPY_BYTES,), dtype=torch.int8, device=device)
    target = torch.empty_like(source)
    moved = counts.copy_bytes(COPY_BYTES, 1) / clock(lambda: target.copy_(source)) * 1e3
    return {"tflops": flops / 1e12, "tbps": moved / 1e12}
