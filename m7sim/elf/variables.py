"""Where variables are declared."""

from __future__ import annotations

from typing import Final

from m7sim.elf.debug import DebugInfo

_AROUND: Final = ("subprogram", "lexical_block", "namespace")  # what variables may stand in


def variable_lines(debug: DebugInfo) -> dict[str, tuple[str, int]]:
    """Return file and line of every variable with a place of its own, by name.

    Of variables of one name, the first one is told.
    """
    found: dict[str, tuple[str, int]] = {}
    for unit in debug.units:
        stack = [unit.top]
        while stack:
            for child in stack.pop().children():
                if child.tag in _AROUND:
                    stack.append(child)
                elif child.tag == "variable" and child.has("location") and child.name:
                    file, line = (
                        child.inherited(key).integer(key) for key in ("decl_file", "decl_line")
                    )
                    known = file is not None and 0 <= file < len(unit.files)
                    path = unit.files[file] if known and file is not None else ""
                    found.setdefault(child.name, (path, line or 0))
    return found
