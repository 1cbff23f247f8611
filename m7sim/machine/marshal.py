"""Arguments of one call: what goes by value, what needs a buffer, what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from m7sim.elf import CType, Image, Prototype
from m7sim.errors import InputError
from m7sim.machine import values
from m7sim.machine.aapcs import Shape, scalar
from m7sim.machine.placement import AUTO, Placement, Span
from m7sim.machine.shapes import shape_of

Places = str | Mapping[str | int, str]

# What arguments become when nothing says what the function expects.
_UNKNOWN = CType("int", 4, "32-bit word")
_CHAR = CType("int", 1, "char", const=True)
_DOUBLE = CType("float", 8, "double")
_LONG_LONG = CType("int", 8, "long long", signed=True)
_WORD_SIGNED = CType("int", 4, "int", signed=True)
_UNTYPED_POINTER = CType("pointer", 4, "void *")
_TEXT_POINTER = CType("pointer", 4, "const char *", resolve_target=lambda: _CHAR)


class Memory(Protocol):
    """What marshalling needs of the machine."""

    def read(self, address: int, size_bytes: int) -> bytes: ...
    def write(self, address: int, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument ready to be put into registers or on the stack."""

    shape: Shape
    data: bytes


@dataclass(frozen=True, slots=True)
class CallBuffer:
    """Memory that one argument had during a call.

    ``name`` is the parameter's, or its position from 1; ``position`` counts from 0, -1 for the
    room of a result. ``content`` says what was passed, as ``int16[64]``. A parameter may have
    several buffers: what it points to, and what pointers in there point to.
    """

    name: str
    address: int
    size_bytes: int
    writable: bool
    position: int
    content: str


@dataclass(slots=True)
class _Buffer:
    span: Span
    address: int
    size_bytes: int
    call: CallBuffer
    array: NDArray[Any] | None = None  # to tell an array that is passed twice
    write_back: Callable[[bytes], None] | None = None


class Marshaller:
    """Buffers of one call; :meth:`finish` writes results back, :meth:`release` frees them.

    Parameters
    ----------
    places
        Region of all buffers, or by parameter name or position (from 0).
    alignment_bytes
        Of every buffer.
    guard_bytes
        Room left free on both sides of every buffer, at least.
    """

    def __init__(
        self,
        memory: Memory,
        image: Image,
        placement: Placement,
        *,
        places: Places = AUTO,
        alignment_bytes: int,
        guard_bytes: int = 0,
    ) -> None:
        self._memory, self._image, self._placement = memory, image, placement
        self._places, self._alignment_bytes = places, alignment_bytes
        self._guard_bytes = -(-guard_bytes // alignment_bytes) * alignment_bytes
        self._place = AUTO
        self._parameter = ("result", -1)
        self._buffers: list[_Buffer] = []

    # Arguments -----------------------------------------------------------------------------

    def arguments(
        self, name: str, prototype: Prototype | None, given: Sequence[Any]
    ) -> list[Argument]:
        """Convert the arguments of a call of ``name``.

        Without a prototype each argument is an int of one 32-bit word, or an array, bytes or text
        by address (arrays and bytearrays are written back).

        Raises
        ------
        InputError
            If number, type, range or field of an argument is wrong, or a buffer does not fit.
        """
        if prototype is None:
            types = [_type_without_prototype(value, i, name) for i, value in enumerate(given)]
            names = [""] * len(given)
        else:
            expected = len(prototype.parameters)
            if len(given) < expected or (len(given) > expected and not prototype.variadic):
                raise InputError(
                    f"{len(given)} arguments given, {expected} expected",
                    where=name,
                    do=f"It is: {prototype}",
                )
            types = [parameter.type for parameter in prototype.parameters]
            names = [parameter.name for parameter in prototype.parameters]
            for position in range(expected, len(given)):
                types.append(_promoted(given[position], f"{name}: argument {position + 1}"))
                names.append("")
        self._check_places(name, names)
        return [
            self._argument(name, position, names[position], ctype, value)
            for position, (ctype, value) in enumerate(zip(types, given, strict=True))
        ]

    def _argument(
        self, function: str, position: int, name: str, ctype: CType, value: Any
    ) -> Argument:
        label = f"{position + 1}" + (f" {name!r}" if name else "")
        where = f"{function}: argument {label} ({ctype.name})"
        self._parameter = (name or str(position + 1), position)
        if isinstance(self._places, str):
            self._place = self._places
        else:
            self._place = self._places.get(name, self._places.get(position, AUTO))
        if ctype.kind == "array":  # as a parameter it is a pointer to its first element
            target = ctype.target
            ctype = CType("pointer", 4, ctype.name, resolve_target=lambda: target)
        if ctype is _UNKNOWN:
            number = values.integer(value, where)
            if not -(1 << 31) <= number < 1 << 32:
                do = "Without debug information only 32-bit arguments can be passed"
                raise InputError(f"{number} does not fit 32 bits", where=where, do=do)
            return Argument(scalar(4), (number & 0xFFFF_FFFF).to_bytes(4, "little"))
        data = values.pack(ctype, value, where, self.pointer)
        if ctype.kind in ("int", "bool", "enum") and ctype.size_bytes < 4:
            # The caller extends small integers to a word (AAPCS32 6.5, rule B.2).
            number = int.from_bytes(data, "little", signed=ctype.signed)
            return Argument(scalar(4), (number & 0xFFFF_FFFF).to_bytes(4, "little"))
        return Argument(shape_of(ctype), data)

    def _check_places(self, function: str, names: Iterable[str]) -> None:
        if isinstance(self._places, str):
            return
        known = {name for name in names if name}
        for key in self._places:
            if isinstance(key, str) and key not in known:
                do = f"It has: {', '.join(sorted(known)) or 'no names'}"
                raise InputError(f"place names no parameter {key!r}", where=function, do=do)

    # Pointers ------------------------------------------------------------------------------

    def pointer(self, value: Any, ctype: CType, where: str) -> int:
        """Return the address that is passed for a value given for a pointer."""
        pointee = ctype.target
        if value is None:
            return 0
        if isinstance(value, np.ndarray):
            return self._array(value, ctype, where)
        if isinstance(value, str) and pointee is not None and pointee.kind == "function":
            return self._image.symbol(value).address | 1
        if isinstance(value, str):
            value = value.encode() + b"\0"
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(value, ctype, where)
        if pointee is not None and pointee.kind in ("struct", "union") and not _is_integer(value):
            return self._struct(value, ctype, pointee, where)
        if not _is_integer(value):
            kind = type(value).__name__
            do = "Pass a NumPy array, bytes, None for NULL, or an address"
            if pointee is not None and pointee.kind in ("struct", "union"):
                do = "Pass a dict of its fields, None for NULL, or an address"
            raise InputError(f"{value!r} is a {kind}, expected a pointer", where=where, do=do)
        address = values.integer(value, where)
        if not 0 <= address < 1 << 32:
            raise InputError(f"{address} is no 32-bit address", where=where)
        return address

    def _array(self, array: NDArray[Any], ctype: CType, where: str) -> int:
        values.check_array(array, ctype.target, where)
        writable = not _is_const(ctype)
        if writable and not array.flags.writeable:
            raise InputError(
                "array is read-only, but the function may write to it",
                where=where,
                do="Pass a copy, or declare the parameter const",
            )
        buffer = self._same(array, where)
        if buffer is None:
            content = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
            buffer = self._new(array.tobytes(), writable, where, content)
            buffer.array = array
        if writable:
            buffer.write_back = lambda data: _store(array, data)
            buffer.call = replace(buffer.call, writable=True)
        return buffer.address

    def _same(self, array: NDArray[Any], where: str) -> _Buffer | None:
        """Return the buffer of an array passed before: C would see the same address twice."""
        for buffer in self._buffers:
            other = buffer.array
            if other is None or not np.may_share_memory(array, other):
                continue
            if array.ctypes.data == other.ctypes.data and array.nbytes == other.nbytes:
                return buffer
            raise InputError(
                "array overlaps another argument",
                where=where,
                do="Pass copies, or place the whole with machine.alloc and pass addresses",
            )
        return None

    def _bytes(self, value: bytes | bytearray, ctype: CType, where: str) -> int:
        pointee = ctype.target
        one_byte = pointee is None or pointee.kind == "void" or pointee.size_bytes == 1
        if not one_byte and pointee is not None:
            raise InputError(f"bytes for a pointer to {pointee.name}", where=where, do="Pass an "
                             "array")  # fmt: skip
        writable = not _is_const(ctype)
        if writable and isinstance(value, bytes):
            raise InputError(
                "the function may write to it, and what it writes would be lost",
                where=where,
                do="Pass a bytearray or an array",
            )
        buffer = self._new(bytes(value), writable, where, f"{len(value)} bytes")
        if writable and isinstance(value, bytearray):
            target = value

            def write_back(data: bytes) -> None:
                target[:] = data

            buffer.write_back = write_back
        return buffer.address

    def _struct(self, value: Any, ctype: CType, pointee: CType, where: str) -> int:
        data = values.pack(pointee, value, where, self.pointer)
        writable = not _is_const(ctype)
        buffer = self._new(data, writable, where, pointee.name)
        if writable:
            buffer.write_back = lambda after: _store_fields(pointee, value, data, after, where)
        return buffer.address

    def _new(self, data: bytes, writable: bool, where: str, content: str) -> _Buffer:
        buffer = self.room(len(data), writable, where, content)
        self._memory.write(buffer.address, data)
        return buffer

    def room(self, size_bytes: int, writable: bool, where: str, content: str) -> _Buffer:
        """Take a buffer of undefined contents."""
        guard = self._guard_bytes
        span = self._placement.take(
            size_bytes + 2 * guard,
            place=self._place,
            alignment_bytes=self._alignment_bytes,
            writable=writable,
            where=where,
        )
        name, position = self._parameter
        address = span.start + guard
        call = CallBuffer(name, address, size_bytes, writable, position, content)
        buffer = _Buffer(span, address, size_bytes, call)
        self._buffers.append(buffer)
        return buffer

    def result_room(self, size_bytes: int, where: str, content: str) -> int:
        """Take room for a result that goes to memory; return its address."""
        self._parameter = ("result", -1)
        return self.room(size_bytes, True, where, content).address

    def buffers(self) -> tuple[CallBuffer, ...]:
        """Return what memory the arguments have, in the order it was taken."""
        return tuple(buffer.call for buffer in self._buffers)

    # After the call --------------------------------------------------------------------------

    def finish(self) -> None:
        """Copy back what the function may have written."""
        for buffer in self._buffers:
            if buffer.write_back is not None:
                buffer.write_back(self._memory.read(buffer.address, buffer.size_bytes))

    def release(self) -> None:
        """Give the room of all buffers back."""
        for buffer in self._buffers:
            self._placement.give_back(buffer.span)
        self._buffers.clear()


def _is_integer(value: Any) -> bool:
    return hasattr(type(value), "__index__")


def _is_const(pointer: CType) -> bool:
    """Whether a function promises not to write through a pointer."""
    pointee = pointer.target
    while pointee is not None and pointee.kind == "array" and not pointee.const:
        pointee = pointee.target
    if pointee is None:  # void has no type of its own that could say so
        return "const" in pointer.name.split("*")[0].split()
    return pointee.const or pointee.kind == "function"


def _store(array: NDArray[Any], data: bytes) -> None:
    array.view(np.ndarray)[...] = np.frombuffer(data, array.dtype).reshape(array.shape)


def _store_fields(ctype: CType, value: Any, before: bytes, after: bytes, where: str) -> None:
    """Set the fields that changed, so that a pointer given as an array stays that array."""
    for field in ctype.fields:
        new = values.field_bytes(field, after)
        if new == values.field_bytes(field, before):
            continue
        item = values.unpack(field.type, new)
        if isinstance(value, dict):
            value[field.name] = item
            continue
        try:
            setattr(value, field.name, item)
        except AttributeError:
            raise InputError(
                f"the function wrote to {field.name!r}, which cannot be set in a "
                f"{type(value).__name__}",
                where=where,
                do="Pass a dict",
            ) from None


def _type_without_prototype(value: Any, position: int, name: str) -> CType:
    if value is None or isinstance(value, (np.ndarray, bytearray)):
        return _UNTYPED_POINTER
    if isinstance(value, (bytes, str)):
        return _TEXT_POINTER
    if _is_integer(value):
        return _UNKNOWN
    raise InputError(
        f"{value!r} is a {type(value).__name__}, and no debug information says what is expected",
        where=f"{name}: argument {position + 1}",
        do="Compile with -g; without, only ints, arrays, bytes and None can be passed",
    )


def _promoted(value: Any, where: str) -> CType:
    """Return the type of an argument in place of "..."."""
    if isinstance(value, (float, np.floating)):
        return _DOUBLE
    if value is None or isinstance(value, (np.ndarray, bytearray)):
        return _UNTYPED_POINTER
    if isinstance(value, (bytes, str)):
        return _TEXT_POINTER
    number = values.integer(value, where)
    if -(1 << 31) <= number < 1 << 31:
        return _WORD_SIGNED
    return _UNKNOWN if 0 <= number < 1 << 32 else _LONG_LONG
