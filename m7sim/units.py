"""Numbers as people write them: cycles, hertz, bytes, seconds."""

from __future__ import annotations

import re

from m7sim.errors import InputError

_SCALE = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_QUANTITY = re.compile(
    r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][0-9]+)?)\s*([kKMG]?)\s*([A-Za-z]*)\s*"
)


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


def format_percent(share: float) -> str:
    return f"{100 * share:.1f} %"
