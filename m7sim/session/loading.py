"""From names and files to an ELF on a board."""

from __future__ import annotations

from pathlib import Path

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import find_model
from m7sim.errors import InputError
from m7sim.session.firmware import Firmware


def load(
    elf: str | Path | Image,
    board: str | Path | Board = "stm32f746",
    core: str | Path | Core = "cortex_m7",
    *,
    clock_hz: int | None = None,
    files: str | Path | None = None,
    time: bool = True,
    supply_mv: int | None = None,
    voltage_scale: int | None = None,
    peripherals: str | None = None,
) -> Firmware:
    """Load a bare-metal ELF onto a board.

    Parameters
    ----------
    elf
        Linked for the board's memory; a file, or one that was read already.
    board, core
        Names of tables that come with the package, TOML files, or loaded ones.
    clock_hz
        Core clock instead of the board's.
    files
        Folder below which the firmware may open files by semihosting; default none.
    time
        False: execute only, which is several times faster; results then have no cycles.
    supply_mv
        Supply voltage instead of the board's; the flash's wait states may depend on it.
    voltage_scale, peripherals
        For power and energy: ``scale`` and ``peripherals`` of `EnergyModel.for_board`.

    Raises
    ------
    ElfError
        If the ELF is damaged or not for a Cortex-M.
    TableError
        If a table breaks its schema.
    InputError
        If a file or folder does not exist.
    """
    chip = chip_of(board, clock_hz, supply_mv)
    energy = find_model(chip, scale=voltage_scale, peripherals=peripherals)
    table = core if isinstance(core, Core) else Core.load(core)
    folder = None if files is None else Path(files)
    if folder is not None and not folder.is_dir():
        raise InputError("no such folder for semihosting files", where=str(files))
    image = elf if isinstance(elf, Image) else Image.load(elf)
    return Firmware(image, chip, table, files=folder, time=time, energy=energy)


def chip_of(board: str | Path | Board, clock_hz: int | None, supply_mv: int | None = None) -> Board:
    chip = board if isinstance(board, Board) else Board.load(board)
    return chip.override(clock_hz=clock_hz, supply_mv=supply_mv)
