"""Transfers over the AXI port, and the line-fill buffers of the data side.

A memory outside the TCMs is a slave that serves one transfer after the other; transfers to
different slaves overlap. A line fill brings the 64 bits that were asked for first (critical word
first), then the others of the line, around its end, a beat each (TRM 5.9). The pipeline goes on
with the first; an access to a later word of the line waits for that word only (streaming), one to
another line that is there does not wait at all (hit under miss). A third fill waits for one of the
two buffers. A dirty line that has to go leaves after the fill that replaces it.
"""

from __future__ import annotations

from m7sim.jit import kernel
from m7sim.timing.cache import ABSENT, allocate
from m7sim.timing.state import PAGE_SHIFT, Record


@kernel
def transfer(m: Record, s: Record, region: int, lead_cycles: int, words: int, cycle: int) -> int:
    """Start a transfer of ``words`` times 64 bits; return the cycle in which the first is there.

    ``lead_cycles`` is how long that takes when the memory is idle; behind another transfer the
    way there overlaps with it.
    """
    slave = m["slave"][region]
    free = s["bus_free"][slave] + m["slave_cycles"][region]
    first: int = max(cycle + lead_cycles, free)
    s["bus_free"][slave] = first + (words - 1) * m["beat_cycles"][region]
    return first


@kernel
def fill_line(m: Record, s: Record, region: int, line: int, word: int, dirty: int) -> int:
    """Bring a line into the D-cache, ``word`` first; return the cycle in which its fill begins."""
    buffer = 0
    for other in range(1, m["linefill_buffers"]):
        if s["fill_end"][other] < s["fill_end"][buffer]:
            buffer = other
    start: int = max(s["cycle"], s["fill_end"][buffer])
    words = 1 << (s["dcache"]["line_shift"] - 3)
    first = transfer(m, s, region, m["fill_cycles"][region], words, start)
    end = first + (words - 1) * m["beat_cycles"][region]
    s["fill_line"][buffer] = line
    s["fill_word"][buffer] = word
    s["fill_first"][buffer] = first
    s["fill_beat"][buffer] = m["beat_cycles"][region]
    s["fill_end"][buffer] = end
    s["fills_end"] = max(s["fills_end"], end)
    evicted = allocate(s["dcache"], line, dirty)
    if evicted != ABSENT:
        write_line(m, s, evicted)
    s["data_line"] = line
    return start


@kernel
def write_line(m: Record, s: Record, line: int) -> None:
    """Write a dirty line to its memory, when that has finished what it is doing."""
    shift = s["dcache"]["line_shift"]
    region = m["page_region"][(line << shift) >> PAGE_SHIFT]
    slave = m["slave"][region]
    beat = m["beat_cycles"][region]
    burst = ((1 << (shift - 3)) - 1) * beat + (beat >> 1)
    s["bus_free"][slave] = max(s["bus_free"][slave], s["cycle"]) + m["write_cycles"][region] + burst


@kernel
def filled(m: Record, s: Record, line: int, first: int, last: int, cycle: int) -> int:
    """First cycle, from ``cycle`` on, in which the words ``first`` to ``last`` of a line are there.

    The line is in the D-cache or on its way to it; words are of 64 bits.
    """
    ready = cycle
    last_of_line = (1 << (s["dcache"]["line_shift"] - 3)) - 1
    for buffer in range(m["linefill_buffers"]):
        if s["fill_line"][buffer] == line and s["fill_end"][buffer] > ready:
            for word in range(first, last + 1):
                behind = (word - s["fill_word"][buffer]) & last_of_line
                there = s["fill_first"][buffer] + behind * s["fill_beat"][buffer]
                ready = max(ready, there)
    return ready
