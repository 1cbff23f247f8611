"""Integer operations that are not linear but still pure functions of registers.

An address that such operations make from registers at the entry of a block (``and``, shifts,
bit-field extracts, multiplications …) is computed when a trace is resolved, and needs no hook.
Encodings are those of the Armv7-M ARM, A5 and A7.7.
"""

from __future__ import annotations

from collections.abc import Callable

from m7sim.jit import inlined, plain
from m7sim.trace.form import MASK, Form, constant

AND, OR, XOR, MUL, LSL, LSR, ASR, ROR = range(8)

Derive = Callable[[int, Form, Form], Form]
State = Callable[[int], Form]

_PC = 15
_THIRTY_TWO = constant(32)


@inlined
def evaluate(operation: int, a: int, b: int) -> int:
    """Return the result, in 32 bits; shifts take the amount from the low byte of ``b``."""
    if operation == AND:
        return a & b
    if operation == OR:
        return a | b
    if operation == XOR:
        return a ^ b
    if operation == MUL:
        return (a * b) & MASK
    amount = b & 255
    if operation == ROR:
        amount &= 31
        return (a >> amount | a << (32 - amount)) & MASK
    if operation == ASR:
        return ((a ^ 0x8000_0000) - 0x8000_0000 >> min(amount, 31)) & MASK
    if amount > 31:
        return 0
    return (a << amount) & MASK if operation == LSL else a >> amount


def folded(operation: int, a: int, b: int) -> int:
    """`evaluate` on Python integers."""
    return int(plain(evaluate)(operation, a, b))


def pure_result(encoding: bytes, state: State, derive: Derive) -> tuple[int, Form] | None:
    """Return the register that an instruction writes and its value, if a pure operation makes it.

    Parameters
    ----------
    encoding
        The instruction.
    state
        The value of a register before it.
    derive
        Makes the form of an operation on two forms.
    """
    first = int.from_bytes(encoding[:2], "little")
    if len(encoding) == 2:
        return _narrow(first, state, derive)
    second = int.from_bytes(encoding[2:], "little")
    if second >> 8 & 15 == _PC:  # a comparison, or not for us
        return None
    for family in (_immediate, _shifted, _bit_field, _by_register, _multiply):
        found = family(first, second, state, derive)
        if found is not None:
            return second >> 8 & 15, found
    return None


def _narrow(half: int, state: State, derive: Derive) -> tuple[int, Form] | None:
    low, high = half & 7, half >> 3 & 7
    if half >> 11 in (1, 2):
        return low, derive((LSR, ASR)[(half >> 11) - 1], state(high), _amount(half >> 6 & 31))
    if half >> 8 == 0xB2:
        return low, _extend(half >> 6 & 3, state(high), derive)
    if half >> 10 != 0x10:
        return None
    operation = half >> 6 & 15
    plain_ones = {0: AND, 1: XOR, 2: LSL, 3: LSR, 4: ASR, 7: ROR, 12: OR, 13: MUL}
    if operation in plain_ones:
        return low, derive(plain_ones[operation], state(low), state(high))
    if operation == 14:
        return low, derive(AND, state(low), _inverse(state(high)))
    return (low, _inverse(state(high))) if operation == 15 else None


def _immediate(first: int, second: int, state: State, derive: Derive) -> Form | None:
    if first & 0xFA00 != 0xF000 or second & 0x8000:
        return None
    return _logic(first, constant(_expanded(first, second)), state, derive)


def _shifted(first: int, second: int, state: State, derive: Derive) -> Form | None:
    if first & 0xFE00 != 0xEA00 or second & 0x8000:
        return None
    kind, amount = second >> 4 & 3, second >> 10 & 0x1C | second >> 6 & 3
    if kind == 3 and amount == 0:  # through the carry flag
        return None
    operand = state(second & 15)
    if kind == 0:
        operand = Form().plus(operand, 1 << amount)
    else:
        operand = derive((LSR, ASR, ROR)[kind - 1], operand, _amount(amount))
    base = first & 15
    arithmetic = first >> 5 & 15
    if arithmetic in (8, 13, 14) and base != _PC:  # add, sub, rsb
        sign, other = {8: (1, 1), 13: (1, -1), 14: (-1, 1)}[arithmetic]
        return Form().plus(state(base), sign).plus(operand, other)
    return _logic(first, operand, state, derive)


def _logic(first: int, operand: Form, state: State, derive: Derive) -> Form | None:
    """Return the result of and, bic, orr, orn, eor, mov, mvn."""
    operation, base = first >> 5 & 15, first & 15
    if operation > 4:
        return None
    if operation in (1, 3):  # bic, orn, mvn
        operand = _inverse(operand)
    if base == _PC:
        return operand if operation in (2, 3) else None
    return derive((AND, AND, OR, OR, XOR)[operation], state(base), operand)


def _bit_field(first: int, second: int, state: State, derive: Derive) -> Form | None:
    kind, source = first & 0xFFF0, first & 15
    if second & 0x8020 or kind not in (0xF340, 0xF360, 0xF3C0):
        return None
    lowest, last = second >> 10 & 0x1C | second >> 6 & 3, second & 31
    if kind == 0xF360:  # bfi, bfc
        if last < lowest:
            return None
        mask = (2 << last) - (1 << lowest)
        kept = derive(AND, state(second >> 8 & 15), constant(~mask))
        if source == _PC:
            return kept
        return kept.plus(derive(AND, Form().plus(state(source), 1 << lowest), constant(mask)))
    unused = 31 - lowest - last
    if unused < 0 or source == _PC:
        return None
    shifted = Form().plus(state(source), 1 << unused)
    return derive(ASR if kind == 0xF340 else LSR, shifted, constant(31 - last))


def _by_register(first: int, second: int, state: State, derive: Derive) -> Form | None:
    if first & 0xFF80 != 0xFA00 or second >> 12 != 15:
        return None
    base, operand = first & 15, second & 15
    if second & 0xF0 == 0:
        return derive((LSL, LSR, ASR, ROR)[first >> 5 & 3], state(base), state(operand))
    kinds = {0: 0, 1: 2, 4: 1, 5: 3}  # sxth, uxth, sxtb, uxtb, as in narrow encodings
    kind = first >> 4 & 15
    if second & 0xC0 != 0x80 or kind not in kinds:
        return None
    rotation = second >> 1 & 0x18
    value = state(operand)
    value = _extend(kinds[kind], derive(ROR, value, constant(rotation)) if rotation else value,
                    derive)  # fmt: skip
    return value if base == _PC else state(base).plus(value)


def _multiply(first: int, second: int, state: State, derive: Derive) -> Form | None:
    if first & 0xFFF0 != 0xFB00 or second & 0xE0:
        return None
    product = derive(MUL, state(first & 15), state(second & 15))
    addend, subtract = second >> 12, second >> 4 & 1
    if addend == _PC:
        return None if subtract else product
    return state(addend).plus(product, -1 if subtract else 1)


def _extend(kind: int, value: Form, derive: Derive) -> Form:
    """Return sxth, sxtb, uxth, uxtb (kinds 0 … 3)."""
    bits = 24 if kind & 1 else 16
    return derive(LSR if kind & 2 else ASR, Form().plus(value, 1 << bits), constant(bits))


def _amount(encoded: int) -> Form:
    return constant(encoded) if encoded else _THIRTY_TWO


def _inverse(form: Form) -> Form:
    return constant(-1).plus(form, -1)


def _expanded(first: int, second: int) -> int:
    """ThumbExpandImm (A5.3.2)."""
    bits = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    byte = bits & 0xFF
    if bits >> 10 == 0:
        return byte * (1, 0x0001_0001, 0x0100_0100, 0x0101_0101)[bits >> 8 & 3]
    value, rotation = 0x80 | byte & 0x7F, bits >> 7
    return (value >> rotation | value << 32 - rotation) & MASK
