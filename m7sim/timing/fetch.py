"""Instruction supply: aligned 64-bit words, one a cycle, four of them running ahead.

The stream of words follows the predicted path, so a correctly predicted taken branch costs no
bubble, but it always begins a new word: a four-byte loop that lies across two words takes two
cycles per iteration and an aligned one takes one (m7-core f2), and a branch pairs with its target
only when the stream had run ahead (f3).

A word outside the TCMs comes from the I-cache, from a line that is being filled (critical word
first, then one word after the other), through ART, or straight from its memory, one word a read.
"""

from __future__ import annotations

from m7sim.jit import inlined, kernel
from m7sim.timing.causes import StallCause
from m7sim.timing.ports import ask_line, ask_word
from m7sim.timing.state import (
    ACCELERATED,
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
_ART = int(StallCause.ART_MISS)


@kernel
def _cached_word(
    m: Record, s: Record, u: Record, log: Record, region: int, word: int, arrival: int
) -> int:
    """Return when a word arrives that the I-cache covers, asked for to be there at ``arrival``."""
    shift = u["icache"]["line_shift"] - 3
    line = word >> shift
    last_of_line = (1 << shift) - 1
    if line != s["line"]:
        s["line"] = line
        wait = ask_line(m, u, log, word, arrival)
        if wait:
            beat = m["beat_cycles"][region]
            s["fetch_line"] = line
            s["fetch_first_word"] = word
            s["fetch_first"] = arrival + wait
            s["fetch_beat"] = beat
            s["fetch_end"] = arrival + wait + last_of_line * beat
    if s["fetch_end"] > arrival and line == s["fetch_line"]:
        behind = (word - s["fetch_first_word"]) & last_of_line
        arrival = max(arrival, s["fetch_first"] + behind * s["fetch_beat"])
    return arrival


@inlined
def bring_words(m: Record, s: Record, u: Record, log: Record, last_word: int, cycle: int) -> None:
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
            soonest = arrival
            if kind == CACHED and u["icache"]["enabled"]:
                if s["fetch_end"] > arrival or word >> (u["icache"]["line_shift"] - 3) != s["line"]:
                    arrival = _cached_word(m, s, u, log, region, word, arrival)
                    if arrival > soonest:
                        cause = _REFILL
            else:
                arrival += ask_word(m, u, log, word, arrival)
                if arrival > soonest:
                    cause = _ART if kind == ACCELERATED else _UNCACHED
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
