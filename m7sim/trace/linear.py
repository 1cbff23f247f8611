"""The symbolic walk through a block: registers and addresses as forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from m7sim.isa.instruction import ALWAYS, Instruction, Linear, Result
from m7sim.isa.registers import PC
from m7sim.trace.form import DERIVED, MASK, OPAQUE, Form, Step, atom_form
from m7sim.trace.pure import folded, pure_result

ReadWord = Callable[[int], "int | None"]


@dataclass(frozen=True, slots=True)
class Walk:
    """What a block does to registers and where it accesses memory.

    ``access[i]`` is the address of instruction ``i`` (None without memory); ``final[r]`` is
    register ``r`` after the block. Both are over entry registers, opaque values and ``steps``.
    """

    access: tuple[Form | None, ...]
    final: tuple[Form, ...]
    steps: tuple[Step, ...]


def walk(instructions: list[Instruction], data: bytes, read_constant: ReadWord) -> Walk:
    """Follow register values through a block.

    Parameters
    ----------
    instructions
        The block, in order.
    data
        Its bytes.
    read_constant
        Returns the word at an address of memory that firmware never writes, else None.
    """
    state = [atom_form(register) for register in range(PC)] + [atom_form(OPAQUE)]
    accesses: list[Form | None] = []
    next_opaque = OPAQUE + 1
    steps: dict[Step, int] = {}

    def derive(operation: int, a: Form, b: Form) -> Form:
        if not a.terms and not b.terms:
            return Form(folded(operation, a.constant, b.constant))
        return atom_form(DERIVED + steps.setdefault(Step(operation, a, b), len(steps)))

    start = instructions[0].address
    for instruction in instructions:
        memory = instruction.memory
        address = substitute(memory.address, state) if memory else None
        accesses.append(address)
        offset = instruction.address - start
        encoding = data[offset : offset + instruction.size_bytes]
        known = {r: substitute(linear, state) for r, linear in instruction.values}
        if memory is None and instruction.writes:
            found = pure_result(encoding, state.__getitem__, derive)
            if found is not None:
                known.setdefault(*found)
        known |= _folded(instruction, encoding, address, state, read_constant)
        written = dict.fromkeys(r for r, _ in instruction.writes if r < PC) | known
        for register in written:
            value = known.get(register)
            unsure = conditional(instruction) and value != state[register]
            if value is None or unsure:
                value = atom_form(next_opaque)
                next_opaque += 1
            state[register] = value
    return Walk(tuple(accesses), tuple(state[:PC]), tuple(steps))


def conditional(instruction: Instruction) -> bool:
    """Tell whether the instruction may be passed without effect (IT block, condition not AL)."""
    return instruction.predicated and instruction.condition != ALWAYS


def substitute(linear: Linear, state: list[Form]) -> Form:
    form = Form(linear.constant & MASK)
    for register, coefficient in linear.terms:
        form = form.plus(state[register], coefficient)
    return form


def _folded(
    instruction: Instruction,
    encoding: bytes,
    address: Form | None,
    state: list[Form],
    read_constant: ReadWord,
) -> dict[int, Form]:
    """Constants that need more than linear algebra: movt after movw, and literal loads."""
    movt = _movt(encoding)
    if movt is not None:
        register, high = movt
        low = state[register]
        return {} if low.terms else {register: Form(high << 16 | low.constant & 0xFFFF)}
    memory = instruction.memory
    if memory is None or address is None or not memory.load or address.terms:
        return {}
    transfers = [r for r, result in instruction.writes if result is Result.TRANSFER]
    if memory.unit_bytes != 4 or len(transfers) != memory.count:
        return {}
    words = [read_constant(address.constant + 4 * i) for i in range(memory.count)]
    return {r: Form(w) for r, w in zip(transfers, words, strict=True) if r < PC and w is not None}


def _movt(encoding: bytes) -> tuple[int, int] | None:
    """Return (register, immediate) of a MOVT (encoding T1, Armv7-M ARM A7.7.79)."""
    if len(encoding) != 4:
        return None
    first, second = int.from_bytes(encoding[:2], "little"), int.from_bytes(encoding[2:], "little")
    if first & 0xFBF0 != 0xF2C0 or second & 0x8000:
        return None
    high = (first & 15) << 12 | (first & 0x400) << 1 | (second & 0x7000) >> 4 | second & 0xFF
    return second >> 8 & 15, high
