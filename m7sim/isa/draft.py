"""A decoded instruction in the making, and the small helpers that its families share."""

from __future__ import annotations

from typing import Final

from m7sim.errors import InputError
from m7sim.isa.capstone_reader import Operand, Reading
from m7sim.isa.instruction import ALWAYS, Branch, Instruction, Linear, Memory, Result, Role
from m7sim.isa.registers import FLAGS, PC

_MASK: Final = 0xFFFF_FFFF


class UndecodableError(InputError):
    """Bytes that are no instruction of Armv7E-M with FPv5, or an unpredictable form of one."""


def linear(constant: int, *terms: tuple[int, int]) -> Linear:
    """Build ``constant + Σ coefficient × register`` with merged, signed, non-zero terms."""
    merged: dict[int, int] = {}
    for register, coefficient in terms:
        merged[register] = merged.get(register, 0) + coefficient
    signed = {r: (c + (1 << 31)) % (1 << 32) - (1 << 31) for r, c in merged.items()}
    return Linear(constant & _MASK, tuple((r, c) for r, c in sorted(signed.items()) if c))


def combine(*parts: tuple[Linear, int], constant: int = 0) -> Linear:
    """Build ``constant + Σ factor × linear``."""
    total = constant + sum(part.constant * factor for part, factor in parts)
    terms = [(r, c * factor) for part, factor in parts for r, c in part.terms]
    return linear(total, *terms)


class Draft:
    """Collects what an instruction does; ``finish`` freezes it."""

    def __init__(self, reading: Reading, condition: int | None) -> None:
        self.reading = reading
        self.predicated = condition is not None
        self.condition = ALWAYS if condition is None else min(condition, ALWAYS)
        self.klass = ""
        self.reads: list[tuple[int, Role]] = []
        self.writes: list[tuple[int, Result]] = []
        self.values: dict[int, Linear] = {}
        self.memory: Memory | None = None
        self.branch = Branch.NONE
        self.target = -1
        self.ends_block = False
        self.it_conditions: tuple[int, ...] = ()
        self.movt = -1
        self.text = reading.text

    # -- operands ----------------------------------------------------------------------------

    @property
    def operands(self) -> tuple[Operand, ...]:
        return self.reading.operands

    @property
    def pc(self) -> int:
        """The value that reading pc gives."""
        return self.reading.address + 4

    def refuse(self, why: str) -> UndecodableError:
        return UndecodableError(
            f"{self.reading.text!r} {why}", where=f"0x{self.reading.address:08x}"
        )

    def register(self, index: int) -> Operand:
        """Return operand ``index``, which has to be a register we follow."""
        if index < len(self.operands):
            operand = self.operands[index]
            if operand.kind == "register" and operand.register >= 0:
                return operand
        raise self.refuse("has no register where one belongs")

    def read(self, operand: Operand | int, role: Role) -> None:
        """Note a read; pc is a constant and no dependence."""
        if isinstance(operand, int):
            operand = Operand("register", operand)
        for part in range(operand.width):
            if operand.register != PC:
                self.reads.append((operand.register + part, role))

    def write(self, operand: Operand | int, result: Result = Result.VALUE) -> None:
        if isinstance(operand, int):
            operand = Operand("register", operand)
        for part in range(operand.width):
            self.writes.append((operand.register + part, result))

    def write_flags(self) -> None:
        self.write(FLAGS, Result.FLAGS)

    def value(self, operand: Operand) -> Linear | None:
        """Return a register or constant operand as a linear value, if it is one."""
        if operand.kind == "constant":
            return linear(operand.constant)
        if operand.shift not in ("", "lsl"):
            return None
        scale = 1 << operand.shift_amount if operand.shift else 1
        if operand.register == PC:
            return linear(self.pc * scale)
        return linear(0, (operand.register, scale))

    # -- result ------------------------------------------------------------------------------

    def finish(self) -> Instruction:
        """Freeze, after the checks that hold for every family."""
        if self.branch == Branch.NONE and any(register == PC for register, _ in self.writes):
            raise self.refuse("writes pc, which is unpredictable")
        if self.predicated and (FLAGS, Role.FLAGS) not in self.reads:
            self.reads.append((FLAGS, Role.FLAGS))
        return Instruction(
            address=self.reading.address,
            size_bytes=self.reading.size_bytes,
            text=self.text,
            klass=self.klass,
            reads=tuple(self.reads),
            writes=tuple((r, result) for r, result in self.writes if r != PC),
            memory=self.memory,
            branch=self.branch,
            target=self.target,
            condition=self.condition,
            predicated=self.predicated,
            values=tuple(self.values.items()),
            ends_block=self.ends_block or self.branch != Branch.NONE,
            it_conditions=self.it_conditions,
            movt=self.movt,
        )
