"""What the sanitizer found, for people and as a document."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from m7sim.elf import Image
from m7sim.profile.result import Configuration
from m7sim.report.document import configuration
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, text_of
from m7sim.sanitize import KINDS, Finding, Usage
from m7sim.units import format_count

SCHEMA_VERSION = 1


def render(
    findings: tuple[Finding, ...],
    usage: Usage,
    image: Image,
    *,
    message: str = "",
    style: Style = PLAIN,
) -> str:
    """Return the report of a checked run.

    Parameters
    ----------
    message
        How the run ended.
    style
        Width and colours; its ``top`` limits the list.
    """
    console = open_console(style)
    grid = open_grid()
    if message:
        grid.add_row("ended", message)
    grid.add_row(
        "checked",
        f"{format_count(usage.instructions)} instructions, {format_count(usage.accesses)} accesses",
    )
    grid.add_row("stack", f"{usage.stack_bytes} bytes at most, of {usage.stack_room_bytes}")
    grid.add_row("findings", str(len(findings)) if findings else "none")
    console.print(grid)
    for number, finding in enumerate(findings[: style.top], 1):
        console.print()
        _finding(console, number, finding, image)
    if len(findings) > style.top:
        console.print()
        console.print(f"{len(findings) - style.top} more findings: --top {len(findings)}")
    return text_of(console)


def _finding(console: Console, number: int, finding: Finding, image: Image) -> None:
    console.print(Text(f"{number}. {finding.kind}", style="bold"), Text(KINDS[finding.kind]))
    console.print(Text(f"   {finding.place} {finding.what}"))
    text = image.source_text(finding.file, finding.line) if finding.file else None
    if text is not None:
        console.print(Text(f"   {finding.line:>5} | {text.strip()}", style="dim"))
    place = f"0x{finding.pc:08x}"
    if finding.instruction >= 0:
        place += f", instruction number {format_count(finding.instruction)} of the run"
    if finding.count > 1:
        place += f"; {format_count(finding.count)} times in all"
    console.print(Text(f"   at {place}", style="dim"))


def document(
    findings: tuple[Finding, ...], usage: Usage, c: Configuration, *, message: str = ""
) -> dict[str, Any]:
    """Return the same as plain lists and dictionaries."""
    return {
        "schema_version": SCHEMA_VERSION,
        "configuration": configuration(c),
        "message": message,
        "instructions": usage.instructions,
        "accesses": usage.accesses,
        "stack_bytes": usage.stack_bytes,
        "stack_room_bytes": usage.stack_room_bytes,
        "findings": [{**finding.to_dict(), "text": str(finding)} for finding in findings],
    }
