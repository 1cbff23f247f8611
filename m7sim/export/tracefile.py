"""The text of LCOV tracefiles, as geninfo(1) describes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from m7sim.errors import InputError
from m7sim.export.tally import FileCoverage

_COUNTED = {"FNF", "FNH", "BRF", "BRH", "LF", "LH"}  # sums of what stands above them


def record(source: str, counts: FileCoverage, test_name: str) -> str:
    """Return the record of one source file."""
    totals = counts.totals
    text = [f"TN:{test_name}", f"SF:{source}"]
    functions = sorted((line, name, entered) for name, (line, entered) in counts.functions.items())
    text += [f"FN:{line},{name}" for line, name, _ in functions]
    text += [f"FNDA:{entered},{name}" for _, name, entered in functions]
    text += [f"FNF:{totals.functions}", f"FNH:{totals.functions_hit}"]
    for line, branches in sorted(counts.branches.items()):
        for block, (_, ways) in enumerate(sorted(branches.items())):
            for way, taken in enumerate(ways):
                text.append(f"BRDA:{line},{block},{way},{'-' if taken is None else taken}")
    text += [f"BRF:{totals.branches}", f"BRH:{totals.branches_hit}"]
    text += [f"DA:{line},{ran}" for line, ran in sorted(counts.lines.items())]
    text += [f"LF:{totals.lines}", f"LH:{totals.lines_hit}", "end_of_record", ""]
    return "\n".join(text)


def read(path: Path) -> Iterator[tuple[str, FileCoverage]]:
    """Yield the records of a tracefile: source and counts.

    Raises
    ------
    InputError
        If it is missing or damaged; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"cannot read: {what}", where=str(path)) from error
    source, counts = "", FileCoverage()
    for number, line in enumerate(lines, 1):
        try:
            if line == "end_of_record":
                yield source, counts
                source, counts = "", FileCoverage()
            elif line.startswith("SF:"):
                source = line[3:]
            elif line.strip() and not line.startswith(("#", "TN:", "VER:")):
                if not source:
                    raise ValueError("a count before SF")
                _count(counts, *line.split(":", 1))
        except ValueError as error:
            what = f"no LCOV record: {line!r} ({error})"
            raise InputError(what, where=f"{path}:{number}") from error
    if source:
        raise InputError("the last record has no end", where=str(path))


def _count(counts: FileCoverage, kind: str, values: str = "") -> None:
    if kind == "DA":
        line, ran = values.split(",")[:2]
        counts.lines[int(line)] = counts.lines.get(int(line), 0) + int(ran)
    elif kind == "FN":
        line, name = values.split(",", 1)
        end, _, rest = name.partition(",")
        name = rest if end.isdigit() and rest else name
        counts.functions[name] = (int(line), 0)
    elif kind == "FNDA":
        entered, name = values.split(",", 1)
        first, before = counts.functions.get(name, (0, 0))
        counts.functions[name] = (first, before + int(entered))
    elif kind == "BRDA":
        line, block, _, taken = values.split(",")
        branches = counts.branches.setdefault(int(line), {})
        key = ("", int(block.removeprefix("e")))
        branches[key] = (*branches.get(key, ()), None if taken == "-" else int(taken))
    elif kind not in _COUNTED:
        raise ValueError("unknown")
