"""Control flow: jumps to where no code begins, returns to elsewhere, registers not preserved.

Legitimate are: calls of functions; returns to the right address; tail calls and veneers, which
jump to the beginning of a function; switch tables within a function; ``longjmp`` and C++ exceptions
(known by name: a switch between tasks of another name is told unless `Rules` allow it); functions
in assembly that run into the next one of their file, or return for their caller, as libgcc's do.

Where each is told: a jump, call or return at its own instruction; a register at the instruction
that wrote it last in the function that returned; sp at the instruction that moved it last; a
misaligned stack at the call. A function in assembly is checked when its symbol has the type of a
function; without symbols only jumps to where no code is are told.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.instruction import Branch
from m7sim.sanitize.check import Batch, Context
from m7sim.sanitize.codefacts import DATA, WATCHED, fact_table
from m7sim.sanitize.finding import Finding
from m7sim.sanitize.frames import (
    BAD_RETURN,
    FOUND_WORDS,
    JUMP_INSIDE,
    MOST_FOUND,
    RUNS_OVER,
    follow,
    state_dtype,
)
from m7sim.sanitize.registers import ABOUT_REGISTERS, describe

KIND: Final = "wild_jump"
_NAMES: Final = (*(f"r{n}" for n in range(13)), "sp", "lr", "pc", *(f"s{n}" for n in range(32)))


_VERBS: Final = {
    Branch.NONE: "runs on into", Branch.CALL: "calls", Branch.INDIRECT_CALL: "calls",
    Branch.RETURN: "returns to", Branch.TABLE: "jumps by a table to",
}  # fmt: skip


class ControlCheck:
    """Follows calls and returns, with the registers that a function has to preserve."""

    registers: tuple[int, ...] = WATCHED

    def begin(self, context: Context) -> None:
        """Prepare for a run or call."""
        self._context = context
        self._table = fact_table(context.image, context.code)
        self._state = np.zeros(1, state_dtype())[0]
        self._state["previous"] = -1
        self._state["from_reset"] = context.from_reset
        self._out: NDArray[np.int64] = np.zeros((MOST_FOUND, FOUND_WORDS), np.int64)
        self._findings: list[Finding] = []
        self._last = -1  # number of the last instruction

    def feed(self, batch: Batch) -> None:
        """Follow one chunk."""
        chunk = batch.chunk
        facts = self._table.facts(self._context.code, batch.plan.values)
        columns = np.array([batch.registers.index(r) for r in WATCHED], np.int64)
        found = follow(
            self._state, facts, chunk.blocks, chunk.values, columns, self._out,
            self._table.has_functions,
        )  # fmt: skip
        for note in self._out[: min(found, MOST_FOUND)].tolist():
            # A jump belongs to the block before the one that it leads to.
            first = int(batch.instruction_first[note[1]])
            self._tell(note, first if note[0] == RUNS_OVER else first - 1)
        if len(chunk.blocks):
            count = int(batch.code.block_count[chunk.blocks[-1]])
            self._last = int(batch.instruction_first[-1]) + count - 1

    def host_call(self) -> None:
        pass

    def host_wrote(self, address: int, size_bytes: int) -> None:
        pass

    def end(self) -> list[Finding]:
        """Follow the last jump, to outside or to where nothing executes; return what was found."""
        read = self._context.read_register
        previous = int(self._state["previous"])
        if previous >= 0:
            first, count = self._context.code.blocks[previous]
            last = self._context.code.instructions[first + count - 1]
            start, pc = self._context.code.instructions[first].address, self._context.landed_at()
            if not start <= pc < last.address + last.size_bytes:
                facts = self._table.landing(self._context.code, pc)
                found = follow(
                    self._state, facts, np.array([len(facts.address) - 1], np.int32),
                    np.array([read(_NAMES[r]) for r in WATCHED], np.uint32),
                    np.arange(len(WATCHED)), self._out, self._table.has_functions,
                )  # fmt: skip
                for note in self._out[: min(found, MOST_FOUND)].tolist():
                    self._tell(note, self._last)
        return self._findings

    def _tell(self, note: list[int], instruction: int) -> None:
        what, _, row, function, *words = note
        if what in ABOUT_REGISTERS:
            functions = self._context.image.functions
            name = functions[function].name if function >= 0 else "the function"
            self._findings.append(describe(self._context, what, row, name, words, instruction))
            return
        pc = self._context.code.instructions[row].address
        text, target = self._jump(what, words)
        self._findings.append(
            self._context.finding(KIND, pc, text, address=target, instruction=instruction)
        )

    def _jump(self, what: int, words: list[int]) -> tuple[str, int]:
        """Return what a jump does wrong, and where it leads."""
        if what == RUNS_OVER:
            return "runs over its end into the function behind it", 0
        first, target, third, _ = words
        if what == BAD_RETURN:
            return f"returns to {self._where(target)} instead of {self._where(third)}", target
        if what == JUMP_INSIDE:
            verb = _VERBS.get(Branch(first), "jumps to")
            why = "outside of itself" if first == Branch.TABLE else "where no function begins"
            return f"{verb} {self._where(target)}, {why}", target
        if target < 0:
            return "runs on into data behind it", 0
        verb = _VERBS.get(Branch(third), "jumps to")
        kind = "which is data" if first == DATA else "outside of all code"
        return f"{verb} {self._where(target)}, {kind}", target

    def _where(self, address: int) -> str:
        found = self._context.image.function_at(address)
        if found is None:
            return f"0x{address:08x}"
        offset = address - (found.address & ~1)
        return f"0x{address:08x} ({found.name}{f'+0x{offset:x}' if offset else ''})"
