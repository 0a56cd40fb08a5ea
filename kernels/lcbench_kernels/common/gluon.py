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
