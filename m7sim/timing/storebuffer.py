"""The store buffer on the way to everything but the TCMs: four entries of 64 bits (TRM 5.9.2).

Stores that write through, that no cache covers, or that miss and do not allocate pass through it.
An entry waits to be merged with until all its bytes are written or until the buffer is half full;
Device accesses are not merged and push everything before them out. Entries leave in order, each
when the memory before it has been written. A store finds no room when all entries are taken.
"""

from __future__ import annotations

from m7sim.jit import kernel
from m7sim.timing.memory import DRAIN_RING
from m7sim.timing.state import DEVICE, Record

_FULL, _LOW, _HIGH = 0xFF, 0x0F, 0xF0  # bytes of an entry


@kernel
def _send(m: Record, u: Record, k: int, cycle: int) -> None:
    """Send the entry ``k`` of those that wait to be merged with on its way."""
    region = u["merging_region"][k]
    slave = m["slave"][region]
    start = max(cycle + 1, u["drain_done"][(u["drains"] - 1) & (DRAIN_RING - 1)])
    done = max(start, u["bus_free"][slave]) + m["write_cycles"][region]
    if u["merging_mask"][k] & _LOW and u["merging_mask"][k] & _HIGH:
        done += m["beat_cycles"][region] >> 1
    u["bus_free"][slave] = done
    u["drain_done"][u["drains"] & (DRAIN_RING - 1)] = done
    u["drains"] += 1
    u["merging"] -= 1
    for j in range(k, u["merging"]):
        u["merging_word"][j] = u["merging_word"][j + 1]
        u["merging_mask"][j] = u["merging_mask"][j + 1]
        u["merging_region"][j] = u["merging_region"][j + 1]


@kernel
def drain(m: Record, u: Record, cycle: int) -> int:
    """Send everything on its way; return the cycle in which all of it is written."""
    while u["merging"] > 0:
        _send(m, u, 0, cycle)
    done: int = u["drain_done"][(u["drains"] - 1) & (DRAIN_RING - 1)]
    return max(done, cycle)


@kernel
def holds(u: Record, address: int, n_bytes: int) -> bool:
    """Say whether one entry has all the bytes of a load; it is then served from there."""
    word = address >> 3
    if (address + n_bytes - 1) >> 3 != word:
        return False
    mask = ((1 << n_bytes) - 1) << (address & 7)
    for k in range(u["merging"]):
        if u["merging_word"][k] == word:
            return bool(u["merging_mask"][k] & mask == mask)
    return False


@kernel
def buffer_store(m: Record, u: Record, region: int, address: int, n_bytes: int, cycle: int) -> int:
    """Put a store into the buffer; return the cycles for which it waits for room."""
    stall = 0
    device = m["region_kind"][region] == DEVICE
    if device:
        drain(m, u, cycle)
    at = address
    while at < address + n_bytes:
        word = at >> 3
        upto = min(address + n_bytes, (word + 1) << 3)
        k = 0
        while k < u["merging"] and u["merging_word"][k] != word:
            k += 1
        if k == u["merging"]:
            # one of the entries on their way must have left to make room
            before = m["store_buffer_entries"] - k
            room = u["drain_done"][(u["drains"] - before) & (DRAIN_RING - 1)]
            stall = max(stall, room - cycle)
            u["merging_word"][k] = word
            u["merging_mask"][k] = 0
            u["merging_region"][k] = region
            u["merging"] += 1
        u["merging_mask"][k] |= ((1 << (upto - at)) - 1) << (at & 7)
        if device or u["merging_mask"][k] == _FULL:
            _send(m, u, k, cycle + stall)
        elif u["merging"] > m["merging_entries"]:
            _send(m, u, 0, cycle + stall)
        at = upto
    return stall
