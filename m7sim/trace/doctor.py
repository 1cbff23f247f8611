"""Check on this machine that capture neither disturbs execution nor gets an address wrong.

Every program of the battery runs three times: without hooks, under capture, and with memory hooks
(with the work-around for unicorn issue 2309). Registers and memory must be the same after all
three, and the addresses that capture reconstructs those that the memory hooks saw, access by
access. Nothing but the installed package is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from m7sim.errors import M7Error
from m7sim.trace.battery import Program, programs
from m7sim.trace.oracle import differences
from m7sim.trace.rig import Outcome, run_captured, run_plain, run_watched


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``detail`` says what was found."""

    name: str
    ok: bool
    detail: str


def run_doctor(force_memory_hooks: bool = False) -> list[Check]:
    """Run all checks.

    Parameters
    ----------
    force_memory_hooks
        Execute with memory hooks, *without* the work-around: shows the corruption that capture
        avoids. A check is then fine when the outcome is as known: wrong for programs with
        predicated accesses before further blocks, right for the others.
    """
    check = _check_forced if force_memory_hooks else _check
    checks: list[Check] = []
    for program in programs():
        try:
            checks.append(check(program))
        except M7Error as error:
            checks.append(Check(program.name, False, str(error)))
    return checks


def _check(program: Program) -> Check:
    plain = run_plain(program.code)
    problems = _unexpected(program, plain)
    captured = run_captured(program.code)
    watched, seen = run_watched(program.code)
    if told := plain.difference(captured.outcome):
        problems.append(f"under capture {told}")
    if told := plain.difference(watched):
        problems.append(f"with memory hooks {told}")
    expected = captured.accesses()
    problems += differences(expected, seen)
    small = run_captured(program.code, capacity_blocks=1)
    if small.addresses.tobytes() != captured.addresses.tobytes():
        problems.append("addresses depend on the size of the buffers")
    if problems:
        return Check(program.name, False, "; ".join(problems))
    hooked = sum(chunk.site_pc.size for chunk in captured.chunks)
    detail = f"{len(expected)} accesses agree, {hooked} of them by instruction hooks"
    return Check(program.name, True, detail)


def _check_forced(program: Program) -> Check:
    plain = run_plain(program.code)
    # Corrupted code may loop for ever; the longest program makes about 1200 accesses.
    watched, _ = run_watched(program.code, work_around=False, most_accesses=20_000)
    told = plain.difference(watched)
    if not program.corrupted:
        return Check(program.name, not told, told or "not affected")
    if not told:
        return Check(program.name, False, "corruption expected, but this engine shows none")
    return Check(program.name, True, f"corruption shown as expected: {told}")


def _unexpected(program: Program, outcome: Outcome) -> list[str]:
    """Compare with the results that the architecture prescribes."""
    told = [] if outcome.end == "until" else [f"ended by {outcome.end}"]
    for name, value in program.expect.items():
        found = outcome.register(name)
        if found != value:
            told.append(f"{name} is {found:#x}, should be {value:#x}")
    return told
