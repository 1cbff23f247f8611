"""The kernel that follows every access of a chunk, and what in registers and memory has a value.

For each instruction in the order of execution:

* each transfer of an access is looked up in shadow memory: may its bytes be touched, do they
  belong together, has any of them a value;
* a register loaded from bytes none of which has a value has none either; copies carry this along,
  stores put it back into memory; an instruction whose result depends on such a register is noted;
* the stack pointer, recorded at the entry of every block, is followed: what it uncovers has no
  value, what lies below it is off limits.

What is noted are *events*: rows of numbers that `m7sim.sanitize.memory` turns into findings.

All state is one record, and large arrays are reached by their address in it: kernels that hand
arrays to each other count references, which takes several times as long as the work.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.code import NO_ACCESS, STORE
from m7sim.isa.instruction import Branch
from m7sim.isa.registers import FLAGS
from m7sim.jit import int32_at, int64_at, kernel, types
from m7sim.sanitize import shadow as sh
from m7sim.sanitize.state import (
    BELOW_SP,
    BOUNDS,
    CALL_WAS,
    DISTANCE,
    F_RETURN,
    F_SERIAL,
    F_SP,
    F_TAIL,
    I64,
    LAST_ADDRESS,
    LAST_BLOCK,
    MAX_FRAMES,
    O_ADDRESS,
    O_PLACE,
    O_ROW,
    O_SIZE,
    OVERFLOW,
    OWNER_WAS,
    REGISTER,
    STORED,
    STRIDE,
    UNDEFINED,
    WALK,
    WALK_WORDS,
    Number,
    Record,
    note,
)
from m7sim.sanitize.tables import FROM_ENTRY, FROM_NEXT, Action

NOT_ON_STACK: Final = -1
# How far below its limit the stack pointer may be and still count as that of this stack.
_REACH_BYTES: Final = 1 << 16
_LONGEST_STRIDE_BYTES: Final = 64
_CALL, _INDIRECT_CALL = int(Branch.CALL), int(Branch.INDIRECT_CALL)
_TAILS: Final = (int(Branch.CONDITIONAL), int(Branch.DIRECT), int(Branch.INDIRECT))
_USE, _COPY, _MERGE = int(Action.USE), int(Action.COPY), int(Action.MERGE)
_NO_ACCESS: Final = NO_ACCESS
_HAS_VALUE, _OWNER, _PAGE = sh.HAS_VALUE, sh.OWNER, sh.PAGE_BYTES
# What `_look` returns, the number of the owner above.
_VALUE, _BAD, _SHIFT = 1, 2, 8


@kernel
def _look(s: Record, address: Number, size: Number, wanted: Number) -> Number:
    """Look a transfer up: has any byte a value, is anything wrong, who owns what is wrong."""
    pages, cells, flags = int64_at(s["pages"]), int32_at(s["cells"]), int32_at(s["flags"])
    offset = address & (_PAGE - 1)
    page = pages[address >> 12]
    if page < 0:
        return _VALUE if page == sh.DEVICE else _VALUE | _BAD
    at = page + offset
    found = np.int64(cells[at])
    owner = found & _OWNER
    kind = np.int64(flags[owner])
    bad = kind & wanted == 0
    worst = owner
    for i in range(1, size):
        if offset + i == _PAGE:
            page = pages[(address + i) >> 12 & 0xFFFFF]
            if page < 0:
                return _VALUE if page == sh.DEVICE else _VALUE | _BAD
            at = page - i
        cell = np.int64(cells[at + i])
        found |= cell
        other = cell & _OWNER
        if other != owner:
            its = np.int64(flags[other])
            crossing = (its | kind) & sh.OVERRUN != 0 and (its | kind) & sh.IS_APRON == 0
            if (its & wanted == 0 or crossing) and not bad:
                bad = True
                worst = other
    return (_VALUE if found & _HAS_VALUE else 0) | (_BAD if bad else 0) | worst << _SHIFT


@kernel
def _set(s: Record, address: Number, size: Number, value: Number) -> None:
    """Note that the bytes of a transfer have a value, or have none."""
    pages, cells = int64_at(s["pages"]), int32_at(s["cells"])
    for place in range(address, address + size):
        page = pages[place >> 12 & 0xFFFFF]
        if page >= 0:
            at = page + (place & (_PAGE - 1))
            cell = np.int64(cells[at])
            cells[at] = types.int32(cell | _HAS_VALUE if value else cell & _OWNER)


@kernel
def _move_sp(s: Record, sp: Number) -> None:
    """Follow the stack pointer; what it newly covers has no value yet."""
    low = s["stack_low"]
    if not low - _REACH_BYTES <= sp <= s["stack_top"]:
        s["sp"] = NOT_ON_STACK
        return
    old = s["sp"]
    if sp < old:
        start = max(sp, low)
        page = int64_at(s["pages"])[start >> 12]
        if start < old and page >= 0:  # the stack lies in one region
            cells = int32_at(s["cells"])
            at = page + (start & (_PAGE - 1))
            for i in range(at, at + old - start):
                cells[i] = types.int32(cells[i] & _OWNER)
            stored = s["stored"]
            for place in range(start & ~3, old, 4):
                if stored[(place >> 2) % STORED, O_PLACE] == place:
                    stored[(place >> 2) % STORED, O_PLACE] = -1
        s["lowest_sp"] = min(sp, s["lowest_sp"])
    s["sp"] = sp


@kernel
def _use(s: Record, bits: Number, row: Number) -> None:
    """Note that an instruction needs registers that have no value."""
    origin = s["origin"]
    for register in range(FLAGS):
        if bits >> register & 1:
            load = origin[register, O_ROW]
            if load >= 0:
                address, size = origin[register, O_ADDRESS], origin[register, O_SIZE]
                note(s, load, UNDEFINED, address, size, 0, row)
            else:
                note(s, row, REGISTER, 0, 0, register, row)


@kernel
def _inherit(s: Record, to: Number, source: Number) -> None:
    origin = s["origin"]
    for column in range(3):
        origin[to, column] = origin[source, column]


@kernel
def _operate(s: Record, r: Record, row: Number) -> None:
    """Do what an instruction without access does, some of whose operands have no value."""
    undefined = s["undefined"]
    reads, writes = r["reads"], r["writes"]
    action, predicated = r["action"], r["predicated"] != 0
    result = undefined & ~writes
    if action == _COPY:
        data, copy_to = int32_at(s["data"]), int32_at(s["copy_to"])
        for i in range(r["data"], r["data"] + r["n_data"]):
            source: Number = np.int64(data[i])
            to: Number = np.int64(copy_to[i])
            if undefined >> source & 1 and (not predicated or undefined >> to & 1):
                result |= np.int64(1) << to
                _inherit(s, to, source)
    elif action == _MERGE:
        if undefined & reads == reads and (not predicated or undefined & writes):
            result |= writes
            for source in range(FLAGS):
                for to in range(FLAGS):
                    if reads >> source & writes >> to & 1:
                        _inherit(s, to, source)
    elif action == _USE and not predicated:
        _use(s, undefined & reads, row)
        result &= ~reads
    s["undefined"] = result


@kernel
def _walk(s: Record, row: Number, address: Number, size: Number, owner: Number) -> None:
    """Notice an instruction that strides out of one variable into what lies next to it."""
    last = int64_at(s["walk"] + 8 * WALK_WORDS * row)
    depth = s["depth"]
    call = s["frames"][depth - 1, F_SERIAL] + 1 if depth > 0 else np.int64(1)
    stride = address - last[LAST_ADDRESS]
    distance = s["blocks"] - last[LAST_BLOCK]
    left = last[OWNER_WAS]
    flags = int32_at(s["flags"])
    reach = int64_at(s["reach"] + 16 * left)
    if reach[0] <= address and address + size <= reach[1]:
        owner = left  # as far as it may go
    elif (
        left != owner
        and last[CALL_WAS] == call
        and stride == last[STRIDE]
        and distance == last[DISTANCE]
        and stride != 0
        and abs(stride) <= _LONGEST_STRIDE_BYTES
        and flags[left] & sh.IS_VARIABLE
    ):
        note(s, row, WALK, address, size, left, -1)
        owner = left  # still on its way out of it
    last[LAST_ADDRESS] = address
    last[STRIDE] = stride
    last[OWNER_WAS] = owner
    last[CALL_WAS] = call
    last[LAST_BLOCK] = s["blocks"]
    last[DISTANCE] = distance


@kernel
def _transfer(s: Record, r: Record, row: Number, unit: Number, place: Number, sp: Number) -> Number:
    """Check a transfer and do what it does to memory; return whether it loads no value."""
    size, store = np.int64(r["unit_bytes"]), r["memory"] == STORE
    seen = _look(s, place, size, sh.WRITE if store else sh.READ)
    owner, limit = seen >> _SHIFT, s["stack_low"]
    flags = int32_at(s["flags"])
    kind = np.int64(flags[owner])
    if sp >= 0 and sp <= place < limit:
        note(s, row, OVERFLOW, place, size, 0, -1)
    elif seen & _BAD:
        note(s, row, BOUNDS, place, size, owner, -1)
    elif kind & sh.IS_STACK:
        if place < sp:
            note(s, row, BELOW_SP, place, size, owner, sp)
    elif unit == 0:
        left = int64_at(s["walk"] + 8 * WALK_WORDS * row)[OWNER_WAS]
        if (kind | np.int64(flags[left])) & sh.IS_VARIABLE:
            _walk(s, row, place, size, owner)
    if not store:
        return seen & _VALUE == 0
    lacks = False
    if unit < r["n_data"]:
        register = np.int64(int32_at(s["data"])[r["data"] + unit])
        lacks = s["undefined"] >> register & 1 != 0
        if lacks and kind & sh.IS_ARRAY and kind & sh.IS_PLAIN:
            _use(s, np.int64(1) << register, row)
        if lacks:
            origin, stored, at = s["origin"], s["stored"], (place >> 2) % STORED
            stored[at, O_PLACE] = place
            for column in range(3):
                stored[at, column] = origin[register, column]
    _set(s, place, size, not lacks)
    return False


@kernel
def _access(s: Record, r: Record, row: Number, address: Number, low_sp: Number) -> None:
    """Check one access, transfer by transfer, and do what it does to values."""
    bits = s["undefined"] & r["reads"]
    if bits:
        _use(s, bits, row)
        s["undefined"] &= ~bits
    left = s["undefined"] & ~r["writes"]
    s["accesses"] += 1
    for unit in range(np.int64(r["units"])):
        size = np.int64(r["unit_bytes"])
        place = (address + size * unit) & 0xFFFFFFFF
        if _transfer(s, r, row, unit, place, low_sp):
            if unit < r["n_data"]:
                register = np.int64(int32_at(s["data"])[r["data"] + unit])
                left |= np.int64(1) << register
                origin, stored, at = s["origin"], s["stored"], (place >> 2) % STORED
                if stored[at, O_PLACE] == place:  # a copy of something without value
                    for column in range(3):
                        origin[register, column] = stored[at, column]
                else:
                    origin[register, O_ROW] = row
                    origin[register, O_ADDRESS] = place
                    origin[register, O_SIZE] = size
            else:  # into pc
                note(s, row, UNDEFINED, place, size, 0, -1)
    s["undefined"] = left


@kernel
def _push(s: Record, return_address: Number, sp: Number, tail: Number) -> None:
    frames, depth = s["frames"], s["depth"]
    s["serial"] += 1
    if depth < MAX_FRAMES:
        frames[depth, F_RETURN] = return_address
        frames[depth, F_SP] = sp
        frames[depth, F_SERIAL] = s["serial"]
        frames[depth, F_TAIL] = tail
        s["depth"] = depth + 1


@kernel
def _enter(s: Record, b: Record, last: Record, sp: Number) -> None:
    """Follow calls, tail calls and returns from block ``last`` into block ``b``."""
    if b["address"] == s["main"]:
        s["started"] = 1
    if s["previous"] < 0:
        return
    frames, depth = s["frames"], s["depth"]
    if last["branch"] in (_CALL, _INDIRECT_CALL) and b["address"] != last["end"]:
        _push(s, last["end"], sp, 0)
        return
    while depth > 0 and sp > frames[depth - 1, F_SP]:
        depth -= 1
    at = depth - 1
    while at >= 0 and sp == frames[at, F_SP]:
        if b["address"] == frames[at, F_RETURN] and frames[at, F_TAIL] == 0:
            depth = at
        at -= 1
    s["depth"] = depth
    if b["enters"] and last["branch"] in _TAILS and last["function"] != b["function"]:
        if depth > 0 and frames[depth - 1, F_TAIL] and frames[depth - 1, F_SP] == sp:
            s["depth"] = depth - 1  # of a chain of tail calls the last one is enough
        _push(s, last["end"], sp, 1)


@kernel
def follow(
    s: Record, rows: NDArray[np.void], known: NDArray[np.void], blocks: NDArray[np.int32],
    addresses: NDArray[np.uint32], values: NDArray[np.uint32], value_first: I64, sp_index: int,
) -> None:  # fmt: skip
    """Follow one chunk.

    Parameters
    ----------
    rows, known
        Records of ``ROW`` and ``BLOCK`` of all code in it.
    value_first, sp_index
        Where the values of each block begin, and which of them is the stack pointer.
    """
    access = 0
    n_blocks = blocks.size
    for n in range(n_blocks):
        b = known[blocks[n]]
        entry_sp = np.int64(values[value_first[n] + sp_index])
        next_sp = np.int64(-1)
        if n + 1 < n_blocks:
            next_sp = np.int64(values[value_first[n + 1] + sp_index])
        _move_sp(s, entry_sp)
        _enter(s, b, known[max(s["previous"], 0)], entry_sp)
        s["previous"] = blocks[n]
        s["blocks"] += 1
        for row in range(b["first"], b["first"] + b["count"]):
            r = rows[row]
            s["instructions"] += 1
            address = np.int64(-1)
            if r["memory"]:
                address = np.int64(addresses[access])
                access += 1
                if address == _NO_ACCESS:  # did not happen
                    continue
            if r["moves_sp"]:
                if r["sp_after_from"] == FROM_ENTRY:
                    _move_sp(s, entry_sp + r["sp_after"])
                elif r["sp_after_from"] == FROM_NEXT and next_sp >= 0:
                    _move_sp(s, next_sp + r["sp_after"])
            if r["memory"]:
                low_sp = np.int64(-1)
                if s["sp"] >= 0:
                    if r["sp_before_from"] == FROM_ENTRY:
                        low_sp = entry_sp + r["sp_before"]
                    elif r["sp_before_from"] == FROM_NEXT and next_sp >= 0:
                        low_sp = next_sp + r["sp_before"]
                    elif s["stack_low"] <= address < s["lowest_sp"]:
                        s["lowest_sp"] = address  # it must have been as low as that
                    if r["moves_sp"] and low_sp >= 0:
                        low_sp = min(low_sp, s["sp"])
                _access(s, r, row, address, low_sp)
            elif s["undefined"] & r["reads"]:
                _operate(s, r, row)
            else:
                s["undefined"] &= ~r["writes"]
