"""From a result to its snapshot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from m7sim.compare.loops import NaturalLoop, Step, innermost, natural_loops
from m7sim.compare.naming import Namer
from m7sim.compare.snapshot import (
    NOWHERE,
    Cost,
    Detail,
    FunctionRecord,
    InstructionRecord,
    Loop,
    Snapshot,
    SourceLine,
    Totals,
)
from m7sim.elf import Image
from m7sim.profile import Profile
from m7sim.profile.attribution import stall_dict
from m7sim.profile.result import CallResult, Configuration, Result

# A row of the listing takes about 50 bytes of JSON.
DETAIL_INSTRUCTIONS = 1500


def snapshot(result: Result, *, detail_instructions: int = DETAIL_INSTRUCTIONS) -> Snapshot:
    """Return what is needed of a result to compare it with another one.

    Parameters
    ----------
    result
        Of a run, a call or a replay.
    detail_instructions
        Upper limit on the static instructions listed. Functions that cost most come first; one
        that does not fit any more keeps its costs and loses its lines, loops and instructions. The
        first is always listed.

    Returns
    -------
    Snapshot
        Without paths of this machine. Totals are exact whatever was left out.
    """
    profile = result.profile
    recorder = None if profile is None else _Recorder(profile)
    functions = () if recorder is None else recorder.functions(detail_instructions)
    energy = result.energy
    return Snapshot(
        configuration=_configuration(result.configuration),
        totals=Totals(
            cycles=result.cycles,
            instructions=result.instructions,
            issue_cycles=result.issue_cycles,
            dual_issued=result.dual_issued,
            stalls={cause: cycles for cause, cycles in result.stalls.items() if cycles},
            energy_nj=None if energy is None else _rounded(energy.energy_nj),
            stack_bytes=result.stack_bytes if isinstance(result, CallResult) else None,
            code_bytes=0 if profile is None else code_bytes(profile),
        ),
        sources={} if recorder is None else recorder.sources(functions),
        functions=functions,
    )


def code_bytes(profile: Profile) -> int:
    """Return the size of all functions of which something was executed, each counted once.

    A function counts from its symbol to its end, literal pools and paths not taken included;
    tables of constants, and code without a symbol, do not.
    """
    image = cast(Image, profile.image)
    return sum(_size_bytes(image, function.address) for function in profile.functions)


def _size_bytes(image: Image, address: int) -> int:
    """Return the size of a function up to its end; 0 for code without a symbol."""
    table = image.function_table
    index = int(table.indices(np.array([address]))[0]) if address >= 0 else -1
    return table.end(index) - address if index >= 0 else 0


def _configuration(c: Configuration) -> dict[str, Any]:
    """Return what a cost depends on, without paths and hashes of files."""
    return {
        "compiler": c.compiler,
        "entry": c.entry,
        "arguments": c.arguments,
        "board": PurePosixPath(c.board).name,
        "clock_hz": c.clock_hz,
        "core": PurePosixPath(c.core).name,
        "core_revision": c.core_revision,
        "memories": list(c.memories),
        "caches": list(c.caches),
        "warm": c.warm,
        "timed": c.timed,
        "power": c.power,
        "versions": dict(c.versions),
    }


def _rounded(energy_nj: float) -> float:
    """Drop the digits that differ between machines."""
    return float(f"{energy_nj:.6g}")


class _Recorder:
    """Cuts a profile into functions."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._image = cast(Image, profile.image)
        self._costs = profile.instructions
        self._namer = Namer(self._image)
        self._decoded = profile.decoded
        self._taken = {branch.address: branch.taken for branch in profile.branches}
        self._of: dict[int, list[int]] = {}  # address of a function -> its rows
        for row, address in enumerate(self._costs.address.tolist()):
            symbol = self._image.function_at(address)
            self._of.setdefault(-1 if symbol is None else symbol.address & ~1, []).append(row)
        self._lines = [self._image.line_at(int(address)) for address in self._costs.address]
        self._files = shortest([line.file for line in self._lines if line is not None])

    def functions(self, limit: int) -> tuple[FunctionRecord, ...]:
        found: list[FunctionRecord] = []
        left = limit
        for cost in self._profile.functions:
            rows = self._of.get(cost.address, [])
            listed = len(rows) <= left or not found
            left -= len(rows) if listed else 0
            found.append(
                FunctionRecord(
                    name=cost.name,
                    file=self._files.get(cost.file, PurePosixPath(cost.file).name),
                    address=cost.address,
                    size_bytes=_size_bytes(self._image, cost.address),
                    compiled=self._compiled(cost.address),
                    calls=cost.calls,
                    instructions=cost.instructions,
                    cost=Cost(cost.issue_cycles, cost.stalls),
                    detail=self._detail(cost.address, rows) if listed else None,
                )
            )
        return tuple(found)

    def sources(self, functions: Sequence[FunctionRecord]) -> dict[str, str]:
        """Return hashes of the files that the lines listed are of."""
        listed = {line.file for f in functions if f.detail is not None for line in f.detail.lines}
        paths = {short: path for path, short in self._files.items()}
        return {short: _digest(paths[short]) for short in sorted(listed)}

    def _compiled(self, address: int) -> str:
        """Return compiler and options, without those that hold a path."""
        words = self._image.producer_at(address).split() if address >= 0 else []
        return " ".join(word for word in words if "/" not in word and "\\" not in word)

    def _detail(self, start: int, rows: Sequence[int]) -> Detail:
        lines: dict[SourceLine, int] = {}
        line_of, inlined = [], []  # by row: index of its line, functions inlined around it
        for row in rows:
            chain = self._image.inline_chain(int(self._costs.address[row]))
            line = self._source_line(row, chain[0].function if chain else "")
            line_of.append(NOWHERE if line is None else lines.setdefault(line, len(lines)))
            inlined.append(len(chain))
        steps = [self._step(row) for row in rows]
        loops = natural_loops(steps, start) if start >= 0 else []
        loop_of = innermost(loops, len(rows))
        base = max(start, 0)
        known = tuple(lines)
        return Detail(
            lines=known,
            loops=tuple(_loop(loop, steps, line_of, inlined, known) for loop in loops),
            instructions=tuple(
                InstructionRecord(
                    offset_bytes=self._decoded[row].address - base,
                    text=self._namer.text(self._decoded[row]),
                    executions=int(self._costs.executions[row]),
                    cost=Cost(
                        int(self._costs.issue_cycles[row]), stall_dict(self._costs.stalls[row])
                    ),
                    line=line_of[i],
                    loop=loop_of[i],
                )
                for i, row in enumerate(rows)
            ),
        )

    def _source_line(self, row: int, inlined: str) -> SourceLine | None:
        line = self._lines[row]
        if line is None:
            return None
        text = (self._image.source_text(line.file, line.line) or "").strip()
        return SourceLine(self._files[line.file], line.line, text, inlined)

    def _step(self, row: int) -> Step:
        i = self._decoded[row]
        return Step(
            address=i.address,
            size_bytes=i.size_bytes,
            branch=i.branch,
            target=i.target,
            condition=i.condition,
            predicated=i.predicated,
            executions=int(self._costs.executions[row]),
            taken=self._taken.get(i.address, 0),
        )


def _loop(
    loop: NaturalLoop,
    steps: Sequence[Step],
    line_of: Sequence[int],
    inlined: Sequence[int],
    lines: Sequence[SourceLine],
) -> Loop:
    """Return a loop as it is kept; its line is the earliest of where it begins and goes back.

    Where one of these is in a function inlined into the loop, it is not the loop's own line.
    """
    ends = [i for i in (loop.header, *loop.latches) if line_of[i] >= 0]
    own = [line_of[i] for i in ends if inlined[i] == min(inlined[end] for end in ends)]
    same = [i for i in own if lines[i].file == lines[own[0]].file]
    return Loop(
        line=min(same, key=lambda i: lines[i].line, default=NOWHERE),
        parent=loop.parent,
        iterations=loop.iterations,
        entries=loop.entries,
    )


def _digest(path: str) -> str:
    """Return a hash of a text file, whatever its line ends; empty if it is not here."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")  # any line end is \n here
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shortest(files: Sequence[str]) -> dict[str, str]:
    """Return for each path the fewest last parts of it that tell it from the other ones."""
    parts = {file: PurePosixPath(file.replace("\\", "/")).parts for file in files}
    short = dict.fromkeys(parts, 1)
    while True:
        names: dict[str, list[str]] = {}
        for file, n in short.items():
            names.setdefault("/".join(parts[file][-n:]), []).append(file)
        clashes = [
            file
            for same in names.values()
            if len(same) > 1
            for file in same
            if short[file] < len(parts[file])
        ]
        if not clashes:
            return {file: name for name, same in names.items() for file in same}
        for file in clashes:
            short[file] += 1
