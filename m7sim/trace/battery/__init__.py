"""Small programs on which ``m7sim doctor`` compares execution and addresses.

Each is shipped assembled (``programs.json``), so that no cross compiler is needed, with its source
beside it. After a change to a source: ``python -m m7sim.trace.battery.assemble``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

CODE_ADDRESS = 0x0800_0000


@dataclass(frozen=True, slots=True)
class Program:
    """Code for ``CODE_ADDRESS``, to be called as a function.

    ``expect`` are registers at its end; ``corrupted`` tells that memory hooks make it go wrong.
    """

    name: str
    code: bytes
    expect: dict[str, int]
    corrupted: bool


def programs() -> list[Program]:
    """Return all programs, by name."""
    text = resources.files(__package__).joinpath("programs.json").read_text("utf-8")
    return [
        Program(name, _unpacked(entry["code"]), entry["expect"], entry["corrupted"])
        for name, entry in json.loads(text).items()
    ]


def _unpacked(pieces: list[tuple[int, str]]) -> bytes:
    code = bytearray()
    for offset, digits in pieces:
        code += bytes(offset - len(code)) + bytes.fromhex(digits)
    return bytes(code)
