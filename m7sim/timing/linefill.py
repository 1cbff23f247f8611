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
def transfer(m: Record, u: Record, region: int, lead_cycles: int, words: int, cycle: int) -> int:
    """Start a transfer of ``words`` times 64 bits; return the cycle in which the first is there.

    ``lead_cycles`` is how long that takes when the memory is idle; behind another transfer the
    way there overlaps with it.
    """
    slave = m["slave"][region]
    free = u["bus_free"][slave] + m["slave_cycles"][region]
    first: int = max(cycle + lead_cycles, free)
    u["bus_free"][slave] = first + (words - 1) * m["beat_cycles"][region]
    return first


@kernel
def fill_line(
    m: Record, u: Record, region: int, line: int, word: int, dirty: int, cycle: int
) -> int:
    """Bring a line into the D-cache, ``word`` first; return the cycle in which its fill begins."""
    buffer = 0
    for other in range(1, m["linefill_buffers"]):
        if u["fill_end"][other] < u["fill_end"][buffer]:
            buffer = other
    start: int = max(cycle, u["fill_end"][buffer])
    words = 1 << (u["dcache"]["line_shift"] - 3)
    first = transfer(m, u, region, m["fill_cycles"][region], words, start)
    end = first + (words - 1) * m["beat_cycles"][region]
    u["fill_line"][buffer] = line
    u["fill_word"][buffer] = word
    u["fill_first"][buffer] = first
    u["fill_beat"][buffer] = m["beat_cycles"][region]
    u["fill_end"][buffer] = end
    u["fills_end"] = max(u["fills_end"], end)
    evicted = allocate(u["dcache"], line, dirty)
    if evicted != ABSENT:
        write_line(m, u, evicted, cycle)
    u["data_line"] = line
    return start


@kernel
def write_line(m: Record, u: Record, line: int, cycle: int) -> None:
    """Write a dirty line to its memory, when that has finished what it is doing."""
    shift = u["dcache"]["line_shift"]
    region = m["page_region"][(line << shift) >> PAGE_SHIFT]
    slave = m["slave"][region]
    beat = m["beat_cycles"][region]
    burst = ((1 << (shift - 3)) - 1) * beat + (beat >> 1)
    u["bus_free"][slave] = max(u["bus_free"][slave], cycle) + m["write_cycles"][region] + burst


@kernel
def filled(m: Record, u: Record, line: int, first: int, last: int, cycle: int) -> int:
    """First cycle, from ``cycle`` on, in which the words ``first`` to ``last`` of a line are there.

    The line is in the D-cache or on its way to it; words are of 64 bits.
    """
    ready = cycle
    last_of_line = (1 << (u["dcache"]["line_shift"] - 3)) - 1
    for buffer in range(m["linefill_buffers"]):
        if u["fill_line"][buffer] == line and u["fill_end"][buffer] > ready:
            for word in range(first, last + 1):
                behind = (word - u["fill_word"][buffer]) & last_of_line
                there = u["fill_first"][buffer] + behind * u["fill_beat"][buffer]
                ready = max(ready, there)
    return ready
