"""Estimates of cycles and energy for shapes, from a table of measured ones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from m7sim.board import Board
from m7sim.characterize.library import OURS
from m7sim.characterize.placement import DEFAULT, Placement
from m7sim.errors import InputError
from m7sim.estimate import source
from m7sim.estimate.model import MIN_POINTS, Group, Predictions, summary
from m7sim.estimate.sizes import SIZES, Cache, Sizes
from m7sim.ops import registry
from m7sim.ops.shapes import OpType, Shape

NEAREST = 3
_LENGTHS = {OpType.FULLY_CONNECTED: ("in_len", "out_len"), OpType.SOFTMAX: ("length", "length")}


@dataclass(frozen=True)
class Neighbour:
    """A measured point near a shape: what it is, and what it took."""

    shape: str
    cycles: int
    energy_nj: float | None
    distance: float


@dataclass(frozen=True)
class Estimate:
    """What a shape is expected to take.

    Attributes
    ----------
    cycles_error, energy_error
        Relative; 9 of 10 held-out points near this one were within it.
    outside
        Sentences on what is outside the measured range; empty if nothing is.
    cycles_by_count
        What the loops, calls and cache lines of the kernel add to the cycles, the most first; the
        smooth correction is what is missing to the total.
    """

    op: str
    shape: Shape
    variant: str
    placement: str
    clock_hz: int
    cycles: float
    cycles_error: float
    energy_nj: float | None
    energy_error: float | None
    outside: tuple[str, ...]
    nearest: tuple[Neighbour, ...]
    cycles_by_count: Mapping[str, float]
    points: int

    @property
    def time_ms(self) -> float:
        """Time at the clock."""
        return self.cycles / self.clock_hz * 1e3

    @property
    def ops_per_s(self) -> float:
        """Operations a second."""
        return self.shape.ops / self.cycles * self.clock_hz

    @property
    def cycles_per_mac(self) -> float | None:
        """None for operations without multiply-accumulates."""
        return self.cycles / self.shape.macs if self.shape.macs else None

    @property
    def mean_power_mw(self) -> float | None:
        """Power while it runs."""
        return None if self.energy_nj is None else self.energy_nj * 1e-3 / self.time_ms


class Estimator:
    """Estimates from the points of one setting: kernels, options, board, clock, core, start.

    Fits are made when an operation is first asked for, in some tenths of a second each. For many
    shapes at once, such as the candidates of a search, use `predict`.
    """

    def __init__(self, points: source.Points) -> None:
        self.points = points
        self.clock_hz = int(points.setting["clock_hz"])

    @classmethod
    def load(cls, table: str | Path | None = None, **setting: Any) -> Estimator:
        """Read a table (default: that of the package) and choose a setting by `source.SETTING`.

        Raises
        ------
        InputError
            If there is no such table or setting, or the table holds several settings.
        """
        return cls(source.read(table, **setting))

    @cached_property
    def groups(self) -> dict[tuple[str, str, str], Group]:
        """Points by operation, kernel variant and placement, in the order of the table."""
        rows: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
        for row in self.points.rows:
            rows.setdefault((row["op"], row["variant"], row["placement"]), []).append(row)
        cache = self._cache()
        return {key: _group(key, found, cache) for key, found in rows.items()
                if key[0] in registry.OPS and len(found) >= MIN_POINTS}  # fmt: skip

    def _cache(self) -> Cache:
        try:
            found = Board.load(self.points.setting["board"]).dcache
        except InputError:  # a board of a file that is not at hand
            return Cache(16384, 32, 4)
        return Cache(found.size_bytes, found.line_bytes, found.ways)

    # One shape -------------------------------------------------------------------------------

    def estimate(
        self, shape: Shape, *, variant: str = "", placement: str = "", extrapolate: bool = False
    ) -> Estimate:
        """Estimate one shape.

        Parameters
        ----------
        variant
            Of the kernel; default the usual one for the shape.
        placement
            Default that of the table, if there is one only, or ``flash+sram``.
        extrapolate
            Whether a shape outside the measured range is allowed.

        Raises
        ------
        InputError
            If the table has no points for it, or the shape is outside the range.
        """
        group = self.group(shape, variant=variant, placement=placement)
        sizes = Sizes.of([shape])
        found = group.predict(sizes)
        outside = self._outside(group, shape, sizes)
        if outside and not extrapolate:
            raise InputError(
                f"outside what was measured of {group.op} by {group.variant}: {'; '.join(outside)}",
                where=shape.label,
                do="Give --extrapolate for an estimate all the same, or measure it with: "
                "m7sim characterize",
            )
        return Estimate(
            op=group.op,
            shape=shape,
            variant=group.variant,
            placement=group.placement,
            clock_hz=self.clock_hz,
            cycles=float(found.cycles[0]),
            cycles_error=float(found.cycles_error[0]),
            energy_nj=float(found.energy_nj[0]) if group.has_energy else None,
            energy_error=float(found.energy_error[0]) if group.has_energy else None,
            outside=tuple(outside),
            nearest=tuple(self._neighbours(group, sizes)),
            cycles_by_count=group.cycles_by_count(sizes),
            points=len(group),
        )

    def group(self, shape: Shape, *, variant: str = "", placement: str = "") -> Group:
        """Return the points that a shape is estimated from.

        Raises
        ------
        InputError
            If there are none; the message names what there is.
        """
        op = registry.name_of(shape)
        key = (op, variant or self._usual(op, shape), self._placement(placement))
        if key in self.groups:
            if variant:
                self._check_obstacle(op, shape, variant)
            return self.groups[key]
        table = str(self.points.path)
        if op not in {name for name, _, _ in self.groups}:
            known = ", ".join(dict.fromkeys(name for name, _, _ in self.groups))
            raise InputError(f"no points of {op}", where=table, do=f"There are: {known}")
        placements = list(dict.fromkeys(p for name, _, p in self.groups if name == op))
        if key[2] not in placements:
            raise InputError(
                f"no points of {op} at placement {key[2]}",
                where=table,
                do=f"There are: {', '.join(placements)}",
            )
        variants = [v for name, v, p in self.groups if (name, p) == (op, key[2])]
        close = difflib.get_close_matches(key[1], variants, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise InputError(
            f"no points of {op} by the kernel variant {key[1]!r}",
            where=table,
            do=f"{hint}There are: {', '.join(variants)}",
        )

    def _check_obstacle(self, op: str, shape: Shape, variant: str) -> None:
        if self.points.setting["kernels"] != OURS:
            return
        obstacle = registry.get(op).obstacles(shape).get(variant, "")
        if obstacle:
            raise InputError(f"{op} by {variant} {obstacle}", where=shape.label)

    def _usual(self, op: str, shape: Shape) -> str:
        """Return the variant that is meant if none is named: the usual one that can run it."""
        if self.points.setting["kernels"] == OURS:
            usable = registry.get(op).variants(shape)
            if usable:
                return usable[0]
        return next((variant for name, variant, _ in self.groups if name == op), "")

    def _placement(self, placement: str) -> str:
        if placement:
            return Placement.parse(placement).name
        known = list(dict.fromkeys(placement for _, _, placement in self.groups))
        return known[0] if len(known) == 1 else DEFAULT

    def _outside(self, group: Group, shape: Shape, sizes: Sizes) -> list[str]:
        found = group.outside(sizes)
        sentences = [
            f"{name} is {value}, measured are {low} to {high}"
            for name, (value, low, high) in _named(group.type, found).items()
        ]
        if not sentences:
            ((index, distance),) = group.nearest(sizes, 1)
            if distance > group.reach:
                label = _label(group, index)
                sentences.append(f"the nearest measured shape, {label}, is too different")
        return sentences

    def _neighbours(self, group: Group, sizes: Sizes) -> list[Neighbour]:
        found = []
        for index, distance in group.nearest(sizes, NEAREST):
            energy = float(group.energy_nj[index]) if group.has_energy else None
            cycles = int(group.cycles[index])
            found.append(Neighbour(_label(group, index), cycles, energy, distance))
        return found

    # Many shapes -----------------------------------------------------------------------------

    def predict(
        self,
        shapes: Sequence[Shape],
        *,
        variant: str = "",
        placement: str = "",
        extrapolate: bool = False,
    ) -> Predictions:
        """Estimate many shapes, of any operations, at once: arrays in the order given.

        Shapes outside the measured range are an error, or with ``extrapolate`` have ``inside``
        False. Equal shapes are estimated once.

        Raises
        ------
        InputError
            As `estimate`; the first shape that cannot be estimated is named.
        """
        places: dict[Shape, list[int]] = {}
        for number, shape in enumerate(shapes):
            places.setdefault(shape, []).append(number)
        by_group: dict[int, tuple[Group, list[Shape]]] = {}
        for shape in places:
            group = self.group(shape, variant=variant, placement=placement)
            by_group.setdefault(id(group), (group, []))[1].append(shape)
        columns = [np.zeros(len(shapes)) for _ in range(4)]
        inside = np.zeros(len(shapes), dtype=bool)
        for group, members in by_group.values():
            found = group.predict(Sizes.of(members))
            if not extrapolate and not found.inside.all():
                first = members[int(np.argmin(found.inside))]
                self.estimate(first, variant=variant, placement=placement)
            at = [number for shape in members for number in places[shape]]
            repeats = np.repeat(np.arange(len(members)), [len(places[s]) for s in members])
            parts = (found.cycles, found.energy_nj, found.cycles_error, found.energy_error)
            for column, part in zip(columns, parts, strict=True):
                column[at] = part[repeats]
            inside[at] = found.inside[repeats]
        return Predictions(columns[0], columns[1], columns[2], columns[3], inside)

    # How good it is --------------------------------------------------------------------------

    def check(
        self, ops: Sequence[str] = (), *, placement: str = "", worst: int = 3
    ) -> list[dict[str, Any]]:
        """Return errors of held-out points by group; default all operations and placements.

        Returns
        -------
        Dictionaries with op, variant, placement, points; ``cycles`` and ``energy`` (None without),
        each with median, p95 and max of relative errors; ``errors`` of cycles of all points; and
        the ``worst`` shapes, each with shape, cycles and error.
        """
        for op in ops:
            registry.get(op)
        found = []
        wanted = Placement.parse(placement).name if placement else ""
        for (op, variant, where), group in self.groups.items():
            if (ops and op not in ops) or wanted not in ("", where):
                continue
            order = np.argsort(-np.abs(group.held_out))[:worst]
            found.append(
                {
                    "op": op,
                    "variant": variant,
                    "placement": where,
                    "points": len(group),
                    "cycles": summary(group.held_out),
                    "energy": summary(group.held_out_energy) if group.has_energy else None,
                    "errors": group.held_out.tolist(),
                    "worst": [
                        {
                            "shape": _label(group, int(i)),
                            "cycles": int(group.cycles[i]),
                            "error": float(group.held_out[i]),
                        }
                        for i in order
                    ],
                }
            )
        if not found:
            asked = " at ".join(filter(None, (", ".join(ops) or "any operation", wanted)))
            raise InputError(f"no points of {asked}", where=str(self.points.path))
        return found


def _group(key: tuple[str, str, str], rows: list[Mapping[str, Any]], cache: Cache) -> Group:
    energy = [np.nan if row["energy_nj"] is None else row["energy_nj"] for row in rows]
    return Group(
        op=key[0],
        type=registry.get(key[0]).type,
        variant=key[1],
        placement=key[2],
        sizes=Sizes.of(rows),
        cycles=np.array([row["cycles"] for row in rows], dtype=np.float64),
        energy_nj=np.array(energy, dtype=np.float64),
        cache=cache,
    )


def _label(group: Group, index: int) -> str:
    numbers = dict(zip(SIZES, group.sizes.values[index].tolist(), strict=True))
    family = registry.get(group.op).family
    return Shape(op=group.type, family=family, **numbers).label


def _named(kind: OpType, outside: Mapping[str, Any]) -> dict[str, Any]:
    """Return sizes by the names that people give them, derived ones only if they are alone."""
    lengths = _LENGTHS.get(kind)
    names = {"work": "the work (taps × channels × outputs)"}
    if lengths:
        names |= {"in_ch": lengths[0], "out_ch": lengths[1]}
    given = {name: v for name, v in outside.items() if name not in ("work", "out_y", "out_x")}
    return {names.get(name, name): value for name, value in (given or outside).items()}
