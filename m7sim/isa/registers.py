"""Numbers for the registers that timing and address reconstruction follow.

A double-precision register is its two single-precision halves.
"""

from __future__ import annotations

from typing import Final

SP: Final = 13
LR: Final = 14
PC: Final = 15
S0: Final = 16  # s0 … s31 are 16 … 47
FLAGS: Final = 48  # N, Z, C, V
GE: Final = 49  # the four GE bits of the parallel adds
FPSCR: Final = 50  # flags of VCMP
N_REGISTERS: Final = 51

NAMES: Final = (
    *(f"r{n}" for n in range(13)), "sp", "lr", "pc",
    *(f"s{n}" for n in range(32)), "flags", "ge", "fpscr",
)  # fmt: skip
