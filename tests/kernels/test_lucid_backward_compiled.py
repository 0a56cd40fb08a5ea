"""What the compiler makes of LUCID's backward kernel for Hopper: tensor cores, and no spills in the loops."""

import re

import pytest

from kernels import aot

triton = pytest.importorskip("triton", reason="triton is not installed")

SIGNATURE = {
    **{"kn": "*fp16", "r": "*fp32", "yn": "*fp16", "dvn": "*fp16", "back": "*fp32", "blocks": "*i32"},
    **{"steps": "i32", "c0": "fp32", "eps": "fp32"},
}


def compiled(size: int, value_size: int, dtype: str = "bf16"):
    from lcbench_kernels.lucid import triton_bwd

    padded, value_padded = triton_bwd.padded_size(size), triton_bwd.padded_size(value_size)
    rows, columns, warps, stages = triton_bwd.choose_tiles(padded, value_padded)
    constants = {"D": size, "DV": value_size, "BD": padded, "BDV": value_padded, "BM": rows, "BN": columns}
    return aot.compile(triton_bwd.lucid_bwd_dk, {**SIGNATURE, "dk": f"*{dtype}"}, constants, warps, stages)


def loops(sass: str) -> list[list[str]]:
    """The instructions between every backward branch and its target."""
    at = {int(address, 16): text for address, text in re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", sass)}
    found = []
    for address, text in at.items():
        target = re.search(r"BRA.*?0x([0-9a-f]+)", text)
        if target and int(target[1], 16) < address:
            found.append([at[a] for a in at if int(target[1], 16) <= a <= address])
    return found


@pytest.mark.parametrize("size, value_size", [(64, 64), (80, 80), (96, 96), (128, 128), (64, 128)])
def test_no_local_memory(size, value_size):
    for dtype in ("bf16", "fp32") if size == 128 else ("bf16",):
        assert aot.resources(compiled(size, value_size, dtype))["stack"] == 0


@pytest.mark.parametrize("size", [64, 80, 128, 256])
def test_hot_loops(size):
    """Four sweeps on the tensor cores without spills; where one step covers the own rows, those two are no loops."""
    hot = [loop for loop in loops(aot.sass(compiled(size, size))) if any("HGMMA" in text for text in loop)]
    assert len(hot) == (2 if size == 64 else 4)
    for loop in hot:
        assert not any(re.search(r"\b(STL|LDL)", text) for text in loop)
        assert not any(re.search(r"\bHMMA", text) for text in loop)


@pytest.mark.parametrize("size", [128, 256])
def test_tiles_fit_shared_memory(size):
    assert aot.resources(compiled(size, size))["shared"] <= 227 * 1024
