"""Branches, IT, hints, barriers and the system instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from m7sim.isa.draft import Draft, linear
from m7sim.isa.instruction import ALWAYS, Branch, Result, Role
from m7sim.isa.registers import FLAGS, GE, LR, PC, SP

Handler = Callable[[Draft], None]


def _direct(draft: Draft) -> None:
    """B, conditional by its own condition or by the IT block it stands in."""
    own = draft.reading.condition
    if own != ALWAYS and not draft.predicated:
        draft.condition = own
    conditional = draft.condition != ALWAYS
    draft.klass = "branch_conditional" if conditional else "branch"
    draft.branch = Branch.CONDITIONAL if conditional else Branch.DIRECT
    if conditional:
        draft.read(FLAGS, Role.FLAGS)
    _target(draft, 0)


def _target(draft: Draft, index: int) -> None:
    draft.target = draft.operands[index].constant & 0xFFFF_FFFF
    draft.text = draft.text.replace("#0x", "0x").replace("#", "0x")


def _compare_branch(draft: Draft) -> None:
    draft.klass, draft.branch = "compare_branch", Branch.CONDITIONAL
    draft.read(draft.register(0), Role.OPERAND)
    _target(draft, 1)


def _link(draft: Draft) -> None:
    draft.write(LR)
    draft.values[LR] = linear(draft.reading.address + draft.reading.size_bytes | 1)


def _call(draft: Draft) -> None:
    draft.klass, draft.branch = "call", Branch.CALL
    _link(draft)
    _target(draft, 0)


def _exchange(draft: Draft) -> None:
    returns = draft.register(0).register == LR
    draft.klass = "return" if returns else "branch_indirect"
    draft.branch = Branch.RETURN if returns else Branch.INDIRECT
    draft.read(draft.register(0), Role.TARGET)


def _call_indirect(draft: Draft) -> None:
    draft.klass, draft.branch = "call_indirect", Branch.INDIRECT_CALL
    draft.read(draft.register(0), Role.TARGET)
    _link(draft)


def _it(draft: Draft) -> None:
    """Expand condition and mask to the conditions of one to four instructions."""
    draft.klass = "it"
    first, mask = draft.reading.bits >> 4 & 15, draft.reading.bits & 15
    length = 4 - ((mask & -mask).bit_length() - 1)
    later = (first & 14 | mask >> 4 - k & 1 for k in range(1, length))
    draft.it_conditions = tuple(min(condition, ALWAYS) for condition in (first, *later))


def _move_from_special(draft: Draft) -> None:
    draft.klass = "special_register"
    special = draft.reading.operand_text.partition(",")[2].strip()
    draft.write(draft.register(0))
    if "psr" in special:
        draft.read(FLAGS, Role.FLAGS)
        draft.read(GE, Role.FLAGS)
    elif special in ("msp", "psp"):
        draft.read(SP, Role.OPERAND)


def _move_to_special(draft: Draft) -> None:
    """MSR; what moves the stack pointer or the mode counts as a write of sp."""
    draft.klass = "special_register"
    special = draft.reading.operand_text.partition(",")[0].strip()
    draft.read(draft.register(1), Role.OPERAND)
    if "psr" in special:
        if "nzcvq" in special or "_" not in special:
            draft.write_flags()
        if special.endswith("g"):
            draft.write(GE, Result.FLAGS)
    elif special in ("msp", "psp", "control"):
        draft.write(SP)
    draft.ends_block = True


def _coprocessor(draft: Draft) -> None:
    """MCR, MRC, MCRR, MRRC, CDP, LDC, STC: no such coprocessor, so they fault."""
    draft.klass = "coprocessor"
    name = draft.reading.name
    for operand in draft.operands:
        if operand.kind == "register" and operand.register not in (-1, PC):
            if name.startswith(("mrc", "mrrc")):
                draft.write(operand, Result.FLAGS if operand.register == FLAGS else Result.VALUE)
            else:
                draft.read(operand, Role.OPERAND)
        elif operand.kind == "memory" and operand.base != PC:
            draft.read(operand.base, Role.BASE)
            if draft.reading.writeback or draft.reading.post_index:
                draft.write(operand.base, Result.WRITEBACK)
    draft.ends_block = True


def _bare(klass: str, ends_block: bool = False) -> Handler:
    """Make the handler of an instruction that touches no register we follow."""

    def handler(draft: Draft) -> None:
        draft.klass = klass
        draft.ends_block = ends_block

    return handler


_COPROCESSOR: Final = ("mcr", "mrc", "mcrr", "mrrc", "cdp", "ldc", "stc")

HANDLERS: Final[dict[str, Handler]] = {
    "b": _direct,
    "bl": _call,
    "bx": _exchange,
    "blx": _call_indirect,
    "cbz": _compare_branch,
    "cbnz": _compare_branch,
    "it": _it,
    "nop": _bare("nop"),
    **dict.fromkeys(("sev", "dbg", "csdb", "esb", "hint", "sevl"), _bare("hint")),
    **dict.fromkeys(("wfe", "wfi", "yield"), _bare("hint", ends_block=True)),
    **dict.fromkeys(("dmb", "dsb"), _bare("barrier")),
    "isb": _bare("barrier", ends_block=True),
    "clrex": _bare("clear_exclusive"),
    "cps": _bare("change_state", ends_block=True),
    "svc": _bare("supervisor_call", ends_block=True),
    "bkpt": _bare("breakpoint", ends_block=True),
    "udf": _bare("undefined", ends_block=True),
    "mrs": _move_from_special,
    "msr": _move_to_special,
    **{f"{name}{two}{long}": _coprocessor
       for name in _COPROCESSOR for two in ("", "2") for long in ("", "l")},
}  # fmt: skip
