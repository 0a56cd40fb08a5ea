"""What changed its name in Gluon between triton 3.6 and 3.9, under one name each; and instructions that it lacks.

Triton 3.7 has the names of 3.6.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language._core import builtin, shared_memory_descriptor
from triton.experimental.gluon.language.nvidia.hopper import tma

tma_load = tma.async_load if hasattr(tma, "async_load") else tma.async_copy_global_to_shared
barrier = gl.barrier if hasattr(gl, "barrier") else gl.thread_barrier
_reinterpret = getattr(shared_memory_descriptor, "reinterpret", None) or shared_memory_descriptor._reinterpret


@builtin
def reinterpret(memory, dtype, shape, layout, _semantic=None):
    """The same shared memory as an array of another type, shape and layout."""
    return _reinterpret(memory, dtype, shape, layout, _semantic=_semantic)


@gluon.jit
def fence_async_global():
    """Orders ordinary accesses to global memory with those of the copy engine (TMA), on either side of a hand-over."""
    gl.inline_asm_elementwise("fence.proxy.async; mov.b32 $0, 0;", "=r", [], dtype=gl.int32, is_pure=False, pack=1)


@gluon.jit
def load_acquire(pointer):
    """*pointer (int32), with everything that was written before its release visible behind it."""
    return gl.inline_asm_elementwise(
        "ld.acquire.gpu.global.b32 $0, [$1];", "=r,l", [pointer], dtype=gl.int32, is_pure=False, pack=1
    )


@gluon.jit
def load_acquire_least(pointer):
    """The lesser of two neighbouring int32, the first at a multiple of 8 bytes, likewise."""
    return gl.inline_asm_elementwise(
        "{ .reg .b64 both; .reg .s32 one, other; ld.acquire.gpu.global.b64 both, [$1]; mov.b64 {one, other}, both; "
        "min.s32 $0, one, other; }",
        "=r,l",
        [pointer],
        dtype=gl.int32,
        is_pure=False,
        pack=1,
    )


@builtin
def await_words(pointers, count, stride, _semantic=None):
    """The int32 words at `pointers`, as soon as none of them is -1, whatever else of memory is visible by then.

    pointers: a tensor in a layout whose threads hold `count` words each: runs of four side by side, at multiples of 16
    bytes, `stride` bytes from one run to the next. Loads of all runs are on their way together, again and again.
    """
    count, stride = (getattr(x, "value", x) for x in (count, stride))
    runs = range(0, count, 4)
    loads = [
        f"ld.relaxed.gpu.global.v4.b32 {{${i}, ${i + 1}, ${i + 2}, ${i + 3}}}, [${count} + {i // 4 * stride}];"
        for i in runs
    ]
    tests = ["setp.eq.b32 waiting, $0, -1;"]
    tests += [f"setp.eq.or.b32 waiting, ${i}, -1, waiting;" for i in range(1, count)]
    asm = " ".join(["{ .reg .pred waiting; again:", *loads, *tests, "@waiting bra again; }"])
    constraints = ",".join(["=&r"] * count + ["l"] * count)
    return gl.inline_asm_elementwise(
        asm, constraints, [pointers], dtype=gl.int32, is_pure=False, pack=count, _semantic=_semantic
    )
