"""Operation types and shapes: their work, their NumPy oracle, their kernel."""

from __future__ import annotations

from m7sim.ops.kernels import KernelCall, kernel_elf, kernel_forms, prepare
from m7sim.ops.layer import Layer
from m7sim.ops.shapes import OpType, Shape

__all__ = ["KernelCall", "Layer", "OpType", "Shape", "kernel_elf", "kernel_forms", "prepare"]
