"""Loads and stores: banks, alignment, the store queue, store-to-load hazards, cache misses.

Before an access issues, ``store_wait`` and ``load_wait`` say how long it has to wait; after it has
issued, ``load_hold`` says for how many further cycles it holds the pipeline, ``put_store`` queues
a store.
"""

from __future__ import annotations

from m7sim.jit import inlined, kernel
from m7sim.timing.cache import MISS, lookup
from m7sim.timing.causes import StallCause
from m7sim.timing.state import (
    CACHED,
    NEVER,
    PAGE_SHIFT,
    STORE_RING,
    TCM,
    Record,
)

_UNALIGNED = int(StallCause.UNALIGNED)

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
    if cycle >= s["last_store"] + m["store_to_load_cycles"]:
        return ready
    near = m["store_to_load_window_bytes"] - 1
    start = address & ~near
    end = (address + n_bytes + near) & ~near
    for back in range(1, STORE_RING):
        k = (s["stores"] - back) & (STORE_RING - 1)
        free = s["store_cycle"][k] + m["store_to_load_cycles"]
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
    m: Record, s: Record, address: int, unit_bytes: int, n_bytes: int, cycle: int
) -> None:
    """Queue a store that issued in ``cycle``; a write into the caches is hidden behind it."""
    region = m["page_region"][address >> PAGE_SHIFT]
    kind = m["region_kind"][region]
    cost = 1
    if unaligned(address, unit_bytes):
        cost = m["unaligned_store_cycles"]
    elif unit_bytes < 4 and kind == TCM:
        cost = m["subword_store_cycles"]
    if kind != TCM and not (kind == CACHED and s["dcache"]["enabled"]):
        cost = max(cost, m["write_cycles"][region])
    k = s["stores"] & (STORE_RING - 1)
    drained = max(s["drained"], cycle) + cost
    s["store_cycle"][k] = cycle
    s["store_start"][k] = address
    s["store_end"][k] = address + n_bytes
    s["store_drained"][k] = drained
    s["drained"] = drained
    s["last_store"] = cycle
    s["stores"] += 1
    if kind == CACHED and s["dcache"]["enabled"]:
        write_back = m["write_allocate"][region]
        line_bytes = 1 << s["dcache"]["line_shift"]
        at = address
        while at < address + n_bytes:
            lookup(s["dcache"], at, write_back, write_back)
            at = (at | (line_bytes - 1)) + 1


@kernel
def _memory_hold(m: Record, s: Record, r: Record, c: Record, region: int, address: int) -> int:
    """Cycles for which a load waits for a cache line or for a memory without cache."""
    n_bytes = r["access_bytes"]
    hold = 0
    if m["region_kind"][region] == CACHED and s["dcache"]["enabled"]:
        line_bytes = 1 << s["dcache"]["line_shift"]
        at = address
        while at < address + n_bytes:
            if lookup(s["dcache"], at, 1, 0) == MISS:
                hold += m["fill_cycles"][region]
            at = (at | (line_bytes - 1)) + 1
        cause = m["fill_cause"][region]
    else:
        hold = m["read_cycles"][region] * (n_bytes // r["unit_bytes"])
        cause = m["read_cause"][region]
    c["stalls"][cause] += hold
    return hold


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
