"""What every check of the sanitizer is given, and what it has to give back.

A check is an object with three methods, called in this order for every run or call::

    begin(context)      # before the first instruction; forget everything of the run before
    feed(batch)         # for each chunk, in the order of execution
    end() -> findings   # after the last instruction, also when the firmware faulted

and optionally ``host_call()``: between two chunks, the host served a semihosting call: it put a
result into r0, and may have written memory (which is told by ``host_wrote(address, size_bytes)``).

``registers`` names the registers (numbers of ``m7sim.isa.registers``: r0 … lr, s0 … s31) whose
values a check wants at the entry of every block. They are recorded with each block, so that
``batch.column(register)`` is a uint32 array with one value per executed block.

All checks see the same arrays and must not change them. Whatever loops over blocks or accesses is
a ``@kernel`` of ``m7sim.jit``; what loops over static code (``context.code.instructions``) may be
plain Python, done once per instruction (``batch.code`` grows between chunks, rows never change).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.isa.code import Code, CodeArrays
from m7sim.machine.call import Calling
from m7sim.machine.system import SystemRegisters
from m7sim.sanitize.finding import Finding
from m7sim.sanitize.layout import Layout
from m7sim.sanitize.rules import Rules
from m7sim.trace.chunk import Chunk
from m7sim.trace.plan import PlanArrays


@dataclass(frozen=True)
class Context:
    """What is fixed for one run or call.

    Attributes
    ----------
    code
        The code met so far; it grows.
    layout
        What lies where, for this run or call.
    call
        The call that is checked; None for a run.
    entry_pc, entry_sp
        Where it begins, and with which stack pointer.
    from_reset
        Whether start-up code runs first.
    read_register
        Tells a register by name, as it is now; for ``end``.
    landed_at
        Tells where execution went last, as it is now; for ``end``.
    system
        The core's registers as they are now: MPU and configuration.
    """

    image: Image
    board: Board
    code: Code
    rules: Rules
    layout: Layout
    call: Calling | None
    entry_pc: int
    entry_sp: int
    from_reset: bool
    read_register: Callable[[str], int]
    landed_at: Callable[[], int]
    system: SystemRegisters

    def finding(self, kind: str, pc: int, what: str, **more: Any) -> Finding:
        """Make a finding at an instruction; function and line are found here.

        ``more`` are further fields of `Finding`.
        """
        function = self.image.function_at(pc)
        name = function.name if function is not None else ""
        inlined = self.image.inline_chain(pc)
        line = self.image.line_at(pc)
        return Finding(
            kind, what, pc, inlined[0].function if inlined else name,
            line.file if line else "", line.line if line else 0, **more,
        )  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """One chunk of execution.

    Attributes
    ----------
    addresses
        uint32[m], from ``resolve(chunk, plan)``.
    code
        Columns of the code that covers all blocks of the chunk.
    registers
        Those recorded at the entry of every block, in this order at the start of its values.
    first_instruction
        Number of the first instruction of the chunk, from 0 in the run or call.
    """

    chunk: Chunk
    addresses: NDArray[np.uint32]
    code: CodeArrays
    plan: PlanArrays
    registers: tuple[int, ...]
    first_instruction: int

    @cached_property
    def value_first(self) -> NDArray[np.int64]:
        """int64[n]: where the values of each block begin in ``chunk.values``."""
        return _starts(self.plan.values[self.chunk.blocks])

    @cached_property
    def access_first(self) -> NDArray[np.int64]:
        """int64[n]: where the addresses of each block begin in ``addresses``."""
        counts = np.diff(self.plan.access_first)
        return _starts(counts[self.chunk.blocks])

    @cached_property
    def instruction_first(self) -> NDArray[np.int64]:
        """int64[n]: number of the first instruction of each block in the run or call."""
        return _starts(self.code.block_count[self.chunk.blocks]) + self.first_instruction

    def column(self, register: int) -> NDArray[np.uint32]:
        """Return the value of a recorded register at the entry of each block, uint32[n]."""
        return self.chunk.values[self.value_first + self.registers.index(register)]


def _starts(counts: NDArray[np.int32]) -> NDArray[np.int64]:
    starts = np.zeros(len(counts), np.int64)
    np.cumsum(counts[:-1], out=starts[1:])
    return starts


class Check(Protocol):
    """See the top of this file."""

    @property
    def registers(self) -> tuple[int, ...]: ...
    def begin(self, context: Context) -> None: ...
    def feed(self, batch: Batch) -> None: ...
    def host_call(self) -> None: ...
    def host_wrote(self, address: int, size_bytes: int) -> None: ...
    def end(self) -> list[Finding]: ...
