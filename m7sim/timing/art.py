"""The flash accelerator (ART) before the flash's ITCM interface: lines of 256 bits, prefetch.

It holds instructions and constants alike. A line that it has is served without waiting; one that
it lacks costs a read of the flash. With each new line of instructions the next one is read ahead;
whether a line that was read ahead is kept when it has been used is not public, and assumed: ST's
claim that loops run as fast from there as from the TCM needs it. Replacement: least recently used.
"""

from __future__ import annotations

from m7sim.jit import kernel
from m7sim.timing.state import Record


@kernel
def _held(m: Record, s: Record, line: int) -> int:
    for k in range(m["art_lines"]):
        if s["art_tag"][k] == line:
            return k
    return -1


@kernel
def _keep(m: Record, s: Record, line: int) -> None:
    victim = 0
    for k in range(1, m["art_lines"]):
        if s["art_used"][k] < s["art_used"][victim]:
            victim = k
    s["art_tag"][victim] = line
    s["art_clock"] += 1
    s["art_used"][victim] = s["art_clock"]


@kernel
def _line_ready(m: Record, s: Record, region: int, line: int, cycle: int) -> int:
    """First cycle, from ``cycle`` on, in which ART can deliver a line."""
    s["art_accesses"] += 1
    k = _held(m, s, line)
    if k >= 0:
        s["art_clock"] += 1
        s["art_used"][k] = s["art_clock"]
        return cycle
    if line == s["prefetch_line"]:
        ready: int = max(cycle, s["prefetch_ready"])
        s["prefetch_line"] = -1
    else:
        s["art_misses"] += 1
        slave = m["slave"][region]
        lead = m["read_cycles"][region]
        ready = max(cycle + lead, s["bus_free"][slave] + m["art_read_cycles"])
        s["bus_free"][slave] = ready
    _keep(m, s, line)
    return ready


@kernel
def fetch_line(m: Record, s: Record, region: int, line: int, cycle: int) -> int:
    """First cycle in which the instructions of a line are there; reads the next line ahead."""
    if line == s["art_line"]:
        return int(max(cycle, s["art_ready"]))
    ready = _line_ready(m, s, region, line, cycle)
    s["art_line"] = line
    s["art_ready"] = ready
    if m["art_prefetch"] and _held(m, s, line + 1) < 0 and s["prefetch_line"] != line + 1:
        slave = m["slave"][region]
        s["prefetch_line"] = line + 1
        s["prefetch_ready"] = max(ready, s["bus_free"][slave]) + m["art_read_cycles"]
        s["bus_free"][slave] = s["prefetch_ready"]
    return ready


@kernel
def read_data(m: Record, s: Record, region: int, address: int, n_bytes: int, cycle: int) -> int:
    """First cycle in which data read through ART are there."""
    ready = cycle
    line = address >> m["art_line_shift"]
    while line <= (address + n_bytes - 1) >> m["art_line_shift"]:
        if line == s["art_line"]:
            ready = max(ready, s["art_ready"])
        else:
            ready = _line_ready(m, s, region, line, ready)
        line += 1
    return ready
