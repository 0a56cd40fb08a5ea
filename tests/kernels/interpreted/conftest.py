"""Kernels under Triton's interpreter, on a CPU: TRITON_INTERPRET has to stand before triton is imported, and nothing
can be compiled in the same process. `tests/kernels/test_interpreted.py` runs this folder in a process of its own.
"""
