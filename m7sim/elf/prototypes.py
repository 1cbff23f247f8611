"""From DWARF entries to C types, structs and prototypes."""

from __future__ import annotations

import re
from collections.abc import Callable

from m7sim.elf.ctype import CField, CStruct, CType, Parameter, Prototype, TypeKind
from m7sim.elf.debug import DebugInfo, Entry
from m7sim.elf.inlines import UnitTable
from m7sim.errors import ElfError

# DW_ATE_*: DWARF 5, table 7.11
_BOOL, _COMPLEX, _FLOAT = 2, 3, 4
_SIGNED, _UNSIGNED = (5, 6), (7, 8, 16)
_QUALIFIERS = {"const_type": "const", "volatile_type": "volatile", "restrict_type": "",
               "atomic_type": "_Atomic"}  # fmt: skip
_STRUCTS: dict[str, TypeKind] = {
    "structure_type": "struct", "union_type": "union", "class_type": "struct",
}  # fmt: skip
_POINTER_BYTES = 4
_DEEPEST = 99  # typedefs of typedefs; more are a circle in damaged debug information
_CLONE = re.compile(r"\.(constprop|isra|part|cold)\b")


class TypeTable:
    """Prototypes by function and structs by name, parsed when asked for."""

    def __init__(self, debug: DebugInfo, path: str, alive: Callable[[Entry], bool]) -> None:
        self._debug, self._path, self._alive = debug, path, alive
        self._units = UnitTable(debug)
        self._types: dict[int, CType] = {}
        self._structs: dict[str, Entry] | None = None

    # Prototypes ----------------------------------------------------------------------------

    def prototype(self, name: str, address: int) -> Prototype | None:
        """Return the prototype of the function at an address, or None if nothing describes it.

        Clones that the compiler made for special callers do not take what the source says.
        """
        if _CLONE.search(name):
            return None
        for unit in self._units.at(address):
            for entry in unit.functions:
                spans = entry.ranges()
                if spans and spans[0][0] == address and self._alive(entry):
                    with unit.guard(f"the prototype of {name}"):
                        return self._prototype(entry, name)
        return None

    def _prototype(self, entry: Entry, name: str) -> Prototype:
        where = f"{self._path}: {name}"
        result_of = entry.inherited("type")
        result = result_of.refer("type")
        # A concrete out-of-line instance may omit parameters that its origin has.
        holder = entry
        for attribute in ("abstract_origin", "specification"):
            if _formals(holder) == [] and (origin := entry.refer(attribute)) is not None:
                holder = origin
        parameters = []
        for formal in _formals(holder):
            kind = formal.inherited("type").refer("type")
            if kind is None:
                raise ElfError(f"parameter {formal.name!r} has no type", where=where)
            parameters.append(Parameter(formal.name or "", self.type_of(kind, where)))
        variadic = any(c.tag == "unspecified_parameters" for c in holder.children())
        return Prototype(
            name,
            None if result is None else self._result(result, where),
            tuple(parameters),
            variadic and bool(entry.inherited("prototyped").has("prototyped")),
        )

    def _result(self, entry: Entry, where: str) -> CType | None:
        result = self.type_of(entry, where)
        return None if result.kind == "void" else result

    # Structs -------------------------------------------------------------------------------

    def struct(self, name: str) -> CStruct | None:
        """Return the struct or union with this tag or typedef name, or None."""
        if self._structs is None:
            self._structs = {}
            for unit in self._debug.units:
                for child in unit.top.children():
                    if child.tag in (*_STRUCTS, "typedef") and not child.has("declaration"):
                        self._structs.setdefault(child.text("name") or "", child)
        plain = name.removeprefix("struct ").removeprefix("union ")
        entry = self._structs.get(plain)
        if entry is None or not plain:
            return None
        with entry.unit.guard(f"struct {plain}"):
            found = self.type_of(entry, self._path)
        return found if found.kind in ("struct", "union") else None

    @property
    def struct_names(self) -> list[str]:
        self.struct("")
        return sorted(n for n in self._structs or () if n)

    # Types ---------------------------------------------------------------------------------

    def size_bytes(self, entry: Entry | None) -> int:
        """Return the size of a type, 0 if it is not known."""
        try:
            return self.type_of(entry, self._path).size_bytes
        except ElfError:
            return 0

    def type_of(self, entry: Entry | None, where: str) -> CType:
        """Return the type that an entry describes; None stands for void.

        Raises
        ------
        ElfError
            For types that no call can carry: complex numbers, vectors of the compiler.
        """
        if entry is None:
            return CType("void", 0, "void")
        known = self._types.get(entry.offset)
        if known is None:
            known = self._types[entry.offset] = self._build(entry, where)
        return known

    def _build(self, entry: Entry, where: str) -> CType:
        tag, name = entry.tag, entry.text("name") or ""
        if tag in _QUALIFIERS or tag == "typedef":
            return self._peel(entry, where)
        if tag == "base_type":
            return self._base(entry, where)
        if tag in ("pointer_type", "reference_type", "rvalue_reference_type"):
            inner = entry.refer("type")
            return CType(
                "pointer",
                entry.integer("byte_size") or _POINTER_BYTES,
                _pointer_name(inner),
                target_const=_is_const(inner),
                resolve_target=lambda: None if inner is None else self._target(inner, where),
            )
        if tag in _STRUCTS:
            kind = _STRUCTS[tag]
            size_bytes = entry.integer("byte_size") or 0
            text = f"{kind} {name}" if name else f"unnamed {kind}"
            return CType(
                kind,
                size_bytes,
                text,
                resolve_fields=lambda: self._guarded_fields(entry, text, where),
            )
        if tag == "enumeration_type":
            return self._enumeration(entry, where)
        if tag == "array_type":
            return self._array(entry, where)
        if tag == "subroutine_type":
            return CType("function", 0, "function")
        if tag == "unspecified_type":
            return CType("void", 0, name or "void")
        raise ElfError(f"type {name!r} ({tag}) cannot be passed from Python", where=where)

    def _target(self, entry: Entry, where: str) -> CType | None:
        with entry.unit.guard("a type"):
            target = self.type_of(entry, where)
            return None if target.kind == "void" else target

    def _peel(self, entry: Entry, where: str) -> CType:
        inner = self.type_of(entry.refer("type"), where)
        return CType(
            inner.kind,
            inner.size_bytes,
            _name(entry),
            inner.signed,
            inner.const or entry.tag == "const_type",
            inner.target_const,
            inner.count,
            inner.enumerators,
            lambda: inner.target,
            lambda: inner.fields,
        )

    def _base(self, entry: Entry, where: str) -> CType:
        name, size_bytes = entry.text("name") or "?", entry.integer("byte_size") or 0
        encoding = entry.integer("encoding")
        if encoding == _BOOL:
            return CType("bool", size_bytes, name)
        if encoding == _FLOAT:
            return CType("float", size_bytes, name, signed=True)
        if encoding in _SIGNED or encoding in _UNSIGNED:
            return CType("int", size_bytes, name, signed=encoding in _SIGNED)
        what = "a complex number" if encoding == _COMPLEX else f"encoding {encoding}"
        raise ElfError(f"type {name!r} ({what}) cannot be passed from Python", where=where)

    def _enumeration(self, entry: Entry, where: str) -> CType:
        name = entry.text("name")
        values = tuple(
            (child.text("name") or "", child.integer("const_value") or 0)
            for child in entry.children()
            if child.tag == "enumerator"
        )
        under = entry.refer("type")
        signed = (
            any(v < 0 for _, v in values) if under is None else self.type_of(under, where).signed
        )
        return CType(
            "enum",
            entry.integer("byte_size") or 0,
            f"enum {name}" if name else "unnamed enum",
            signed,
            enumerators=values,
        )

    def _array(self, entry: Entry, where: str) -> CType:
        if entry.has("GNU_vector"):
            raise ElfError(f"vector type {entry.text('name')!r} cannot be passed", where=where)
        element = self.type_of(entry.refer("type"), where)
        counts = []
        for child in entry.children():
            if child.tag == "subrange_type":
                upper, count = child.integer("upper_bound"), child.integer("count")
                counts.append(count if count is not None else 0 if upper is None else upper + 1)
        inner = element
        suffix = ""
        for count in reversed(counts):  # a[2][3] is two arrays of three
            suffix = f"[{count or ''}]{suffix}"
            inner = _array_of(inner, count, element.name + suffix)
        return inner

    def _guarded_fields(self, entry: Entry, name: str, where: str) -> tuple[CField, ...]:
        with entry.unit.guard(f"the fields of {name}"):
            return self._fields(entry, name, where)

    def _fields(self, entry: Entry, name: str, where: str) -> tuple[CField, ...]:
        fields: list[CField] = []
        for member in entry.children():
            if member.tag != "member" or member.has("external"):
                continue
            label = member.text("name") or ""
            if member.has("bit_size"):
                what = f"{name} has a bit-field {label!r}, which m7sim does not lay out"
                raise ElfError(
                    what, where=where, do="Pass it as raw bytes, or its fields one by one"
                )
            offset = member.integer("data_member_location") or 0
            kind = self.type_of(member.refer("type"), where)
            if label:
                fields.append(CField(label, offset, kind))
            else:
                fields += [CField(f.name, offset + f.offset, f.type) for f in kind.fields]
        return tuple(fields)


def _is_const(entry: Entry | None) -> bool:
    """Tell whether a type is const behind its typedefs, without building it."""
    for _ in range(_DEEPEST):
        if entry is None or not (entry.tag in _QUALIFIERS or entry.tag == "typedef"):
            return False
        if entry.tag == "const_type":
            return True
        entry = entry.refer("type")
    return False


def _formals(entry: Entry) -> list[Entry]:
    return [child for child in entry.children() if child.tag == "formal_parameter"]


def _array_of(element: CType, count: int, name: str) -> CType:
    return CType(
        "array", count * element.size_bytes, name, const=element.const, count=count,
        resolve_target=lambda: element,
    )  # fmt: skip


def _name(entry: Entry | None) -> str:
    """Write a type as C does, without looking into structs."""
    if entry is None:
        return "void"
    tag, name = entry.tag, entry.text("name")
    if tag in _QUALIFIERS:
        inner, word = entry.refer("type"), _QUALIFIERS[tag]
        text = _name(inner)
        if inner is not None and inner.tag == "pointer_type":
            return f"{text}{word}"
        return f"{word} {text}".strip()
    if tag in _STRUCTS or tag == "enumeration_type":
        word = _STRUCTS.get(tag, "enum")
        return f"{word} {name}" if name else f"unnamed {word}"
    if tag in ("pointer_type", "reference_type", "rvalue_reference_type"):
        return _pointer_name(entry.refer("type"))
    if tag == "array_type":
        return f"{_name(entry.refer('type'))}[]"
    if tag == "subroutine_type":
        return "function"
    return name or tag


def _pointer_name(inner: Entry | None) -> str:
    if inner is not None and inner.tag == "subroutine_type":
        parameters = ", ".join(_name(f.refer("type")) for f in _formals(inner)) or "void"
        return f"{_name(inner.refer('type'))} (*)({parameters})"
    text = _name(inner)
    return f"{text}*" if text.endswith("*") else f"{text} *"
