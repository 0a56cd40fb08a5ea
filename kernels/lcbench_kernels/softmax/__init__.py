"""Softmax attention of the newest queries over cached keys and values."""

from lcbench_kernels.softmax.api import attend, decode

__all__ = ["attend", "decode"]
