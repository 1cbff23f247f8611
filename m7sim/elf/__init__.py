"""ELF and DWARF: what is where in a program, and what it is called."""

from __future__ import annotations

from m7sim.elf.attributes import Attributes
from m7sim.elf.ctype import CField, CStruct, CType, Parameter, Prototype
from m7sim.elf.image import Image
from m7sim.elf.inlines import InlinedCall
from m7sim.elf.lines import Line
from m7sim.elf.reader import Section, Segment
from m7sim.elf.symbols import Symbol

__all__ = [
    "Image", "Segment", "Section", "Symbol", "Attributes",
    "Line", "InlinedCall",
    "Prototype", "Parameter", "CType", "CStruct", "CField",
]  # fmt: skip
