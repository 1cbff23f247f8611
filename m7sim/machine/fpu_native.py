"""The callback that completes a double-precision instruction: compiled, allocating nothing.

It has one int64 array, the *state*: addresses of functions, engines and arrays.
"""

from __future__ import annotations

from typing import Any

from m7sim.jit import call_c, call_c5, int32_at, int64_at, native_callback, types
from m7sim.machine.fpu_host import NONE, by_host

# Words of the state array.
ENGINE, FPU = 0, 1
READ_BATCH, WRITE_BATCH, MEMORY_READ, START, SLOW = 2, 3, 4, 5, 6
KEYS, ROWS, MASK, TABLE = 7, 8, 9, 10  # open addressing: instruction -> row of the table
FETCHED, VALUES, POINTERS, CORE_IDS = 11, 12, 13, 14  # POINTERS[i] points at VALUES[i]
STARTED = 15  # points at where the engine was last started
EXECUTED, EXECUTED_BY_HOST = 16, 17  # counts
STATE_WORDS = 20

# Words of a row: engine's register numbers; outputs are followed by those of pc and EPSR.
CODE, N_IN, N_OUT = 0, 1, 2
OPERATION, LEFT, RIGHT, LAST = 3, 4, 5, 6  # of what the host may do, and its operands in VALUES
IDS_IN, IDS_OUT = 8, 16
ROW_WORDS = 24
OUT, CORE, ZERO = 16, 32, 40  # where in VALUES outputs, pc and EPSR, and a zero are
N_VALUES = 64

_MASK32 = 0xFFFF_FFFF

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
    failed = call_c(state[MEMORY_READ], state[ENGINE], pc - 4, state[FETCHED], types.int64(8))
    if failed != 0:  # no memory before the pc
        second = state[FETCHED] + 4
        failed = call_c(state[MEMORY_READ], state[ENGINE], pc, second, types.int64(4))
    if failed != 0:
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
    values[OUT + n_out - 1] = values[0]  # FPSCR
    if operation != NONE and by_host(
        state[VALUES], operation,
        types.int64(row[LEFT]), types.int64(row[RIGHT]), types.int64(row[LAST]), types.int64(OUT),
    ):  # fmt: skip
        state[EXECUTED_BY_HOST] += 1
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
