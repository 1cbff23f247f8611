"""Switching and cleaning of the caches by the firmware (SCB registers; Armv7-M ARM B3.2.25)."""

from __future__ import annotations

from typing import Final

from m7sim.timing.linefill import write_line
from m7sim.timing.state import Record

ICIALLU: Final = 0xE000_EF50
ICIMVAU: Final = 0xE000_EF58
DCIMVAC: Final = 0xE000_EF5C
DCISW: Final = 0xE000_EF60
DCCMVAU: Final = 0xE000_EF64
DCCMVAC: Final = 0xE000_EF68
DCCSW: Final = 0xE000_EF6C
DCCIMVAC: Final = 0xE000_EF70
DCCISW: Final = 0xE000_EF74
BPIALL: Final = 0xE000_EF78

_CLEANS: Final = (DCCMVAU, DCCMVAC, DCCSW, DCCIMVAC, DCCISW)
_INVALIDATES: Final = (ICIMVAU, DCIMVAC, DCISW, DCCIMVAC, DCCISW)
_BY_SET: Final = (DCISW, DCCSW, DCCISW)
_MAX_WAYS_BITS: Final = 32


def maintain(model: Record, memory: Record, register: int, value: int, cycle: int) -> None:
    """Do what a write to a maintenance register does; dirty lines go out on the bus."""
    memory["data_line"] = -1
    if register == ICIALLU:
        _invalidate_all(memory["icache"])
    elif register == BPIALL:
        memory["btac_tag"] = -1
    elif register in _CLEANS or register in _INVALIDATES:
        cache = memory["icache"] if register == ICIMVAU else memory["dcache"]
        entry = _by_set(cache, value) if register in _BY_SET else _by_address(cache, value)
        if entry is None or cache["tag"][entry] < 0:
            return
        if register in _CLEANS and cache["dirty"][entry]:
            write_line(model, memory, int(cache["tag"][entry]), cycle)
            cache["write_backs"] += 1
        cache["dirty"][entry] = 0
        if register in _INVALIDATES:
            cache["tag"][entry], cache["used"][entry] = -1, 0


def _invalidate_all(cache: Record) -> None:
    cache["tag"] = -1
    cache["used"] = cache["dirty"] = 0


def _by_address(cache: Record, address: int) -> int | None:
    line = address >> int(cache["line_shift"])
    first = (line & int(cache["set_mask"])) * int(cache["ways"])
    for entry in range(first, first + int(cache["ways"])):
        if cache["tag"][entry] == line:
            return entry
    return None


def _by_set(cache: Record, value: int) -> int | None:
    """Entry of a set and way: the way in the topmost bits, the set above the line's offset."""
    ways = int(cache["ways"])
    way_bits = (ways - 1).bit_length()
    way = value >> (_MAX_WAYS_BITS - way_bits) if way_bits else 0
    number = value >> int(cache["line_shift"]) & int(cache["set_mask"])
    return number * ways + way if way < ways else None
