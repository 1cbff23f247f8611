"""The floating-point instructions of FPv5, single and double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from m7sim.isa.capstone_reader import Operand
from m7sim.isa.draft import Draft, linear
from m7sim.isa.instruction import Memory, Result, Role
from m7sim.isa.registers import FLAGS, FPSCR, PC, S0
from m7sim.isa.transfers import reference, write_back

Handler = Callable[[Draft], None]

_LAST = S0 + 31


def _check(draft: Draft, operands: tuple[Operand, ...], *widths: int) -> None:
    """Refuse what the FPU lacks (d16 and up, vectors) though capstone reads it."""
    for operand, width in zip(operands, widths, strict=True):
        top = operand.register + operand.width - 1
        if operand.kind != "register" or operand.width != width or not operand.register >= S0:
            raise draft.refuse("is no instruction of FPv5")
        if top > _LAST:
            raise draft.refuse("names a register that FPv5 lacks")


def _precision(draft: Draft) -> int:
    """Return 1 or 2, the width in single registers of the instruction's data type."""
    kinds = draft.reading.types
    if len(kinds) != 1 or kinds[0] not in ("f32", "f64"):
        raise draft.refuse("is no instruction of FPv5")
    return 2 if kinds[0] == "f64" else 1


def _arithmetic(klass: str, role: Role, accumulates: bool = False) -> Handler:
    """Make the handler of: destination, then sources, all of one precision."""

    def handler(draft: Draft) -> None:
        width = _precision(draft)
        _check(draft, draft.operands, *(width for _ in draft.operands))
        draft.klass = klass + "_d" * (width - 1)
        for operand in draft.operands[1:]:
            draft.read(operand, role)
        if accumulates:
            draft.read(draft.operands[0], Role.FP_ACCUMULATOR)
        draft.write(draft.operands[0])

    return handler


def _select(draft: Draft) -> None:
    _arithmetic("fp_select", Role.FP_OPERAND)(draft)
    draft.read(FLAGS, Role.FLAGS)


def _round(draft: Draft) -> None:
    """VRINT has its data type once or twice."""
    width = 2 if draft.reading.types[-1] == "f64" else 1
    if any(kind not in ("f32", "f64") for kind in draft.reading.types):
        raise draft.refuse("is no instruction of FPv5")
    _check(draft, draft.operands, width, width)
    draft.klass = "fp_round" + "_d" * (width - 1)
    draft.read(draft.operands[1], Role.FP_OPERAND)
    draft.write(draft.operands[0])


def _compare(draft: Draft) -> None:
    """VCMP, VCMPE; the second operand may be the constant zero."""
    width = _precision(draft)
    registers = tuple(o for o in draft.operands if o.kind == "register")
    _check(draft, registers, *(width for _ in registers))
    draft.klass = "fp_compare" + "_d" * (width - 1)
    for operand in registers:
        draft.read(operand, Role.FP_OPERAND)
    draft.write(FPSCR, Result.FLAGS)


def _convert(draft: Draft) -> None:
    """VCVT between precisions, integers, fixed point (a third operand) and half precision."""
    kinds = draft.reading.types
    name = draft.reading.name
    half = name in ("vcvtb", "vcvtt")
    if len(kinds) != 2 or ("f16" in kinds) != half:
        raise draft.refuse("is no instruction of FPv5")
    wide = "f64" in kinds
    if len(draft.operands) == 3:
        widths = (2, 2) if wide else (1, 1)
    else:
        widths = (2 if kinds[0] == "f64" else 1, 2 if kinds[1] == "f64" else 1)
    destination, source = draft.operands[:2]
    _check(draft, (destination, source), *widths)
    draft.klass = "fp_convert_d" if wide else "fp_convert"
    draft.read(source, Role.FP_OPERAND)
    if half and kinds[0] == "f16":  # the other half of the destination is kept
        draft.read(destination, Role.FP_OPERAND)
    draft.write(destination)


def _move(draft: Draft) -> None:
    """VMOV in all its forms, told apart by what the operands are."""
    kinds = draft.reading.types
    ops = draft.operands
    fpu = [o.kind == "register" and o.register >= S0 for o in ops]
    core = [o.kind == "register" and 0 <= o.register < PC for o in ops]
    if fpu == [True, False] and not core[1]:
        width = _precision(draft)
        _check(draft, ops[:1], width)
        draft.klass = "fp_move_constant" + "_d" * (width - 1)
        draft.write(ops[0])
    elif fpu == [True, True]:
        _arithmetic("fp_move", Role.FP_OPERAND)(draft)
    elif all(f or c for f, c in zip(fpu, core, strict=True)) and kinds in ((), ("32",)):
        _check(draft, tuple(o for o, f in zip(ops, fpu, strict=True) if f),
               *(o.width for o, f in zip(ops, fpu, strict=True) if f))  # fmt: skip
        to_core = core[0]
        pair = "_pair" if len(ops) > 2 else ""
        draft.klass = ("fp_to_core" if to_core else "fp_from_core") + pair
        for operand, is_core in zip(ops, core, strict=True):
            if is_core == to_core:
                draft.write(operand)
            else:
                draft.read(operand, Role.FROM_FP if to_core else Role.TO_FP)
    else:
        raise draft.refuse("is no instruction of FPv5")


def _status_read(draft: Draft) -> None:
    """VMRS; to APSR it moves the flags of the last VCMP."""
    destination = draft.operands[0]
    if destination.register == FLAGS:
        draft.klass = "fp_flags"
        draft.write_flags()
    else:
        draft.klass = "fp_status_read"
        draft.write(draft.register(0))
    if draft.operands[1].register == FPSCR:
        draft.read(FPSCR, Role.FLAGS)


def _status_write(draft: Draft) -> None:
    if draft.operands[0].register != FPSCR:
        raise draft.refuse("writes a register that FPv5 lacks")
    draft.klass = "fp_status_write"
    draft.read(draft.register(1), Role.TO_FP)
    draft.write(FPSCR, Result.FLAGS)
    draft.ends_block = True


def _transfer(draft: Draft) -> None:
    """VLDR, VSTR."""
    load = draft.reading.name == "vldr"
    if draft.reading.types not in ((), ("32",), ("64",)):
        raise draft.refuse("is no instruction of FPv5")
    register = draft.register(0)
    _check(draft, (register,), register.width)
    draft.klass = ("fp_load" if load else "fp_store") + "_double" * (register.width - 1)
    address = reference(draft, draft.operands[1])
    if load:
        draft.write(register, Result.TRANSFER)
    else:
        draft.read(register, Role.FP_STORE_DATA)
    literal = load and draft.operands[1].base == PC
    draft.memory = Memory(load, not load, address, 4, register.width, literal)


def _multiple(draft: Draft) -> None:
    """VLDM, VSTM, VPUSH, VPOP.

    The base moves by the words that the encoding counts: the deprecated X forms (FLDMIAX) count
    one more than they transfer.
    """
    name = draft.reading.name
    stack = name in ("vpush", "vpop")
    load = name in ("vldmia", "vldmdb", "vpop")
    down = name in ("vldmdb", "vstmdb", "vpush")
    base = 13 if stack else draft.register(0).register
    registers = draft.operands if stack else draft.operands[1:]
    if registers[-1].register + registers[-1].width - 1 > _LAST:
        # d16 and up, as unwinders for any FPU save them: faults on FPv5, which has d0 to d15
        draft.klass, draft.ends_block = "undefined", True
        return
    _check(draft, registers, *(o.width for o in registers))
    step = 4 * (draft.reading.bits & 0xFF)
    draft.klass = "fp_load_multiple" if load else "fp_store_multiple"
    constant = (draft.pc & ~3) if base == PC else 0
    draft.read(base, Role.BASE)
    for operand in registers:
        if load:
            draft.write(operand, Result.TRANSFER)
        else:
            draft.read(operand, Role.FP_STORE_DATA)
    start = linear(constant - step if down else constant, *([(base, 1)] if base != PC else []))
    words = sum(o.width for o in registers)
    draft.memory = Memory(load, not load, start, 4, words, base == PC)
    if stack or draft.reading.writeback:
        write_back(draft, base, -step if down else step)


_O, _X, _MC = Role.FP_OPERAND, Role.FP_MULTIPLY, Role.FP_MULTIPLICAND

HANDLERS: Final[dict[str, Handler]] = {
    **dict.fromkeys(("vadd", "vsub"), _arithmetic("fp_add", _O)),
    **dict.fromkeys(("vabs", "vneg"), _arithmetic("fp_abs", _O)),
    **dict.fromkeys(("vmaxnm", "vminnm"), _arithmetic("fp_minmax", _O)),
    **dict.fromkeys(("vmul", "vnmul"), _arithmetic("fp_mul", _X)),
    "vdiv": _arithmetic("fp_div", _X),
    "vsqrt": _arithmetic("fp_sqrt", _X),
    **dict.fromkeys(("vmla", "vmls", "vnmla", "vnmls"), _arithmetic("fp_mla", _MC, True)),
    **dict.fromkeys(("vfma", "vfms", "vfnma", "vfnms"), _arithmetic("fp_fma", _MC, True)),
    **{f"vrint{mode}": _round for mode in "amnprxz"},
    **{f"vcvt{mode}": _convert for mode in ("", "a", "b", "m", "n", "p", "r", "t")},
    **{f"vsel{condition}": _select for condition in ("eq", "ge", "gt", "vs")},
    **dict.fromkeys(("vcmp", "vcmpe"), _compare),
    "vmov": _move,
    "vmrs": _status_read,
    "vmsr": _status_write,
    **dict.fromkeys(("vldr", "vstr"), _transfer),
    **dict.fromkeys(("vldmia", "vldmdb", "vstmia", "vstmdb", "vpush", "vpop"), _multiple),
}
