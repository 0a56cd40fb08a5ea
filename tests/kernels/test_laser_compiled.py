"""LASER's kernels compiled for sm_90: nothing in local memory, wgmma and asynchronous copies in the loops."""

import pytest
import torch

triton = pytest.importorskip("triton", reason="triton is not installed")

from lcbench_kernels.laser import triton_bwd, triton_fwd, triton_weights  # noqa: E402
from lcbench_kernels.laser.blocks import blocks  # noqa: E402

from kernels import aot  # noqa: E402

TOKENS = 8192
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
KINDS = {
    **dict.fromkeys(("q", "k", "v", "dq", "dk", "dv", "grad"), None),  # None: the dtype of the call
    **dict.fromkeys(("w", "steep"), "*bf16"),
    **dict.fromkeys(("exponents", "o", "lse", "delta"), "*fp32"),
    **dict.fromkeys(("past", "lengths"), "*i64"),
    **dict.fromkeys(("scale", "scale_log2"), "fp32"),
    "epochs": "*i32",
}


def compiled(kernel, dtype: str, size: int, warps: int, stages: int, kinds: dict[str, str] | None = None, **constants):
    """Strides are constants, as the launcher's knowledge that 16 divides them; other numbers are i32."""
    strides = {"row": 32 * TOKENS * size, "head": TOKENS * size, "token": size}
    constants = {"D": size, "BLOCK_D": triton.next_power_of_2(size), **constants}
    constants |= {name: strides[name[2:]] for name in kernel.arg_names if name[:2] in ("q_", "k_", "v_", "o_", "g_")}
    kinds = {**KINDS, "out": None, **(kinds or {})}
    signature = {name: kinds.get(name, "i32") or f"*{dtype}" for name in kernel.arg_names if name not in constants}
    return aot.compile(kernel, signature, constants, warps, stages)


@pytest.mark.parametrize("size, dtype", [(64, "bf16"), (80, "bf16"), (128, "bf16"), (128, "fp16"), (256, "bf16")])
@pytest.mark.parametrize("kernel", ["forward", "forward that saves", "dq", "dkv"])
def test_attention(kernel, size, dtype):
    sizes = blocks(size, DTYPES[dtype])
    if kernel.startswith("forward"):
        launch, more = sizes.forward, {"SAVE": kernel != "forward"}
        function = triton_fwd.laser_fwd
    else:
        launch, more = getattr(sizes, kernel), {"HOME": sizes.forward.rows}
        function = {"dq": triton_bwd.laser_bwd_dq, "dkv": triton_bwd.laser_bwd_dkv}[kernel]
    built = compiled(function, dtype, size, launch.warps, launch.stages, ROWS=launch.rows, TILE=sizes.tile, **more)
    resources, code = aot.resources(built), aot.sass(built)
    assert resources["stack"] <= {"forward that saves": 64, "dq": 16 * (size == 256)}.get(kernel, 0)
    assert resources["shared"] <= 227 * 1024
    assert "LDGSTS.E.BYPASS.128" in code
    if (kernel, size) == ("dkv", 256):  # a tile of 32 tokens is too small for wgmma
        return
    loops = code[code.index("HGMMA") : code.rindex("HGMMA")]
    if (kernel, size) != ("dq", 256):
        assert "LDL" not in loops and "STL" not in loops  # saving o may spill behind them


@pytest.mark.parametrize("size", [64, 80, 256])
@pytest.mark.parametrize(
    "kernel, kinds",
    [
        ("laser_tile_max", {"out": "*fp32"}),
        ("laser_weigh", {}),
        ("laser_log", {"o": "*bf16"}),
        ("laser_bwd_log", {"o": "*bf16"}),  # of sdpa
        ("laser_bwd_log", {"o": "*fp32"}),  # of triton
    ],
)
def test_elementwise(kernel, kinds, size):
    more = {"TILE": 64} if kernel in ("laser_tile_max", "laser_weigh") else {"ROWS": triton_weights.ROWS}
    built = compiled(getattr(triton_weights, kernel), "bf16", size, 4, 3, kinds, **more)
    assert aot.resources(built)["stack"] == 0
    assert "LDG.E.128" in aot.sass(built)
