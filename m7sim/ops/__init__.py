"""Operation types and shapes: their work, their NumPy oracle, their kernels.

`m7sim.ops.registry` is where to begin.
"""

from __future__ import annotations

from m7sim.ops.calls import KernelCall, prepare
from m7sim.ops.kernels import kernel_elf, kernel_forms
from m7sim.ops.layer import Layer
from m7sim.ops.shapes import Family, OpType, Shape

__all__ = [
    "Family", "KernelCall", "Layer", "OpType", "Shape", "kernel_elf", "kernel_forms", "prepare",
]  # fmt: skip
