"""Loads and stores: banks, alignment, the store queue, store-to-load hazards, the way to memory.

Before an access issues, ``load_facts`` and ``store_facts`` say how long it has to wait; after it
has issued, ``data_hold`` and ``put_store`` say for how many further cycles it holds the pipeline.
A load holds it until its data are there; a store only when there is no room for it.
"""

from __future__ import annotations

from m7sim.jit import inlined, kernel
from m7sim.timing.art import read_data
from m7sim.timing.cache import ABSENT, find, touch
from m7sim.timing.linefill import fill_line, filled, transfer
from m7sim.timing.memory import STORE_RING
from m7sim.timing.state import (
    ACCELERATED,
    CACHED,
    CAUSE_BITS,
    DEVICE,
    NEVER,
    PAGE_SHIFT,
    TCM,
    Record,
)
from m7sim.timing.storebuffer import buffer_store, drain, holds

# bits of what the pipeline has to know of an access
ACCESSED, BANK_SHIFT, CROOKED, OUTSIDE, WAIT_SHIFT = 1, 1, 8, 16, 5
BANK_MASK = 3

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
def load_wait(m: Record, u: Record, address: int, n_bytes: int, kind: int, cycle: int) -> int:
    """First cycle in which a load issues as far as the stores before it are concerned."""
    ready = NEVER
    behind = m["store_buffer_to_load_cycles"]
    if kind == TCM:
        behind = m["store_to_load_cycles"]
    if cycle >= u["last_store"] + behind:
        return ready
    near = m["store_to_load_window_bytes"] - 1
    start = address & ~near
    end = (address + n_bytes + near) & ~near
    for back in range(1, STORE_RING):
        k = (u["stores"] - back) & (STORE_RING - 1)
        free = u["store_cycle"][k] + behind
        if free <= cycle:
            break
        if u["store_start"][k] < end and u["store_end"][k] > start:
            ready = max(ready, free)
    return ready


@kernel
def load_facts(
    m: Record, u: Record, address: int, unit_bytes: int, n_bytes: int, cycle: int
) -> int:
    """Say what the pipeline has to know of a load that could issue in ``cycle``.

    Returns bits: ``ACCESSED``, the bank, ``CROOKED`` (unaligned), ``OUTSIDE`` (ask `data_hold`
    when it has issued); above them the cycles that the stores before it make it wait.
    """
    facts = ACCESSED | bank(m, address) << BANK_SHIFT
    if unaligned(address, unit_bytes):
        facts |= CROOKED
    region = m["page_region"][address >> PAGE_SHIFT]
    kind = m["region_kind"][region]
    if kind != TCM:
        covered = kind == CACHED and u["dcache"]["enabled"] != 0
        # all there and nothing on its way: then it need not be asked again when it issues
        if not (covered and u["fills_end"] <= cycle and _in_one_line_there(u, address, n_bytes)):
            facts |= OUTSIDE
    free = load_wait(m, u, address, n_bytes, kind, cycle)
    if free > cycle:
        facts |= (free - cycle) << WAIT_SHIFT
    return facts


@kernel
def store_facts(m: Record, u: Record, address: int, cycle: int) -> int:
    """Say what the pipeline has to know of a store that could issue in ``cycle``.

    Returns bits: ``ACCESSED``, ``CROOKED`` (not on a multiple of 8); above them the cycles until
    the store queue has room.
    """
    facts = ACCESSED
    if address & 7:
        facts |= CROOKED
    room = u["store_drained"][(u["stores"] - m["store_queue_entries"]) & (STORE_RING - 1)]
    if room > cycle:
        facts |= (room - cycle) << WAIT_SHIFT
    return facts


@kernel
def put_store(m: Record, u: Record, address: int, unit_bytes: int, n_bytes: int, cycle: int) -> int:
    """Queue a store that issued in ``cycle``; return for how long it holds the pipeline."""
    region = m["page_region"][address >> PAGE_SHIFT]
    kind = m["region_kind"][region]
    cost = 1  # until the next store may leave the queue
    occupied = 1  # until the next one may go to the same bank
    if unaligned(address, unit_bytes):
        occupied = cost = m["unaligned_store_cycles"]
    elif unit_bytes < 4 and kind == TCM:
        occupied = m["subword_store_cycles"]
    start = max(u["drained"], cycle)
    hold = 0
    if kind == TCM and cost == 1:
        # the banks are served independently: a store may pass one that waits for the other bank
        where = bank(m, address)
        start = max(cycle, u["bank_free"][where])
        u["bank_free"][where] = start + occupied
    if kind == CACHED and u["dcache"]["enabled"]:
        start = max(start, _cached_store(m, u, region, address, n_bytes, cycle))
        hold = u["store_hold"]
    elif kind != TCM:
        hold = buffer_store(m, u, region, address, n_bytes, cycle)
    k = u["stores"] & (STORE_RING - 1)
    u["store_cycle"][k] = cycle
    u["store_start"][k] = address
    u["store_end"][k] = address + n_bytes
    u["store_drained"][k] = start + occupied
    u["drained"] = max(u["drained"], start + cost)
    u["last_store"] = cycle
    u["stores"] += 1
    return int(hold)


@kernel
def _cached_store(m: Record, u: Record, region: int, address: int, n_bytes: int, cycle: int) -> int:
    """Write to the D-cache or past it; return the cycle up to which the store keeps its place.

    The cycles for which it holds the pipeline go to ``store_hold``.
    """
    until = cycle
    hold = 0
    shift = u["dcache"]["line_shift"]
    at = address
    while at < address + n_bytes:
        line = at >> shift
        upto = min(address + n_bytes, (line + 1) << shift)
        entry = find(u["dcache"], line)
        if not m["write_back"][region]:
            hold += buffer_store(m, u, region, at, upto - at, cycle + hold)
        elif entry != ABSENT:
            u["dcache"]["dirty"][entry] = 1
            if line == u["written_line"]:
                u["written_bytes"] += upto - at
        elif _allocates(m, u, region, line, upto - at):
            until = max(until, fill_line(m, u, region, line, at >> 3, 1, cycle))
        else:
            hold += buffer_store(m, u, region, at, upto - at, cycle + hold)
        at = upto
    u["store_hold"] = hold
    return int(until)


@kernel
def _allocates(m: Record, u: Record, region: int, line: int, n_bytes: int) -> bool:
    """Say whether a store that missed brings its line in.

    After some lines in a row that were written whole it does not, until one is not (dynamic read
    allocate mode, TRM 5.9.1).
    """
    if line == u["written_line"]:
        u["written_bytes"] += n_bytes
    else:
        if u["written_bytes"] >= 1 << u["dcache"]["line_shift"]:
            u["full_lines"] += 1
        else:
            u["full_lines"] = 0
        u["written_line"] = line
        u["written_bytes"] = n_bytes
    streak = u["full_lines"] >= m["read_allocate_streak_lines"]
    return bool(m["write_allocate"][region]) and not streak


@kernel
def _cached_load(m: Record, u: Record, region: int, address: int, n_bytes: int, cycle: int) -> int:
    """First cycle in which data are there that the D-cache covers."""
    shift = u["dcache"]["line_shift"]
    last = address + n_bytes - 1
    ready = cycle
    line = address >> shift
    while line <= last >> shift:
        first = max(address, line << shift) >> 3
        if line == u["data_line"]:
            u["dcache"]["accesses"] += 1
        else:
            if line == u["written_line"]:
                u["full_lines"] = 0
            if find(u["dcache"], line) == ABSENT:
                fill_line(m, u, region, line, first, 0, cycle)
            u["data_line"] = line
        if u["fills_end"] > ready:
            upto = min(last, ((line + 1) << shift) - 1) >> 3
            ready = filled(m, u, line, first, upto, ready)
        line += 1
    return ready


@kernel
def _outer_load(
    m: Record, u: Record, region: int, kind: int, address: int, n_bytes: int, cycle: int
) -> int:
    """First cycle in which data are there that no L1 cache covers."""
    if kind == ACCELERATED:
        return read_data(m, u, region, address, n_bytes, cycle)
    start = cycle
    if kind == DEVICE:
        start = drain(m, u, cycle)
    elif holds(u, address, n_bytes):
        return cycle
    words = ((address + n_bytes - 1) >> 3) - (address >> 3) + 1
    first = transfer(m, u, region, m["read_cycles"][region], words, start)
    # what comes behind the first 32 bits takes half a beat for each 32
    more = ((address + n_bytes - 1) >> 2) - (address >> 2)
    return int(first + (more * m["beat_cycles"][region] >> 1))


@kernel
def _in_one_line_there(u: Record, address: int, n_bytes: int) -> bool:
    """Touch the D-cache line of an access as `_cached_load` does, if it is in one that is there."""
    shift = u["dcache"]["line_shift"]
    line = address >> shift
    if line != (address + n_bytes - 1) >> shift:
        return False
    if line == u["data_line"]:
        u["dcache"]["accesses"] += 1
        return True
    if not touch(u["dcache"], line):
        return False
    if line == u["written_line"]:
        u["full_lines"] = 0
    u["data_line"] = line
    return True


@kernel
def data_hold(m: Record, u: Record, address: int, n_bytes: int, cycle: int) -> int:
    """Cycles for which a load waits for data from outside the TCMs, above their cause."""
    region = m["page_region"][address >> PAGE_SHIFT]
    kind = m["region_kind"][region]
    if kind == CACHED and u["dcache"]["enabled"]:
        hold = _cached_load(m, u, region, address, n_bytes, cycle) - cycle
        cause = m["fill_cause"][region]
    else:
        hold = _outer_load(m, u, region, kind, address, n_bytes, cycle) - cycle
        cause = m["read_cause"][region]
    return int((hold << CAUSE_BITS) + cause)
