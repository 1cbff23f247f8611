"""The callbacks that the engine calls: compiled, allocating nothing, touching plain arrays.

All share one int64 array, the *state*: counters, and the addresses of the other arrays. Anything
out of the ordinary (an unknown block, a full buffer, a limit) goes through one function pointer to
Python, ``STATE_SLOW``, which returns the block id to record or -1.
"""

from __future__ import annotations

from typing import Any

from m7sim.jit import call_c, inlined, int32_at, native_callback, types

# Words of the state array. Counters of the buffers being filled:
N_BLOCKS, N_VALUES, N_EVENTS = 0, 1, 2
ROOM_BLOCKS, ROOM_VALUES, ROOM_EVENTS = 3, 4, 5  # counts at which a buffer is as good as full
BUDGET = 6  # instructions that may still be counted before Python is asked
LAST = 7  # block whose exit registers are still to be read, or -1
HALTED = 8  # 1: ignore events until the engine has stopped
HASH_MASK, SITE_MASK = 9, 10
# Addresses of functions, of the engine, and of arrays:
SLOW, READ_BATCH, ENGINE = 16, 17, 18
HASH_KEYS, HASH_IDS = 20, 21  # open addressing: block address -> block id (negative: ask Python)
ROWS, REGISTERS = 22, 23  # per block, see below; the engine's register numbers
BLOCKS, VALUE_POINTERS = 28, 29  # buffers; VALUE_POINTERS[i] points at the i-th value
EVENT_BLOCK, EVENT_PC, EVENT_ADDRESS = 30, 31, 32
SITE_KEYS, SITE_ROWS, SITE_TABLE = 33, 34, 35  # site table: SITE_WORDS words a row
SCRATCH, SCRATCH_POINTERS, SCRATCH_IDS = 36, 37, 38
CORE = 39  # where the engine keeps r0 … lr, or 0: ask it (see m7sim.trace.direct)
NUMBERS, VALUES = 40, 41  # as REGISTERS, but 0 … 14; the values themselves
CORE_IDS = 42  # the engine's numbers of r0 … lr
STATE_WORDS = 64

# Words of a block's row: its size, its instructions, where its entry registers begin in REGISTERS
# and NUMBERS, how many they are, and how many exit registers follow.
ROW_BYTES, ROW_COUNT, ROW_FIRST, ROW_ENTRY, ROW_EXIT = 0, 1, 2, 3, 4
ROW_WORDS = 8
_ROW_BYTES = 4 * ROW_WORDS
SITE_WORDS = 6  # constant, register, coefficient, register, coefficient, number of registers
EMPTY = -1  # free slot in a hash table (no instruction has an odd address)

_HOOK = types.void(types.voidptr, types.uint64, types.uint32, types.CPointer(types.int64))


@inlined
def _read_directly(row: Any, last: Any, state: Any) -> None:
    """Note the exit registers of the block before and the entry registers of this one."""
    core = int32_at(state[CORE])
    numbers = int32_at(state[NUMBERS])
    position = state[N_VALUES]
    values = int32_at(state[VALUES])
    if last >= 0:
        row_before = int32_at(state[ROWS] + _ROW_BYTES * last)
        first = types.int64(row_before[ROW_FIRST]) + types.int64(row_before[ROW_ENTRY])
        for i in range(first, first + types.int64(row_before[ROW_EXIT])):
            values[position] = core[numbers[i]]
            position += 1
    first = types.int64(row[ROW_FIRST])
    for i in range(first, first + types.int64(row[ROW_ENTRY])):
        values[position] = core[numbers[i]]
        position += 1
    state[N_VALUES] = position


@inlined
def _ask_engine(row: Any, last: Any, state: Any) -> None:
    """As `_read_directly`, by the engine's function."""
    n_entry = types.int64(row[ROW_ENTRY])
    n_exit = types.int64(0)
    entry_first = types.int64(row[ROW_FIRST])
    ids = state[REGISTERS] + 4 * entry_first
    if last >= 0:
        row_before = int32_at(state[ROWS] + _ROW_BYTES * last)
        n_exit = types.int64(row_before[ROW_EXIT])
        if n_exit > 0:
            exit_first = types.int64(row_before[ROW_FIRST]) + types.int64(row_before[ROW_ENTRY])
            if n_entry == 0:
                ids = state[REGISTERS] + 4 * exit_first
            else:  # one call for both: the numbers side by side
                source = int32_at(state[REGISTERS])
                joined = int32_at(state[SCRATCH_IDS])
                for i in range(n_exit):
                    joined[i] = source[exit_first + i]
                for i in range(n_entry):
                    joined[n_exit + i] = source[entry_first + i]
                ids = state[SCRATCH_IDS]
    n = n_exit + n_entry
    if n > 0:
        pointers = state[VALUE_POINTERS] + 8 * state[N_VALUES]
        call_c(state[READ_BATCH], state[ENGINE], ids, pointers, n)
        state[N_VALUES] += n


@native_callback(_HOOK)
def on_block(_engine: Any, address: int, size: int, state: Any) -> None:
    """Record a block that is about to execute, and the exit registers of the one before."""
    if state[HALTED] != 0:
        return
    where = types.int32(address)
    keys = int32_at(state[HASH_KEYS])
    mask = state[HASH_MASK]
    slot = (types.int64(address) >> 1) & mask
    while keys[slot] != where and keys[slot] != EMPTY:
        slot = (slot + 1) & mask
    block = types.int64(-1)
    if keys[slot] == where:
        block = types.int64(int32_at(state[HASH_IDS])[slot])
    row = int32_at(state[ROWS] + _ROW_BYTES * block)  # the row before the first is never used
    if (
        block < 0
        or row[ROW_BYTES] != types.int32(size)
        or state[BUDGET] < row[ROW_COUNT]
        or state[N_BLOCKS] >= state[ROOM_BLOCKS]
        or state[N_VALUES] >= state[ROOM_VALUES]
        or state[N_EVENTS] >= state[ROOM_EVENTS]
    ):
        block = types.int64(
            call_c(
                state[SLOW], types.int64(address), types.int64(size), types.int64(0), types.int64(0)
            )
        )
        if block < 0:
            return
        row = int32_at(state[ROWS] + _ROW_BYTES * block)
    if state[CORE] != 0:
        _read_directly(row, state[LAST], state)
    else:
        _ask_engine(row, state[LAST], state)
    n_blocks = state[N_BLOCKS]
    int32_at(state[BLOCKS])[n_blocks] = types.int32(block)
    state[N_BLOCKS] = n_blocks + 1
    state[BUDGET] -= row[ROW_COUNT]
    state[LAST] = block


@native_callback(_HOOK)
def on_site(_engine: Any, address: int, _size: int, state: Any) -> None:
    """Note the address that a site instruction is about to access."""
    if state[HALTED] != 0 or state[N_BLOCKS] == 0:
        return
    where = types.int32(address)
    keys = int32_at(state[SITE_KEYS])
    slot = (types.int64(address) >> 1) & state[SITE_MASK]
    while keys[slot] != where:
        if keys[slot] == EMPTY:
            return  # an instruction between two sites
        slot = (slot + 1) & state[SITE_MASK]
    row = int32_at(
        state[SITE_TABLE] + 4 * SITE_WORDS * types.int64(int32_at(state[SITE_ROWS])[slot])
    )
    values = int32_at(state[SCRATCH])
    result = row[0]
    n = types.int64(row[5])
    if n > 0:
        ids = int32_at(state[SCRATCH_IDS])
        ids[0] = row[1]
        ids[1] = row[3]
        call_c(state[READ_BATCH], state[ENGINE], state[SCRATCH_IDS], state[SCRATCH_POINTERS], n)
        result += types.int32(values[0] * row[2])
        if n > 1:
            result += types.int32(values[1] * row[4])
    event = state[N_EVENTS]
    int32_at(state[EVENT_BLOCK])[event] = types.int32(state[N_BLOCKS] - 1)
    int32_at(state[EVENT_PC])[event] = where
    int32_at(state[EVENT_ADDRESS])[event] = types.int32(result)
    state[N_EVENTS] = event + 1


_EDGE = types.void(
    types.voidptr, types.CPointer(types.uint64), types.voidptr, types.CPointer(types.int64)
)


@native_callback(_EDGE)
def on_translation(_engine: Any, new: Any, _previous: Any, state: Any) -> None:
    """Have a known block looked at again when the engine translates its address anew.

    The engine does so after the code there was overwritten (and at other times, without harm).
    ``new`` points to Unicorn's ``uc_tb``, whose first word is the address.
    """
    address = new[0]
    where = types.int32(address)
    keys = int32_at(state[HASH_KEYS])
    slot = (types.int64(address) >> 1) & state[HASH_MASK]
    while keys[slot] != EMPTY:
        if keys[slot] == where:
            ids = int32_at(state[HASH_IDS])
            if ids[slot] >= 0:
                ids[slot] = types.int32(-2 - ids[slot])
            return
        slot = (slot + 1) & state[HASH_MASK]
