"""LUCID: values preconditioned by the inverse of an exponential kernel matrix of the keys (arXiv 2602.10410)."""

from lcbench_kernels.lucid.api import precondition
from lcbench_kernels.lucid.decode import decode

__all__ = ["decode", "precondition"]
