"""Instruction supply: aligned 64-bit words, one a cycle, four of them running ahead.

The stream of words follows the predicted path, so a correctly predicted taken branch costs no
bubble, but it always begins a new word: a four-byte loop that lies across two words takes two
cycles per iteration and an aligned one takes one (m7-core f2), and a branch pairs with its target
only when the stream had run ahead (f3).
"""

from __future__ import annotations

from m7sim.jit import inlined, kernel
from m7sim.timing.cache import MISS, lookup
from m7sim.timing.causes import StallCause
from m7sim.timing.state import (
    CACHED,
    CAUSE_BITS,
    CAUSE_MASK,
    PAGE_SHIFT,
    TCM,
    Record,
)

_FETCH = int(StallCause.FETCH)
_REFILL = int(StallCause.ICACHE_REFILL)
_UNCACHED = int(StallCause.FETCH_UNCACHED)


@inlined
def bring_words(m: Record, s: Record, last_word: int, cycle: int) -> None:
    """Advance the stream up to ``last_word``; the words before it are used up in ``cycle``."""
    while s["word"] < last_word:
        place = s["place"]
        s["left"][place] = cycle
        place += 1
        if place == m["fetch_queue_entries"]:
            place = 0
        # a word enters the queue when the one that many places before it has left
        arrival = max(s["arrival"], s["left"][place]) + 1
        cause = _FETCH
        word = s["word"] + 1
        region = m["page_region"][(word << 3) >> PAGE_SHIFT]
        kind = m["region_kind"][region]
        if kind != TCM:
            line = (word << 3) >> s["icache"]["line_shift"]
            if kind == CACHED and s["icache"]["enabled"]:
                if line != s["line"] and lookup(s["icache"], word << 3, 1, 0) == MISS:
                    arrival += m["fill_cycles"][region]
                    cause = _REFILL
            else:
                arrival += m["read_cycles"][region]
                cause = _UNCACHED
            s["line"] = line
        s["word"] = word
        s["arrival"] = arrival
        s["arrival_wait"] = (arrival << CAUSE_BITS) + CAUSE_MASK - cause
        s["place"] = place


@kernel
def follow(s: Record, target: int) -> None:
    """Continue the stream at a predicted target."""
    s["word"] = (target >> 3) - 1


@kernel
def restart(s: Record, target: int, first_cycle: int, cause: int) -> None:
    """Throw the stream away; its first word from ``target`` may issue in ``first_cycle``."""
    s["word"] = (target >> 3) - 1
    s["arrival"] = first_cycle - 1
    s["restart"] = first_cycle
    s["restart_cause"] = cause
