"""C types, structs and prototypes as a call needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from m7sim.errors import ElfError

TypeKind = Literal[
    "void", "int", "float", "bool", "enum", "pointer", "struct", "union", "array", "function"
]


def _no_type() -> CType | None:
    return None


def _no_fields() -> tuple[CField, ...]:
    return ()


@dataclass(frozen=True)
class CType:
    """A C type with typedefs, const and volatile peeled off; ``name`` still has them.

    Attributes
    ----------
    kind : str
        One of ``TypeKind``.
    size_bytes : int
        0 for void, functions, incomplete types and arrays of unknown length.
    name : str
        As a person would write it: ``const q7_t *``.
    signed : bool
        Of int and enum.
    const : bool
        Says that the type is const-qualified (of a pointer: the pointer itself).
    target_const : bool
        Of a pointer: what it points to is const-qualified (``const void *`` has no ``target``).
    count : int
        Elements of an array.
    enumerators : tuple[tuple[str, int], ...]
    target : CType | None
        What a pointer points to (None: void), or the element of an array.
    fields : tuple[CField, ...]
        Of a struct or union; ``ElfError`` if it has bit-fields.
    """

    kind: TypeKind
    size_bytes: int
    name: str
    signed: bool = False
    const: bool = False
    target_const: bool = False
    count: int = 0
    enumerators: tuple[tuple[str, int], ...] = ()
    # Resolved late: types may refer to themselves, and most are never looked into.
    resolve_target: Callable[[], CType | None] = field(default=_no_type, repr=False, compare=False)
    resolve_fields: Callable[[], tuple[CField, ...]] = field(
        default=_no_fields, repr=False, compare=False
    )

    @cached_property
    def target(self) -> CType | None:
        return self.resolve_target()

    @cached_property
    def fields(self) -> tuple[CField, ...]:
        return self.resolve_fields()

    def field(self, name: str) -> CField:
        """Return the field of this name.

        Raises
        ------
        ElfError
            If there is none; the message lists those there are.
        """
        for one in self.fields:
            if one.name == name:
                return one
        known = ", ".join(f.name for f in self.fields) or "none"
        raise ElfError(f"{self.name} has no field {name!r}", do=f"Its fields: {known}")

    def __str__(self) -> str:
        return self.name


CStruct = CType  # of kind "struct" or "union"


@dataclass(frozen=True)
class CField:
    """A member of a struct; those of unnamed inner structs appear as the outer one's own."""

    name: str
    offset: int  # bytes from the start of the struct
    type: CType


@dataclass(frozen=True)
class Parameter:
    """One parameter; ``name`` is empty where the source has none."""

    name: str
    type: CType


@dataclass(frozen=True)
class Prototype:
    """How to call a function; ``result`` is None for void."""

    name: str
    result: CType | None
    parameters: tuple[Parameter, ...]
    variadic: bool = False

    def __str__(self) -> str:
        parts = [f"{p.type.name} {p.name}".replace("* ", "*").rstrip() for p in self.parameters]
        text = ", ".join(parts + ["..."] * self.variadic) or "void"
        result = self.result.name if self.result else "void"
        return f"{result} {self.name}({text})".replace("* ", "*")
