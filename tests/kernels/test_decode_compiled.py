"""The decode kernels compiled for sm_90: nothing in local memory, wgmma in the loop, room for two programs a
multiprocessor.
"""

import pytest

pytest.importorskip("triton", reason="triton is not installed")

import triton.language as tl
from lcbench_kernels.common import split_kv
from lcbench_kernels.laser import triton_decode as laser
from lcbench_kernels.lucid import triton_decode as lucid
from lcbench_kernels.softmax import triton_decode as softmax

from kernels import aot

H200 = split_kv.Device(multiprocessors=132, shared=232448)
KERNELS = {
    "softmax": (softmax.softmax_decode_split, softmax.softmax_decode_combine, {}),
    "lucid": (lucid.lucid_decode_split, lucid.lucid_decode_combine, {}),
    "laser": (laser.laser_decode_split, laser.laser_decode_combine, {"DOT": tl.bfloat16}),
}
POINTERS = {"lengths": "*i64", "partial": "*fp32"}


def compiled(kernel, dtype: str, constants: dict, stages: int):
    """The arguments that are left are tensors in `dtype`, the scale and the shift in fp32, and sizes in i32."""
    signature = {}
    for name in kernel.arg_names:
        if name in ("q", "k", "v", "y", "out"):
            signature[name] = f"*{dtype}"
        elif name not in constants:
            signature[name] = POINTERS.get(name, "fp32" if name in ("scale_log2", "shift") else "i32")
    used = {name: value for name, value in constants.items() if name in kernel.arg_names}
    return aot.compile(kernel, signature, used, num_warps=4, num_stages=stages)


def constants(size: int, group: int, cut: split_kv.Plan) -> dict:
    columns = 16 if group <= 14 else 32
    tile = {"G": group, "M": columns, "D": size, "DP": split_kv.padded(size)}
    return {**tile, "BLOCK": cut.block, "ALIGN": 8, "OVERLAP": True, "SPLITS": split_kv.at_once(size)}


@pytest.mark.parametrize(
    "name, size, group, dtype",
    [(name, 128, 4, "bf16") for name in KERNELS]
    + [("softmax", 64, 3, "fp16"), ("lucid", 80, 1, "bf16"), ("lucid", 256, 16, "fp16"), ("laser", 256, 8, "fp16")],
)
def test_split(name, size, group, dtype):
    cut = split_kv.plan(1, 8, 131072, size, 2, H200)
    kernel, _, more = KERNELS[name]
    built = compiled(kernel, dtype, {**constants(size, group, cut), **more}, cut.stages)
    resources, code = aot.resources(built), aot.sass(built)
    assert resources["stack"] == 0 and "STL" not in code and "LDL" not in code
    assert "HGMMA" in code and "LDGSTS.E.BYPASS.128" in code
    assert "PREEXIT" in code, "the second kernel may be launched meanwhile"
    assert 2 * resources["registers"] * 128 <= 65536
    assert 2 * (resources["shared"] + 1024) <= H200.shared + 1024


@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("name", KERNELS)
def test_combine(name, size):
    cut = split_kv.plan(1, 8, 131072, size, 2, H200)
    code = aot.sass(compiled(KERNELS[name][1], "bf16", constants(size, 4, cut), 3))
    assert "STL" not in code and "LDL" not in code
    before, wait, _ = code.partition("ACQBULK")
    assert wait, "it waits for the first kernel,"
    assert before.count("LDG") <= 1 and "STG" not in before and "EXIT" not in before, (
        "and has read lengths alone by then"
    )


@pytest.mark.parametrize("batch, heads", [(1, 8), (8, 8), (1, 1), (1, 32), (3, 8)])
@pytest.mark.parametrize("total", [65536, 131072])
def test_long_caches_fill_the_device(batch, heads, total):
    """Waves of full programs: at least 93% of them, counting the whole tiles that the longest program takes."""
    cut = split_kv.plan(batch, heads, total, 128, 2, H200)
    assert cut.chunk % cut.block == 0 and (cut.splits - 1) * cut.chunk < total <= cut.splits * cut.chunk
    waves = -(-batch * heads * cut.splits // (2 * H200.multiprocessors))
    busy = batch * heads * total / (waves * 2 * H200.multiprocessors * cut.chunk)
    assert busy > 0.93


def test_short_caches_are_cut_no_finer_than_tiles():
    assert split_kv.plan(1, 8, 1, 128, 2, H200) == split_kv.Plan(block=64, chunk=64, splits=1, stages=3)
    assert split_kv.plan(64, 32, 100, 128, 2, H200).splits <= 2


def test_devices_with_little_shared_memory_hold_fewer_tiles():
    for shared in (101376, 166912, 232448):
        for size, itemsize in ((64, 2), (128, 2), (256, 2), (128, 4), (256, 4)):
            cut = split_kv.plan(1, 8, 4096, size, itemsize, split_kv.Device(80, shared))
            assert cut.stages * 2 * cut.block * split_kv.padded(size) * itemsize < shared
