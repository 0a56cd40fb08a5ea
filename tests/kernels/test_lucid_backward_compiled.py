"""What the compiler makes of LUCID's backward kernels for Hopper: tensor cores, no spills in the loops, and passes that
move 16 bytes a thread and instruction.
"""

import re

import pytest

from kernels import aot

triton = pytest.importorskip("triton", reason="triton is not installed")

SIGNATURE = {
    **{"kn": "*fp16", "r": "*fp32", "yn": "*fp16", "y_largest": "*i32", "dvn": "*fp16", "dv_largest": "*i32"},
    **{"blocks": "*i32", "steps": "i32", "c0": "fp32", "gain": "fp32", "eps": "fp32"},
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


def a_pass(name: str, signature: dict[str, str], sizes: dict[str, int], **constants: int | None):
    from lcbench_kernels.lucid import triton_bwd

    padded = {f"B{size}": triton_bwd.padded_size(value) for size, value in sizes.items()}
    constants |= {**sizes, **padded, "ROWS": triton_bwd.ELEMENTS // max(padded.values())}
    return aot.compile(getattr(triton_bwd, name), {**signature, "steps": "i32"}, constants, num_warps=4, num_stages=3)


def accesses(made) -> set[str]:
    """The kinds of its loads and stores in global memory, but for single numbers of 4 and 8 bytes."""
    assert aot.resources(made)["stack"] == 0
    return set(re.findall(r"\b(?:LDG|STG)\.E\.[US]?(?:8|16|128)\b", aot.sass(made)))


@pytest.mark.parametrize("size", [64, 80, 96, 128, 256])
def test_the_largest_of_a_line(size):
    made = a_pass("lucid_bwd_largest", {"x": "*fp32", "largest": "*i32"}, {"DV": size})
    assert accesses(made) == {"LDG.E.128"}
    assert len(re.findall(r"\bREDG?\.E\.MAX\.S32", aot.sass(made))) == 1, "one atomic a program, and nothing read back"


@pytest.mark.parametrize("size", [64, 80, 96, 128, 256])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@pytest.mark.parametrize("turned", [False, True])
def test_halving(size, dtype, turned):
    signature = {"x": "*fp32", "largest": "*i32", "half": "*fp16", "out": f"*{dtype}"}
    if turned:
        made = a_pass("lucid_bwd_halve", {**signature, "order": "*i64"}, {"DV": size})
    else:
        made = a_pass("lucid_bwd_halve", signature, {"DV": size}, order=None)
    assert accesses(made) == {"LDG.E.128", "STG.E.128"}


@pytest.mark.parametrize("size", [64, 80, 96, 128, 256])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_turning(size, dtype):
    """Eight heads behind the tokens, as models have them."""
    pointers = {
        **{"k": f"*{dtype}", "dy": f"*{dtype}", "order": "*i64", "kn": "*fp16", "r": "*fp32"},
        **{"turned_k": f"*{dtype}", "turned_dy": f"*{dtype}"},
    }
    numbers = {"heads": "i32", "gain": "fp32", "eps": "fp32"}
    by = {"b": 2**16 * size, "h": size, "t": 8 * size, "d": 1}
    strides = {f"{x}_{axis}": stride for x in ("k", "dy") for axis, stride in by.items()}
    made = a_pass("lucid_bwd_turn", {**pointers, **numbers}, {"D": size, "DV": size}, **strides)
    assert accesses(made) == {"LDG.E.128", "STG.E.128"}
