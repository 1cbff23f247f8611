"""All checks together, fed with what a machine executes.

The interface of a check (``begin(context)``, ``feed(batch)``, ``end()``) is described in
`m7sim.sanitize.check`; what it reports, in `m7sim.sanitize.finding`. A new check is a class with
that interface, listed in ``CHECKS`` below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.errors import M7Error
from m7sim.isa.code import Code
from m7sim.machine import Machine
from m7sim.machine.call import RETURN_ADDRESS
from m7sim.sanitize.alignment import AlignmentCheck
from m7sim.sanitize.check import Batch, Check, Context
from m7sim.sanitize.events import from_fault
from m7sim.sanitize.finding import Finding, fold
from m7sim.sanitize.flow import ControlCheck
from m7sim.sanitize.layout import make_layout
from m7sim.sanitize.memory import MemoryCheck, Usage
from m7sim.sanitize.rules import Rules
from m7sim.trace.chunk import Chunk
from m7sim.trace.plan import PlanArrays

_REACH_BYTES: Final = 0x1000  # so far may execution get in what is no code

CHECKS: Final[tuple[Callable[[], Check], ...]] = (AlignmentCheck, ControlCheck)


class Checker:
    """Watches the runs and calls of one machine.

    Parameters
    ----------
    code
        The code that the chunks' block ids refer to.
    from_reset
        Whether what follows begins with start-up code.
    """

    def __init__(self, machine: Machine, code: Code, rules: Rules, *, from_reset: bool) -> None:
        self.rules = rules
        self._machine, self._code, self._from_reset = machine, code, from_reset
        self._memory = MemoryCheck()
        self._checks: list[Check] = [self._memory, *(make() for make in CHECKS)]
        self.registers = tuple(sorted({r for check in self._checks for r in check.registers}))
        self._context: Context | None = None
        self._findings: list[Finding] = []
        self._instructions = 0
        self._ended, self._landed_at = True, 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found in the last run or call, in the order it happened."""
        return fold(self._findings)

    @property
    def usage(self) -> Usage:
        """What the last run or call did, in numbers."""
        return self._memory.usage

    # Told by what records the machine

    def begin(self) -> None:
        """Prepare for a run or call that is about to start; the machine is set up for it."""
        machine = self._machine
        layout = make_layout(
            machine.image, machine.board, machine.placement, machine.calling, self.rules,
            from_reset=self._from_reset,
        )  # fmt: skip
        self._context = context = Context(
            machine.image, machine.board, self._code, self.rules, layout, machine.calling,
            machine.entry_pc, machine.register("sp"), self._from_reset, machine.register,
            lambda: self._landed_at, machine.system,
        )  # fmt: skip
        self._findings, self._instructions, self._ended = [], 0, False
        machine.semihosting.memory = _Watched(machine, self._host_wrote)
        for check in self._checks:
            check.begin(context)

    def feed(self, chunk: Chunk, plan: PlanArrays, addresses: NDArray[np.uint32]) -> None:
        """Check a chunk, executed after all that was fed before."""
        code = self._code.arrays()
        batch = Batch(chunk, addresses, code, plan, self.registers, self._instructions)
        for check in self._checks:
            check.feed(batch)
        self._instructions += int(code.block_count[chunk.blocks].sum())

    def host_call(self) -> None:
        """Take note that the host is about to serve a call; all before it has been fed."""
        for check in self._checks:
            check.host_call()

    def end(self, undecoded_address: int | None = None) -> None:
        """Collect what was found.

        Parameters
        ----------
        undecoded_address
            Where execution went last, if that could not be decoded and so was not fed.
        """
        pc = self._machine.register("pc") & ~1
        self._landed_at = pc if undecoded_address is None else undecoded_address
        self._ended = True
        self._machine.semihosting.memory = self._machine
        self._memory.returned = pc == RETURN_ADDRESS & ~1
        for check in self._checks:
            self._findings += [each for each in check.end() if not self._accepted(each)]

    def _accepted(self, finding: Finding) -> bool:
        function = self._machine.image.function_at(finding.pc)
        return self.rules.accepts(finding, *([function.name] if function is not None else []))

    def explain(self, error: M7Error) -> None:
        """Attach the findings to the error that ended a run or call, and name the first."""
        if not self._ended:  # what recorded the machine failed
            self.end()
        fault = from_fault(self._context, error) if self._context is not None else None
        same = fault is None or any(_same(each, fault) for each in self._findings)
        if fault is not None and not same:
            self._findings.append(fault)
        error.findings, error.usage = self.findings, self.usage
        if error.findings:
            first, more = error.findings[0], len(error.findings) - 1
            others = f" (and {more} more)" if more else ""
            error.what += f" [{first}{others}]"

    def _host_wrote(self, address: int, size_bytes: int) -> None:
        for check in self._checks:
            check.host_wrote(address, size_bytes)


def _same(finding: Finding, fault: Finding) -> bool:
    """Tell whether a finding explains a fault: by its instruction, or as the jump to it."""
    jump = finding.kind == "wild_jump" and 0 <= fault.pc - finding.address < _REACH_BYTES
    return (finding.pc == fault.pc and fault.address in (0, finding.address)) or jump


class _Watched:
    """Memory as semihosting sees it; tells what is written."""

    def __init__(self, machine: Machine, wrote: Callable[[int, int], None]) -> None:
        self._machine, self._wrote = machine, wrote

    def read(self, address: int, size_bytes: int) -> bytes:
        return self._machine.read(address, size_bytes)

    def write(self, address: int, data: bytes) -> None:
        self._machine.write(address, data)
        self._wrote(address, len(data))
