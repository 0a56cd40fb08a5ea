"""Kernels compiled ahead of time for sm_90, without a GPU: what the compiler made of them."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")


def compile(kernel: Any, signature: dict[str, str], constexprs: dict[str, Any], num_warps: int, num_stages: int) -> Any:
    """A compiled kernel. signature: {"q": "*bf16", "n": "i32", ..}, in any order, of what is no constexpr."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.experimental.gluon._runtime import GluonASTSource

    kinds = {name: signature.get(name, "constexpr") for name in kernel.arg_names}
    constants = {(kernel.arg_names.index(name),): value for name, value in constexprs.items()}
    attributes = {
        (at,): [["tt.divisibility", 16]] for at, name in enumerate(kernel.arg_names) if kinds[name].startswith("*")
    }
    source = (GluonASTSource if kernel.is_gluon() else ASTSource)(kernel, kinds, constants, attributes)
    return triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps, "num_stages": num_stages}
    )


def sass(compiled: Any) -> str:
    return _cuobjdump(compiled, "--dump-sass")


def resources(compiled: Any) -> dict[str, int]:
    """registers a thread, bytes of stack a thread (spills and local arrays), bytes of shared memory a program."""
    usage = _cuobjdump(compiled, "--dump-resource-usage")
    found = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    return {
        "registers": found["REG"],
        "stack": found["STACK"] + found.get("LOCAL", 0),
        "shared": compiled.metadata.shared,
    }


def loops(sass: str) -> list[str]:
    """The instructions of every innermost loop: from the target of a backward branch to the branch."""
    lines = re.findall(r"/\*([0-9a-f]{4,})\*/\s+(.*?);", sass)
    places = {int(address, 16): at for at, (address, _) in enumerate(lines)}
    spans = []
    for at, (address, instruction) in enumerate(lines):
        target = re.search(r"\bBRA\S* .*?0x([0-9a-f]+)", instruction)
        if target and int(target[1], 16) < int(address, 16):
            spans.append((places[int(target[1], 16)], at))
    inner = [a for a in spans if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return ["\n".join(text for _, text in lines[first : last + 1]) for first, last in inner]


def spoiled_descriptors(sass: str) -> list[str]:
    """Where the upper half of a wgmma descriptor is made of a register that is not known to be zero.

    A descriptor is an address in its lower half plus constants. ptxas of CUDA 12.8 keeps it in uniform
    registers, and where it uses an address a second time, it has been seen to add the carry to the address itself.
    """
    lines = [text.strip() for text in re.findall(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", sass)]
    found, seen = [], 0
    for at, line in enumerate(lines):
        carried = re.match(r"UIADD3\.X UR\d+, UR(\d+), (?:0x4|0x8|-0x7)", line)
        if carried is None:
            continue
        number = int(carried[1])
        seen += 1
        writes = re.compile(rf"(?:@\S+ )?(?:\S+ UR{number},|\S+\.64 UR{number - 1},)")
        written = next((earlier for earlier in reversed(lines[:at]) if writes.match(earlier)), "")
        if not re.match(rf"UMOV UR{number}, URZ", written):
            found.append(line)
    assert seen, "descriptors are made in another way: look again"
    return found


def _cuobjdump(compiled: Any, option: str) -> str:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(compiled.asm["cubin"])
        cubin.flush()
        return subprocess.run([tool, option, cubin.name], check=True, capture_output=True, text=True).stdout
