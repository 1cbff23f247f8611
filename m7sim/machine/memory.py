"""Give the engine the memory of a board, and put an image into it."""

from __future__ import annotations

from m7sim.board import Board, Region
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.machine.engine import Engine
from m7sim.machine.hostmemory import EXECUTE, READ, WRITE
from m7sim.machine.system import ReadyRegisters, SystemRegisters

_ERASED = 0xFF  # flash


def map_board(engine: Engine, board: Board, system: SystemRegisters, ready: ReadyRegisters) -> None:
    """Map every region that is switched on."""
    for region in board.regions:
        if not region.mapped:
            continue
        if region.kind == "core":
            engine.map_registers(region.start, region.size_bytes, system.read, system.write)
            continue
        permissions = READ | WRITE * region.writable | EXECUTE * region.executable
        share = region.alias_of or region.name
        pages = [page for page in ready.pages if page in region]
        start = region.start
        for page in pages:
            if page > start:
                engine.map_memory(start, page - start, permissions=permissions)
            engine.map_registers(page, 0x1000, ready.read, ready.write)
            start = page + 0x1000
        if start < region.end:
            engine.map_memory(
                start,
                region.end - start,
                permissions=permissions,
                share="" if pages else share,
            )


def clear(engine: Engine, board: Board) -> None:
    """Return all memory to its state at power-on: flash erased, the rest zero."""
    engine.clear_memory()
    for region in board.regions:
        if region.kind == "flash":
            engine.view(region.start, region.size_bytes)[:] = _ERASED


def load(engine: Engine, board: Board, image: Image) -> None:
    """Write the image where a programmer would: every segment at its load address.

    Raises
    ------
    InputError
        If a segment lies outside the board's memory.
    """
    for segment in image.segments:
        if segment.data:
            _check(board, image, segment.lma, len(segment.data))
            engine.write(segment.lma, segment.data)


def initialise(engine: Engine, board: Board, image: Image) -> None:
    """Do what start-up code does: initialised data and code in RAM to where they run, zero .bss.

    Raises
    ------
    InputError
        If a segment lies outside the board's memory.
    """
    for segment in image.segments:
        _check(board, image, segment.vma, segment.memory_bytes)
        region = board.region_at(segment.vma)
        if segment.vma != segment.lma or region is None or region.writable:
            zeros = bytes(segment.memory_bytes - len(segment.data))
            engine.write(segment.vma, segment.data + zeros)


def _check(board: Board, image: Image, start: int, size_bytes: int) -> None:
    place = start
    while place < start + size_bytes:
        region = board.region_at(place)
        if region is None or region.device or not region.mapped:
            raise InputError(
                f"{size_bytes} bytes at 0x{start:08x} do not fit the memory of {board.name}",
                where=image.path,
                do=_advice(board, region, place),
            )
        place = region.end


def _advice(board: Board, region: Region | None, address: int) -> str:
    if region is not None and not region.mapped:
        return f"Switch {region.name} on: board.map_regions({region.name!r})"
    return f"0x{address:08x} is in no memory; the nearest is {board.nearest_region(address)}"
