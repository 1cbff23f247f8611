"""C types as the procedure call standard sees them."""

from __future__ import annotations

from m7sim.elf import CType
from m7sim.errors import InputError
from m7sim.machine.aapcs import Shape, floating, scalar


def shape_of(ctype: CType) -> Shape:
    """Return the shape of a type that is passed by value.

    Raises
    ------
    InputError
        For a type without a size: void, a function, an incomplete struct.
    """
    if ctype.kind in ("struct", "union"):
        element, count = homogeneous(ctype)
        if not 1 <= count <= 4:
            element = count = 0
        return Shape("aggregate", ctype.size_bytes, alignment_of(ctype), element, count)
    if ctype.kind in ("array", "pointer"):  # an array parameter is a pointer
        return scalar(4)
    if ctype.kind in ("void", "function") or not ctype.size_bytes:
        raise InputError(f"a {ctype.name} cannot be passed by value")
    return floating(ctype.size_bytes) if ctype.kind == "float" else scalar(ctype.size_bytes)


def alignment_of(ctype: CType) -> int:
    """Return the natural alignment in bytes: the largest of any member."""
    if ctype.kind in ("struct", "union"):
        return max((alignment_of(field.type) for field in ctype.fields), default=1)
    if ctype.kind == "array" and ctype.target is not None:
        return alignment_of(ctype.target)
    return max(ctype.size_bytes, 1)


def homogeneous(ctype: CType) -> tuple[int, int]:
    """Return (element bytes, count) if all members are floats of one size, else (0, 0)."""
    if ctype.kind == "float":
        return (ctype.size_bytes, 1) if ctype.size_bytes in (4, 8) else (0, 0)
    if ctype.kind == "array" and ctype.target is not None:
        element, count = homogeneous(ctype.target)
        return (element, count * ctype.count) if element and ctype.count else (0, 0)
    if ctype.kind not in ("struct", "union"):
        return (0, 0)
    members = [homogeneous(field.type) for field in ctype.fields]
    elements = {element for element, _ in members}
    if len(elements) != 1 or 0 in elements:
        return (0, 0)
    element = elements.pop()
    counts = [count for _, count in members]
    # Members of unnamed unions share offsets: what counts is the room, which must have no gaps.
    total = ctype.size_bytes // element
    if ctype.size_bytes % element or (ctype.kind == "struct" and sum(counts) < total):
        return (0, 0)
    return element, total
