"""A comparison for people: the difference, its culprits, and the code side by side."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from m7sim.compare import Comparison
from m7sim.compare.findings import Finding, Part, findings
from m7sim.report import comparison_words as words
from m7sim.report.comparison_rows import LEGEND, side_by_side
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of

LISTINGS = 3  # parts of the code shown side by side


def render_text(comparison: Comparison, style: Style = PLAIN) -> str:
    """Return a comparison as text.

    Parameters
    ----------
    comparison
        Of two snapshots.
    style
        Width, colours, length of the tables.
    """
    console = open_console(style)
    _configuration(console, comparison)
    columns = ("", ">before", ">after", ">difference")
    print_table(console, words.total(comparison), columns, words.metrics(comparison))
    found = findings(comparison)
    _why(console, comparison, found)
    if comparison.timed and not comparison.equal:
        _causes(console, comparison)
    _functions(console, comparison, style.top)
    for finding, part in _listed(found):
        title = f"Code before and after: {words.place(finding, part)}"
        print_table(console, title, *side_by_side(finding.function, part.rows, console.width))
        console.print(Text(LEGEND, style="dim"))
        console.print()
    return text_of(console)


def render_markdown(comparison: Comparison) -> str:
    """Return a comparison for a pull request: a summary, and the code in parts that open.

    The same comparison gives the same text.
    """
    found = findings(comparison)
    lines = [f"**{words.total(comparison)}**", ""]
    rows = [row for n, row in enumerate(words.metrics(comparison)) if row[-1] or n == 0]
    lines += _markdown_table(("", "before", "after", "difference"), rows)
    if differing := words.configuration(comparison):
        lines += ["", "Simulated otherwise:", ""]
        lines += _markdown_table(("", "before", "after"), differing)
    if found:
        lines.append("")
    for finding in found:
        for level, text in words.outline(finding, comparison.delta_cycles, _MARKDOWN):
            lines.append(f"{'  ' * level}- {text}")
    for finding, part in _listed(found):
        console = open_console(PLAIN)
        print_table(console, "", *side_by_side(finding.function, part.rows, console.width))
        title = html.escape(words.place(finding, part), quote=False)  # no markdown in there
        lines += [
            "", "<details>", f"<summary>Code before and after: {title}</summary>", "",
            *_fenced(f"{text_of(console).strip()}\n\n{LEGEND}"), "", "</details>",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def headline(comparison: Comparison) -> str:
    """Return the one sentence that says what costs more or less, and where."""
    found = findings(comparison)
    return words.sentence(found[0]) if found else words.total(comparison)


def _configuration(console: Console, comparison: Comparison) -> None:
    grid = open_grid()
    for name, side in (("before", comparison.before), ("after", comparison.after)):
        grid.add_row(name, words.subject(side))
    console.print(grid)
    console.print()
    differing = words.configuration(comparison)
    if differing:
        grid = open_grid()
        for name, before, after in differing:
            grid.add_row(name, f"{before} → {after}")
        console.print(Text("Simulated otherwise", style="bold"))
        console.print(grid)
        console.print()


def _why(console: Console, comparison: Comparison, found: Sequence[Finding]) -> None:
    if not found:
        return
    console.print(Text("Why", style="bold"))
    for finding in found:
        for level, text in words.outline(finding, comparison.delta_cycles):
            margin = "  " * level
            for line in textwrap.wrap(
                text, console.width, initial_indent=margin, subsequent_indent=f"{margin}    ",
                break_on_hyphens=False,
            ):  # fmt: skip
                console.print(Text(line))
    console.print()


def _causes(console: Console, comparison: Comparison) -> None:
    columns = ("cause", ">before", ">after", ">difference", "*meaning")
    print_table(console, "Cycles by cause", columns, words.causes(comparison))


def _functions(console: Console, comparison: Comparison, top: int) -> None:
    changed = [f for f in comparison.functions if f.kind != "equal" or f.renamed]
    if not changed:
        return
    n = len(changed)
    columns = ("*function", ">before", ">after", ">difference", "what differs")
    title = f"Functions by difference ({f'{top} of {n}' if n > top else n})"
    print_table(console, title, columns, [words.function_row(f) for f in changed[:top]])


def _listed(found: Sequence[Finding]) -> list[tuple[Finding, Part]]:
    """Return the parts whose code is worth a listing."""
    parts = [(finding, part) for finding in found for part in finding.parts if part.rows]
    parts.sort(key=lambda pair: -abs(pair[1].loop.change.delta_cycles))
    return parts[:LISTINGS]


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    sides = ["---" if n == 0 else "---:" for n in range(len(columns))]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join(sides)} |"]
    return lines + [f"| {' | '.join(map(_escaped, row))} |" for row in rows]


def _escaped(text: str) -> str:
    for character in "\\`*_<>|[]#":
        text = text.replace(character, f"\\{character}")
    return text


def _inline(text: str) -> str:
    """Return code within a sentence."""
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _fenced(text: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}text", *text.split("\n"), fence]


_MARKDOWN = words.Marks(_inline, _inline, _escaped)
