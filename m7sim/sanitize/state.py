"""The state of the access kernel: one record, and the events noted in it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.registers import N_REGISTERS
from m7sim.jit import kernel

I64 = NDArray[np.int64]
Record = np.void
Number = Any  # int or np.int64: kernels take both for one

# Why an event was noted.
BOUNDS, WALK, OVERFLOW, BELOW_SP, UNDEFINED, REGISTER = range(6)
# Columns of an event. ``USE``: row of the instruction that needs the value, or -1.
(ROW, REASON, ADDRESS, SIZE, OWNER, USE, INSTRUCTION, COUNT, CALLER) = range(9)
N_CALLERS: Final = 6  # return addresses of the innermost calls, from column CALLER on
FRAME: Final = CALLER + N_CALLERS  # stack pointers at these calls
N_EVENT: Final = FRAME + N_CALLERS
MAX_EVENTS: Final = 1024
MAX_FRAMES: Final = 4096
STORED: Final = 4096  # a power of two

F_RETURN, F_SP, F_SERIAL, F_TAIL, N_FRAME = range(5)  # columns of a frame
# Columns of the origin of a register without value; of one stored, and where.
O_ROW, O_ADDRESS, O_SIZE, O_PLACE = range(4)
# Words of an instruction's walk; executions of blocks are numbered.
LAST_ADDRESS, STRIDE, OWNER_WAS, CALL_WAS, LAST_BLOCK, DISTANCE, WALK_WORDS = range(7)

STATE = np.dtype(
    [
        # addresses of arrays: of `Shadow`, of `Static`, and int64[rows, WALK_WORDS]
        *((name, np.int64) for name in ("pages", "cells", "flags", "reach")),
        *((name, np.int64) for name in ("data", "copy_to", "walk")),
        # the stack, and whether main has been entered
        *((name, np.int64) for name in ("sp", "lowest_sp", "stack_low", "stack_top")),
        *((name, np.int64) for name in ("main", "started", "previous", "depth", "serial")),
        ("undefined", np.int64),  # registers without value, as bits
        *((name, np.int64) for name in ("instructions", "blocks", "accesses", "n_events")),
        ("origin", np.int64, (N_REGISTERS, 3)),  # the load that gave a register no value
        # the same of words that such a register was stored to; by address
        ("stored", np.int64, (STORED, 4)),
        ("frames", np.int64, (MAX_FRAMES, N_FRAME)),
        ("events", np.int64, (MAX_EVENTS, N_EVENT)),
    ]
)


def make_state() -> Record:
    """Return the state before the first instruction."""
    state: Record = np.zeros(1, STATE)[0]
    state["previous"] = -1
    state["origin"][:] = -1
    state["stored"][:] = -1
    return state


@kernel
def note(
    s: Record, row: Number, reason: Number, address: Number, size: Number, owner: Number,
    use: Number,
) -> None:  # fmt: skip
    """Note an event, or count it if it was noted before."""
    if s["started"] == 0 and reason != OVERFLOW:
        return
    events, frames = s["events"], s["frames"]
    depth = s["depth"]
    caller = frames[depth - 1, F_RETURN] if depth > 0 else np.int64(-1)
    n = s["n_events"]
    for i in range(n):
        if (
            events[i, ROW] == row
            and events[i, REASON] == reason
            and events[i, OWNER] == owner
            and events[i, CALLER] == caller
        ):
            events[i, COUNT] += 1
            return
    if n >= MAX_EVENTS:
        return
    s["n_events"] = n + 1
    events[n, ROW] = row
    events[n, REASON] = reason
    events[n, ADDRESS] = address
    events[n, SIZE] = size
    events[n, OWNER] = owner
    events[n, USE] = use
    events[n, INSTRUCTION] = s["instructions"]
    events[n, COUNT] = 1
    for i in range(N_CALLERS):
        at = depth - 1 - i
        events[n, CALLER + i] = frames[at, F_RETURN] if at >= 0 else np.int64(-1)
        events[n, FRAME + i] = frames[at, F_SP] if at >= 0 else np.int64(-1)
