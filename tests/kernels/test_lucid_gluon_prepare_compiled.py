"""The preparation for Hopper compiled for sm_90 as it is launched, without a GPU: four programs to a multiprocessor."""

import re

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")

from lcbench_kernels.lucid.gluon_prepare import lucid_prepare_inverses as kernel  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.experimental.gluon._runtime import GluonASTSource  # noqa: E402

from kernels import aot  # noqa: E402

STRIDES = [f"{tensor}_{dimension}" for tensor in "kv" for dimension in "bht"]


def compile(size: int, keys: str, values: str, aligned: bool = True, unit: bool = True):
    """aligned: strides are multiples of 16. unit: the numbers of a token stand side by side."""
    signature = {"k": f"*{keys}", "v": f"*{values}", "vn": f"*{values}", "kn": "*fp16", "yn": "*fp16", "inv": "*fp16"}
    signature |= {"work": "*i32", "tasks": "*i32", "heads": "i32", "columns": "i32", "chains": "i32"}
    signature |= {"gain": "fp32", "eps": "fp32", "c0": "fp32"} | dict.fromkeys(STRIDES, "i32")
    constants = {"SIZE": size, "D": 64 if size <= 64 else 128}
    steps = {"k_d": 1, "v_d": 1}
    signature, constants = (
        (signature, constants | steps) if unit else (signature | dict.fromkeys(steps, "i32"), constants)
    )
    kinds = {name: signature.get(name, "constexpr") for name in kernel.arg_names}
    multiples = (*STRIDES, "columns") if aligned else ("columns",)
    of_16 = [name for name in kernel.arg_names if kinds[name].startswith("*") or name in multiples]
    at = kernel.arg_names.index
    source = GluonASTSource(
        kernel,
        kinds,
        {(at(name),): value for name, value in constants.items()},
        {(at(name),): [["tt.divisibility", 16]] for name in of_16},
    )
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4, "maxnreg": 128})


@pytest.mark.parametrize("size", [64, 96, 128])
@pytest.mark.parametrize("kind", ["bf16", "fp16"])
def test_prepare(size, kind):
    compiled = compile(size, kind, kind)
    resources = aot.resources(compiled)
    sass = aot.sass(compiled)
    assert resources["registers"] <= 128 and resources["shared"] <= 56 * 1024, "four programs fit a multiprocessor"
    # Nothing spills, or one register once.
    assert resources["stack"] <= 8 and sass.count("STL") <= 1
    assert not aot.spoiled_descriptors(sass)
    assert "HMMA" in sass and "HGMMA" in sass

    # The substitution: 31 + 30 + .. + 1 multiply-adds, and 8 for the norms of every 8 keys that a thread loads; L comes
    # in wide loads.
    padded = 64 if size <= 64 else 128
    assert len(re.findall(r"\bFFMA\b", sass)) == 31 * 32 // 2 + padded
    assert len(re.findall(r"\bLDS\b", sass)) < 180
    # Rows of 16 bytes a thread, but for the words of a task.
    assert "LDG.E.U16" not in sass and len(re.findall(r"\bLDG\.E\.128\b", sass)) == 2 * padded // 8
    assert len(re.findall(r"\bSTG\.E\.128\b", sass)) == 3 * padded // 8 + 3 * 4


@pytest.mark.parametrize(
    "keys, values, aligned, unit",
    [("fp32", "fp16", True, True), ("bf16", "bf16", False, True), ("bf16", "bf16", True, False)],
    ids=["float32", "strides that are no multiples of 16", "numbers apart"],
)
def test_what_else_may_be_given(keys, values, aligned, unit):
    """Slower, some with registers spilled, but four programs to a multiprocessor, and right."""
    compiled = compile(128, keys, values, aligned, unit)
    resources = aot.resources(compiled)
    assert resources["registers"] <= 128 and resources["shared"] <= 56 * 1024
    assert not aot.spoiled_descriptors(aot.sass(compiled))


LINE = "        /*{:04x}*/                   {} ;   /* 0x0 */"
DESCRIPTOR = [
    "UMOV UR4, URZ",
    "UIADD3 UR10, UP0, UR9, 0x2000040, URZ",
    "UIADD3.X UR11, UR4, -0x7fffffe0, URZ, UP0, !UPT",
]


@pytest.mark.parametrize(
    "lines, spoiled",
    [
        (DESCRIPTOR, 0),
        ([DESCRIPTOR[0].replace("UMOV", "@!UP1 UMOV"), *DESCRIPTOR[1:]], 1),
        ([DESCRIPTOR[0], "UIADD3 UR4, UR8, 0x4000, URZ", *DESCRIPTOR[1:]], 1),
        ([*DESCRIPTOR[:2], DESCRIPTOR[2].replace("UR4", "UR9")], 1),
        (["UIADD3.64 UR4, UR8, 0x2, URZ", "UMOV UR5, URZ", DESCRIPTOR[2].replace("UR4", "UR5")], 0),
        (["UMOV UR5, URZ", "UIADD3.64 UR4, UR8, 0x2, URZ", DESCRIPTOR[2].replace("UR4", "UR5")], 1),
    ],
)
def test_spoiled_descriptors_are_found(lines, spoiled):
    sass = "\n".join(LINE.format(16 * at, line) for at, line in enumerate(lines))
    assert len(aot.spoiled_descriptors(sass)) == spoiled
