"""One kernel of a manifest: for which shapes it is, and how its call is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from m7sim.board.schema import suggestion
from m7sim.characterize.call import Array, Call, Held, Ref, SizeCall, Value
from m7sim.characterize.expressions import Expression
from m7sim.characterize.layouts import IMAGE_AXES, TYPES, Layout, weight_axes
from m7sim.characterize.operands import array_names, arrays_of, number_names, numbers_of
from m7sim.characterize.placement import SCRATCH, WEIGHTS
from m7sim.characterize.schema import Kinds, check_keys, check_type
from m7sim.errors import TableError
from m7sim.ops import registry
from m7sim.ops.layer import Layer
from m7sim.ops.reference import Activations
from m7sim.ops.shapes import OpType, Shape

NULL = "null"
IN_PLACE = "input"
OUTPUT = "output"
_LAID_OUT = ("input", "input2", "weights", "bias", OUTPUT)
_KEYS: dict[str, Kinds] = {
    "op": (str, list), "variant": str, "function": str, "when": (str, int), "returns": (int, str),
    "arguments": list, "let": dict, "scratch": dict, "constant": dict, "struct": dict,
    "in_place": bool,
    **dict.fromkeys(_LAID_OUT, dict),
}  # fmt: skip
_NEEDED = ("op", "variant", "function", "arguments")

# An argument as written: a number or name, an array, or a struct.
Argument = Expression | Ref | None | Mapping[str, "Argument"]


@dataclass(frozen=True)
class Scratch:
    """A buffer that the function works in: its size, or the function that tells it."""

    dtype: str
    elements: Expression | None
    function: str = ""
    arguments: Sequence[Argument] = ()


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One entry ``[[kernel]]`` for one of its operations.

    Attributes
    ----------
    op
        Name of the operation in the registry.
    table
        The entry as written.
    """

    op: str
    variant: str
    function: str
    table: Mapping[str, Any]
    when: Expression
    returns: Expression | None
    arguments: Sequence[Argument]
    let: Mapping[str, Expression] = field(default_factory=dict)
    scratch: Mapping[str, Scratch] = field(default_factory=dict)
    constants: Mapping[str, tuple[str, Sequence[Expression]]] = field(default_factory=dict)
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    in_place: bool = False

    @classmethod
    def all_of(cls, table: Any, where: str, structs: Mapping[str, Any]) -> Iterator[Kernel]:
        """Read an entry, for each of its operations; ``structs`` are those of the manifest.

        Raises
        ------
        TableError
            If anything in it is unknown, missing or of the wrong kind.
        """
        check_keys(table, _KEYS, _NEEDED, where)
        where = f"{where} ({table['function']})"
        for op in [table["op"]] if isinstance(table["op"], str) else table["op"]:
            if op not in registry.OPS:
                raise TableError(
                    f"no operation {op!r}", where=where, do=suggestion(str(op), registry.OPS)
                )
            yield _Reader(op, table, where, structs).kernel()

    @property
    def functions(self) -> tuple[str, ...]:
        """Functions that it calls."""
        asked = (s.function for s in self.scratch.values() if s.function)
        return self.function, *asked

    def fits(self, shape: Shape) -> bool:
        """Whether it is for this operation."""
        op = registry.OPS[self.op]
        return (op.type, op.family) == (shape.op, shape.family)

    def obstacle(self, shape: Shape) -> str:
        """Return "" if it can run a shape, else the condition that does not hold."""
        return "" if self.when.value(self._shape_numbers(shape)) else f"needs {self.when.text}"

    def call(self, layer: Layer, inputs: Sequence[Activations]) -> Call:
        """Lay out the call for a layer."""
        numbers = numbers_of(layer)
        for name, expression in self.let.items():
            numbers[name] = expression.value(numbers)
        arrays = {
            name: Held(self._laid_out(name, array, layer.shape), group)
            for name, (array, group) in arrays_of(layer, inputs).items()
        }
        if self.in_place:
            del arrays[OUTPUT]
        for name, (dtype, values) in self.constants.items():
            data = np.array([each.value(numbers) for each in values], dtype=dtype)
            arrays[name] = Held(data, WEIGHTS)
        asked = {}
        for name, scratch in self.scratch.items():
            if scratch.elements is None:
                asked[name] = SizeCall(scratch.function, _fill(scratch.arguments, numbers))
                continue
            count = max(scratch.elements.value(numbers), 1)
            arrays[name] = Held(np.zeros(count, dtype=scratch.dtype), SCRATCH)
        used = _referred(self.arguments)
        output = IN_PLACE if self.in_place else OUTPUT
        layout = self.layouts.get(OUTPUT, Layout())
        return Call(
            function=self.function,
            arguments=_fill(self.arguments, numbers),
            arrays={name: held for name, held in arrays.items() if name in used},
            asked={name: each for name, each in asked.items() if name in used},
            output=output,
            returns=None if self.returns is None else self.returns.value(numbers),
            restore=lambda array: layout.undo(array, layer.shape),
        )

    def _laid_out(self, name: str, array: Array, shape: Shape) -> Array:
        layout = self.layouts.get(name, Layout())
        if name == OUTPUT and layout.dtype:
            return np.zeros(array.size, dtype=layout.dtype)
        return layout.apply(array, _axes(name, shape.op))

    def _shape_numbers(self, shape: Shape) -> dict[str, int]:
        return {name: int(getattr(shape, name)) for name in number_names(shape.op, shape_only=True)}


def _axes(name: str, op: OpType) -> tuple[str, ...]:
    if name == "weights":
        return weight_axes(op)
    return ("ch",) if name == "bias" else IMAGE_AXES


def _fill(arguments: Sequence[Argument], numbers: Mapping[str, int]) -> list[Value]:
    def one(argument: Argument) -> Value:
        if isinstance(argument, Mapping):
            return {name: one(each) for name, each in argument.items()}
        return argument.value(numbers) if isinstance(argument, Expression) else argument

    return [one(argument) for argument in arguments]


def _referred(arguments: Sequence[Argument]) -> set[str]:
    names = set()
    for argument in arguments:
        if isinstance(argument, Ref):
            names.add(argument.name)
        elif isinstance(argument, Mapping):
            names |= _referred(list(argument.values()))
    return names


class _Reader:
    """Reads one entry for one operation."""

    def __init__(
        self, op: str, table: dict[str, Any], where: str, structs: Mapping[str, Any]
    ) -> None:
        self.op, self.table, self.where = op, table, where
        self.structs = {**structs, **table.get("struct", {})}
        self._open: list[str] = []  # structs that are being read, one inside the other
        self.type = registry.OPS[op].type
        family = registry.OPS[op].family
        self.shape_numbers = number_names(self.type, shape_only=True)
        self.numbers = [*number_names(self.type, family)]
        self.arrays = [*array_names(self.type, family)]

    def kernel(self) -> Kernel:
        table = self.table
        let = {}
        for name, text in table.get("let", {}).items():
            let[name] = self._number(text, f"let.{name}")
            self.numbers.append(name)
        scratch = {name: self._scratch(name, t) for name, t in table.get("scratch", {}).items()}
        constants = {name: self._constant(name, t) for name, t in table.get("constant", {}).items()}
        self.arrays += [*scratch, *constants]
        in_place = table.get("in_place", False)
        arguments = [self._argument(a, i) for i, a in enumerate(table["arguments"])]
        written = IN_PLACE if in_place else OUTPUT
        if written not in _referred(arguments):
            do = "Add it to arguments" + ("" if in_place else ", or say in_place = true")
            raise TableError(f"no argument is {written!r}", where=self.where, do=do)
        when = Expression.parse(table.get("when", 1), f"{self.where}: when")
        when.check_names(self.shape_numbers)
        returns = self._number(table["returns"], "returns") if "returns" in table else None
        return Kernel(
            op=self.op, variant=table["variant"], function=table["function"], table=table,
            when=when, returns=returns, arguments=arguments, let=let,
            scratch=scratch, constants=constants, in_place=in_place,
            layouts={name: self._layout(name) for name in _LAID_OUT if name in table},
        )  # fmt: skip

    def _number(self, text: Any, key: str) -> Expression:
        check_type(text, (str, int), f"{self.where}: {key}")
        made = Expression.parse(text, f"{self.where}: {key}")
        made.check_names(self.numbers)
        return made

    def _argument(self, given: Any, position: int | str) -> Argument:
        where = f"arguments[{position}]" if isinstance(position, int) else position
        if isinstance(given, dict):
            return {name: self._argument(each, f"{where}.{name}") for name, each in given.items()}
        if given == NULL:
            return None
        if isinstance(given, str) and given in self.arrays:
            return Ref(given)
        if isinstance(given, str) and given in self.structs:
            return self._struct(given)
        check_type(given, (str, int, dict), f"{self.where}: {where}")
        made = Expression.parse(given, f"{self.where}: {where}")
        if made.names - set(self.numbers):
            made.check_names([*self.numbers, *self.arrays, *self.structs, NULL])
            raise TableError(f"{given!r} calculates with an array or struct", where=made.where)
        return made

    def _struct(self, name: str) -> Argument:
        where = f"struct.{name}"
        if name in self._open:
            raise TableError(f"struct {name!r} holds itself", where=f"{self.where}: {where}")
        check_type(self.structs[name], dict, f"{self.where}: {where}")
        self._open.append(name)
        try:
            return self._argument(self.structs[name], where)
        finally:
            self._open.pop()

    def _scratch(self, name: str, table: Any) -> Scratch:
        where = f"{self.where}: scratch.{name}"
        keys: dict[str, Kinds] = {
            "type": str,
            "elements": (str, int),
            "bytes_from": str,
            "arguments": list,
        }
        check_keys(table, keys, (), where)
        if ("elements" in table) == ("bytes_from" in table):
            raise TableError("give elements, or bytes_from a function", where=where)
        dtype = self._type(table.get("type", "int8"), where)
        if "elements" in table:
            return Scratch(dtype, self._number(table["elements"], f"scratch.{name}.elements"))
        asked = [
            self._argument(a, f"scratch.{name}.arguments[{i}]")
            for i, a in enumerate(table.get("arguments", []))
        ]
        if _referred(asked):
            raise TableError("a size cannot depend on an array", where=where)
        return Scratch(dtype, None, table["bytes_from"], asked)

    def _constant(self, name: str, table: Any) -> tuple[str, Sequence[Expression]]:
        where = f"{self.where}: constant.{name}"
        check_keys(table, {"type": str, "values": list}, ("type", "values"), where)
        values = [self._number(v, f"constant.{name}.values") for v in table["values"]]
        return self._type(table["type"], where), values

    def _type(self, name: str, where: str) -> str:
        if name not in TYPES:
            raise TableError(f"no element type {name!r}", where=where, do=suggestion(name, TYPES))
        return name

    def _layout(self, name: str) -> Layout:
        where = f"{self.where}: {name}"
        keys: dict[str, Kinds] = {"axes": (str, list), "interleave": str, "type": str}
        table = check_keys(self.table[name], keys, (), where)
        axes = table.get("axes", ())
        made = Layout(
            axes=tuple(axes.split() if isinstance(axes, str) else axes),
            interleave=table.get("interleave", ""),
            dtype=table.get("type", ""),
        )
        made.check(_axes(name, self.type), where)
        return made
