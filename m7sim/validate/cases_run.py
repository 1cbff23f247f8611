"""Run cases through the model and set what it says beside what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m7sim.board import Board
from m7sim.errors import InputError, M7Error
from m7sim.machine import Buffer
from m7sim.profile.result import Result
from m7sim.session import Firmware, load
from m7sim.validate.bands import MeasuredCase, mix
from m7sim.validate.cases import Argument, Case, case_files, load_case
from m7sim.validate.cases_mca import estimate_cycles, straight_line


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One case that ran.

    ``stalls`` and ``statistics`` are of the whole call or run, also when ``measure`` picks a
    function out of it.
    """

    case: Case
    row: MeasuredCase
    core: str
    clock_hz: int
    issue_cycles: int
    stalls: dict[str, int]
    statistics: dict[str, int]


@dataclass(frozen=True)
class Failure:
    """A case that could not be compared, and the message that says why."""

    name: str
    path: Path
    message: str


@dataclass(frozen=True)
class Validation:
    """All cases of a folder."""

    folder: Path
    results: tuple[CaseResult, ...]
    failures: tuple[Failure, ...]

    @property
    def complete(self) -> bool:
        """Whether every case could be compared."""
        return not self.failures

    @property
    def rows(self) -> tuple[MeasuredCase, ...]:
        """The comparisons."""
        return tuple(result.row for result in self.results)


def run_folder(
    folder: Path,
    *,
    board: str = "",
    core: str = "",
    on_case: Callable[[int, int, str], None] | None = None,
) -> Validation:
    """Run every case of a folder; what is wrong with one does not keep the others from running.

    Parameters
    ----------
    board, core
        Used for all cases instead of their own.
    on_case
        Told before each case: its number from 0, how many there are, its name.

    Raises
    ------
    InputError
        If there is no such folder, no case in it, or ``board`` or ``core`` does not exist.
    """
    files = case_files(folder)
    if board:
        Board.load(board)
    results: list[CaseResult] = []
    failures: list[Failure] = []
    names: dict[str, Path] = {}
    runner = _Runner(board, core)
    for index, path in enumerate(files):
        name = path.stem
        if on_case:
            on_case(index, len(files), name)
        try:
            case = load_case(path)
            name = case.name
            if name in names:
                raise InputError(f"a second case named {name!r}", where=f"{path}: name")
            names[name] = path
            results.append(runner.run(case))
        except M7Error as error:
            failures.append(Failure(name, path, _message(error, path)))
    return Validation(folder, tuple(results), tuple(failures))


def run_case(case: Case, *, board: str = "", core: str = "") -> CaseResult:
    """Run one case.

    Raises
    ------
    M7Error
        If the board, the entry or an address does not exist, or the firmware goes wrong.
    """
    return _Runner(board, core).run(case)


def _message(error: M7Error, path: Path) -> str:
    """Return the error's text with the case file in it."""
    text = str(error)
    return text if str(path) in text else f"{path}: {text}"


class _Runner:
    """Runs cases; those that differ only in the function they measure share a run."""

    def __init__(self, board: str, core: str) -> None:
        self._board, self._core = board, core
        self._last: tuple[tuple[Any, ...], Result] | None = None

    def run(self, case: Case) -> CaseResult:
        key = case.run_key()
        if self._last is None or self._last[0] != key:
            self._last = None  # frees the machine before the next one is made
            self._last = (key, _run(case, self._chip(case), self._core or _beside(case, case.core)))
        return _compare(case, self._last[1])

    def _chip(self, case: Case) -> Board:
        chip = Board.load(self._board or _beside(case, case.board))
        return chip.override(clock_hz=case.clock_hz, icache=case.icache, dcache=case.dcache)


def _beside(case: Case, name: str) -> str | Path:
    """Return the file of this name beside the case if there is one, else the name."""
    local = case.path.parent / name
    return local if local.is_file() else name


def _run(case: Case, chip: Board, core: str | Path) -> Result:
    firmware = load(case.elf, board=chip, core=core)
    try:
        if case.entry is None:
            result = firmware.run(
                arguments=case.command_line, max_instructions=case.max_instructions
            )
            if result.stop_reason == "exit" and result.exit_code:
                raise InputError(f"the firmware ended with exit code {result.exit_code}")
            if result.stop_reason not in ("exit", "return") and not case.measure:
                raise InputError(
                    f"the run did not end: {result.message}",
                    do="Measure a function of it (measure = …)",
                )
            return result
        _check_entry(firmware, case)
        return _call(firmware, case, case.entry)
    finally:
        firmware.close()


def _call(firmware: Firmware, case: Case, entry: str | int) -> Result:
    arguments = [
        _prepare(firmware, argument, f"{case.path}: [[arguments]] {index + 1}")
        for index, argument in enumerate(case.arguments)
    ]
    warm = False
    for _ in range(case.repeat):
        for argument, passed in zip(case.arguments, arguments, strict=True):
            _refill(firmware, argument, passed)
        for name in case.before:
            firmware.call(name, warm=warm)
            warm = True
        result = firmware.call(entry, *arguments, warm=warm)
        warm = True
    return result


def _prepare(firmware: Firmware, argument: Argument, where: str) -> Any:
    """Return what is passed to the function: a number, an address or a buffer."""
    if argument.symbol:
        return firmware.image.symbol(argument.symbol).address
    if argument.array is None:
        return argument.value
    if argument.address is not None:
        _check_span(firmware.board, argument.address, argument.array.nbytes, f"{where}.address")
        return argument.address
    return firmware.machine.alloc(
        argument.array, argument.place, alignment_bytes=argument.alignment_bytes
    )


def _refill(firmware: Firmware, argument: Argument, passed: Any) -> None:
    """Give a buffer its first contents again: functions may work in place."""
    if argument.array is None:
        return
    if isinstance(passed, Buffer):
        passed.write(argument.array)
    else:
        firmware.machine.write(passed, argument.array.tobytes())


def _check_entry(firmware: Firmware, case: Case) -> None:
    if isinstance(case.entry, str):
        firmware.image.symbol(case.entry)
        return
    assert case.entry is not None
    address = case.entry & ~1
    if not any(start <= address < end for start, end in firmware.image.code_ranges()):
        ranges = ", ".join(f"0x{a:08x}-0x{b - 1:08x}" for a, b in firmware.image.code_ranges())
        raise InputError(
            f"no code at 0x{case.entry:08x}", where=f"{case.path}: entry",
            do=f"Code of {case.elf.name}: {ranges}",
        )  # fmt: skip


def _check_span(board: Board, start: int, size_bytes: int, where: str) -> None:
    region = board.region_at(start) if start >= 0 else None
    last = start + max(size_bytes, 1) - 1
    if region is None or region.device or not region.mapped:
        raise InputError(
            f"no memory at 0x{start:08x} on {board.name}", where=where,
            do=f"The nearest is {board.nearest_region(start)}",
        )  # fmt: skip
    if last not in region:
        raise InputError(f"{size_bytes} bytes at 0x{start:08x} reach beyond {region}", where=where)


def _compare(case: Case, result: Result) -> CaseResult:
    clock_hz = result.configuration.clock_hz
    measured, spread = case.measured_cycles, case.plus_minus_cycles
    if measured is None:
        assert case.measured_ms is not None
        measured = case.measured_ms * clock_hz / 1e3
    spread += case.plus_minus_ms * clock_hz / 1e3
    modelled: float = result.cycles
    instructions: int | None = result.instructions
    mca = None
    if case.measure:
        modelled, instructions = _mean_inclusive_cycles(case, result), None
    elif (text := straight_line(result)) is not None:
        mca = estimate_cycles(text)
    if not modelled:
        raise InputError("no cycle was spent in the measured code", where=str(case.path))
    row = MeasuredCase(
        name=case.name,
        code_class=case.code_class or mix(result).code_class,
        board=result.configuration.board,
        calibration=case.calibration,
        recompiled=case.recompiled,
        measured_cycles=round(measured, 3),
        plus_minus_cycles=round(spread, 3),
        modelled_cycles=modelled,
        instructions=instructions,
        llvm_mca_cycles=mca,
        source=case.source,
        commit=case.commit,
        notes=case.notes,
    )
    core = f"{result.configuration.core} {result.configuration.core_revision}".rstrip()
    return CaseResult(
        case=case, row=row, core=core,
        clock_hz=clock_hz, issue_cycles=result.issue_cycles,
        stalls=dict(result.stalls), statistics=dict(result.statistics),
    )  # fmt: skip


def _mean_inclusive_cycles(case: Case, result: Result) -> float:
    assert result.profile is not None
    found = [f for f in result.profile.functions if f.name == case.measure]
    if not found or not found[0].calls:
        raise InputError(
            f"the function {case.measure!r} was not called", where=f"{case.path}: measure"
        )
    return found[0].inclusive_cycles / found[0].calls
