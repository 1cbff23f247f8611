"""Bytes to decoded instructions: what each one reads, writes, accesses, and where it may go."""

from m7sim.isa.decode import Undecoded, decode, decode_range, sweep
from m7sim.isa.draft import UndecodableError

__all__ = ["Undecoded", "UndecodableError", "decode", "decode_range", "sweep"]
