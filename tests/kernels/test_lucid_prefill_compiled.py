"""The LUCID prefill kernels compiled for sm_90, without a GPU: nothing spills, and the sweep runs on wgmma."""

import re

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")

from lcbench_kernels.lucid.triton_prefill import lucid_prefill_ticketed, prefill_blocks  # noqa: E402
from lcbench_kernels.lucid.triton_prepare import (  # noqa: E402
    lucid_gather_past,
    lucid_prepare,
    lucid_prepare_past,
    prepare_blocks,
)

from kernels import aot  # noqa: E402

BLOCK = 128
SIZES = [64, 80, 128, 256]


def padded(size: int) -> int:
    return max(64, triton.next_power_of_2(size))


def strides(tensor: str, size: int, token: str = "t") -> dict[str, int]:
    """Of a contiguous tensor: constants, as the launcher makes them known to be multiples of 16."""
    return {f"{tensor}_b": 8192 * size, f"{tensor}_h": 1024 * size, f"{tensor}_{token}": size, f"{tensor}_d": 1}


SCRATCH = {"kn": "*fp16", "vn": "*bf16", "inv": "*fp16", "yn": "*fp16", "sums": "*fp32"}
SCRATCH |= {"work": "*i32", "tasks": "*i32"}
NUMBERS = {"heads": "i32", "columns": "i32", "chains": "i32", "c0": "fp32"}


def signature(kernel, **others: str) -> dict[str, str]:
    return {name: kind for name, kind in (SCRATCH | NUMBERS | others).items() if name in kernel.arg_names}


@pytest.mark.parametrize("size", SIZES)
def test_prefill(size):
    cut = prefill_blocks(padded(size), BLOCK)
    warps = cut.pop("num_warps")
    compiled = aot.compile(
        lucid_prefill_ticketed,
        signature(lucid_prefill_ticketed, v="*bf16", y="*bf16"),
        {"D": size, "DP": padded(size), "BLOCK": BLOCK, **cut, **strides("v", size), **strides("y", size)},
        warps,
        cut["STAGES"],
    )
    resources = aot.resources(compiled)
    assert resources["shared"] <= 227 * 1024
    sweep = hot_loop(aot.sass(compiled))
    products = padded(size) // 16 + cut["BLOCK_N"] // 16  # steps of 16 over the head size, then over the columns
    assert sweep.count("HGMMA") == products
    assert "MUFU.EX2" in sweep and "LDL" not in sweep and "STL" not in sweep
    if size <= 128:
        assert resources["stack"] == 0


def hot_loop(sass: str) -> str:
    """The innermost loop that takes exponentials: from a backward branch's target to the branch."""
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", sass)
    loops = []
    for at, (address, instruction) in enumerate(lines):
        target = re.search(r"\bBRA\S* .*?0x([0-9a-f]+)", instruction)
        if target and int(target[1], 16) < int(address, 16):
            start = next(i for i, (there, _) in enumerate(lines) if int(there, 16) == int(target[1], 16))
            body = "\n".join(text for _, text in lines[start : at + 1])
            if "MUFU.EX2" in body:
                loops.append(body)
    return min(loops, key=len)


@pytest.mark.parametrize("size", SIZES)
def test_prepare(size):
    cut = prepare_blocks(padded(size), BLOCK)
    warps, registers = cut.pop("num_warps"), cut.pop("maxnreg", 255)
    compiled = aot.compile(
        lucid_prepare,
        signature(lucid_prepare, k="*bf16", v="*bf16", gain="fp32", eps="fp32"),
        {"D": size, "DP": padded(size), "BLOCK": BLOCK, **cut} | {**strides("k", size), **strides("v", size)},
        warps,
        3,
    )
    resources = aot.resources(compiled)
    assert resources["stack"] == 0
    assert resources["registers"] <= registers + 32, "the limit of registers asks for little"
    assert resources["shared"] <= 56 * 1024 or size > 128, "four programs fit a multiprocessor"


@pytest.mark.parametrize("kernel, tensors", [(lucid_prepare_past, "ky"), (lucid_gather_past, "y")])
def test_past(kernel, tensors):
    pointers = {name: "*bf16" for name in tensors}
    constants = {"D": 128, "DP": 128, "ROWS": 64}
    for name in tensors:
        constants |= strides(name, 128, "s")
    kinds = signature(kernel, **pointers, lengths="*i64", past_columns="i32", gain="fp32", eps="fp32")
    assert aot.resources(aot.compile(kernel, kinds, constants, 4, 3))["stack"] == 0
