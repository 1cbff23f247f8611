"""Which shapes a sweep covers: grids in TOML, by name from the package or from a file.

A grid has a list ``[[sweep]]``. Each names one or more operations, then parameters of the registry,
each with a number, a list, or a range ``{from, to, step}`` or ``{from, to, factor}`` (both ends
included); every combination is a shape. A parameter may also be an expression over the others
(``out_ch = "2 * in_ch"``), and ``when`` keeps only the combinations for which it holds::

    schema = 1
    [[sweep]]
    op = ["conv", "conv_s8"]
    size = 8
    in_ch = { from = 4, to = 64, factor = 2 }
    out_ch = "in_ch"
    kernel = [3, 5]
    when = "in_ch * kernel < 200"
    variants = ["fast", "basic"]     # default: the usual one; "all" for each that can run it
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m7sim.board.schema import suggestion
from m7sim.characterize.expressions import Expression
from m7sim.characterize.schema import check_keys, check_type, strings
from m7sim.errors import InputError, TableError
from m7sim.ops import registry
from m7sim.ops.shapes import Shape

SCHEMA = 1
DEFAULT = "default"
USUAL, ALL = "", "all"
MAX_SHAPES = 1_000_000
MAX_VALUES = 10_000  # of one parameter

_FOLDER = Path(__file__).parent / "grids"
_RANGE = {"from": int, "to": int, "step": int, "factor": int}
_OWN = {"op": (str, list), "when": str, "variants": (str, list)}


@dataclass(frozen=True)
class GridPoint:
    """A shape of a grid, or why its numbers make none.

    Attributes
    ----------
    op
        Name of the operation, as the registry has it.
    label
        Sizes in a few characters; of an impossible shape, its parameters.
    shape
        None if it is impossible; ``reason`` says why.
    variants
        Names of kernel variants; ``("",)`` for the usual one, ``("all",)`` for each usable.
    """

    op: str
    label: str
    shape: Shape | None
    reason: str
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """One ``[[sweep]]`` of a grid: operations × parameters."""

    ops: tuple[str, ...]
    lists: Mapping[str, tuple[int, ...]]
    derived: Mapping[str, Expression]
    when: Expression | None
    variants: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of combinations for each operation, ``when`` not applied."""
        count = 1
        for values in self.lists.values():
            count *= len(values)
        return count

    def points(self, op: str) -> Iterator[GridPoint]:
        """Return the shapes of one operation, the last parameter varying fastest."""
        for values in itertools.product(*self.lists.values()):
            numbers = dict(zip(self.lists, values, strict=True))
            for name, expression in self.derived.items():
                numbers[name] = expression.value(numbers)
            if self.when is None or self.when.value(numbers):
                yield self._point(op, numbers)

    def _point(self, op: str, numbers: Mapping[str, int]) -> GridPoint:
        try:
            shape = registry.get(op).shape(**numbers)
            name = registry.name_of(shape)
        except InputError as error:
            label = " ".join(f"{name}={value}" for name, value in numbers.items())
            return GridPoint(op, label, None, str(error), self.variants)
        return GridPoint(name, shape.label, shape, "", self.variants)


def names() -> list[str]:
    """Return the names of the grids of the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load(name_or_path: str | Path) -> tuple[Sweep, ...]:
    """Read a grid of the package by name, or one from a TOML file.

    Raises
    ------
    InputError
        If there is no such grid.
    TableError
        If it breaks the schema; the message says where and names the nearest valid key.
    """
    text = str(name_or_path)
    path = Path(text)
    if not (text.endswith(".toml") or "/" in text):
        if text not in names():
            raise InputError(f"no grid {text!r}", do=suggestion(text, names()))
        path = _FOLDER / f"{text}.toml"
    elif not path.is_file():
        raise InputError(
            "no such grid file", where=text, do=f"Grids of the package: {', '.join(names())}"
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableError(f"cannot be read as TOML: {error}", where=text) from error
    check_keys(data, {"schema": int, "sweep": list}, ("schema", "sweep"), text)
    if data["schema"] != SCHEMA:
        raise TableError(f"schema {data['schema']}, known is {SCHEMA}", where=text)
    found = tuple(_sweep(t, f"{text}: sweep[{i}]") for i, t in enumerate(data["sweep"]))
    total = sum(sweep.size * len(sweep.ops) for sweep in found)
    if total > MAX_SHAPES:
        raise TableError(f"{total} shapes, at most {MAX_SHAPES} are allowed", where=text)
    return found


def points(
    sweeps: Iterable[Sweep], ops: Iterable[str] = (), variants: tuple[str, ...] = ()
) -> list[GridPoint]:
    """Return the shapes of a grid in its order, each once.

    Parameters
    ----------
    ops
        Keep only these operations; default all. InputError for an unknown one.
    variants
        Instead of those of the grid.
    """
    wanted = list(ops)
    for name in wanted:
        registry.get(name)
    found: dict[tuple[object, ...], GridPoint] = {}
    for sweep in sweeps:
        for op in sweep.ops:
            for point in sweep.points(op):
                if wanted and point.op not in wanted:
                    continue
                if variants:
                    point = GridPoint(point.op, point.label, point.shape, point.reason, variants)
                found.setdefault((point.op, point.shape or point.label, point.variants), point)
    return list(found.values())


def family_of(op: str) -> str:
    """Return the family of an operation."""
    return registry.get(op).family.value


def _sweep(table: Any, where: str) -> Sweep:
    if not isinstance(table, dict):
        raise TableError("expected a table", where=where)
    if "op" not in table:
        raise TableError("missing key 'op'", where=where)
    check_type(table["op"], (str, list), f"{where}: op")
    ops = [table["op"]] if isinstance(table["op"], str) else strings(table["op"], f"{where}: op")
    for op in ops:
        if op not in registry.OPS:
            raise TableError(f"no operation {op!r}", where=where, do=suggestion(op, registry.OPS))
    known = _parameters(ops)
    for name in table:
        if name not in known and name not in _OWN:
            do = suggestion(name, [*known, *_OWN])
            raise TableError(f"unknown key {name!r} for {' and '.join(ops)}", where=where, do=do)
    lists: dict[str, tuple[int, ...]] = {}
    derived: dict[str, Expression] = {}
    for name, value in table.items():
        if name in _OWN:
            continue
        if isinstance(value, str):
            derived[name] = Expression.parse(value, f"{where}: {name}")
        else:
            lists[name] = tuple(dict.fromkeys(_values(value, f"{where}: {name}")))
    order = list(lists)
    for name, expression in derived.items():
        expression.check_names(order)
        order.append(name)
    when = None
    if "when" in table:
        check_type(table["when"], str, f"{where}: when")
        when = Expression.parse(table["when"], f"{where}: when")
        when.check_names(order)
    return Sweep(tuple(ops), lists, derived, when, _variants(table.get("variants", USUAL), where))


def _parameters(ops: Iterable[str]) -> list[str]:
    """Return the parameters that all of some operations have, short names for two sides as well."""
    shared: list[str] | None = None
    for op in ops:
        own = [p.name for p in registry.OPS[op].parameters]
        own += [short for short, (first, _) in registry.SHORTHANDS.items() if first in own]
        shared = own if shared is None else [name for name in shared if name in own]
    return shared or []


def _variants(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(strings(value, f"{where}: variants")) or (USUAL,)


def _values(value: Any, where: str) -> list[int]:
    if isinstance(value, dict):
        return _range(value, where)
    values = value if isinstance(value, list) else [value]
    for item in values:
        check_type(item, int, where)
    if not values:
        raise TableError("an empty list", where=where)
    return values


def _range(value: dict[str, Any], where: str) -> list[int]:
    check_keys(value, _RANGE, ("from", "to"), where)
    first, last = value["from"], value["to"]
    step, factor = value.get("step", 1), value.get("factor")
    if factor is not None and "step" in value:
        raise TableError("give step or factor, not both", where=where)
    if first > last or step < 1 or (factor is not None and (factor < 2 or first < 1)):
        raise TableError(f"no range from {first} to {last}", where=where, do="Count upwards")
    found = []
    while first <= last:
        found.append(first)
        first = first * factor if factor is not None else first + step
        if len(found) > MAX_VALUES:
            raise TableError(f"more than {MAX_VALUES} values", where=where)
    return found
