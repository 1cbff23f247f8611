"""Numbers as people write them: cycles, hertz, bytes, seconds, volts, joules."""

from __future__ import annotations

import re

from m7sim.errors import InputError

_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_QUANTITY = re.compile(
    r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][0-9]+)?)\s*([kKMG]?)\s*([A-Za-z]*)\s*"
)

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]+)\s*")


def count(text: str) -> int:
    """Parse a count such as ``2000000``, ``2_000_000``, ``2M`` or ``1e9``.

    Raises
    ------
    InputError
        If the text is not a positive whole number.
    """
    return _parse(text, {""}, "a count such as 2000000, 2M or 1e9")


def hertz(text: str) -> int:
    """Parse a clock such as ``216 MHz``, ``216M`` or ``216000000``; the result is in hertz."""
    return _parse(text, {"", "Hz"}, "a clock such as 216MHz")


def millivolts(text: str) -> int:
    """Parse a voltage such as ``3.3V`` or ``3300mV``; the result is in millivolts."""
    return round(1e3 * _physical(text, {"V": 1.0, "mV": 1e-3}, "a voltage such as 3.3V"))


def seconds(text: str) -> float:
    """Parse a time such as ``1s``, ``20ms`` or ``1h``; the result is in seconds."""
    scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0, "h": 3600.0}
    return _physical(text, scale, "a time such as 1s, 20ms or 5min")


def milliampere_hours(text: str) -> float:
    """Parse a battery's capacity such as ``230mAh`` or ``2.5Ah``; the result is in mAh."""
    return _physical(text, {"mAh": 1.0, "Ah": 1e3}, "a capacity such as 230mAh")


def joules(text: str) -> float:
    """Parse an energy such as ``5mJ`` or ``200uJ``; the result is in joules."""
    scale = {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9}
    return _physical(text, scale, "an energy such as 5mJ or 200uJ")


def size_bytes(text: str) -> int:
    """Parse a size such as ``65536``, ``64K``, ``64KiB`` or ``1MiB``; K and M are binary."""
    expected = "a size such as 65536, 64KiB or 1MiB"
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kKM]?)(i?B)?\s*", text)
    if match:
        value = float(match[1]) * {"": 1, "k": 1024, "K": 1024, "M": 1 << 20}[match[2]]
        if value == int(value) and value > 0:
            return int(value)
    raise InputError(f"{text!r} is not {expected}")


def _physical(text: str, units: dict[str, float], expected: str) -> float:
    """Parse a positive number with a unit that must be there."""
    match = _NUMBER.fullmatch(text)
    if match and match[2] in units and float(match[1]) > 0:
        return float(match[1]) * units[match[2]]
    raise InputError(f"{text!r} is not {expected}")


def _parse(text: str, units: set[str], expected: str) -> int:
    match = _QUANTITY.fullmatch(text)
    if match and match[3] in units:
        value = float(match[1].replace("_", "")) * _SCALE[match[2]]
        if value == int(value) and value > 0:
            return int(value)
    raise InputError(f"{text!r} is not {expected}")


def format_count(value: float) -> str:
    """Format with thin groups: ``12 345 678``."""
    return f"{value:,.0f}".replace(",", " ")


def format_hz(hz: float) -> str:
    for scale, unit in ((1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz")):
        if hz >= scale:
            return f"{hz / scale:g} {unit}"
    return f"{hz:g} Hz"


def format_bytes(size_bytes: int) -> str:
    for scale, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.4g} {unit}"
    return f"{size_bytes} B"


def format_seconds(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def format_joules(joules: float) -> str:
    for scale, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if joules >= scale:
            return f"{joules / scale:.4g} {unit}"
    return f"{joules / 1e-9:.4g} nJ"


def format_percent(share: float) -> str:
    return f"{100 * share:.1f} %"
