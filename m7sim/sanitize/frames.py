"""A shadow call stack that remembers registers: jumps and returns checked as they happen.

Every block comes with the values of ``WATCHED`` at its entry. From them and from how the block
before it ended, the kernel below follows calls and returns, and notes what is wrong:

- a call pushes a frame with the registers at entry and the address it has to return to;
- a return to that address must find the preserved registers and sp as they were;
- ``longjmp`` goes back to the topmost frame of the function it lands in, without a check;
- any other jump to the beginning of a function is a tail call: its frame stays, with what the
  function at its end has to restore.

Which instruction wrote a register last is noted per frame, so that a changed register is told with
the line that changed it. What is reported once is not reported again by the callers.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.instruction import Branch
from m7sim.jit import kernel
from m7sim.sanitize.codefacts import (
    CODE,
    FUNCTION,
    LR_COLUMN,
    N_PRESERVED,
    NOTHING,
    SP_COLUMN,
    WATCHED,
    Facts,
)

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]
Number = int | np.signedinteger[Any]

# A Cortex-M7 has at most some hundred KiB of stack and a frame takes 8 bytes or more of it.
MAX_FRAMES: Final = 1 << 16
MOST_FOUND: Final = 4096  # per chunk
_ALL: Final = (1 << len(WATCHED)) - 1
_MANUAL_LINK_BYTES: Final = 64  # a return address that code sets by hand is near the jump

_NONE, _DIRECT = np.int64(Branch.NONE), np.int64(Branch.DIRECT)
_CALL, _INDIRECT_CALL = np.int64(Branch.CALL), np.int64(Branch.INDIRECT_CALL)
_INDIRECT, _RETURN = np.int64(Branch.INDIRECT), np.int64(Branch.RETURN)
_TABLE = np.int64(Branch.TABLE)

# The compiler would make a version of a function for each literal that it is called with.
_0, _1 = np.int64(0), np.int64(1)

# What is found, and what the words behind (what, position, row, function) then are:
CLOBBERED = np.int64(1)  # column, value at entry, value at return, row of the return
SP_CHANGED = np.int64(2)  # -, value at entry, value at return, row of the return
SP_MISALIGNED = np.int64(3)  # -, sp
SP_ABOVE = np.int64(4)  # -, sp at the entry of the caller, sp at the call
JUMP_INSIDE = np.int64(5)  # how (Branch), target
BAD_RETURN = np.int64(6)  # -, target, right return address
STRAY = np.int64(7)  # place, address
RUNS_OVER = np.int64(8)  # -, address behind
FOUND_WORDS: Final = 8

# columns of a frame
_OF, _RETURN_TO, _TOLD, _CHECKED, _N = range(5)


def state_dtype() -> np.dtype[np.void]:
    """Return the record of everything that lasts from chunk to chunk."""
    return np.dtype(
        [
            *((name, np.int64) for name in ("depth", "previous", "found", "lost", "from_reset")),
            ("frames", np.int64, (MAX_FRAMES, _N)),
            ("saved", np.uint32, (MAX_FRAMES, len(WATCHED))),
            ("written", np.int32, (MAX_FRAMES, len(WATCHED))),
        ]
    )


@kernel
def _note(
    s: Any,
    out: I64,
    what: Number,
    position: Number,
    row: Number,
    a: Number,
    b: Number,
    c: Number,
    d: Number,
) -> None:
    if s["lost"] != 0:
        return  # calls that found the stack of frames full: no return can be checked
    n = s["found"]
    if n < out.shape[0]:
        top = s["depth"] - 1
        out[n, 0] = what
        out[n, 1] = position
        out[n, 2] = row
        out[n, 3] = s["frames"][top, _OF] if top >= 0 else -1
        out[n, 4] = a
        out[n, 5] = b
        out[n, 6] = c
        out[n, 7] = d
    s["found"] = n + 1


@kernel
def _push(
    s: Any,
    function: Number,
    return_to: Number,
    checked: Number,
    values: U32,
    v: Number,
    columns: I64,
) -> None:
    depth = s["depth"]
    if depth >= MAX_FRAMES:
        s["lost"] += 1
        return
    frame = s["frames"][depth]
    frame[_OF] = function
    frame[_RETURN_TO] = return_to
    frame[_TOLD] = 0
    frame[_CHECKED] = checked
    saved, written = s["saved"][depth], s["written"][depth]
    for k in range(columns.size):
        saved[k] = values[v + columns[k]]
        written[k] = -1
    s["depth"] = depth + 1


@kernel
def _distrust(s: Any, down_to: Number, registers: Number) -> None:
    """Do not report these registers for frames from ``down_to`` downwards."""
    for d in range(down_to, -1, -1):
        s["frames"][d, _TOLD] |= registers


@kernel
def _leave(
    s: Any, out: I64, position: Number, row: Number, values: U32, v: Number, columns: I64
) -> None:
    """Return properly from the frame on top: look at what had to be preserved."""
    top = s["depth"] - 1
    frame, saved, written = s["frames"][top], s["saved"][top], s["written"][top]
    told = frame[_TOLD]
    fresh = 0
    if frame[_CHECKED] != 0:
        for k in range(N_PRESERVED):
            value, before = np.int64(values[v + columns[k]]), np.int64(saved[k])
            if value != before and told >> k & 1 == 0:
                at = np.int64(written[k]) if written[k] >= 0 else row
                _note(s, out, CLOBBERED, position, at, k, before, value, row)
                fresh |= 1 << k
        sp, before = np.int64(values[v + columns[SP_COLUMN]]), np.int64(saved[SP_COLUMN])
        if sp != before and told >> SP_COLUMN & 1 == 0:
            at = np.int64(written[SP_COLUMN]) if written[SP_COLUMN] >= 0 else row
            _note(s, out, SP_CHANGED, position, at, _0, before, sp, row)
            fresh |= 1 << SP_COLUMN
    s["depth"] = top
    if top > 0:
        if fresh != 0:
            _distrust(s, top - 1, fresh)
        if frame[_CHECKED] == 0:  # part of its caller
            below = s["written"][top - 1]
            for k in range(columns.size):
                if written[k] >= 0:
                    below[k] = written[k]


@kernel
def _frame_returning_to(s: Any, address: Number, sp: Number) -> int:
    """Return the topmost frame that returns to an address with this stack pointer, or -1."""
    for d in range(s["depth"] - 1, -1, -1):
        if s["frames"][d, _RETURN_TO] == address and s["saved"][d, SP_COLUMN] == sp:
            return d
    return -1


@kernel
def _unwind(s: Any, function: Number, sp: Number) -> None:
    """Go back to the topmost frame of a function whose stack reaches up to ``sp`` or more."""
    for d in range(s["depth"] - 1, -1, -1):
        if s["frames"][d, _OF] == function and s["saved"][d, SP_COLUMN] >= sp:
            s["depth"] = d + 1
            return


@kernel
def _become(s: Any, function: Number) -> None:
    """Have another function run in the frame on top: a tail call."""
    if s["depth"] > 0:
        s["frames"][s["depth"] - 1, _OF] = function


@kernel
def _wild(
    s: Any, out: I64, what: Number, position: Number, row: Number, a: Number, b: Number, c: Number
) -> None:
    """Note a jump after which nothing on the stack can be relied on."""
    _note(s, out, what, position, row, a, b, c, _0)
    _distrust(s, s["depth"] - 1, _ALL)


@kernel
def _call(
    s: Any, f: Facts, p: Number, b: Number, position: Number, values: U32, v: Number,
    columns: I64, out: I64, known: bool,
) -> None:  # fmt: skip
    sp = np.int64(values[v + columns[SP_COLUMN]])
    row = np.int64(f.last_row[p])
    top = s["depth"] - 1
    if f.library[p] == 0 and f.begins[b] == FUNCTION and top >= 0:
        entry_sp = np.int64(s["saved"][top, SP_COLUMN])
        told = s["frames"][top, _TOLD] >> SP_COLUMN & 1
        if told == 0 and sp & 7 != 0 and entry_sp & 7 == 0:
            _note(s, out, SP_MISALIGNED, position, row, _0, sp, _0, _0)
        # Start-up code may well choose another stack.
        if told == 0 and sp > entry_sp and (top > 0 or s["from_reset"] == 0):
            _note(s, out, SP_ABOVE, position, row, _0, entry_sp, sp, _0)
    inside = f.begins[b] == NOTHING and f.place[b] == CODE and known
    if f.kind[p] == _INDIRECT_CALL and inside:
        _note(s, out, JUMP_INSIDE, position, row, _INDIRECT_CALL, f.address[b], _0, _0)
    checked = np.int64(f.begins[b] == FUNCTION)
    _push(s, np.int64(f.function[b]), f.end[p], checked, values, v, columns)


@kernel
def _come_back(
    s: Any, f: Facts, p: Number, b: Number, position: Number, values: U32, v: Number,
    columns: I64, out: I64, known: bool,
) -> None:  # fmt: skip
    """Follow a return or an indirect jump."""
    address, row, kind = f.address[b], np.int64(f.last_row[p]), np.int64(f.kind[p])
    sp = np.int64(values[v + columns[SP_COLUMN]])
    function = np.int64(f.function[b])
    same = function == f.last_function[p] and function >= 0
    top = s["depth"] - 1
    right = s["frames"][top, _RETURN_TO] if top >= 0 else -1
    if address == right and (kind == _RETURN or not same or s["saved"][top, SP_COLUMN] == sp):
        _leave(s, out, position, row, values, v, columns)
        return
    if f.unwinds[p] != 0:
        _unwind(s, function, sp)
        return
    trusted = f.library[p] != 0 or f.assembly[p] != 0
    if same and (kind == _INDIRECT or trusted):
        return  # a switch
    if f.switches[p] != 0 and top > 0:
        s["depth"] = top  # back into the function that called the helper, somewhere
        return
    if f.begins[b] != NOTHING and (kind == _INDIRECT or trusted):
        link = np.int64(values[v + columns[LR_COLUMN]]) & ~1
        if link != right and 0 <= link - f.end[p] < _MANUAL_LINK_BYTES:
            _push(s, function, link, np.int64(f.begins[b] == FUNCTION), values, v, columns)
        else:
            _become(s, function)
        return
    d = _frame_returning_to(s, address, sp)
    if d >= 0 and trusted:
        s["depth"] = d  # helpers of libgcc return for the function that called them
        return
    if f.place[b] == CODE and known:  # else nobody knows a longjmp when they see one
        if kind == _RETURN:
            _wild(s, out, BAD_RETURN, position, row, _0, address, right)
        else:
            _wild(s, out, JUMP_INSIDE, position, row, kind, address, _0)
    if d >= 0:
        s["depth"] = d
    elif f.begins[b] != NOTHING:
        _become(s, function)
    else:
        _unwind(s, function, _0)


@kernel
def _edge(
    s: Any, f: Facts, p: Number, b: Number, position: Number, values: U32, v: Number,
    columns: I64, out: I64, known: bool,
) -> None:  # fmt: skip
    """Follow what leads from block ``p`` to block ``b``."""
    kind, row, place = np.int64(f.kind[p]), np.int64(f.last_row[p]), np.int64(f.place[b])
    function = np.int64(f.function[b])
    fell = f.address[b] == f.end[p] and (f.may_fall[p] != 0 or kind == _NONE)
    if f.stray_row[b] == f.first_row[b] and f.place[b] != CODE and f.place[p] == CODE:
        top = s["depth"] - 1
        if top < 0 or f.address[b] != s["frames"][0, _RETURN_TO]:
            _wild(s, out, STRAY, position, row, place, f.address[b], kind)
    if not fell and (kind in (_CALL, _INDIRECT_CALL)):
        _call(s, f, p, b, position, values, v, columns, out, known)
    elif not fell and (kind in (_INDIRECT, _RETURN)):
        _come_back(s, f, p, b, position, values, v, columns, out, known)
    elif f.function[b] != f.last_function[p]:
        if not fell and kind == _TABLE and f.place[b] == CODE:
            _wild(s, out, JUMP_INSIDE, position, row, kind, f.address[b], _0)
        if function >= 0:
            _become(s, function)


@kernel
def follow(s: Any, f: Facts, blocks: I32, values: U32, columns: I64, out: I64, known: bool) -> int:
    """Follow a chunk and note what is wrong in it; return how much that is.

    Parameters
    ----------
    s
        Record of `state_dtype`.
    blocks, values
        As of the chunk.
    columns
        Where the values of ``WATCHED`` are among those of a block.
    out
        int64[n, FOUND_WORDS] for what is found; what is more than n is only counted.
    known
        Whether the image has function symbols.
    """
    s["found"] = 0
    p = s["previous"]
    v = _0
    for position in range(blocks.size):
        b = np.int64(blocks[position])
        if p < 0:
            link = np.int64(values[v + columns[LR_COLUMN]]) & ~1
            _push(s, np.int64(f.function[b]), link, _1, values, v, columns)
        elif f.kind[p] > _DIRECT or f.function[b] != f.last_function[p] or f.place[b] != CODE:
            _edge(s, f, p, b, position, values, v, columns, out, known)
        if f.stray_row[b] > f.first_row[b]:
            row = np.int64(f.stray_row[b]) - 1
            _note(s, out, STRAY, position, row, np.int64(f.place[b]), -_1, _NONE, _0)
        if f.runs_over[b] >= 0:
            _note(s, out, RUNS_OVER, position, np.int64(f.runs_over[b]), _0, _0, _0, _0)
        if f.last_function[b] != f.function[b] and f.last_function[b] >= 0:
            _become(s, np.int64(f.last_function[b]))
        first, end = f.write_first[b], f.write_first[b + 1]
        if first < end and s["depth"] > 0:
            written = s["written"][s["depth"] - 1]
            for k in range(first, end):
                written[f.write_column[k]] = f.write_row[k]
        v += f.values[b]
        p = b
    s["previous"] = p
    return int(s["found"])
