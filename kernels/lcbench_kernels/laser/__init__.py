"""LASER: attention over exp(v), and the logarithm of what comes out (arXiv 2411.03493)."""

from lcbench_kernels.laser.api import attend
from lcbench_kernels.laser.decode import decode

__all__ = ["attend", "decode"]
