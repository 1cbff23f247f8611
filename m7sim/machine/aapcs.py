"""Where arguments and results go: the Procedure Call Standard for the Arm Architecture.

Pure arithmetic on sizes, after AAPCS32 (2023Q3) sections 6.4 to 6.5 (base standard) and 7.1 (VFP
variant, "hard float"); rule names such as C.5 are that document's. No memory, no registers, no
DWARF.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CORE_REGISTERS = 4  # r0 … r3
VFP_REGISTERS = 16  # s0 … s15
WORD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """What the standard needs to know of a type.

    ``vfp_element_bytes`` and ``vfp_count`` describe a float (4, 1), a double (8, 1) and a
    homogeneous aggregate of up to four of either; 0 for everything else.
    """

    kind: Literal["scalar", "aggregate"]
    size_bytes: int
    alignment_bytes: int
    vfp_element_bytes: int = 0
    vfp_count: int = 0

    @property
    def words(self) -> int:
        return (self.size_bytes + WORD_BYTES - 1) // WORD_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of one argument or result are.

    In this order: ``core_count`` core registers from ``core_first``, then ``stack_bytes`` on
    the stack from ``stack_offset``; or else ``vfp_count`` single-precision registers from
    ``vfp_first`` (a double is two).
    """

    core_first: int = 0
    core_count: int = 0
    stack_offset: int = 0
    stack_bytes: int = 0
    vfp_first: int = 0
    vfp_count: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of all arguments and of the result.

    ``result_in_memory``: r0 takes the address of room for the result. ``stack_bytes`` is what the
    arguments take on the stack, a multiple of 8.
    """

    arguments: tuple[Place, ...]
    result: Place
    result_in_memory: bool
    stack_bytes: int


def scalar(size_bytes: int) -> Shape:
    """Return the shape of an integer, enum or pointer."""
    return Shape("scalar", size_bytes, max(size_bytes, 1))


def floating(size_bytes: int) -> Shape:
    """Return the shape of a float or double; a half-precision value travels as a float."""
    return Shape("scalar", size_bytes, size_bytes, max(size_bytes, WORD_BYTES), 1)


def layout(
    arguments: Sequence[Shape], result: Shape | None, *, hard_float: bool, variadic: bool = False
) -> Layout:
    """Assign registers and stack to arguments, and find where the result is.

    Parameters
    ----------
    arguments
        Shapes in order.
    result
        None for void.
    hard_float
        The VFP variant; a variadic function follows the base standard nevertheless (7.1.2.1).
    """
    vfp = hard_float and not variadic
    place, in_memory = _result(result, vfp)
    assign = _Assignment(vfp, core_used=int(in_memory))
    places = tuple(assign.place(shape) for shape in arguments)
    return Layout(places, place, in_memory, (assign.stack_bytes + 7) & ~7)


def _result(shape: Shape | None, vfp: bool) -> tuple[Place, bool]:
    if shape is None or shape.size_bytes == 0:
        return Place(), False
    if vfp and shape.vfp_count:
        return Place(vfp_count=shape.vfp_count * shape.vfp_element_bytes // WORD_BYTES), False
    if shape.kind == "aggregate" and shape.size_bytes > WORD_BYTES:
        return Place(), True
    return Place(core_count=shape.words), False


class _Assignment:
    """The state of rule A while arguments are taken in order."""

    def __init__(self, vfp: bool, core_used: int) -> None:
        self._core = core_used  # NCRN, next core register number
        self._vfp_free = [vfp] * VFP_REGISTERS
        self._vfp = vfp
        self.stack_bytes = 0  # NSAA, next stacked argument address

    def place(self, shape: Shape) -> Place:
        if shape.size_bytes == 0:  # an empty struct (GNU C) takes no room
            return Place()
        if self._vfp and shape.vfp_count:
            return self._place_vfp(shape)
        align_doubleword = shape.alignment_bytes >= 8
        words = shape.words
        if align_doubleword:  # C.3
            self._core += self._core % 2
        if self._core + words <= CORE_REGISTERS:  # C.4
            first, self._core = self._core, self._core + words
            return Place(core_first=first, core_count=words)
        if self._core < CORE_REGISTERS and self.stack_bytes == 0:  # C.5: split
            first, count = self._core, CORE_REGISTERS - self._core
            self._core = CORE_REGISTERS
            rest = (words - count) * WORD_BYTES
            self.stack_bytes = rest
            return Place(core_first=first, core_count=count, stack_bytes=rest)
        self._core = CORE_REGISTERS  # C.6
        return self._on_stack(words * WORD_BYTES, align_doubleword)  # C.7, C.8

    def _place_vfp(self, shape: Shape) -> Place:
        step = shape.vfp_element_bytes // WORD_BYTES
        count = step * shape.vfp_count
        for first in range(0, VFP_REGISTERS - count + 1, step):  # C.1.vfp: fills gaps left behind
            if all(self._vfp_free[first : first + count]):
                self._vfp_free[first : first + count] = [False] * count
                return Place(vfp_first=first, vfp_count=count)
        self._vfp_free = [False] * VFP_REGISTERS  # C.2.vfp
        return self._on_stack(count * WORD_BYTES, step == 2)

    def _on_stack(self, size_bytes: int, align_doubleword: bool) -> Place:
        if align_doubleword:
            self.stack_bytes = (self.stack_bytes + 7) & ~7
        offset = self.stack_bytes
        self.stack_bytes += size_bytes
        return Place(stack_offset=offset, stack_bytes=size_bytes)
