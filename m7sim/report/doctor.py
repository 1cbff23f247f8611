"""What ``m7sim doctor`` found, as text or as a document."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from m7sim import __version__
from m7sim.report import document
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.trace.doctor import run_doctor

_USUAL = (
    "Each program ran without hooks, under capture and with memory hooks: the outcomes have to be "
    "the same, and the reconstructed addresses those that the memory hooks saw."
)
_FORCED = (
    "Memory hooks forced on, without work-around: programs with predicated accesses are corrupted "
    "(unicorn issue 2309), which is why capture uses none."
)


def report(*, force_memory_hooks: bool, as_json: bool, style: Style = PLAIN) -> tuple[str, bool]:
    """Run all checks; return the report, and whether all are as they should be."""
    checks = run_doctor(force_memory_hooks)
    healthy = all(check.ok for check in checks)
    versions = {
        "m7sim": __version__,
        "unicorn": version("unicorn"),
        "python": platform.python_version(),
    }
    doc: dict[str, Any] = {
        "schema_version": document.SCHEMA_VERSION,
        "configuration": {"versions": versions, "force_memory_hooks": force_memory_hooks},
        "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in checks],
        "ok": healthy,
    }
    if as_json:
        return document.to_json(doc), healthy
    console = open_console(style)
    grid = open_grid()
    grid.add_row("versions", ", ".join(f"{name} {text}" for name, text in versions.items()))
    grid.add_row("battery", _FORCED if force_memory_hooks else _USUAL)
    console.print(grid)
    console.print()
    rows = [(c.name, "ok" if c.ok else "FAILED", c.detail) for c in checks]
    print_table(console, "Programs", ("program", "verdict", "*found"), rows)
    failed = [check for check in checks if not check.ok]
    for check in failed:
        console.print(f"{check.name}: {check.detail}", markup=False)
    verdict = (
        f"{len(failed)} of {len(checks)} failed" if failed else f"all {len(checks)} as expected"
    )
    console.print(verdict, style="bold")
    return text_of(console), healthy
