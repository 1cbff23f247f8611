"""Python values <-> bytes of C scalars, structs and arrays; every refusal says what and where."""

from __future__ import annotations

import numbers
import operator
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.elf import CType
from m7sim.elf.ctype import CField
from m7sim.errors import InputError

# Turns a value given for a pointer into an address: (value, pointer type, where) -> address.
PackPointer = Callable[[Any, CType, str], int]

_FLOATS = {2: "<e", 4: "<f", 8: "<d"}


def integer(value: Any, where: str) -> int:
    """Return a whole number given as int, NumPy integer, enum member or bool."""
    try:
        return operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise InputError(f"{value!r} is a {kind}, expected a whole number", where=where) from None


def pack(ctype: CType, value: Any, where: str, pointer: PackPointer) -> bytes:
    """Return the bytes of a value as a C type.

    Raises
    ------
    InputError
        If the value has the wrong type, is out of range, or has unknown fields.
    """
    kind = ctype.kind
    if kind == "pointer":
        return pointer(value, ctype, where).to_bytes(4, "little")
    if kind == "float":
        return _pack_float(ctype, value, where)
    if kind in ("int", "bool", "enum"):
        return _pack_integer(ctype, value, where)
    if kind in ("struct", "union"):
        return _pack_struct(ctype, value, where, pointer)
    if kind == "array" and ctype.target is not None:
        return _pack_array(ctype, ctype.target, value, where, pointer)
    raise InputError(f"cannot make a {ctype.name} of {value!r}", where=where)


def _pack_integer(ctype: CType, value: Any, where: str) -> bytes:
    if ctype.kind == "enum" and isinstance(value, str):
        names = dict(ctype.enumerators)
        if value not in names:
            raise InputError(
                f"no {value!r} in {ctype.name}", where=where, do="Valid: " + ", ".join(names)
            )
        value = names[value]
    number = integer(value, where)
    bits = 8 * ctype.size_bytes
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if ctype.signed else (0, (1 << bits) - 1)
    if ctype.kind == "bool":
        low, high = 0, 1
    if not low <= number <= high:
        raise InputError(
            f"{number} does not fit {ctype.name}", where=where, do=f"It holds {low} … {high}"
        )
    return (number & ((1 << bits) - 1)).to_bytes(ctype.size_bytes, "little")


def _pack_float(ctype: CType, value: Any, where: str) -> bytes:
    if isinstance(value, (bool, str, bytes)) or not isinstance(value, numbers.Real):
        kind = type(value).__name__
        raise InputError(f"{value!r} is a {kind}, expected a {ctype.name}", where=where)
    if ctype.size_bytes not in _FLOATS:
        raise InputError(f"{ctype.name} of {ctype.size_bytes} bytes is not supported", where=where)
    number = float(value)
    try:
        data = struct.pack(_FLOATS[ctype.size_bytes], number)
    except OverflowError:
        raise InputError(f"{value!r} is too large for {ctype.name}", where=where) from None
    return data


def _pack_struct(ctype: CType, value: Any, where: str, pointer: PackPointer) -> bytes:
    given = fields_of(ctype, value, where)
    data = bytearray(ctype.size_bytes)
    for field in ctype.fields:
        if field.name in given:
            part = pack(field.type, given[field.name], f"{where}.{field.name}", pointer)
            data[field.offset : field.offset + len(part)] = part
    return bytes(data)


def fields_of(ctype: CType, value: Any, where: str) -> dict[str, Any]:
    """Return field name -> value of a dict or of an object with attributes.

    Fields that are not given are zero, as in a C initialiser.

    Raises
    ------
    InputError
        If it has a field that the struct has not, or no field at all.
    """
    names = [field.name for field in ctype.fields]
    if isinstance(value, Mapping):
        given = {str(name): item for name, item in value.items()}
    elif hasattr(type(value), "_fields_"):  # ctypes.Structure
        given = {entry[0]: getattr(value, entry[0]) for entry in type(value)._fields_}
    elif hasattr(value, "_asdict"):  # a named tuple
        given = dict(value._asdict())
    elif hasattr(value, "__dict__") and not callable(value):
        given = dict(vars(value))
    elif hasattr(type(value), "__slots__"):
        given = {name: getattr(value, name) for name in type(value).__slots__}
    elif isinstance(value, np.void) and value.dtype.names:
        given = {name: value[name] for name in value.dtype.names}
    else:
        kind = type(value).__name__
        raise InputError(
            f"{value!r} is a {kind}, expected a {ctype.name}",
            where=where,
            do=f"Give a dict of its fields: {', '.join(names)}",
        )
    for name in given:
        if name not in names:
            raise InputError(
                f"{ctype.name} has no field {name!r}", where=where, do=f"It has {', '.join(names)}"
            )
    return given


def _pack_array(
    ctype: CType, element: CType, value: Any, where: str, pointer: PackPointer
) -> bytes:
    if isinstance(value, str) and element.size_bytes == 1:
        value = value.encode() + b"\0"
    if isinstance(value, (bytes, bytearray)) and element.size_bytes == 1:
        if len(value) > ctype.size_bytes:
            raise InputError(f"{len(value)} bytes do not fit {ctype.name}", where=where)
        return bytes(value).ljust(ctype.size_bytes, b"\0")
    try:
        items = list(value)
    except TypeError:
        raise InputError(f"{value!r} is no sequence for {ctype.name}", where=where) from None
    if len(items) > ctype.count:
        raise InputError(f"{len(items)} elements do not fit {ctype.name}", where=where)
    parts = [pack(element, item, f"{where}[{i}]", pointer) for i, item in enumerate(items)]
    return b"".join(parts).ljust(ctype.size_bytes, b"\0")


def unpack(ctype: CType, data: bytes) -> Any:
    """Return the Python value of bytes: int, float, bool, dict of fields, array or list."""
    kind = ctype.kind
    if kind == "float":
        return struct.unpack(_FLOATS[ctype.size_bytes], data[: ctype.size_bytes])[0]
    if kind == "bool":
        return bool(data[0])
    if kind in ("int", "enum"):
        return int.from_bytes(data[: ctype.size_bytes], "little", signed=ctype.signed)
    if kind == "pointer":
        return int.from_bytes(data[:4], "little")
    if kind in ("struct", "union"):
        return {field.name: unpack(field.type, field_bytes(field, data)) for field in ctype.fields}
    if kind == "array" and ctype.target is not None:
        dtype = dtype_of(ctype.target)
        if dtype is not None:
            return np.frombuffer(data[: ctype.size_bytes], dtype).copy()
        size = ctype.target.size_bytes
        return [unpack(ctype.target, data[i * size :]) for i in range(ctype.count)]
    raise InputError(f"cannot read a {ctype.name}")


def field_bytes(field: CField, data: bytes) -> bytes:
    return data[field.offset : field.offset + field.type.size_bytes]


def dtype_of(ctype: CType) -> np.dtype[Any] | None:
    """Return the NumPy type of a C scalar, or None if it has none."""
    if ctype.kind == "float" and ctype.size_bytes in _FLOATS:
        return np.dtype(f"<f{ctype.size_bytes}")
    if ctype.kind == "bool":
        return np.dtype(np.bool_)
    if ctype.kind in ("int", "enum"):
        return np.dtype(f"<{'i' if ctype.signed else 'u'}{ctype.size_bytes}")
    if ctype.kind == "pointer":
        return np.dtype("<u4")
    return None


def check_array(array: NDArray[Any], pointee: CType | None, where: str) -> None:
    """Refuse an array that a pointer to this type cannot point to.

    ``void *`` takes any type; plain ``char *`` any of one byte; a pointer to a struct takes
    elements of its size.

    Raises
    ------
    InputError
        For another element type, another byte order, or gaps between the elements.
    """
    if not array.flags.c_contiguous:
        raise InputError(
            f"array of shape {array.shape} is not C-contiguous",
            where=where,
            do="Pass numpy.ascontiguousarray(…)",
        )
    if array.dtype.hasobject:
        raise InputError(f"array of {array.dtype}", where=where, do="Pass numbers")
    if array.dtype.byteorder == ">":
        raise InputError("array is big-endian", where=where, do="Pass a little-endian array")
    if pointee is None or pointee.kind in ("void", "function"):
        return
    while pointee.kind == "array" and pointee.target is not None:  # int (*)[4]
        pointee = pointee.target
    if pointee.kind in ("struct", "union"):
        if array.itemsize != pointee.size_bytes:
            raise InputError(
                f"array of {array.dtype} ({array.itemsize} bytes each), expected elements of "
                f"{pointee.size_bytes} bytes ({pointee.name})",
                where=where,
            )
        return
    wanted = dtype_of(pointee)
    if wanted is None or array.dtype == wanted:
        return
    if pointee.size_bytes == 1 and array.dtype in (np.dtype(np.bool_), wanted):
        return
    if _plain_char(pointee) and array.dtype.itemsize == 1:
        return
    raise InputError(
        f"array of {array.dtype}, expected {wanted} ({pointee.name})",
        where=where,
        do=f"Pass array.astype(numpy.{wanted})",
    )


def _plain_char(ctype: CType) -> bool:
    return ctype.size_bytes == 1 and "char" in ctype.name.split() and "signed" not in ctype.name
