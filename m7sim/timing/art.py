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
def _held(m: Record, u: Record, line: int) -> int:
    for k in range(m["art_lines"]):
        if u["art_tag"][k] == line:
            return k
    return -1


@kernel
def _keep(m: Record, u: Record, line: int) -> None:
    victim = 0
    for k in range(1, m["art_lines"]):
        if u["art_used"][k] < u["art_used"][victim]:
            victim = k
    u["art_tag"][victim] = line
    u["art_clock"] += 1
    u["art_used"][victim] = u["art_clock"]


@kernel
def _line_ready(m: Record, u: Record, region: int, line: int, cycle: int) -> int:
    """First cycle, from ``cycle`` on, in which ART can deliver a line."""
    u["art_accesses"] += 1
    k = _held(m, u, line)
    if k >= 0:
        u["art_clock"] += 1
        u["art_used"][k] = u["art_clock"]
        return cycle
    if line == u["prefetch_line"]:
        ready: int = max(cycle, u["prefetch_ready"])
        u["prefetch_line"] = -1
    else:
        u["art_misses"] += 1
        slave = m["slave"][region]
        lead = m["read_cycles"][region]
        ready = max(cycle + lead, u["bus_free"][slave] + m["art_read_cycles"])
        u["bus_free"][slave] = ready
    _keep(m, u, line)
    return ready


@kernel
def fetch_line(m: Record, u: Record, region: int, line: int, cycle: int) -> int:
    """First cycle in which the instructions of a line are there; reads the next line ahead."""
    if line == u["art_line"]:
        return int(max(cycle, u["art_ready"]))
    ready = _line_ready(m, u, region, line, cycle)
    u["art_line"] = line
    u["art_ready"] = ready
    if m["art_prefetch"] and _held(m, u, line + 1) < 0 and u["prefetch_line"] != line + 1:
        slave = m["slave"][region]
        u["prefetch_line"] = line + 1
        u["prefetch_ready"] = max(ready, u["bus_free"][slave]) + m["art_read_cycles"]
        u["bus_free"][slave] = u["prefetch_ready"]
    return ready


@kernel
def read_data(m: Record, u: Record, region: int, address: int, n_bytes: int, cycle: int) -> int:
    """First cycle in which data read through ART are there."""
    ready = cycle
    line = address >> m["art_line_shift"]
    while line <= (address + n_bytes - 1) >> m["art_line_shift"]:
        if line == u["art_line"]:
            ready = max(ready, u["art_ready"])
        else:
            ready = _line_ready(m, u, region, line, ready)
        line += 1
    return ready
