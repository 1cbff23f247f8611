"""Bytes to decoded instructions."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from m7sim.isa import control, floating, integer, transfers
from m7sim.isa.capstone_reader import read
from m7sim.isa.draft import Draft, UndecodableError
from m7sim.isa.instruction import Instruction

_HANDLERS: Final = {
    **integer.HANDLERS,
    **transfers.HANDLERS,
    **control.HANDLERS,
    **floating.HANDLERS,
}


class Undecoded(NamedTuple):
    """A halfword at which no instruction begins."""

    address: int
    data: bytes
    why: str


def decode(data: bytes, address: int, *, it_conditions: tuple[int, ...] = ()) -> Instruction:
    """Decode the first instruction of ``data``.

    Parameters
    ----------
    data
        Little-endian Thumb code; 2 or 4 bytes of it are used.
    address
        Where it stands (even).
    it_conditions
        Conditions that an IT instruction before it left over; the first one is this instruction's.

    Raises
    ------
    UndecodableError
        If the bytes are no instruction of Armv7E-M with FPv5, or end in its middle.
    """
    return _decode(bytes(data[:4]), address, it_conditions[0] if it_conditions else None)


@lru_cache(maxsize=1 << 16)
def _decode(data: bytes, address: int, condition: int | None) -> Instruction:
    if len(data) < 2:
        raise UndecodableError("no code left to decode", where=f"0x{address:08x}")
    reading = read(data, address, condition)
    handler = _HANDLERS.get(reading.name) if reading else None
    if reading is None or handler is None:
        told = f" ({reading.text!r})" if reading else ""
        raise UndecodableError(
            f"bytes {data.hex(' ')}{told} are no instruction of Armv7E-M",
            where=f"0x{address:08x}",
            do="Is this data, or code for another core?",
        )
    draft = Draft(reading, condition)
    handler(draft)
    return draft.finish()


def sweep(data: bytes, address: int) -> tuple[list[Instruction], list[Undecoded]]:
    """Decode a range from start to end, following IT blocks.

    Where no instruction begins, one halfword is noted as undecoded and the sweep goes on behind
    it.

    Returns
    -------
    tuple
        The instructions in order, and the halfwords left over.
    """
    instructions: list[Instruction] = []
    undecoded: list[Undecoded] = []
    conditions: tuple[int, ...] = ()
    at = 0
    while at < len(data):
        try:
            found = decode(data[at : at + 4], address + at, it_conditions=conditions)
        except UndecodableError as error:
            undecoded.append(Undecoded(address + at, data[at : at + 2], str(error)))
            conditions = ()
            at += 2
            continue
        instructions.append(found)
        conditions = found.it_conditions or conditions[1:]
        at += found.size_bytes
    return instructions, undecoded


def decode_range(data: bytes, address: int) -> list[Instruction]:
    """Decode a range that has to be code throughout.

    Raises
    ------
    UndecodableError
        If any halfword of it begins no instruction; the message counts them and tells the first.
    """
    instructions, undecoded = sweep(data, address)
    if undecoded:
        raise UndecodableError(
            f"{len(undecoded)} halfwords cannot be decoded, first: {undecoded[0].why}",
            where=f"0x{address:08x} to 0x{address + len(data):08x}",
        )
    return instructions
