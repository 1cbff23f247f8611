"""The one place where capstone is met: bytes to a mnemonic and its operands.

Only what capstone gets right is taken from it: the mnemonic and the operands. Its lists of
registers read and written, its access flags and its flag bits are wrong in many places; they are
derived from the operands elsewhere in this package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import capstone
from capstone import arm

from m7sim.isa.registers import FLAGS, FPSCR, PC, S0, SP

CONDITIONS: Final = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt",
                     "le")  # fmt: skip

# Names that capstone keeps for old aliases; the mnemonic people know is used instead.
_NAMES: Final = {
    "fconsts": "vmov", "fconstd": "vmov", "fmdhr": "vmov", "fmdlr": "vmov", "fmstat": "vmrs",
    "fldmiax": "vldmia", "fldmdbx": "vldmdb", "fstmiax": "vstmia", "fstmdbx": "vstmdb",
    "movs": "mov", "trap": "udf",
}  # fmt: skip
_SHIFTS: Final = {
    arm.ARM_SFT_ASR: "asr", arm.ARM_SFT_LSL: "lsl", arm.ARM_SFT_LSR: "lsr",
    arm.ARM_SFT_ROR: "ror", arm.ARM_SFT_RRX: "rrx",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operand:
    """A register, a constant, a memory reference or something else by name.

    ``register`` is a number of ``m7sim.isa.registers``; of a double-precision register the lower
    half, with ``width`` 2. ``base``, ``index``, ``index_shift`` and ``constant`` describe memory.
    """

    kind: str  # "register", "constant", "memory", "other"
    register: int = -1
    width: int = 1
    constant: int = 0
    shift: str = ""  # lsl, lsr, asr, ror, rrx
    shift_amount: int = 0
    base: int = -1
    index: int = -1
    index_shift: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What capstone says about one instruction."""

    address: int
    size_bytes: int
    bits: int  # first halfword, or first halfword << 16 | second
    mnemonic: str  # as printed: "addseq.w"
    text: str
    operand_text: str
    name: str  # without condition, width, data types and the s of flag-setting: "add"
    types: tuple[str, ...]  # data types: ("f32", "s32")
    sets_flags: bool  # printed with s
    condition: int  # of a conditional branch, else 14
    writeback: bool
    post_index: bool
    operands: tuple[Operand, ...]


def read(data: bytes, address: int, condition: int | None) -> Reading | None:
    """Read the first instruction of ``data``, in an IT block if ``condition`` is given.

    Returns None if capstone knows no such instruction.
    """
    prefix = b""
    if condition is not None:  # an IT instruction of its own tells capstone about the block
        prefix = bytes((condition << 4 | 8, 0xBF))
    found = list(_engine().disasm(prefix + data[:4], address - len(prefix), 1 + bool(prefix)))
    if len(found) != 1 + bool(prefix):
        return None
    insn = found[-1]
    raw = bytes(insn.bytes)
    bits = int.from_bytes(raw[:2], "little")
    if len(raw) == 4:
        bits = bits << 16 | int.from_bytes(raw[2:], "little")
    base, *dotted = insn.mnemonic.split(".")
    suffix = CONDITIONS[condition] if condition is not None and condition < 14 else ""
    base = base.removesuffix(suffix)
    name = base if insn.insn_name() == "hint" else _NAMES.get(insn.insn_name(), insn.insn_name())
    return Reading(
        address=address,
        size_bytes=len(raw),
        bits=bits,
        mnemonic=insn.mnemonic,
        text=_ALIASES.sub(lambda m: _PLAIN[m[0]], f"{insn.mnemonic} {insn.op_str}".strip()),
        operand_text=insn.op_str,
        name=name,
        types=tuple(d for d in dotted if d not in ("w", "n")),
        sets_flags=base == name + "s",
        condition=insn.cc - 1 if 1 <= insn.cc <= 14 else 14,
        writeback=bool(insn.writeback) or "!" in insn.op_str,
        post_index=bool(insn.post_index),
        operands=tuple(_operand(insn, o) for o in insn.operands),
    )


_PLAIN: Final = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12"}
_ALIASES = re.compile(r"\b(?:sb|sl|fp|ip)\b")


@cache
def _engine() -> Any:
    engine = capstone.Cs(
        capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
    )  # M-class mode knows all of FPv5 as well; adding V8 mode loses LDC and CDP
    engine.detail = True
    return engine


_REGISTER = re.compile(r"([rsd])(\d+)")
_NAMED: Final = {"sp": SP, "lr": 14, "pc": PC, "sb": 9, "sl": 10, "fp": 11, "ip": 12,
                 "apsr_nzcv": FLAGS, "fpscr": FPSCR}  # fmt: skip


@cache
def _register(number: int) -> tuple[int, int]:
    """Map a capstone register to (our number, width), or (-1, 1) if we do not follow it."""
    name = str(_engine().reg_name(number))
    match = _REGISTER.fullmatch(name)
    if match is None:
        return _NAMED.get(name, -1), 1
    index = int(match[2])
    return {"r": (index, 1), "s": (S0 + index, 1), "d": (S0 + 2 * index, 2)}[match[1]]


def _operand(insn: Any, o: Any) -> Operand:
    shift = _SHIFTS.get(o.shift.type, "")
    if o.type == arm.ARM_OP_REG:
        register, width = _register(o.reg)
        if o.vector_index >= 0:  # one half of a double register
            register, width = register + o.vector_index, 1
        return Operand("register", register, width, shift=shift, shift_amount=o.shift.value)
    if o.type == arm.ARM_OP_IMM:
        return Operand("constant", constant=o.imm)
    if o.type == arm.ARM_OP_MEM:
        return Operand(
            "memory",
            constant=o.mem.disp,
            base=_register(o.mem.base)[0],
            index=_register(o.mem.index)[0] if o.mem.index else -1,
            index_shift=o.shift.value if shift else o.mem.lshift,
        )
    return Operand("other")
