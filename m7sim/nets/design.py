"""Networks written by hand, as TOML: shapes without weights.

How such a file looks::

    name = "small DS-CNN"
    input = [49, 10, 1]             # y, x, channels; or one number: a vector

    [[layer]]
    op = "conv"
    out_ch = 64
    kernel = [10, 4]                # y, x, or one number for both
    stride = 2
    padding = "same"                # same, valid, or zeros in front

    [[layer]]
    op = "depthwise"
    name = "first"                  # for layers that others name
    kernel = 3

    [[layer]]
    op = "add"
    from = ["first", "conv1"]       # default: the layer before

    [[layer]]
    op = "ave_pool"                 # default: over the whole image

    [[layer]]
    op = "fc"
    out_len = 12

Layers without a name are called by their operation and a number: conv1, depthwise2. Operations are
``conv``, ``depthwise``, ``fc``, ``max_pool``, ``ave_pool``, ``add``, ``relu``, ``softmax`` and
``reshape`` (``shape``); a rectifier after a weighted layer costs nothing in the s8 family.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from m7sim.board.schema import suggestion
from m7sim.errors import InputError, TableError
from m7sim.nets.builder import Builder
from m7sim.nets.graph import Graph
from m7sim.nets.raw import MAX_COUNT
from m7sim.nets.tflite_import import file_bytes
from m7sim.ops.shapes import Family

_WINDOW = ("kernel", "stride", "padding")
_KEYS: Mapping[str, tuple[str, ...]] = {
    "conv": ("out_ch", *_WINDOW),
    "depthwise": (*_WINDOW, "multiplier"),
    "fc": ("out_len",),
    "max_pool": _WINDOW,
    "ave_pool": _WINDOW,
    "add": (),
    "relu": (),
    "softmax": (),
    "reshape": ("shape",),
}
_NEEDED = {"conv": "out_ch", "fc": "out_len", "reshape": "shape"}
_TOP = ("name", "input", "family", "classes", "layer")


def read(path: Path) -> Graph:
    """Read a design.

    Raises
    ------
    InputError
        If the file cannot be read, or the shapes do not fit one another.
    TableError
        If it breaks the form above.
    """
    try:
        table = tomllib.loads(file_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError(f"no TOML: {error}", where=str(path)) from error
    return parse(table, str(path))


def parse(table: Mapping[str, Any], origin: str) -> Graph:
    """Make a graph of a table; see `read`."""
    _known(table, _TOP, origin)
    layers = table.get("layer", [])
    if not isinstance(layers, list) or not layers or len(layers) > MAX_COUNT:
        raise TableError("it has no layers", where=origin, do="Write [[layer]] tables.")
    family = table.get("family", Family.S8.value)
    if family not in (Family.S8.value, Family.Q7.value):
        raise TableError(f"family {family!r}", where=f"{origin}: family", do="Use s8 or q7.")
    net = Builder(_text(table.get("name", "design"), f"{origin}: name"),
                  family=Family(family), origin=origin)  # fmt: skip
    size = table.get("input")
    last = net.input(_sides(size, f"{origin}: input"), name="input")
    for number, layer in enumerate(layers, start=1):
        where = f"{origin}: layer {number}"
        try:
            last = _layer(net, layer, last, where)
        except InputError as error:
            error.where = error.where or where
            raise
    classes = table.get("classes", [])
    if not isinstance(classes, list):
        raise TableError("classes is no list", where=origin)
    return net.finish(last, classes=[str(name) for name in classes])


def _layer(net: Builder, layer: Any, last: str, where: str) -> str:
    if not isinstance(layer, dict):
        raise TableError("no table", where=where)
    op = layer.get("op")
    if not isinstance(op, str) or op not in _KEYS:
        raise TableError(f"op is {op!r}", where=where, do=suggestion(str(op), _KEYS))
    _known(layer, ("op", "name", "from", *_KEYS[op]), where)
    if op in _NEEDED and _NEEDED[op] not in layer:
        raise TableError(f"{op} needs {_NEEDED[op]}", where=where)
    name = _text(layer.get("name", ""), where)
    source = layer.get("from", last)
    inputs = source if isinstance(source, list) else [source]
    if len(inputs) != (2 if op == "add" else 1):
        raise TableError(f"{op} from {source!r}", where=where, do="add has two inputs, others one.")
    read = [_text(x, where) for x in inputs]
    window = {key: _pair(layer[key], key, where) for key in _WINDOW if key in layer}
    match op:
        case "conv":
            return net.conv(read[0], _number(layer, "out_ch", where), name=name, **window)
        case "depthwise":
            many = _number(layer, "multiplier", where) if "multiplier" in layer else 1
            return net.depthwise(read[0], multiplier=many, name=name, **window)
        case "fc":
            return net.fc(read[0], _number(layer, "out_len", where), name=name)
        case "max_pool":
            return net.max_pool(read[0], name=name, **window)
        case "ave_pool":
            return net.ave_pool(read[0], name=name, **window)
        case "add":
            return net.residual(read[0], read[1], name=name)
        case "relu":
            return net.relu(read[0], name=name)
        case "softmax":
            return net.softmax(read[0], name=name)
        case _:
            return net.reshape(read[0], _sides(layer["shape"], where), name=name)


def _known(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise TableError(f"unknown key {key!r}", where=where, do=suggestion(key, keys))


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise TableError(f"{value!r} is no text", where=where)
    return value


def _number(layer: Mapping[str, Any], key: str, where: str) -> int:
    value = layer[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65536:
        raise TableError(f"{key} is {value!r}", where=where, do="Use 1 to 65536.")
    return value


def _sides(value: Any, where: str) -> tuple[int, ...]:
    sides = value if isinstance(value, list) else [value]
    right = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= 65536 for n in sides)
    if not right or len(sides) not in (1, 3):
        raise TableError(f"sizes {value!r}", where=where, do="Give y, x, channels, or a length.")
    return tuple(sides)


def _pair(value: Any, key: str, where: str) -> Any:
    if key == "padding" and isinstance(value, str):
        return value
    sides = value if isinstance(value, list) else [value, value]
    low = 0 if key == "padding" else 1
    right = all(isinstance(n, int) and not isinstance(n, bool) and low <= n <= 4096 for n in sides)
    if not right or len(sides) != 2:
        raise TableError(f"{key} is {value!r}", where=where, do="Give one number, or two: y, x.")
    return (sides[0], sides[1])
