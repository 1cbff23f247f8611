"""The callback that completes a double-precision instruction: compiled, allocating nothing.

It has one int64 array, the *state*: addresses of functions, engines and arrays.
"""

from __future__ import annotations

from typing import Any

from m7sim.jit import (
    call_c,
    call_c5,
    float64_at,
    int32_at,
    int64_at,
    kernel,
    native_callback,
    types,
)

# Words of the state array.
ENGINE, FPU = 0, 1
READ_BATCH, WRITE_BATCH, MEMORY_READ, START, SLOW = 2, 3, 4, 5, 6
KEYS, ROWS, MASK, TABLE = 7, 8, 9, 10  # open addressing: instruction -> row of the table
FETCHED, VALUES, POINTERS, CORE_IDS = 11, 12, 13, 14  # POINTERS[i] points at VALUES[i]
STARTED = 15  # points at where the engine was last started
EXECUTED, EXECUTED_BY_HOST = 16, 17  # counts
STATE_WORDS = 20

# Words of a row: engine's register numbers; outputs are followed by those of pc and EPSR.
CODE, N_IN, N_OUT, OPERATION, LEFT, RIGHT, IDS_IN, IDS_OUT = 0, 1, 2, 3, 4, 5, 8, 16
ROW_WORDS = 24
OUT, CORE = 16, 32  # where in VALUES outputs, and pc and EPSR, begin
N_VALUES = 64

# Operations that the host may do; 0: none. LEFT and RIGHT are then places in VALUES.
ADD, SUBTRACT, MULTIPLY, DIVIDE, COPY, NEGATE, ABSOLUTE = 1, 2, 3, 4, 5, 6, 7

_MASK32 = 0xFFFF_FFFF
_MAGNITUDE = 0x7FFF_FFFF_FFFF_FFFF
_SIGN = -0x8000_0000_0000_0000
_FRACTION_BITS, _EXPONENT = 52, 0x7FF
_FPSCR_MODE, _FPSCR_INEXACT = 0x01C0_0000, 0x10  # FZ and rounding mode; IXC


@kernel
def by_host(
    values_address: int, operation: int, left: int, right: int, result: int
) -> bool:
    """Do an operation on the host, if its result and the flags are then sure to be the same.

    That is so for what touches signs only; and, rounding to nearest, for ordinary operands and an
    ordinary result once the cumulative inexact flag, the only one that may arise, is set.
    """
    values, numbers = int64_at(values_address), float64_at(values_address)
    a = values[left]
    if operation == COPY:
        values[result] = a
        return True
    if operation == NEGATE:
        values[result] = a ^ _SIGN
        return True
    if operation == ABSOLUTE:
        values[result] = a & _MAGNITUDE
        return True
    b = values[right]
    if values[0] & _FPSCR_MODE != 0 or values[0] & _FPSCR_INEXACT == 0:
        return False
    a_zero, b_zero = a & _MAGNITUDE == 0, b & _MAGNITUDE == 0
    a_exponent, b_exponent = a >> _FRACTION_BITS & _EXPONENT, b >> _FRACTION_BITS & _EXPONENT
    if not (a_zero or 0 < a_exponent < _EXPONENT) or not (b_zero or 0 < b_exponent < _EXPONENT):
        return False
    zero = False  # whether a result of zero is exact
    if operation == ADD:
        numbers[result] = numbers[left] + numbers[right]
        zero = True
    elif operation == SUBTRACT:
        numbers[result] = numbers[left] - numbers[right]
        zero = True
    elif operation == MULTIPLY:
        numbers[result] = numbers[left] * numbers[right]
        zero = a_zero or b_zero
    elif not b_zero:
        numbers[result] = numbers[left] / numbers[right]
        zero = a_zero
    else:
        return False
    r = values[result]
    if r & _MAGNITUDE == 0:
        return zero
    # just above the least normal number, rounding may have hidden an underflow
    return 1 < r >> _FRACTION_BITS & _EXPONENT < _EXPONENT


_HOOK = types.uint8(types.voidptr, types.CPointer(types.int64))


@native_callback(_HOOK)
def on_invalid(_engine: Any, state: Any) -> int:
    """Execute the instruction at the pc if it is one of the FPU's; returns whether it was."""
    values = int64_at(state[VALUES])
    core = state[POINTERS] + 8 * CORE
    call_c(state[READ_BATCH], state[ENGINE], state[CORE_IDS], core, types.int64(2))
    pc = values[CORE] & _MASK32
    epsr = values[CORE + 1] & _MASK32
    fetched = int32_at(state[FETCHED])
    fetched[0] = types.int32(0)
    if call_c(state[MEMORY_READ], state[ENGINE], pc - 4, state[FETCHED], types.int64(8)) != 0:
        if call_c(state[MEMORY_READ], state[ENGINE], pc, state[FETCHED] + 4, types.int64(4)) != 0:
            return 0
    before = types.int64(fetched[0]) & _MASK32
    if (before >> 16 == 0xBF10 or before >> 16 == 0xBF20
            or before == 0x8001_F3AF or before == 0x8002_F3AF):  # fmt: skip
        # YIELD and WFE come here as well, with the pc behind them
        if int64_at(state[STARTED])[0] != pc:
            return 0
        int64_at(state[STARTED])[0] = -1
    key = fetched[1]
    keys = int32_at(state[KEYS])
    slot = (types.int64(key) >> 16 ^ types.int64(key) * 5) & state[MASK]
    while keys[slot] != key and keys[slot] != 0:
        slot = (slot + 1) & state[MASK]
    index = types.int64(-1)
    if keys[slot] == key:
        index = types.int64(int32_at(state[ROWS])[slot])
    else:
        index = types.int64(
            call_c(state[SLOW], types.int64(key), pc, types.int64(0), types.int64(0))
        )
    if index < 0:
        return 0
    row_address = state[TABLE] + 4 * ROW_WORDS * index
    row = int32_at(row_address)
    n_out = types.int64(row[N_OUT])
    n_in = types.int64(row[N_IN])
    ids_out = row_address + 4 * IDS_OUT
    call_c(state[READ_BATCH], state[ENGINE], row_address + 4 * IDS_IN, state[POINTERS], n_in)
    state[EXECUTED] += 1
    out = state[POINTERS] + 8 * OUT
    operation = types.int64(row[OPERATION])
    if operation != 0 and by_host(
        state[VALUES], operation, types.int64(row[LEFT]), types.int64(row[RIGHT]), types.int64(OUT)
    ):
        state[EXECUTED_BY_HOST] += 1
        values[OUT + n_out - 1] = values[0]
    else:
        call_c(state[WRITE_BATCH], state[FPU], row_address + 4 * IDS_IN, state[POINTERS], n_in)
        code = types.int64(row[CODE])
        zero = types.int64(0)
        if call_c5(state[START], state[FPU], code | 1, code + 4, zero, zero) != 0:
            return 0
        call_c(state[READ_BATCH], state[FPU], ids_out, out, n_out)
    values[OUT + n_out] = (pc + 4) | 1
    n_back = n_out + 1
    it = (epsr >> 10 & 0x3F) << 2 | epsr >> 25 & 3
    if it != 0:  # ITAdvance
        it = 0 if it & 7 == 0 else it & 0xE0 | it << 1 & 0x1F
        kept = epsr & ~types.int64(0x0600_FC00)
        values[OUT + n_out + 1] = kept | it >> 2 << 10 | (it & 3) << 25
        n_back += 1
    call_c(state[WRITE_BATCH], state[ENGINE], ids_out, out, n_back)
    return 1
