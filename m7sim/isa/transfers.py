"""Loads and stores of core registers: single, double, multiple, exclusive; preload; tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from m7sim.isa.capstone_reader import Operand
from m7sim.isa.draft import Draft, linear
from m7sim.isa.instruction import Branch, Linear, Memory, Result, Role
from m7sim.isa.registers import PC, SP

Handler = Callable[[Draft], None]


def reference(draft: Draft, operand: Operand) -> Linear:
    """Note the reads of a memory operand and return its address (before any post-index)."""
    if operand.kind != "memory":
        raise draft.refuse("has no memory operand")
    if operand.base == PC:
        terms: list[tuple[int, int]] = []
        constant = (draft.pc & ~3) + operand.constant
    else:
        draft.read(operand.base, Role.BASE)
        terms, constant = [(operand.base, 1)], operand.constant
    if operand.index >= 0:
        draft.read(operand.index, Role.INDEX)
        terms.append((operand.index, 1 << operand.index_shift))
    return linear(constant, *terms)


def write_back(draft: Draft, base: int, step: int) -> None:
    """Note that ``base`` moves by ``step`` bytes."""
    draft.writes.insert(0, (base, Result.WRITEBACK))
    draft.values[base] = linear(step, (base, 1))


def indexed(draft: Draft, at: int) -> Linear:
    """Resolve the memory operand at index ``at`` with its pre- or post-index write-back."""
    operand = draft.operands[at]
    address = reference(draft, operand)
    if draft.reading.writeback or draft.reading.post_index:
        if operand.base == PC:
            raise draft.refuse("writes back pc, which is unpredictable")
        post = draft.operands[at + 1].constant if len(draft.operands) > at + 1 else None
        write_back(draft, operand.base, operand.constant if post is None else post)
    return address


def _single(klass: str, unit_bytes: int, count: int = 1) -> Handler:
    """Make the handler of a load: registers, then memory."""

    def handler(draft: Draft) -> None:
        draft.klass = klass
        for index in range(count):
            draft.write(draft.register(index), Result.TRANSFER)
        address = indexed(draft, count)
        literal = draft.operands[count].base == PC
        draft.memory = Memory(True, False, address, unit_bytes, count, literal)
        if draft.register(0).register == PC and klass == "load_word":
            _load_branch(draft, draft.operands[count])

    return handler


def _load_branch(draft: Draft, operand: Operand) -> None:
    draft.klass = "load_branch"
    popped = operand.base == SP and draft.reading.post_index
    draft.branch = Branch.RETURN if popped else Branch.INDIRECT


def _store(klass: str, unit_bytes: int, count: int = 1) -> Handler:
    def handler(draft: Draft) -> None:
        draft.klass = klass
        address = indexed(draft, count)
        for index in range(count):
            draft.read(draft.register(index), Role.STORE_DATA)
        draft.memory = Memory(False, True, address, unit_bytes, count)

    return handler


def _multiple(draft: Draft) -> None:
    """LDM, STM, POP, PUSH; a list is transferred upwards from its lowest address."""
    name = draft.reading.name
    stack = name in ("push", "pop")
    base = SP if stack else draft.register(0).register
    registers = draft.operands if stack else draft.operands[1:]
    load = name in ("pop", "ldm", "ldmdb")
    down = name in ("push", "stmdb", "ldmdb")
    size_bytes = 4 * len(registers)
    draft.klass = "load_multiple" if load else "store_multiple"
    draft.read(base, Role.BASE)
    for operand in registers:
        if load:
            draft.write(operand, Result.TRANSFER)
        else:
            draft.read(operand, Role.STORE_DATA)
    start = linear(-size_bytes if down else 0, (base, 1))
    draft.memory = Memory(load, not load, start, 4, len(registers))
    if stack or draft.reading.writeback:
        write_back(draft, base, -size_bytes if down else size_bytes)
    if load and registers[-1].register == PC:
        draft.klass = "load_multiple_branch"
        popped = base == SP and (stack or draft.reading.writeback)
        draft.branch = Branch.RETURN if popped else Branch.INDIRECT


def _preload(draft: Draft) -> None:
    """PLD, PLI: a hint, not an access; its address is read all the same."""
    draft.klass = "preload"
    reference(draft, draft.operands[0])


def _load_exclusive(unit_bytes: int) -> Handler:
    def handler(draft: Draft) -> None:
        draft.klass = "load_exclusive"
        draft.write(draft.register(0), Result.TRANSFER)
        draft.memory = Memory(True, False, reference(draft, draft.operands[1]), unit_bytes, 1)

    return handler


def _store_exclusive(unit_bytes: int) -> Handler:
    """The first operand receives whether the store took place."""

    def handler(draft: Draft) -> None:
        draft.klass = "store_exclusive"
        draft.memory = Memory(False, True, reference(draft, draft.operands[2]), unit_bytes, 1)
        draft.read(draft.register(1), Role.STORE_DATA)
        draft.write(draft.register(0))

    return handler


def _table_branch(draft: Draft) -> None:
    """TBB, TBH: load an offset from a table, usually right behind the instruction."""
    draft.klass, draft.branch = "table_branch", Branch.TABLE
    operand = draft.operands[0]
    half = draft.reading.name == "tbh"
    if operand.base != PC:
        draft.read(operand.base, Role.BASE)
        terms, constant = [(operand.base, 1)], 0
    else:
        terms, constant = [], draft.pc
    draft.read(operand.index, Role.INDEX)
    address = linear(constant, *terms, (operand.index, 2 if half else 1))
    draft.memory = Memory(True, False, address, 2 if half else 1, 1, not terms)


HANDLERS: Final[dict[str, Handler]] = {
    "ldr": _single("load_word", 4),
    "ldrt": _single("load_word", 4),
    "ldrd": _single("load_double", 4, 2),
    "str": _store("store_word", 4),
    "strt": _store("store_word", 4),
    "strd": _store("store_double", 4, 2),
    **{f"ldr{size}{t}": _single("load_byte", 1 if "b" in size else 2)
       for size in ("b", "h", "sb", "sh") for t in ("", "t")},
    **{f"str{size}{t}": _store("store_byte", 1 if size == "b" else 2)
       for size in ("b", "h") for t in ("", "t")},
    **dict.fromkeys(("ldm", "ldmdb", "stm", "stmdb", "push", "pop"), _multiple),
    **dict.fromkeys(("pld", "pldw", "pli"), _preload),
    "ldrex": _load_exclusive(4), "ldrexb": _load_exclusive(1), "ldrexh": _load_exclusive(2),
    "strex": _store_exclusive(4), "strexb": _store_exclusive(1), "strexh": _store_exclusive(2),
    "tbb": _table_branch, "tbh": _table_branch,
}  # fmt: skip
