"""The core table for people, and whether it covers the code of an ELF."""

from __future__ import annotations

from collections import Counter
from typing import Any

from m7sim.core import Core
from m7sim.elf import Image
from m7sim.isa.classes import MEANING
from m7sim.profile.certainty import RANK, backing
from m7sim.report import document
from m7sim.report.coverage import Coverage, cover
from m7sim.report.layout import PLAIN, Style, open_console, open_grid, print_table, text_of
from m7sim.units import format_count


def report(
    core_name: str, *, check: str | None, as_json: bool, style: Style = PLAIN
) -> tuple[str, bool]:
    """Return the report, and whether nothing is missing.

    Parameters
    ----------
    core_name
        Name or TOML file of the core.
    check
        ELF whose code has to be covered, or None for a list of the table.
    as_json
        Whether to return a JSON document instead of text.
    style
        Width and colours of the text.
    """
    core = Core.load(core_name)
    if check is None:
        doc = table_document(core)
        return (document.to_json(doc) if as_json else _table_text(doc, style)), True
    coverage = cover(Image.load(check))
    doc = check_document(core, check, coverage)
    text = document.to_json(doc) if as_json else _check_text(doc, style)
    return text, not coverage.unmodelled


def table_document(core: Core) -> dict[str, Any]:
    """Return the rows of the table; ``issue_cycles`` is a number or ``transfers``."""
    classes = []
    for name, row in core.tables.classes.items():
        confidence, source = backing(core, name)
        classes.append(
            {
                "name": name,
                "meaning": MEANING[name],
                "issue": row.issue.name.lower(),
                "issue_cycles": "transfers" if row.transfers else row.issue_cycles,
                "uses": list(row.uses),
                "latency": row.latency,
                "confidence": confidence,
                "source": source,
                "choice": row.provenance.choice,
            }
        )
    parameters = [
        {
            "name": name,
            "value": row.value,
            "unit": row.unit,
            "confidence": row.provenance.confidence,
            "source": ", ".join(row.provenance.source),
            "choice": row.provenance.choice,
        }
        for name, row in core.tables.parameters.items()
    ]
    latencies = [
        {
            "name": name,
            "cycles": {column.name.lower(): n for column, n in row.cycles.items()},
            "confidence": row.provenance.confidence,
            "source": ", ".join(row.provenance.source),
            "choice": row.provenance.choice,
        }
        for name, row in core.tables.latencies.items()
    ]
    return {
        "schema_version": document.SCHEMA_VERSION,
        "configuration": {"core": core.name, "description": core.tables.description},
        "sources": core.tables.sources,
        "classes": classes,
        "latencies": latencies,
        "parameters": parameters,
    }


def _table_text(doc: dict[str, Any], style: Style) -> str:
    console = open_console(style)
    grid = open_grid()
    grid.add_row("core", f"{doc['configuration']['core']}: {doc['configuration']['description']}")
    for part in ("classes", "latencies", "parameters"):
        confidence = Counter(row["confidence"] for row in doc[part])
        by_rank = ", ".join(f"{confidence[rank]} {rank}" for rank in RANK if confidence[rank])
        grid.add_row(part, f"{len(doc[part])}: {by_rank}")
    console.print(grid)
    console.print()
    rows: list[tuple[str, ...]] = [
        (r["name"], r["issue"], str(r["issue_cycles"]), r["confidence"], r["source"], r["meaning"])
        for r in doc["classes"]
    ]
    columns: tuple[str, ...] = ("class", "slot", ">cycles", "confidence", "source", "*meaning")
    print_table(console, "Instruction classes", columns, _shorten(rows, 4, 20))
    rows = [
        (r["name"], str(r["value"]), r["unit"], r["confidence"], r["source"])
        for r in doc["parameters"]
    ]
    print_table(
        console, "Parameters", ("parameter", ">value", "unit", "confidence", "*source"), rows
    )
    console.print("The latency matrix and all choices: m7sim core --json")
    return text_of(console)


def _shorten(rows: list[tuple[str, ...]], column: int, width: int) -> list[tuple[str, ...]]:
    return [
        (*row[:column], row[column][: width - 1] + "…", *row[column + 1 :])
        if len(row[column]) > width
        else row
        for row in rows
    ]


def check_document(core: Core, elf: str, coverage: Coverage) -> dict[str, Any]:
    """Return how many instructions of an ELF have a row, and which have none."""
    uses = []
    for name, count in sorted(coverage.classes.items(), key=lambda item: (-item[1], item[0])):
        confidence, source = backing(core, name)
        row = {"name": name, "instructions": count, "confidence": confidence, "source": source}
        uses.append(row)
    return {
        "schema_version": document.SCHEMA_VERSION,
        "configuration": {"core": core.name, "elf": elf},
        "instructions": coverage.instructions,
        "unmodelled": [
            {"address": u.address, "bytes": u.data.hex(), "function": u.function}
            for u in coverage.unmodelled
        ],
        "rows": uses,
    }


def _check_text(doc: dict[str, Any], style: Style) -> str:
    console = open_console(style)
    grid = open_grid()
    grid.add_row("ELF", doc["configuration"]["elf"])
    grid.add_row("core", doc["configuration"]["core"])
    grid.add_row("instructions", format_count(doc["instructions"]))
    grid.add_row("unmodelled", format_count(len(doc["unmodelled"])))
    confidence = Counter[str]()
    for row in doc["rows"]:
        confidence[row["confidence"]] += row["instructions"]
    for rank in RANK:
        if confidence[rank]:
            grid.add_row(rank, format_count(confidence[rank]))
    console.print(grid)
    console.print()
    missing = [(f"0x{u['address']:08x}", u["bytes"], u["function"]) for u in doc["unmodelled"]]
    if missing:
        print_table(console, "Without a row", ("address", "bytes", "*function"), missing)
    rows = [
        (r["name"], format_count(r["instructions"]), r["confidence"], r["source"])
        for r in doc["rows"]
    ]
    columns = ("class", ">instructions", "confidence", "*source")
    print_table(console, "Classes in this ELF", columns, rows)
    return text_of(console)
