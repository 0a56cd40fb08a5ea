"""The LUCID solve for Hopper compiled for sm_90, without a GPU: no stack, wgmma, products that are not serialised."""

import pytest

pytest.importorskip("triton", reason="triton is not installed")

from lcbench_kernels.lucid.gluon_prefill import STAGES
from lcbench_kernels.lucid.gluon_solve import lucid_prefill_specialized
from triton.experimental.gluon import language as gl

from kernels import aot


@pytest.mark.parametrize("size", [64, 96, 128])
@pytest.mark.parametrize("kind, stored", [("bf16", "bf16"), ("fp16", "fp16"), ("bf16", "fp32")])
def test_solve(size, kind, stored):
    """kind: of the values; stored: of y, which is fp32 in training."""
    padded = 64 if size <= 64 else 128

    def tiles(width: int, kind: str = "fp16") -> str:
        return f"tensordesc<{kind}[64, {width}],{gl.NVMMASharedLayout.get_default_for([64, width], gl.float16)}>"

    floats = {"yn": "*fp16", "y": f"*{stored}", "totals": "*fp32", "early": "*fp32"}
    pointers = {**floats, "sweeps": "*i32", "work": "*i32", "progress": "*i32"}
    numbers = {"chains": "i32", "columns": "i32", "steps": "i32", "c0": "fp32"}
    compiled = aot.compile(
        lucid_prefill_specialized,
        {
            "kn_desc": tiles(padded),
            "inv_desc": tiles(64),
            "yn_desc": tiles(padded),
            "v_desc": tiles(padded, kind),
            **pointers,
            **numbers,
        },
        {"D": padded, "STAGES": STAGES, "V_TYPE": gl.bfloat16 if kind == "bf16" else gl.float16, "SIZE": size},
        num_warps=4,
        num_stages=1,
    )
    resources = aot.resources(compiled)
    assert resources["stack"] == 0 and resources["shared"] <= 227 * 1024
    sass = aot.sass(compiled)
    assert not aot.spoiled_descriptors(sass)
    # In steps of 16: entries against a tile are padded / 16, the product with y 4. In a sweep's loop one of each.
    loops = [body for body in aot.loops(sass) if "MUFU.EX2" in body]
    assert [body.count("HGMMA") for body in loops] == [padded // 16 + 4] * 4, "an early and a closing one, a warpgroup"
    # One wait a product would mean that the compiler gave up overlapping them ("wgmma serialized").
    assert sass.count("WARPGROUP.DEPBAR") < sass.count("HGMMA") / 4
