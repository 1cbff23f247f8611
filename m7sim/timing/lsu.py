"""Loads and stores: banks, alignment, the store queue, store-to-load hazards, the way to memory.

Before an access issues, ``store_wait`` and ``load_wait`` say how long it has to wait; after it has
issued, ``load_hold`` and ``put_store`` say for how many further cycles it holds the pipeline.
A load holds it until its data are there; a store only when there is no room for it.
"""

from __future__ import annotations

from m7sim.jit import inlined, kernel
from m7sim.timing.art import read_data
from m7sim.timing.cache import ABSENT, find
from m7sim.timing.causes import StallCause
from m7sim.timing.linefill import fill_line, filled, transfer
from m7sim.timing.state import (
    ACCELERATED,
    CACHED,
    DEVICE,
    NEVER,
    PAGE_SHIFT,
    STORE_RING,
    TCM,
    Record,
)
from m7sim.timing.storebuffer import buffer_store, drain, holds

_UNALIGNED = int(StallCause.UNALIGNED)
_STORE_BUFFER = int(StallCause.STORE_BUFFER)

ITCM_BANK = 2  # one bank, 64 bits wide; 0 and 1 are the even and odd words of all others
_ITCM_END = 0x0020_0000


@inlined
def bank(m: Record, address: int) -> int:
    """Bank of the TCM or cache that an access at ``address`` reads first."""
    if address < _ITCM_END and m["region_kind"][m["page_region"][address >> PAGE_SHIFT]] == TCM:
        return ITCM_BANK
    parity: int = (address >> m["bank_address_bit"]) & 1
    return parity


@inlined
def unaligned(address: int, unit_bytes: int) -> bool:
    """Say whether one transfer does not lie in one aligned unit of its size (words at most)."""
    return (address & (min(unit_bytes, 4) - 1)) != 0


@kernel
def load_wait(m: Record, s: Record, address: int, n_bytes: int, cycle: int) -> int:
    """First cycle in which a load issues as far as the stores before it are concerned."""
    ready = NEVER
    behind = m["store_buffer_to_load_cycles"]
    if m["region_kind"][m["page_region"][address >> PAGE_SHIFT]] == TCM:
        behind = m["store_to_load_cycles"]
    if cycle >= s["last_store"] + behind:
        return ready
    near = m["store_to_load_window_bytes"] - 1
    start = address & ~near
    end = (address + n_bytes + near) & ~near
    for back in range(1, STORE_RING):
        k = (s["stores"] - back) & (STORE_RING - 1)
        free = s["store_cycle"][k] + behind
        if free <= cycle:
            break
        if s["store_start"][k] < end and s["store_end"][k] > start:
            ready = max(ready, free)
    return ready


@inlined
def store_wait(m: Record, s: Record) -> int:
    """First cycle in which the store queue has room."""
    drained: int = s["store_drained"][(s["stores"] - m["store_queue_entries"]) & (STORE_RING - 1)]
    return drained


@kernel
def put_store(
    m: Record, s: Record, c: Record, address: int, unit_bytes: int, n_bytes: int, cycle: int
) -> int:
    """Queue a store that issued in ``cycle``; return for how long it holds the pipeline."""
    region = m["page_region"][address >> PAGE_SHIFT]
    kind = m["region_kind"][region]
    cost = 1  # until the next store may leave the queue
    occupied = 1  # until the next one may go to the same bank
    if unaligned(address, unit_bytes):
        occupied = cost = m["unaligned_store_cycles"]
    elif unit_bytes < 4 and kind == TCM:
        occupied = m["subword_store_cycles"]
    start = max(s["drained"], cycle)
    hold = 0
    if kind == TCM and cost == 1:
        # the banks are served independently: a store may pass one that waits for the other bank
        where = bank(m, address)
        start = max(cycle, s["bank_free"][where])
        s["bank_free"][where] = start + occupied
    if kind == CACHED and s["dcache"]["enabled"]:
        start = max(start, _cached_store(m, s, c, region, address, n_bytes, cycle))
        hold = s["store_hold"]
    elif kind != TCM:
        hold = buffer_store(m, s, region, address, n_bytes, cycle)
    if hold:
        c["stalls"][_STORE_BUFFER] += hold
    k = s["stores"] & (STORE_RING - 1)
    s["store_cycle"][k] = cycle
    s["store_start"][k] = address
    s["store_end"][k] = address + n_bytes
    s["store_drained"][k] = start + occupied
    s["drained"] = max(s["drained"], start + cost)
    s["last_store"] = cycle
    s["stores"] += 1
    return int(hold)


@kernel
def _cached_store(
    m: Record, s: Record, c: Record, region: int, address: int, n_bytes: int, cycle: int
) -> int:
    """Write to the D-cache or past it; return the cycle up to which the store keeps its place.

    The cycles for which it holds the pipeline go to ``store_hold``.
    """
    until = cycle
    hold = 0
    shift = s["dcache"]["line_shift"]
    at = address
    while at < address + n_bytes:
        line = at >> shift
        upto = min(address + n_bytes, (line + 1) << shift)
        entry = find(s["dcache"], line)
        if not m["write_back"][region]:
            hold += buffer_store(m, s, region, at, upto - at, cycle + hold)
        elif entry != ABSENT:
            s["dcache"]["dirty"][entry] = 1
            if line == s["written_line"]:
                s["written_bytes"] += upto - at
        elif _allocates(m, s, region, line, upto - at):
            until = max(until, fill_line(m, s, region, line, at >> 3, 1))
        else:
            hold += buffer_store(m, s, region, at, upto - at, cycle + hold)
        at = upto
    s["store_hold"] = hold
    return int(until)


@kernel
def _allocates(m: Record, s: Record, region: int, line: int, n_bytes: int) -> bool:
    """Say whether a store that missed brings its line in.

    After some lines in a row that were written whole it does not, until one is not (dynamic read
    allocate mode, TRM 5.9.1).
    """
    if line == s["written_line"]:
        s["written_bytes"] += n_bytes
    else:
        if s["written_bytes"] >= 1 << s["dcache"]["line_shift"]:
            s["full_lines"] += 1
        else:
            s["full_lines"] = 0
        s["written_line"] = line
        s["written_bytes"] = n_bytes
    streak = s["full_lines"] >= m["read_allocate_streak_lines"]
    return bool(m["write_allocate"][region]) and not streak


@kernel
def _cached_load(m: Record, s: Record, region: int, address: int, n_bytes: int, cycle: int) -> int:
    """First cycle in which data are there that the D-cache covers."""
    shift = s["dcache"]["line_shift"]
    last = address + n_bytes - 1
    ready = cycle
    line = address >> shift
    while line <= last >> shift:
        first = max(address, line << shift) >> 3
        if line == s["data_line"]:
            s["dcache"]["accesses"] += 1
        else:
            if line == s["written_line"]:
                s["full_lines"] = 0
            if find(s["dcache"], line) == ABSENT:
                fill_line(m, s, region, line, first, 0)
            s["data_line"] = line
        if s["fills_end"] > ready:
            upto = min(last, ((line + 1) << shift) - 1) >> 3
            ready = filled(m, s, line, first, upto, ready)
        line += 1
    return ready


@kernel
def _outer_load(
    m: Record, s: Record, region: int, kind: int, address: int, n_bytes: int, cycle: int
) -> int:
    """First cycle in which data are there that no L1 cache covers."""
    if kind == ACCELERATED:
        return read_data(m, s, region, address, n_bytes, cycle)
    start = cycle
    if kind == DEVICE:
        start = drain(m, s, cycle)
    elif holds(s, address, n_bytes):
        return cycle
    words = ((address + n_bytes - 1) >> 3) - (address >> 3) + 1
    first = transfer(m, s, region, m["read_cycles"][region], words, start)
    # what comes behind the first 32 bits takes half a beat for each 32
    more = ((address + n_bytes - 1) >> 2) - (address >> 2)
    return int(first + (more * m["beat_cycles"][region] >> 1))


@kernel
def _memory_hold(m: Record, s: Record, r: Record, c: Record, region: int, address: int) -> int:
    """Cycles for which a load waits for data from outside the TCMs."""
    cycle = s["cycle"]
    kind = m["region_kind"][region]
    if kind == CACHED and s["dcache"]["enabled"]:
        hold = _cached_load(m, s, region, address, r["access_bytes"], cycle) - cycle
        cause = m["fill_cause"][region]
    else:
        hold = _outer_load(m, s, region, kind, address, r["access_bytes"], cycle) - cycle
        cause = m["read_cause"][region]
    c["stalls"][cause] += hold
    return int(hold)


@kernel
def _unaligned_hold(m: Record, s: Record, address: int, younger: bool) -> int:
    """Further cycles of an unaligned load."""
    if not younger:
        return int(m["unaligned_load_older_cycles"])
    hold: int = m["unaligned_load_younger_cycles"]
    if s["load_unaligned"]:
        hold -= m["unaligned_load_older_cycles"]  # the older has held for that long already
    elif s["load_bank"] == bank(m, address):
        hold -= m["unaligned_load_paired_saving_cycles"]
    return hold


@kernel
def load_hold(m: Record, s: Record, r: Record, c: Record, address: int, younger: bool) -> int:
    """Further cycles for which a load that issued holds the pipeline; charged to it."""
    hold = 0
    crooked = unaligned(address, r["unit_bytes"])
    if crooked:
        hold = _unaligned_hold(m, s, address, younger)
        c["stalls"][_UNALIGNED] += hold
    elif younger and s["load_unaligned"] and s["load_bank"] == bank(m, address):
        s["refund"] = m["unaligned_load_paired_saving_cycles"]
    if not younger:
        s["load_bank"] = bank(m, address)
        s["load_unaligned"] = crooked
    region = m["page_region"][address >> PAGE_SHIFT]
    if m["region_kind"][region] != TCM:
        hold += _memory_hold(m, s, r, c, region, address)
    return hold


@kernel
def refund(s: Record, older: Record, younger: Record, c: Record) -> None:
    """Take back what the unaligned load ``older`` saves because of the aligned one beside it."""
    cycles = s["refund"]
    s["refund"] = 0
    s["cycle"] -= cycles
    c["stalls"][_UNALIGNED] -= cycles
    for k in range(older["n_writes"]):
        s["reg_cycle"][older["write_reg"][k]] -= cycles
    for k in range(younger["n_writes"]):
        s["reg_cycle"][younger["write_reg"][k]] -= cycles
