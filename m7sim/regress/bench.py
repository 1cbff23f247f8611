"""What a test gets as ``m7``: build, load, check."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from m7sim import __version__, toolchain
from m7sim.board import Board
from m7sim.compare import snapshot
from m7sim.errors import InputError, ToolError
from m7sim.profile.result import CallResult, Result
from m7sim.regress.baseline import TARGET_KEYS, Entry
from m7sim.regress.check import (
    FAILED,
    NEW,
    Checked,
    CheckFailed,
    Row,
    compare_totals,
    describe,
    format_change,
    worst,
)
from m7sim.regress.firmware import TestedFirmware
from m7sim.regress.limits import ANYTHING, Limits, LimitsGiven, parse_limits
from m7sim.regress.metrics import measure
from m7sim.regress.settings import Settings, TestPlace
from m7sim.regress.shelf import Shelf
from m7sim.regress.workshop import Places, Workshop
from m7sim.session import load
from m7sim.units import format_hz

# Debug information for prototypes and source lines. Functions begin at a cache line, so that an
# edit of one function does not move the others within their lines and change what they cost.
ALWAYS_FLAGS = ("-g3", "-ffunction-sections", "-fdata-sections", "-falign-functions=32")
SINGLE_FPU, DOUBLE_FPU = "-mfpu=fpv5-sp-d16", "-mfpu=fpv5-d16"
# Without --gc-sections, as nothing calls a kernel; unless `keep` says what is needed.
LINK_FLAGS = ("-nostartfiles", "--specs=nosys.specs")


class Bench:
    """Builds and loads firmware for a test, and checks what calls cost.

    Attributes
    ----------
    board, core, clock_hz, placement, flags, compiler
        What this test runs on, as options, configuration and the marker ``m7`` say.
    checked : list of Checked
        The checks so far.
    on_result : callable
        Told every result of a call or a run.
    source_folders : set of Path
        Where the sources of `build` are.
    """

    def __init__(
        self,
        settings: Settings,
        place: TestPlace,
        shelf: Shelf,
        workshop: Workshop,
        *,
        no_compiler: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.settings, self._place, self._shelf = settings, place, shelf
        self._workshop, self._no_compiler = workshop, no_compiler
        self.on_result: Callable[[Result], None] = lambda result: None
        self._firmware: dict[str, TestedFirmware] = {}  # the last one by path of the ELF
        self._all: list[TestedFirmware] = []
        self.checked: list[Checked] = []
        self.source_folders: set[Path] = set()
        self.board, self.core = settings.board, settings.core
        self.clock_hz, self.placement = settings.clock_hz, settings.placement
        self.flags, self.compiler = settings.flags, settings.compiler

    def __repr__(self) -> str:
        return f"<m7: {self.board}, {self._place.nodeid}>"

    # Firmware ------------------------------------------------------------------------------

    def build(
        self,
        *sources: str | Path,
        flags: str | Sequence[str] | None = None,
        include: str | Path | Sequence[str | Path] = (),
        keep: str | Sequence[str] = (),
        startup: bool = False,
        linker_script: str | Path | None = None,
        link_flags: str | Sequence[str] = (),
        board: str | Path | Board | None = None,
        sanitize: Any = None,
        **options: Any,
    ) -> TestedFirmware:
        """Compile sources, or take the ELF made before from the same ones, and load it.

        Parameters
        ----------
        *sources
            C and assembly files; relative names are relative to the test's folder. A function that
            nothing calls is kept.
        flags
            Of the compiler, such as ``-Os -DN=4``, instead of those of the session; options for the
            core, debug information and the alignment of functions come before them.
        include
            Folders with headers; ``m7sim.h`` is found anyway.
        keep
            Functions to keep; whatever they do not need is then left out.
        startup
            Add our start-up code and system calls, so that ``main`` can be ``run`` from reset.
        linker_script, link_flags
            Instead of that of the board; in addition.
        board, sanitize, **options
            As of `load`.

        Raises
        ------
        ToolError
            If the compiler is missing or fails.
        InputError
            If a source does not exist.
        """
        if not sources:
            raise InputError("m7.build needs at least one source")
        try:
            toolchain.find_compiler(self.compiler)
        except ToolError as error:
            self._no_compiler(str(error))
            raise
        chip = self._board(board)
        places = self._places()
        files = [self._file(source) for source in sources]
        own = toolchain.firmware_dir()
        self.source_folders |= {file.parent for file in files}
        if startup:
            files = [own / "board" / "startup.c", own / "board" / "syscalls.c", *files]
        given = self.flags if flags is None else _words(flags)
        script = self._file(linker_script) if linker_script else None
        if script is None:
            script = (places or self._workshop.placement_of("flash+sram")).linker_script(chip)
        keeping = _words(keep)
        elf = toolchain.build(
            files,
            linker_script=script,
            flags=(*ALWAYS_FLAGS, *given),
            include=[*(self._file(folder) for folder in _paths(include)), own / "include"],
            link_flags=(*LINK_FLAGS, *(["-Wl,--gc-sections"] if keeping else []),
                        *_words(link_flags)),
            keep=keeping,
            machine_flags=_machine_flags(chip),
            compiler=self.compiler,
        )  # fmt: skip
        return self._load(elf, chip, shlex.join(given), places, sanitize, options)

    def load(
        self,
        elf: str | Path,
        *,
        board: str | Path | Board | None = None,
        sanitize: Any = None,
        **options: Any,
    ) -> TestedFirmware:
        """Load an ELF; no compiler is needed.

        Parameters
        ----------
        elf
            Relative to the test's folder.
        board
            Instead of that of the session.
        sanitize
            Check every memory access, whatever the session says: True, False, or rules.
        **options
            As of `m7sim.load`: ``files``, ``supply_mv`` …

        Raises
        ------
        ElfError, InputError
            As of `m7sim.load`.
        """
        return self._load(
            self._file(elf), self._board(board), "", self._places(), sanitize, options
        )

    def _load(
        self,
        elf: Path,
        chip: Board,
        flags: str,
        places: Places | None,
        sanitize: Any,
        options: dict[str, Any],
    ) -> TestedFirmware:
        core = self._workshop.core(str(options.pop("core", self.core)))
        firmware = load(self._workshop.image(elf), chip, core, **options)
        tested = TestedFirmware(
            firmware,
            flags=flags,
            places=places,
            sanitize=self.settings.sanitize if sanitize is None else sanitize,
            on_result=lambda result: self.on_result(result),
        )
        self._firmware[str(firmware.image.path)] = tested
        self._all.append(tested)
        return tested

    def close(self) -> None:
        """Give the memory of all machines back."""
        for tested in self._all:
            tested.firmware.close()

    def _file(self, name: str | Path) -> Path:
        return self._place.folder / name

    def _board(self, given: str | Path | Board | None) -> Board:
        if isinstance(given, Board):
            return given
        name = str(given or self.board)
        beside = self._place.folder / name  # a board's own TOML file
        if name.endswith(".toml") and beside.exists():
            name = str(beside)
        return self._workshop.board(name, self.clock_hz)

    def _places(self) -> Places | None:
        return self._workshop.placement_of(self.placement) if self.placement else None

    # Checks --------------------------------------------------------------------------------

    def check(
        self,
        result: Result,
        name: str = "",
        *,
        limits: LimitsGiven = "",
        soft_limits: LimitsGiven = "",
        baseline: bool = True,
    ) -> Checked:
        """Compare what a call or a run cost with the committed baseline.

        Parameters
        ----------
        result
            Of ``fw.call`` or ``fw.run``.
        name
            Of the check, if a test checks one function more than once; default the function's.
        limits, soft_limits
            In addition to those of the session, such as ``{"cycles": "1%"}``; see
            `m7sim.regress.limits`.
        baseline
            False: only limits such as ``12000`` and the budget of the test count.

        Raises
        ------
        CheckFailed
            If a cost is over its limit, or there is no baseline.
        InputError
            If the result cannot be checked, or a limit names no metric.
        """
        if not isinstance(result, Result):
            raise InputError(
                f"m7.check wants what fw.call or fw.run returned, not {type(result).__name__}"
            )
        hard = {**self.settings.hard, **parse_limits(limits, "limits=")}
        soft = {**self.settings.soft, **parse_limits(soft_limits, "soft_limits=")}
        checked = self._measure(result, name)
        entry = None
        if baseline:
            entry = self._shelf.of(self._place.file).entry(checked.test, checked.name)
        settings = self.settings
        if settings.update:
            hard = {m: limit if limit.kind in ("most", "off") else ANYTHING
                    for m, limit in hard.items()}  # fmt: skip
        before = entry.totals if entry else {}
        checked.rows = compare_totals(
            before, checked.totals, hard=hard, soft=soft,
            strict=settings.strict and not settings.update,
        )  # fmt: skip
        checked.rows += _budget_rows(self._place.budget, checked)
        checked.status = worst(checked.rows)
        self.checked.append(checked)
        if baseline and entry is None and checked.status != FAILED:
            checked.status = NEW
        if entry is not None:
            checked.notes += _differences(entry.measured_on, checked.measured_on)
        checked.update = baseline and settings.update
        if checked.update or (entry is not None and checked.changed):
            checked.snapshot = snapshot(result).to_dict()
            checked.snapshot_before = entry.snapshot if entry else None
        self._judge(checked, entry, baseline)
        return checked

    def _measure(self, result: Result, name: str) -> Checked:
        configuration = result.configuration
        tested = self._firmware.get(configuration.elf)
        name = name or configuration.entry
        if any(other.name == name for other in self.checked):
            raise InputError(
                f"this test has checked {name!r} already",
                do='Give the second one a name: m7.check(r, name="…")',
            )
        return Checked(
            module=str(self._place.file),
            test=self._place.test,
            name=name,
            measured_on={
                "board": configuration.board,
                "clock_hz": configuration.clock_hz,
                "compiler": configuration.compiler,
                "core": configuration.core,
                "flags": tested.flags if tested else "",
                "m7sim": __version__,
                "placement": tested.placement if tested else "",
                **({"arrays": _ROOM} if result.usage and isinstance(result, CallResult) else {}),
            },
            totals=measure(result),
        )

    def _judge(self, checked: Checked, entry: Entry | None, baseline: bool) -> None:
        """Raise CheckFailed unless all is well."""
        settings = self.settings
        if settings.report_only:
            return
        again = "pytest --m7-update " + shlex.quote(self._place.nodeid)
        if entry is not None and not settings.update:
            other = _other_target(entry.measured_on, checked.measured_on)
            if other:
                checked.status = FAILED
                do = f"Measure on that, or make a new baseline: {again}"
                raise CheckFailed(f"{checked.name}: {other}", checked, do=do)
        failed = [row for row in checked.rows if row.verdict == FAILED]
        if failed:
            what = ", ".join(f"{row.metric} {format_change(row) or row.note}" for row in failed)
            lines = [f"{checked.name} is over its limits: {what}"]
            lines += [f"  {line}" for line in describe(checked.rows)]
            lines += [f"  note: {note}" for note in checked.notes]
            do = f"If that is meant: {again}" if entry is not None else ""
            raise CheckFailed("\n".join(lines), checked, do=do)
        if baseline and entry is None and not settings.update:
            path = self._shelf.path(self._place.file)
            what = f"{checked.name}: no baseline of this check in {path.name}"
            do = f"Make it, look at it and commit it: {again}"
            raise CheckFailed(what, checked, do=do)


def _machine_flags(board: Board) -> list[str]:
    fpu = DOUBLE_FPU if board.double_precision else SINGLE_FPU
    return [*(flag for flag in toolchain.MACHINE_FLAGS if not flag.startswith("-mfpu")), fpu]


def _words(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(shlex.split(given)) if isinstance(given, str) else tuple(map(str, given))


def _paths(given: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [given] if isinstance(given, (str, Path)) else list(given)


def _budget_rows(budget: Limits, checked: Checked) -> list[Row]:
    rows = []
    for metric, limit in budget.items():
        value = checked.totals.get(metric)
        if value is None:
            rows.append(Row(metric, None, None, str(limit), FAILED, "has a budget, not measured"))
        elif value > limit.value:
            note = f"over the budget of {limit.value:g}"
            rows.append(Row(metric, None, value, str(limit), FAILED, note))
    return rows


def _other_target(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say how the target of a baseline differs so that no number can be compared; "" if not."""
    if all(before.get(key) == after.get(key) for key in TARGET_KEYS):
        return ""
    old, new = (
        f"{about.get('board')} ({about.get('core')}) at {format_hz(about.get('clock_hz') or 0)}"
        for about in (before, after)
    )
    return f"the baseline was made on {old}, this is {new}"


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say what else differs, which may explain different numbers."""
    words = {"flags": "flags ", "placement": "placement ", "m7sim": "m7sim "}
    return [
        f"baseline made with {word}{_shown(before, key)}, this is {word}{_shown(after, key)}"
        for key in ("compiler", "flags", "placement", "arrays", "m7sim")
        for word in (words.get(key, ""),)
        if before.get(key) != after.get(key)
    ]


# Room around arrays moves them, hence cycles; see SANITIZER.md.
_ROOM = "room around arrays (sanitized)"
_NOT_SAID = {"placement": "as linked", "arrays": "arrays side by side (not sanitized)"}


def _shown(about: Mapping[str, Any], key: str) -> str:
    return str(about.get(key) or _NOT_SAID.get(key, "none"))
