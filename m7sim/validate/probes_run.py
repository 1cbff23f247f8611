"""Run the probes: cycles of a copy by difference, verdicts, and the comparison with a chip."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from m7sim import session, toolchain
from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.core import Core
from m7sim.errors import InputError
from m7sim.profile.result import Configuration
from m7sim.validate import probes_build, probes_tables
from m7sim.validate.probes import TOLERANCE_CYCLES, Fact, Facts, Probe, pair_id

MAX_INSTRUCTIONS = 200_000_000
HEADER = "id,copies,cycles"


class Verdict(StrEnum):
    """What became of a fact."""

    HOLDS = "holds"
    DIFFERS = "differs"
    EXCEPTION = "exception"  # differs, and the tables say why
    STALE = "stale exception"  # holds, though the tables list it as one that does not
    NOT_APPLICABLE = "not applicable"

    @property
    def fails(self) -> bool:
        return self in (Verdict.DIFFERS, Verdict.STALE)


@dataclass(frozen=True)
class Outcome:
    """A fact and what the model makes of it.

    ``modelled_cycles`` is None where the fact does not apply; ``reason`` says why it does not, or
    why an exception is one.
    """

    fact: Fact
    modelled_cycles: float | None
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Difference:
    """A probe that takes another time on a chip than in the model, in cycles per copy."""

    id: str
    modelled_cycles: float
    measured_cycles: float


@dataclass(frozen=True)
class Comparison:
    """A run beside what a chip printed.

    ``compared`` is the number of probes; ``differences`` begins with the largest; ``unknown`` are
    ids of the file that the run does not have.
    """

    path: str
    compared: int
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """The probes run on a board.

    ``outcomes`` are those of the chosen facts; ``verdicts`` and ``copy_cycles`` are of all.
    """

    configuration: Configuration
    elf: Path
    tables: Facts
    copy_cycles: Mapping[str, float]
    outcomes: tuple[Outcome, ...]
    verdicts: Mapping[str, Verdict]

    @cached_property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.verdict.fails)

    def share(self, grade: str) -> tuple[int, int]:
        """Return how many applicable facts of a grade hold, and how many there are."""
        known = [o for o in self.outcomes if o.fact.grade == grade]
        counted = [o for o in known if o.verdict != Verdict.NOT_APPLICABLE]
        held = [o for o in counted if o.verdict in (Verdict.HOLDS, Verdict.STALE)]
        return len(held), len(counted)


def run(
    board: str | Path | Board = "stm32f746",
    core: str | Path | Core = "cortex_m7",
    *,
    clock_hz: int | None = None,
    only: Sequence[str] = (),
    facts: Facts | None = None,
) -> Run:
    """Build and run the probes that apply to a board.

    Parameters
    ----------
    board, core, clock_hz
        As of `m7sim.load`.
    only
        Ids or patterns (``latency.*``) of the facts to report; default all.
    facts
        Default those of the package.

    Raises
    ------
    InputError
        If a pattern matches nothing.
    ToolError
        If the ELF cannot be built.
    """
    facts = probes_tables.load() if facts is None else facts
    chosen = select(facts, only)
    chip = board if isinstance(board, Board) else Board.load(board)
    elf = build(chip, facts=facts)
    firmware = session.load(elf, board=chip, core=core, clock_hz=clock_hz)
    try:
        result = firmware.run(max_instructions=MAX_INSTRUCTIONS)
    finally:
        firmware.close()
    text = result.console.decode("ascii", "replace")
    cycles = read_cycles(text, where=str(elf))
    outcomes = {fact.id: _judge(facts, fact, cycles, chip) for fact in facts.facts}
    return Run(
        result.configuration,
        elf,
        facts,
        cycles,
        outcomes=tuple(outcomes[fact.id] for fact in chosen),
        verdicts={id_: outcome.verdict for id_, outcome in outcomes.items()},
    )


def build(board: Board, *, console: str = "semihosting", facts: Facts | None = None) -> Path:
    """Build the ELF with all probes that apply to a board, with its linker script.

    Raises
    ------
    ToolError
        If the compiler is missing or refuses the text of a probe.
    """
    facts = probes_tables.load() if facts is None else facts
    script = toolchain.firmware_dir() / "board" / f"{board.name}.ld"
    return probes_build.build(
        facts.of_board(board),
        console=console,
        linker_script=script if script.is_file() else None,
    )


def select(facts: Facts, only: Sequence[str]) -> tuple[Fact, ...]:
    """Return the facts whose ids match one of the patterns; all without a pattern.

    Raises
    ------
    InputError
        If a pattern matches nothing.
    """
    if not only:
        return facts.facts
    chosen: dict[str, Fact] = {}
    for pattern in only:
        found = [fact for fact in facts.facts if _matches(fact.id, pattern)]
        if not found:
            near = suggestion(pattern, [fact.id for fact in facts.facts])
            do = near if near.startswith("Did") else "m7sim probes lists them all"
            raise InputError(f"no fact has the id {pattern!r}", do=do)
        chosen |= {fact.id: fact for fact in found}
    return tuple(fact for fact in facts.facts if fact.id in chosen)


def _matches(id_: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(id_, pattern) or id_.startswith(f"{pattern}.")


def _judge(facts: Facts, fact: Fact, cycles: Mapping[str, float], board: Board) -> Outcome:
    if why_not := facts.why_not(fact.probe, board):
        return Outcome(fact, None, Verdict.NOT_APPLICABLE, why_not)
    modelled = cycles[fact.id] - fact.subtract_cycles
    holds = abs(modelled - fact.expected_cycles) <= fact.tolerance_cycles
    reason = facts.exceptions.get(fact.id, "")
    if holds:
        return Outcome(fact, modelled, Verdict.STALE if reason else Verdict.HOLDS, reason)
    return Outcome(fact, modelled, Verdict.EXCEPTION if reason else Verdict.DIFFERS, reason)


def read_cycles(text: str, *, where: str) -> dict[str, float]:
    """Read what the ELF prints; return cycles of one copy by probe.

    Lines before the header and after ``end`` (a debugger's own) are passed over.

    Raises
    ------
    InputError
        If there is no header, a row is damaged, or a probe lacks one of its two rows.
    """
    rows: dict[str, dict[int, int]] = {}
    lines = iter(enumerate(text.splitlines(), 1))
    if not any(line.strip() == HEADER for _, line in lines):
        raise InputError(f"no line {HEADER!r}", where=where, do="Keep what the board printed whole")
    for number, line in lines:
        if line.strip() == "end":
            break
        if not line.strip():
            continue
        parts = line.strip().split(",")
        if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
            raise InputError(
                f"{line.strip()!r} is not a row id,copies,cycles", where=f"{where}:{number}"
            )
        of_probe = rows.setdefault(parts[0], {})
        if int(parts[1]) in of_probe:
            raise InputError(f"{parts[0]} comes twice", where=f"{where}:{number}")
        of_probe[int(parts[1])] = int(parts[2])
    return {id_: _copy_cycles(id_, of_probe, where) for id_, of_probe in rows.items()}


def _copy_cycles(id_: str, cycles: Mapping[int, int], where: str) -> float:
    few, many = min(cycles), max(cycles)
    if len(cycles) != 2 or many != 2 * few or few == 0:
        raise InputError(
            f"{id_} has rows for {', '.join(map(str, cycles))} copies, not for n and 2n",
            where=where,
        )
    return (cycles[many] - cycles[few]) / few


def compare(run: Run, path: Path) -> Comparison:
    """Compare with what a chip printed; only probes of the chosen facts, if some were chosen.

    Raises
    ------
    InputError
        If the file cannot be read or has no probe in common with the run.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path)) from error
    measured = read_cycles(text, where=str(path))
    whole = len(run.outcomes) == len(run.tables.facts)
    chosen = run.copy_cycles.keys() if whole else {o.fact.id for o in run.outcomes}
    common = [id_ for id_ in run.copy_cycles if id_ in measured and id_ in chosen]
    if not common:
        raise InputError("no probe in common with this run", where=str(path))
    differences = [
        Difference(id_, run.copy_cycles[id_], measured[id_])
        for id_ in common
        if abs(run.copy_cycles[id_] - measured[id_]) > TOLERANCE_CYCLES
    ]
    differences.sort(key=lambda d: (-abs(d.modelled_cycles - d.measured_cycles), d.id))
    unknown = tuple(id_ for id_ in measured if id_ not in run.copy_cycles)
    return Comparison(str(path), len(common), tuple(differences), unknown)


def pairs(run: Run, older: str, younger: str) -> bool | None:
    """Say whether the model pairs two kinds; None where no probe says."""
    id_ = pair_id(older, younger)
    if id_ not in run.copy_cycles:
        return None
    kinds = run.tables.kinds
    probe = probe_of(run.tables, id_)
    alone = kinds[older].cycles + kinds[younger].cycles
    return run.copy_cycles[id_] - probe.fences < alone - 0.5


def probe_of(facts: Facts, id_: str) -> Probe:
    """Return the probe of an id."""
    return next(probe for probe in facts.probes if probe.id == id_)
