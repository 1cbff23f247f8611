"""From what a person asks for to the points of a sweep, in their canonical order."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m7sim import toolchain
from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.characterize import grid
from m7sim.characterize.grid import ALL, USUAL, GridPoint
from m7sim.characterize.library import Library
from m7sim.characterize.measure import failure
from m7sim.characterize.placement import Placement
from m7sim.characterize.point import Point, Setup, model_version
from m7sim.characterize.table import SHAPE_COLUMNS
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import find_model
from m7sim.errors import InputError, ToolError

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to sweep over; every combination is a point.

    Attributes
    ----------
    shapes
        From `grid.points`.
    grid
        Name of the grid, for the header.
    cflags
        Sets of compiler options, each on top of the library's own.
    limit_instructions
        Of one call.
    command
        That makes the same table, for the header.
    """

    shapes: Sequence[GridPoint]
    grid: str
    libraries: Sequence[Library]
    boards: Sequence[Board]
    core: Core
    placements: Sequence[Placement]
    cflags: Sequence[tuple[str, ...]] = ((),)
    start: str = "cold"
    seed: int = 0
    limit_instructions: int = 1_000_000_000
    command: str = ""


@dataclass(frozen=True)
class Planned:
    """A row of the table to be: its labels, and the point to measure or why there is none."""

    labels: Mapping[str, Any]
    point: Point | None
    result: Mapping[str, Any] | None = None


def plan(
    request: Request, on_build: Callable[[int, int, str], None] | None = None
) -> list[Planned]:
    """Return the rows of a sweep, after building what they need.

    Parameters
    ----------
    on_build
        Told before each build: its number from 0, how many there are, its name.

    Raises
    ------
    InputError
        If a placement names a memory that a board lacks, a board has no linker script, the
        compiler is missing, or an operation has no variant of a name in any library.
    """
    _check(request)
    wanted = [
        (shape, library, variant, obstacle, placement, flags, board)
        for shape in request.shapes
        for library in request.libraries
        for variant, obstacle in _variants(shape, library, request.libraries)
        for placement in request.placements
        for flags in request.cflags
        for board in request.boards
    ]
    builds = dict.fromkeys(
        _Build.of(shape, library, variant, placement, flags, board)
        for shape, library, variant, obstacle, placement, flags, board in wanted
        if shape.shape is not None and not obstacle
    )
    setups: dict[_Build, Setup | str] = {}
    for number, build in enumerate(builds):
        if on_build:
            on_build(number, len(builds), " ".join((build.library, *build.flags, *build.keep)))
        setups[build] = _build(request, build)
    rows = []
    for shape, library, variant, obstacle, placement, flags, board in wanted:
        labels = _labels(request, shape, library, variant, placement, flags, board)
        if shape.shape is None:
            rows.append(Planned(labels, None, failure("bad_input", shape.reason)))
            continue
        if obstacle:
            rows.append(Planned(labels, None, failure("unsupported", obstacle)))
            continue
        setup = setups[_Build.of(shape, library, variant, placement, flags, board)]
        if isinstance(setup, str):
            rows.append(Planned(labels, None, failure("compile_error", setup)))
            continue
        point = Point(setup, shape.shape, variant, placement, request.start, request.seed)
        rows.append(Planned(labels, point))
    unique: dict[tuple[Any, ...], Planned] = {}
    for row in rows:
        unique.setdefault(tuple(row.labels.values()), row)
    return list(unique.values())


@dataclass(frozen=True)
class _Build:
    """What an ELF is built from; names stand for what the request holds."""

    library: str
    board: str
    placement: str
    flags: tuple[str, ...]
    keep: tuple[str, ...]

    @classmethod
    def of(
        cls,
        shape: GridPoint,
        library: Library,
        variant: str,
        placement: Placement,
        flags: tuple[str, ...],
        board: Board,
    ) -> _Build:
        """Return the build of a point: all kernels at once, but one in the small memories."""
        keep: tuple[str, ...] = ()
        if placement.code != "flash":
            assert shape.shape is not None  # impossible shapes are not built for
            keep = tuple(library.functions(shape.shape, variant))
        return cls(library.name, board.name, f"code={placement.code}", flags, keep)


def _build(request: Request, build: _Build) -> Setup | str:
    """Return what to measure on, or what the compiler said."""
    toolchain.find_compiler()  # a missing compiler is an error of the sweep, not of a point
    library = next(each for each in request.libraries if each.name == build.library)
    board = next(each for each in request.boards if each.name == build.board)
    placement = Placement.parse(build.placement)
    try:
        path = library.build(board, placement, build.flags, build.keep)
    except ToolError as error:
        return str(error)
    return Setup(
        library=library,
        board=board,
        core=request.core,
        content_sha256=Image.load(path).content_sha256,
        elf=zlib.compress(path.read_bytes()),
        limit_instructions=request.limit_instructions,
        model=model_version(),
    )


def _check(request: Request) -> None:
    """Raise what concerns all points: unknown memories and variants, names that stand for two."""
    for what, names in (
        ("libraries", [library.name for library in request.libraries]),
        ("boards", [board.name for board in request.boards]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            do = "Give each once; tables of two boards of one name cannot be told apart"
            raise InputError(f"two {what} are called {twice!r}", do=do)
    for board in request.boards:
        find_model(board)
        for placement in request.placements:
            placement.check(board)
            placement.linker_script(board)
    _check_variants(request)


def _check_variants(request: Request) -> None:
    """Raise InputError for a variant that no library has for any operation it is asked for."""
    asked = {name for shape in request.shapes for name in shape.variants} - {USUAL, ALL}
    known = {
        name
        for shape in request.shapes
        if shape.shape is not None
        for library in request.libraries
        for name in library.variants(shape.shape)
    }
    for name in sorted(asked - known):
        raise InputError(f"no kernel variant {name!r}", do=suggestion(name, {*known, ALL}))


def _variants(
    point: GridPoint, library: Library, libraries: Sequence[Library]
) -> list[tuple[str, str]]:
    """Return the variants to run of a shape, each with what is in its way.

    A name that the library does not have for this operation asks for nothing here: it is another
    operation's or another library's. So is an operation that only other libraries have.
    """
    if point.shape is None:
        return [("", point.reason)]
    known = library.variants(point.shape)
    if not known:
        others = any(each.variants(point.shape) for each in libraries)
        return [] if others else [("", f"{library.name} has no kernel for {point.op}")]
    usable = [name for name, obstacle in known.items() if not obstacle]
    found: dict[str, str] = {}
    for name in point.variants:
        if name in (USUAL, ALL):
            found |= dict.fromkeys(usable if name == ALL else usable[:1], "")
            if not usable:
                found[""] = "; ".join(f"{form} {obstacle}" for form, obstacle in known.items())
        elif name in known:
            found[name] = known[name]
    return list(found.items())


def _labels(
    request: Request,
    shape: GridPoint,
    library: Library,
    variant: str,
    placement: Placement,
    flags: tuple[str, ...],
    board: Board,
) -> dict[str, Any]:
    sizes = {name: getattr(shape.shape, name, None) for name in SHAPE_COLUMNS}
    return {
        "op": shape.op,
        "family": shape.shape.family.value if shape.shape else grid.family_of(shape.op),
        "shape": shape.label,
        **sizes,
        "kernels": library.name,
        "variant": variant,
        "placement": placement.name,
        "cflags": " ".join(flags),
        "board": board.name,
        "clock_hz": board.clock_hz,
        "core": request.core.name,
        "start": request.start,
        "seed": request.seed,
    }
