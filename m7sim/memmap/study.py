"""One trace, its objects, and the same trace timed under other maps.

    with m7sim.memmap.study("run.trace") as study:
        study.objects                                  # what was accessed, and what it cost
        study.retime({"weights": "DTCM", ".text": "ITCM", "stack": "SRAM1"}).cycles

A short trace stays in memory, so that hundreds of maps can be timed; a long one is read again each
time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from m7sim.board import Board
from m7sim.core import Core
from m7sim.elf import Image
from m7sim.energy import find_model
from m7sim.errors import InputError
from m7sim.memmap.account import Ledger
from m7sim.memmap.branches import direct_branches
from m7sim.memmap.layout import Layout, Planner
from m7sim.memmap.moved import rows_of
from m7sim.memmap.objects import Array, MemoryObject, take_inventory
from m7sim.memmap.places import resolve_places
from m7sim.memmap.recording import Recording, make_spans
from m7sim.memmap.room import RegionUse
from m7sim.memmap.settings import changed_board
from m7sim.memmap.whatif import Retimed, retime
from m7sim.profile.configure import configuration
from m7sim.profile.result import Configuration
from m7sim.profile.worker import spare_core
from m7sim.session.firmware import FROM_RESET, Firmware
from m7sim.session.loading import chip_of
from m7sim.session.replaying import image_of
from m7sim.trace.store import SavedTrace, load_trace

__all__ = ["Layout", "Places", "RegionUse", "Retimed", "Study", "study", "study_call", "study_run"]

Places = Mapping[str, str]  # object, pattern, section or group -> region or kind of memory
MOST_MAPS_AT_ONCE = 2
R = TypeVar("R")


class Study:
    """A trace that is timed under several maps; made by `study`, `study_run`, `study_call`.

    Attributes
    ----------
    image, board, core
        The program, and what it is timed on unless told otherwise.
    from_reset
        Whether the trace begins at the reset handler.
    base : Retimed
        The map as linked, on ``board``.
    cut_short
        Why the run that was recorded did not come to its end, or "".
    """

    cut_short = ""

    def __init__(
        self, saved: SavedTrace, image: Image, board: Board, core: Core, recorded: Board
    ) -> None:
        self.image, self.board, self.core, self.recorded = image, board, core, recorded
        self.from_reset = saved.run_text("entry") == FROM_RESET
        self.entry = saved.run_text("entry")
        self.arguments = saved.run_text("arguments")
        self._saved = saved
        self._inventory = take_inventory(image, self.recorded, _arrays_of(saved))
        spans, objects = make_spans(self._inventory, self.recorded)
        self._recording = Recording(saved, spans, objects)
        self._rows = rows_of(self._recording)
        self._table = core.table()
        self._branches = direct_branches(image)
        self._ledger = Ledger(self._recording, self._rows, objects)
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.base = self.retime()

    @property
    def objects(self) -> tuple[MemoryObject, ...]:
        """Objects as linked, with what was counted: most cycles lost first."""
        return self.base.objects

    @property
    def use(self) -> tuple[RegionUse, ...]:
        """Room in each memory as linked."""
        return self.base.layout.use

    @property
    def configuration(self) -> Configuration:
        """What is simulated, as of a run."""
        _, power = find_model(self.board)
        return configuration(
            self.image, self.board, self.core, entry=self.entry, arguments=self.arguments,
            warm=False, timed=True, power=power,
        )  # fmt: skip

    @property
    def instructions(self) -> int:
        """Executed in the trace."""
        return self.base.instructions

    @property
    def kept(self) -> bool:
        """Whether the trace is in memory, and re-timing therefore quick."""
        return self._recording.kept

    @property
    def similar(self) -> int:
        """Executions of blocks whose objects are known only in part (`account`)."""
        return self._recording.similar

    def retime(
        self,
        places: Places | None = None,
        *,
        board: str | Path | Board = "",
        clock_hz: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Retimed:
        """Time the trace with objects moved.

        Parameters
        ----------
        places
            Region by object, pattern (``conv_*``), section (``.text``) or group (``code``,
            ``constants``, ``variables``, ``arrays``, ``all``; ``stack`` and ``heap`` are objects).
        board
            Default the study's. On a board with other memories, what is not placed lies in the
            memory of the same name or kind.
        clock_hz
            Core clock instead of the board's; the flash's wait states follow.
        settings
            As of `changed_board`, such as ``{"dcache.size_bytes": 8192}``.

        Raises
        ------
        InputError
            If a name is unknown, or the map does not fit: which objects, and by how many bytes.
        """
        planner = self._planner(board, clock_hz, settings)
        chosen = self._chosen(places or {}, planner.board)
        return retime(
            self._recording, self._rows, self._branches, self._ledger, planner, self._table, chosen,
            places=places or {}, from_reset=self.from_reset,
        )  # fmt: skip

    def retime_many(
        self,
        maps: Sequence[Places],
        *,
        board: str | Path | Board = "",
        clock_hz: int | None = None,
        settings: Mapping[str, Any] | None = None,
        on_done: Callable[[int, int], None] = lambda done, of: None,
    ) -> list[Retimed]:
        """Time the trace under several maps, two at once where there is a core for it.

        Parameters
        ----------
        maps
            As of `retime`; the others as well.
        on_done
            Told how many of how many are done.

        Raises
        ------
        InputError
            As `retime`, for the first map that is not possible.
        """
        chip = self._board(board, clock_hz, settings)

        def one(places: Places) -> Retimed:
            return self.retime(places, board=chip)

        found: list[Retimed] = []
        if not (spare_core() and self.kept):
            for places in maps:
                found.append(one(places))
                on_done(len(found), len(maps))
            return found
        with ThreadPoolExecutor(MOST_MAPS_AT_ONCE) as pool:
            for each in pool.map(one, maps):
                found.append(each)
                on_done(len(found), len(maps))
        return found

    def check(
        self,
        places: Places,
        *,
        board: str | Path | Board = "",
        settings: Mapping[str, Any] | None = None,
    ) -> Layout:
        """Lay a map out without timing it (and without the linker's veneers).

        Raises
        ------
        InputError
            As `retime`.
        """
        planner = self._planner(board, None, settings)
        return planner.lay_out(self._chosen(places, planner.board))

    def variant(
        self, board: str | Path | Board = "", *, settings: Mapping[str, Any] | None = None
    ) -> Board:
        """Return the board that `retime` would time on."""
        return self._board(board, None, settings)

    def close(self) -> None:
        """Close the trace; a temporary one is removed."""
        self._saved.close()
        if self.folder is not None:
            self.folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self.close()

    def _chosen(self, places: Places, board: Board) -> dict[int, str]:
        return resolve_places(places, self._inventory.objects, board)

    def _planner(
        self, board: str | Path | Board, clock_hz: int | None, settings: Mapping[str, Any] | None
    ) -> Planner:
        chip = self._board(board, clock_hz, settings)
        return Planner(self._inventory, self.recorded, chip, self._heap_bytes())

    def _board(
        self, board: str | Path | Board, clock_hz: int | None, settings: Mapping[str, Any] | None
    ) -> Board:
        chip = chip_of(board, clock_hz) if board else self.board.override(clock_hz=clock_hz)
        return changed_board(chip, settings) if settings else chip

    def _heap_bytes(self) -> int:
        """Bytes of the heap that the run used."""
        for k, each in enumerate(self._inventory.objects):
            if each.kind == "heap":
                return max(int(self._recording.extent[k, 1]) - each.address, 0)
        return 0


def study(
    trace: str | Path,
    board: str | Path | Board = "",
    core: str | Path | Core = "cortex_m7",
    *,
    elf: str | Path | None = None,
    clock_hz: int | None = None,
) -> Study:
    """Study a saved trace, of a run or of a call.

    Parameters
    ----------
    trace
        File that `Firmware.run` or `Firmware.call` saved.
    board, core, elf, clock_hz
        As of `session.replay`; the board may have another memory map.

    Raises
    ------
    InputError
        If the trace is damaged, or the ELF is missing or another one.
    """
    saved = load_trace(trace)
    try:
        recorded = chip_of(saved.run_text("board"), saved.clock_hz)
        chip = chip_of(board, clock_hz) if board else recorded.override(clock_hz=clock_hz)
        table = core if isinstance(core, Core) else Core.load(core)
        return Study(saved, image_of(saved, elf), chip, table, recorded)
    except BaseException:
        saved.close()
        raise


def study_run(firmware: Firmware, entry: str | None = None, **options: Any) -> Study:
    """Run firmware and study that; the options are those of `Firmware.run`.

    Raises
    ------
    InputError, FirmwareError
        As `Firmware.run` and `study`.
    """
    made, result = _recorded(firmware, lambda path: firmware.run(entry, trace=path, **options))
    if result.stop_reason in ("max_instructions", "max_cycles"):
        made.cut_short = result.message
    return made


def study_call(firmware: Firmware, name: str | int, *arguments: Any, **options: Any) -> Study:
    """Call a function and study that; arrays are objects by the names of the parameters.

    Raises
    ------
    InputError, FirmwareError, LimitError
        As `Firmware.call` and `study`.
    """
    made, _ = _recorded(
        firmware, lambda path: firmware.call(name, *arguments, trace=path, **options)
    )
    return made


def _recorded(firmware: Firmware, record: Callable[[Path], R]) -> tuple[Study, R]:
    folder = tempfile.TemporaryDirectory(prefix="m7sim-")
    try:
        path = Path(folder.name) / "trace"
        result = record(path)
        saved = load_trace(path)
        made = Study(saved, firmware.image, firmware.board, firmware.core, firmware.board)
    except BaseException:
        folder.cleanup()
        raise
    made.folder = folder
    return made, result


def _arrays_of(saved: SavedTrace) -> list[Array]:
    """Return what the header says of a call's arrays."""
    arrays: list[Array] = []
    try:
        for each in saved.header["run"].get("buffers", ()):
            name, address = str(each["name"]), int(each["address"])
            size, writable = int(each["size_bytes"]), bool(each["writable"])
            if not (0 <= address < 1 << 32 and 0 < size < 1 << 32):
                raise ValueError("buffer")
            arrays.append(Array(name, address, size, writable))
    except (TypeError, ValueError, KeyError) as error:
        raise InputError("its header is damaged", where=str(saved.path)) from error
    return arrays
