"""The part of ``ENERGY.md`` that follows from the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from m7sim.energy.datasheet import Comparison, compare
from m7sim.energy.fit import PERIPHERALS, held_out
from m7sim.energy.point import OFF, ON
from m7sim.energy.table import Currents, Figure
from m7sim.errors import InputError
from m7sim.report.energy import beside_published

BEGIN: Final = "<!-- written by m7sim energy --update-doc; do not edit -->"
END: Final = "<!-- end of the written part -->"


def put_tables(text: str, currents: Currents) -> str:
    """Return the document with the part between its marks written anew.

    Raises
    ------
    InputError
        If it lacks its marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError("no marks to write between", do=f"Add {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{markdown(currents)}{END}{after}"


def markdown(currents: Currents) -> str:
    """Return fitted values, the datasheet beside the model, and published power as Markdown."""
    parts = [_values(currents), _datasheet(compare(currents)), _held_out(currents), _published()]
    return "\n".join(parts)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _values(currents: Currents) -> str:
    v12 = currents.scales[0].v12_mv / 1e3
    rows = [_value(f"static current, {s.name}", "mA", s.static_ma) for s in currents.scales]
    rows += [_value(e.key, "pC", f, e.meaning) for e, f in currents.charges_pc.items()]
    figures = (
        currents.peripherals_static_ma, currents.peripherals_pc, currents.peripherals_asleep_pc
    )  # fmt: skip
    for name, figure in zip(PERIPHERALS, figures, strict=True):
        rows.append(_value(name, "mA" if name.endswith("_ma") else "pC a cycle", figure))
    header = ("value", "", "unit", "range", "from", "meaning, reason")
    return f"### Values\n\nCharges are at V12 = {v12:.2f} V.\n\n{_table(header, rows)}"


def _value(name: str, unit: str, figure: Figure, meaning: str = "") -> tuple[str, ...]:
    reason = " ".join(text for text in (meaning, figure.note) if text)
    span = f"{figure.low:g} … {figure.high:g}"
    return name, f"{figure.value:g}", unit, span, figure.confidence, reason


def _datasheet(rows: Sequence[Comparison]) -> str:
    on = {(r.configuration, r.clock_hz): r for r in rows if r.peripherals == ON}
    lines = []
    for off in sorted(
        (r for r in rows if r.peripherals == OFF),
        key=lambda r: (r.table, r.configuration, -r.clock_hz),
    ):
        beside = (off, on[off.configuration, off.clock_hz])
        cells = [
            cell
            for row in beside
            for cell in (
                f"{row.datasheet_ma:g}", f"{row.model_ma:.1f}", f"{100 * row.error:+.1f}"
            )
        ]  # fmt: skip
        lines.append((off.table, off.configuration, f"{off.clock_hz / 1e6:g}", *cells))
    worst = max(abs(row.error) for row in rows)
    mean = sum(abs(row.error) for row in rows) / len(rows)
    header = ("table", "memories", "MHz", "off, mA", "model", "%", "on, mA", "model", "%")
    return (
        "### The datasheet beside the model\n\n"
        f"{len(rows)} figures, largest error {100 * worst:.1f} %, mean of the absolute errors "
        f"{100 * mean:.1f} %. Figures are whole mA: at 25 MHz half a mA is up to 10 %.\n\n"
        f"{_table(header, lines)}"
    )


def _held_out(currents: Currents) -> str:
    rows = [(f"{hz / 1e6:g}", f"{100 * error:.1f}") for hz, error in held_out(currents).items()]
    return (
        "### Clocks that the fit has not seen\n\n"
        "Largest error over all rows of a clock when the fit is made without it. 168 and 180 MHz "
        "are missing: each is the only clock of its voltage scale.\n\n"
        f"{_table(('MHz', 'largest error, %'), rows)}"
    )


def _published() -> str:
    rows = [
        (
            line.chip,
            f"{line.clock_hz / 1e6:g}",
            str(line.networks),
            f"{line.low_mw:.0f} … {line.high_mw:.0f} (median {line.median_mw:.0f})",
            *line.modelled,
            line.source,
            line.note,
        )
        for line in beside_published()
    ]
    header = (
        "chip", "MHz", "networks", "measured mW", "model mW, off / on", "error %", "source", "note"
    )  # fmt: skip
    return f"### Published power of networks\n\n{_table(header, rows)}"
