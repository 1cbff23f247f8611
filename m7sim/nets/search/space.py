"""Spaces of DS-CNN-like networks: a TOML file, checked, and the networks in it.

A network of the space is a first convolution, ``layers - 1`` depthwise separable blocks (a
depthwise and a 1x1 convolution each), an average pooling over the whole image and a fully
connected layer, as in arXiv 1711.07128. Every convolution has a rectifier behind it: a step of its
own in the q7 family, a clamp that costs nothing in the s8 family.
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from m7sim.errors import InputError, TableError
from m7sim.nets.builder import Builder, Pair
from m7sim.nets.graph import Graph
from m7sim.ops.shapes import Family

SAME, FREE = "same", "free"
_TOP = ("name", "family", "input", "classes", "space")
_KEYS = (
    *("layers", "features", "features_by_layer", "first_kernel", "first_stride"),
    *("block_kernel", "block_stride"),
)
_NEEDED = ("layers", "features")
_SPACES = Path(__file__).parent / "spaces"
_MAX_SIDE, _MAX_LAYERS, _MAX_FEATURES = 512, 64, 2048


@dataclass(frozen=True, order=True)
class Candidate:
    """One network of a space.

    Attributes
    ----------
    features
        Output channels of the first convolution and of each block.
    first_kernel, first_stride
        Of the first convolution, ``(y, x)``.
    block_kernel
        Of all depthwise convolutions.
    block_stride
        Of the first block's; the others have stride 1.
    """

    features: tuple[int, ...]
    first_kernel: Pair
    first_stride: Pair
    block_kernel: Pair
    block_stride: Pair

    @property
    def name(self) -> str:
        """Short name: layers, features, strides, and kernels where they are not 3x3."""
        runs = [(f, len(list(group))) for f, group in itertools.groupby(self.features)]
        if len(runs) == 1:
            widths = f"{runs[0][0]}"
        else:
            widths = "-".join(f"{f}" if n == 1 else f"{f}x{n}" for f, n in runs)
        strides = f"s{_sides(self.first_stride)} b{_sides(self.block_stride)}"
        kernels = f"k{_sides(self.first_kernel)}"
        if self.block_kernel != (3, 3):
            kernels += f" d{_sides(self.block_kernel)}"
        return f"L{len(self.features)} F{widths} {strides} {kernels}"


def _sides(pair: Pair) -> str:
    return f"{pair[0]}x{pair[1]}"


@dataclass(frozen=True, kw_only=True)
class Space:
    """What may vary, and what is the same in all networks.

    Attributes
    ----------
    name, path
        For people.
    family
        Of the kernels.
    input
        Image, ``(y, x)``; one channel.
    classes
        Outputs.
    layers, features
        Numbers to choose from; features for all layers or for each.
    free
        Whether every layer has features of its own.
    first_kernel, first_stride, block_kernel, block_stride
        Pairs ``(y, x)`` to choose from.
    """

    name: str
    path: str
    family: Family
    input: Pair
    classes: int
    layers: tuple[int, ...]
    features: tuple[int, ...]
    free: bool
    first_kernel: tuple[Pair, ...]
    first_stride: tuple[Pair, ...]
    block_kernel: tuple[Pair, ...]
    block_stride: tuple[Pair, ...]

    @property
    def windows(self) -> tuple[tuple[Pair, ...], ...]:
        """The choices of kernels and strides, in the order of `Candidate`."""
        return self.first_kernel, self.first_stride, self.block_kernel, self.block_stride

    @property
    def size(self) -> int:
        """Number of networks in it."""
        widths = [len(self.features) ** (n if self.free else 1) for n in self.layers]
        return sum(map(int, widths)) * prod(map(len, self.windows))

    def __iter__(self) -> Iterator[Candidate]:
        """Go through all networks; look at `size` first."""
        for layers in self.layers:
            widths: Iterator[tuple[int, ...]] = (
                itertools.product(self.features, repeat=layers)
                if self.free
                else ((f,) * layers for f in self.features)
            )
            for features in widths:
                for first_kernel, first_stride, kernel, stride in itertools.product(*self.windows):
                    yield Candidate(features, first_kernel, first_stride, kernel, stride)

    def graph(self, candidate: Candidate) -> Graph:
        """Return the network, without weights.

        Raises
        ------
        InputError
            If a size comes out below 1.
        """
        net = Builder(candidate.name, family=self.family, origin=self.path)
        x = net.input((*self.input, 1))

        def rectified(made: str) -> str:
            return net.relu(made) if self.family is Family.Q7 else made

        first, *others = candidate.features
        x = rectified(
            net.conv(x, first, kernel=candidate.first_kernel, stride=candidate.first_stride)
        )
        for number, features in enumerate(others):
            stride = candidate.block_stride if number == 0 else (1, 1)
            x = rectified(net.depthwise(x, kernel=candidate.block_kernel, stride=stride))
            x = rectified(net.conv(x, features, kernel=1))
        return net.finish(net.fc(net.ave_pool(x), self.classes))


def names() -> list[str]:
    """Return the names of the spaces in the package."""
    return sorted(path.stem for path in _SPACES.glob("*.toml"))


def load(path: str | Path) -> Space:
    """Read a space from TOML, or one of the package by name.

    Raises
    ------
    InputError
        If the file cannot be read.
    TableError
        If a key is missing, unknown or has a value that cannot be.
    """
    file = Path(path)
    if str(path) in names():
        file = _SPACES / f"{path}.toml"
    elif not file.exists():
        raise InputError(
            "no such file", where=str(path), do=f"Give a TOML file, or one of: {', '.join(names())}"
        )
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"not valid TOML: {error}", where=str(file)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(file)) from error
    return _Reader(data, str(path)).space()


class _Reader:
    def __init__(self, data: dict[str, Any], where: str) -> None:
        self.data, self.where = data, where

    def space(self) -> Space:
        self._keys(self.data, _TOP, _TOP[1:], "")
        space = self.data["space"]
        if not isinstance(space, dict):
            raise self._wrong("space", "is not a table")
        self._keys(space, _KEYS, _NEEDED, "space.")
        families = [Family.Q7.value, Family.S8.value]
        if self.data["family"] not in families:
            raise self._wrong(
                "family", f"is {self.data['family']!r}", f"Use {' or '.join(families)}."
            )
        by_layer = space.get("features_by_layer", SAME)
        if by_layer not in (SAME, FREE):
            raise self._wrong("space.features_by_layer", f"is {by_layer!r}", "Use same or free.")
        one = [[1, 1]]
        return Space(
            name=str(self.data.get("name", Path(self.where).stem)),
            path=self.where,
            family=Family(self.data["family"]),
            input=self._pair("input", self.data["input"], _MAX_SIDE),
            classes=self._number("classes", self.data["classes"], _MAX_FEATURES),
            layers=self._numbers("space.layers", space["layers"], _MAX_LAYERS),
            features=self._numbers("space.features", space["features"], _MAX_FEATURES),
            free=by_layer == FREE,
            first_kernel=self._pairs("space.first_kernel", space.get("first_kernel", [[10, 4]])),
            first_stride=self._pairs("space.first_stride", space.get("first_stride", one)),
            block_kernel=self._pairs("space.block_kernel", space.get("block_kernel", [[3, 3]])),
            block_stride=self._pairs("space.block_stride", space.get("block_stride", one)),
        )

    def _wrong(self, key: str, what: str, do: str = "") -> TableError:
        return TableError(f"{key} {what}", where=self.where, do=do)

    def _keys(
        self, table: dict[str, Any], known: tuple[str, ...], needed: tuple[str, ...], prefix: str
    ) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean {close[0]}? " if close else ""
                raise self._wrong(prefix + key, "is unknown", f"{hint}Known: {', '.join(known)}.")
        for key in needed:
            if key not in table:
                raise self._wrong(prefix + key, "is missing")

    def _number(self, key: str, value: Any, top: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= top:
            raise self._wrong(key, f"is {value!r}", f"Use a whole number from 1 to {top}.")
        return value

    def _numbers(self, key: str, value: Any, top: int) -> tuple[int, ...]:
        """Read a list of numbers, or a table with from, to and step (1 without)."""
        if isinstance(value, dict):
            ends = ("from", "to", "step")
            self._keys(value, ends, ends[:2], f"{key}.")
            low, high, step = (self._number(f"{key}.{k}", value.get(k, 1), top) for k in ends)
            value = list(range(low, high + 1, step))
        if not isinstance(value, list) or not value:
            raise self._wrong(key, f"is {value!r}", "Use a list, or a table of from, to, step.")
        return tuple(sorted({self._number(key, n, top) for n in value}))

    def _pair(self, key: str, value: Any, top: int = 64) -> Pair:
        if not isinstance(value, list) or len(value) != 2:
            raise self._wrong(key, f"is {value!r}", "Use two whole numbers: [y, x].")
        return self._number(key, value[0], top), self._number(key, value[1], top)

    def _pairs(self, key: str, value: Any) -> tuple[Pair, ...]:
        if not isinstance(value, list) or not value:
            raise self._wrong(key, f"is {value!r}", "Use a list of pairs: [[y, x], …].")
        return tuple(dict.fromkeys(self._pair(key, pair) for pair in value))
