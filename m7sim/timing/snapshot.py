"""The state of the pipeline reduced to what can still make a difference, and back.

Cycles are taken relative to the last issue. Whatever nothing can wait for any more (a result that
is ready, supply that arrived) is written as if it had never been, so that loops come back to the
same few states.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from m7sim.isa.instruction import ALWAYS
from m7sim.isa.registers import N_REGISTERS
from m7sim.jit import inlined, kernel
from m7sim.timing.state import CAUSE_BITS, I64, MAX_QUEUE, NEVER, NO_WAIT, Record, Records

# places in a snapshot; registers follow, then the words of the queue
_PENDING, _WORD, _LINE, _OLDER, _OLDER_FLAGS, _PAIR, _BRANCH_OPERAND = range(7)
_MAC, _MAC_BEFORE, _CHAINED, _LOAD_BANK, _LOAD_UNALIGNED = range(7, 12)
_ARRIVAL, _ARRIVAL_WAIT, _RESTART, _RESTART_CAUSE = range(12, 16)
_FETCH_LINE, _FETCH_WORD, _FETCH_FIRST, _FETCH_BEAT, _FETCH_END = range(16, 21)
_REGISTERS: Final = 21
_LEFT: Final = _REGISTERS + N_REGISTERS
SNAPSHOT_WORDS: Final = _LEFT + MAX_QUEUE

# a register in one word: cycle above latency row above condition
_ROW_BITS, _CONDITION_BITS = 16, 8
_LONG_AGO: Final = -(1 << 30)  # stands for NEVER, which has no room
_READY: Final = (_LONG_AGO << (_ROW_BITS + _CONDITION_BITS)) | ALWAYS

_ALWAYS = ALWAYS
_N_REGISTERS = N_REGISTERS


@inlined
def _relative(cycle: int, until: int, earliest: int, now: int) -> int:
    """Return ``cycle`` from ``now`` on, or NEVER when what it ends by ``until`` has ended."""
    if until <= earliest:
        return NEVER
    return cycle - now


@inlined
def _absolute(relative: int, now: int) -> int:
    if relative == NEVER:
        return NEVER
    return relative + now


@kernel
def take_snapshot(m: Record, s: Record, rows: Records, out: I64) -> None:
    """Write the state between two blocks to ``out``, int64[SNAPSHOT_WORDS]."""
    now = s["cycle"]
    alone = s["older_klass"] < 0
    # the first cycle in which the next instruction could issue
    earliest = now + 1 if alone else s["pair_cycle"]
    for k in range(out.shape[0]):
        out[k] = 0
    out[_PENDING] = s["pending"]
    out[_WORD] = s["word"]
    out[_LINE] = s["line"]
    out[_OLDER] = s["older_klass"]
    out[_LOAD_BANK] = -1
    if not alone:
        out[_OLDER_FLAGS] = s["older_flags"]
        out[_PAIR] = s["pair_cycle"] - now
        out[_LOAD_BANK] = s["load_bank"]
        out[_LOAD_UNALIGNED] = s["load_unaligned"]
    out[_BRANCH_OPERAND] = NEVER
    recent = now - s["branch_operand"] < m["early_flags_distance_cycles"]
    if recent and s["pending"] >= 0 and rows[s["pending"]]["branch"]:
        out[_BRANCH_OPERAND] = 0
    # a multiply-accumulate also bars its own cycle
    bars = m["fp_mac_block_cycles"] + 1
    out[_MAC] = _relative(s["mac_cycle"], s["mac_cycle"] + bars, earliest, now)
    out[_MAC_BEFORE] = _relative(s["mac_before"], s["mac_before"] + bars, earliest, now)
    until = s["chained_cycle"] + m["fma_after_mla_cycles"]
    out[_CHAINED] = _relative(s["chained_cycle"], until, earliest, now)
    out[_RESTART] = NEVER
    if s["restart"] > now + 1:
        out[_RESTART] = s["restart"] - now
        out[_RESTART_CAUSE] = s["restart_cause"]
    for reg in range(_N_REGISTERS):
        out[_REGISTERS + reg] = _register(m, s, reg, earliest)
    _take_supply(m, s, out, earliest)


@inlined
def _register(m: Record, s: Record, reg: int, earliest: int) -> int:
    """One register in one word."""
    cycle = s["reg_cycle"][reg]
    row = s["reg_row"][reg]
    until = cycle + m["longest_latency"][row]
    if s["reg_condition"][reg] != _ALWAYS:
        until += max(m["predicate_change_cycles"], m["predicate_change_beside_cycles"])
    now = s["cycle"]
    if until <= earliest and cycle <= now - m["early_flags_distance_cycles"]:
        return _READY
    packed = ((cycle - now) << _ROW_BITS) | np.int64(row)
    return int((packed << _CONDITION_BITS) | s["reg_condition"][reg])


@inlined
def _take_supply(m: Record, s: Record, out: I64, earliest: int) -> None:
    """The queue of fetched words.

    The next word arrives after the newest, and when the one that it replaces has left; what left
    earlier than the arrivals allow makes no difference. An arrival so long ago that even misses
    from there on would be over by now counts as that long ago.
    """
    now = s["cycle"]
    queue = m["fetch_queue_entries"]
    arrival = max(s["arrival"], earliest - m["fetch_reach_cycles"])
    if queue > 1:
        arrival = max(arrival, s["left"][(s["place"] + 1) % queue])
    for k in range(queue - 1):
        left = s["left"][(s["place"] + 1 + k) % queue]
        out[_LEFT + k] = max(left, arrival + k) - now
    out[_ARRIVAL] = arrival - now
    out[_ARRIVAL_WAIT] = NO_WAIT
    if s["arrival_wait"] >> CAUSE_BITS > earliest:
        out[_ARRIVAL_WAIT] = s["arrival_wait"] - (now << CAUSE_BITS)
    out[_FETCH_LINE] = -1
    out[_FETCH_END] = NEVER
    if s["fetch_end"] > arrival + 1:
        out[_FETCH_LINE] = s["fetch_line"]
        out[_FETCH_WORD] = s["fetch_first_word"]
        out[_FETCH_FIRST] = s["fetch_first"] - now
        out[_FETCH_BEAT] = s["fetch_beat"]
        out[_FETCH_END] = s["fetch_end"] - now


@kernel
def put_snapshot(m: Record, s: Record, snapshot: I64) -> None:
    """Put the pipeline into a state taken before, as of its present cycle."""
    now = s["cycle"]
    s["pending"] = snapshot[_PENDING]
    s["word"] = snapshot[_WORD]
    s["line"] = snapshot[_LINE]
    s["older_klass"] = snapshot[_OLDER]
    s["older_flags"] = snapshot[_OLDER_FLAGS]
    s["pair_cycle"] = snapshot[_PAIR] + now
    s["load_bank"] = snapshot[_LOAD_BANK]
    s["load_unaligned"] = snapshot[_LOAD_UNALIGNED]
    s["branch_operand"] = _absolute(snapshot[_BRANCH_OPERAND], now)
    s["mac_cycle"] = _absolute(snapshot[_MAC], now)
    s["mac_before"] = _absolute(snapshot[_MAC_BEFORE], now)
    s["chained_cycle"] = _absolute(snapshot[_CHAINED], now)
    s["restart"] = _absolute(snapshot[_RESTART], now)
    s["restart_cause"] = snapshot[_RESTART_CAUSE]
    for reg in range(_N_REGISTERS):
        packed = snapshot[_REGISTERS + reg]
        s["reg_condition"][reg] = packed & ((1 << _CONDITION_BITS) - 1)
        packed >>= _CONDITION_BITS
        s["reg_row"][reg] = packed & ((1 << _ROW_BITS) - 1)
        cycle = packed >> _ROW_BITS
        s["reg_cycle"][reg] = NEVER if cycle == _LONG_AGO else cycle + now
    queue = m["fetch_queue_entries"]
    s["place"] = 0
    for k in range(queue - 1):
        s["left"][1 + k] = snapshot[_LEFT + k] + now
    s["arrival"] = snapshot[_ARRIVAL] + now
    s["arrival_wait"] = NO_WAIT
    if snapshot[_ARRIVAL_WAIT] != NO_WAIT:
        s["arrival_wait"] = snapshot[_ARRIVAL_WAIT] + (now << CAUSE_BITS)
    s["fetch_line"] = snapshot[_FETCH_LINE]
    s["fetch_first_word"] = snapshot[_FETCH_WORD]
    s["fetch_first"] = snapshot[_FETCH_FIRST] + now
    s["fetch_beat"] = snapshot[_FETCH_BEAT]
    s["fetch_end"] = _absolute(snapshot[_FETCH_END], now)
