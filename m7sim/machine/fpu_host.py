"""Double-precision operations on the host's FPU, where nobody can tell the difference.

An operation is done here only if its result and the cumulative flags are sure to be those of the
architecture; otherwise it is left to the slower way. What can arise with ordinary operands, an
ordinary result and rounding to nearest is the inexact flag; once it is set (it stays set), it needs
no attention. Ordinary is a normal number or zero.

Operands and results are places in an array of 64-bit words; its word 0 is FPSCR.
"""

from __future__ import annotations

import math

from m7sim.jit import float64_at, fused, int64_at, kernel

NONE = 0
# Of bits: nothing rounds, NaNs pass.
COPY, NEGATE, ABSOLUTE, FROM_S32, FROM_U32 = 1, 2, 3, 4, 5
# To integer or single; LAST is the place of the destination's former value.
TO_S32, TO_U32, TO_SINGLE, FROM_SINGLE = 10, 11, 12, 13
COMPARE = 20
ADD, SUBTRACT, MULTIPLY, NEGATED_MULTIPLY, DIVIDE, SQUARE_ROOT = 30, 31, 32, 33, 34, 35
# LAST is the place of the accumulator.
FMA, FMS, FNMA, FNMS, MLA, MLS, NMLA, NMLS = 40, 41, 42, 43, 44, 45, 46, 47

HIGH_HALF = 1 << 8  # added to a place: the upper single register

_MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF
_SIGN = -0x8000_0000_0000_0000
_FRACTION_BITS, _EXPONENT, _BIAS = 52, 0x7FF, 1023
_INFINITY = _EXPONENT << _FRACTION_BITS
_FLUSH_TO_ZERO, _ROUNDING, _INEXACT = 1 << 24, 3 << 22, 1 << 4  # of FPSCR
_FLAGS, _EQUAL, _LESS, _GREATER = 0xF << 28, 0x6 << 28, 0x8 << 28, 0x2 << 28
_MASK32 = 0xFFFF_FFFF
_REBIAS = 1023 - 127


@kernel
def by_host(
    values_address: int, operation: int, left: int, right: int, last: int, result: int
) -> bool:
    """Do an operation; returns False, having changed nothing that matters, if it must not."""
    values = int64_at(values_address)
    if operation < TO_S32:
        return _bits(values_address, operation, left, result)
    fpscr = values[0]
    if fpscr & _FLUSH_TO_ZERO != 0:
        return False
    if operation == COMPARE:
        return _compare(values_address, left, right, result)
    if fpscr & _INEXACT == 0:
        return False
    if operation in (TO_S32, TO_U32):  # towards zero in every rounding mode
        return _to_integer(values_address, operation == TO_S32, left, last, result)
    if fpscr & _ROUNDING != 0:
        return False
    if operation in (TO_SINGLE, FROM_SINGLE):
        return _single(values_address, operation == TO_SINGLE, left, last, result)
    if not (_ordinary(values[left]) and _ordinary(values[right])):
        return False
    if operation < FMA:
        return _arithmetic(values_address, operation, left, right, result)
    return _ordinary(values[last]) and _accumulate(
        values_address, operation, left, right, last, result
    )


@kernel
def _half(values_address: int, place: int) -> int:
    bits: int = int64_at(values_address)[place & 0xFF]
    return bits >> (32 if place & HIGH_HALF else 0) & _MASK32


@kernel
def _put_half(values_address: int, value: int, last: int, result: int) -> None:
    values = int64_at(values_address)
    old = values[last & 0xFF]
    if last & HIGH_HALF:
        values[result] = old & _MASK32 | value << 32
    else:
        values[result] = old & ~_MASK32 | value & _MASK32


@kernel
def _ordinary(bits: int) -> bool:
    exponent = bits >> _FRACTION_BITS & _EXPONENT
    return 0 < exponent < _EXPONENT or bits & _MAGNITUDE == 0


@kernel
def _good(bits: int) -> bool:
    """Whether a result is normal, and not through rounding up from below the least normal."""
    return 1 < bits >> _FRACTION_BITS & _EXPONENT < _EXPONENT


@kernel
def _bits(values_address: int, operation: int, left: int, result: int) -> bool:
    values, numbers = int64_at(values_address), float64_at(values_address)
    if operation == COPY:
        values[result] = values[left]
    elif operation == NEGATE:
        values[result] = values[left] ^ _SIGN
    elif operation == ABSOLUTE:
        values[result] = values[left] & _MAGNITUDE
    else:
        number = _half(values_address, left)
        if operation == FROM_S32 and number >> 31:
            number -= 1 << 32
        numbers[result] = float(number)
    return True


@kernel
def _compare(values_address: int, left: int, right: int, result: int) -> bool:
    values, numbers = int64_at(values_address), float64_at(values_address)
    if values[left] & _MAGNITUDE > _INFINITY or values[right] & _MAGNITUDE > _INFINITY:
        return False
    if numbers[left] == numbers[right]:
        flags = _EQUAL
    else:
        flags = _LESS if numbers[left] < numbers[right] else _GREATER
    values[result] = values[0] & ~_FLAGS & _MASK32 | flags
    return True


@kernel
def _to_integer(values_address: int, signed: bool, left: int, last: int, result: int) -> bool:
    values, numbers = int64_at(values_address), float64_at(values_address)
    bits = values[left]
    if (bits >> _FRACTION_BITS & _EXPONENT) >= _BIAS + 32 - signed or (bits < 0 and not signed):
        return False
    _put_half(values_address, int(numbers[left]), last, result)
    return True


@kernel
def _single(values_address: int, narrow: bool, left: int, last: int, result: int) -> bool:
    values = int64_at(values_address)
    if narrow:
        bits = values[left]
        exponent = (bits >> _FRACTION_BITS & _EXPONENT) - _REBIAS
        rounded = 0
        if bits & _MAGNITUDE:
            if not 1 < exponent < 254:
                return False
            number = (bits & _MAGNITUDE) - (_REBIAS << _FRACTION_BITS)
            rounded = (number + (1 << 28) - 1 + (number >> 29 & 1)) >> 29  # ties to even
        _put_half(values_address, (bits >> 32 & 1 << 31) | rounded, last, result)
        return True
    bits = _half(values_address, left)
    sign = _SIGN if bits >> 31 else 0
    magnitude = bits & 0x7FFF_FFFF
    if magnitude == 0:
        values[result] = sign
    elif 0 < magnitude >> 23 < 255:
        values[result] = sign | (magnitude << 29) + (_REBIAS << _FRACTION_BITS)
    else:
        return False
    return True


@kernel
def _arithmetic(values_address: int, operation: int, left: int, right: int, result: int) -> bool:
    values, numbers = int64_at(values_address), float64_at(values_address)
    a, b = numbers[left], numbers[right]
    zero = False  # whether a result of zero is exact
    if operation == ADD:
        numbers[result] = a + b
        zero = True
    elif operation == SUBTRACT:
        numbers[result] = a - b
        zero = True
    elif operation == MULTIPLY:
        numbers[result] = a * b
        zero = a == 0.0 or b == 0.0
    elif operation == NEGATED_MULTIPLY:
        numbers[result] = -(a * b)
        zero = a == 0.0 or b == 0.0
    elif operation == DIVIDE:
        if b == 0.0:
            return False
        numbers[result] = a / b
        zero = a == 0.0
    elif a > 0.0:
        numbers[result] = math.sqrt(a)
    else:
        return False
    return _good(values[result]) or (zero and values[result] & _MAGNITUDE == 0)


@kernel
def _accumulate(
    values_address: int, operation: int, left: int, right: int, last: int, result: int
) -> bool:
    values, numbers = int64_at(values_address), float64_at(values_address)
    a, b, c = numbers[left], numbers[right], numbers[last]
    if operation in (FMS, FNMA):
        a = -a
    if operation in (FNMA, FNMS, NMLA, NMLS):
        c = -c
    if operation <= FNMS:
        numbers[result] = fused(a, b, c)
        return _good(values[result])
    numbers[result] = a * b
    if not _good(values[result]) and a != 0.0 and b != 0.0:
        return False
    product = numbers[result]
    numbers[result] = c - product if operation in (MLS, NMLA) else c + product
    return _good(values[result])
