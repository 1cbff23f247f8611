"""A chip's currents from TOML: checked whole, every value with source, confidence and range."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from m7sim.board.schema import Key, Reader, check_type, provenance, suggestion
from m7sim.energy.events import Event
from m7sim.errors import InputError, TableError

SCHEMA: Final = 1
CONFIGURATIONS: Final = {
    "itcm": "ITCM, DTCM",
    "flash_l1": "flash on AXI, caches on, DTCM",
    "sram_l1": "all in SRAM, caches on",
    "flash_art": "flash on ITCM, ART on, DTCM",
    "flash_no_l1": "flash on AXI, caches off, DTCM",
    "sram_no_l1": "all in SRAM, caches off",
    "flash_no_art": "flash on ITCM, ART off, DTCM",
    "network": "CIFAR-10 network: code and weights in flash, caches on",
    "sleep": "asleep",
}  # where code lies, then data
CALIBRATED, GUESS = "calibrated", "guess"

_FOLDER: Final = Path(__file__).parent / "chips"
_TOP: Final = {
    "schema": Key(int), "chip": Key(str), "title": Key(str), "sources": Key(dict),
    "supply": Key(dict), "scale": Key(list), "charge": Key(dict), "peripherals": Key(dict),
    "peripheral": Key(dict, required=False), "sleep": Key(dict), "idle": Key(dict),
    "datasheet": Key(list), "mix": Key(list), "maximum": Key(list, required=False),
}  # fmt: skip
_FIGURE: Final = {"value": Key(float), "low": Key(float), "high": Key(float), **provenance()}
_SUPPLY: Final = {"low_mv": Key(int), "high_mv": Key(int), "typical_mv": Key(int), **provenance()}
_SCALE: Final = {
    "scale": Key(int), "over_drive": Key(bool), "max_hz": Key(int), "v12_mv": Key(int),
    "from_mv": Key(int), "static_ma": Key(dict), **provenance(),
}  # fmt: skip
_PERIPHERALS: Final = {"static_ma": Key(dict), "charge_pc": Key(dict), "asleep_pc": Key(dict)}
_PERIPHERAL: Final = {"ua_per_mhz": Key(float), **provenance()}
_IDLE: Final = {"static_ma": Key(dict), "wake_us": Key(dict)}
_SLEEP: Final = {"wake_cycles": Key(dict)}
_DATASHEET: Final = {
    "table": Key(str), "configurations": Key(list), "rows": Key(list), **provenance(),
}  # fmt: skip
_MAXIMUM: Final = {
    "configuration": Key(str), "hz": Key(int), "at_25c_ma": Key(float), "at_85c_ma": Key(float),
    **provenance(),
}  # fmt: skip
_MIX: Final = {
    "configuration": Key(str), "wait_states": Key(int, required=False), "rates": Key(dict),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """A value between ``low`` and ``high``, with its unit in the name of what holds it."""

    value: float
    low: float
    high: float
    source: str
    confidence: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """A voltage scale of the regulator: what clock it is good for and what it costs."""

    number: int
    over_drive: bool
    max_hz: int
    v12_mv: int
    from_mv: int  # supply that it needs
    static_ma: Figure

    @property
    def name(self) -> str:
        return f"VOS{self.number}" + (" with over-drive" if self.over_drive else "")


@dataclass(frozen=True, slots=True)
class Idle:
    """A state in which nothing runs: what it draws, and how long waking up takes."""

    static_ma: Figure
    wake_us: Figure


@dataclass(frozen=True, slots=True)
class DatasheetRow:
    """A typical current of the datasheet, peripherals off and on."""

    table: str
    configurations: tuple[str, ...]
    clock_hz: int
    off_ma: float
    on_ma: float


@dataclass(frozen=True, slots=True)
class Maximum:
    """A maximum current of the datasheet, peripherals off, at two temperatures."""

    configuration: str
    clock_hz: int
    at_25c_ma: float
    at_85c_ma: float


@dataclass(frozen=True)
class Currents:
    """What a chip draws. Charges are in pC at ``scales[0].v12_mv``, one per event."""

    path: str
    chip: str
    title: str
    sources: dict[str, str]
    low_mv: int
    high_mv: int
    typical_mv: int
    scales: tuple[Scale, ...]  # rising clock
    charges_pc: dict[Event, Figure]
    peripherals_static_ma: Figure
    peripherals_pc: Figure  # a cycle, all of them clocked
    peripherals_asleep_pc: Figure  # a cycle of Sleep, on top: memory interfaces stay clocked
    peripherals_ua_per_mhz: dict[str, float]  # single ones, at the highest scale
    sleep_wake_cycles: Figure
    idle: dict[str, Idle]  # by name
    rows: tuple[DatasheetRow, ...]
    maxima: tuple[Maximum, ...]
    mixes: dict[tuple[str, int | None], dict[Event, float]]  # events per cycle

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Load the currents of a chip by its name, or from a TOML file.

        Raises
        ------
        InputError
            If the chip has no current data; there is no default.
        TableError
            If the table breaks its schema.
        """
        text = str(name_or_path)
        path = Path(text) if text.endswith(".toml") else _FOLDER / f"{text.lower()}.toml"
        if not path.is_file():
            if path.parent != _FOLDER or text.endswith(".toml"):
                raise InputError("no such file", where=text, do="Give a TOML file of currents")
            raise InputError(
                f"no current data for {text}, so neither power nor energy",
                do=f"Chips with data: {', '.join(chip_names())}; see m7sim/energy/ENERGY.md",
            )
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise TableError(f"not valid TOML: {error}", where=str(path)) from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path)) from error
        return cls(**_Loader(data, str(path)).fields())

    def mix(self, configuration: str, wait_states: int) -> dict[Event, float]:
        """Return the events per cycle of CoreMark-like code, measured at the nearest wait states.

        Raises
        ------
        InputError
            If there is no such configuration.
        """
        if configuration == "sleep":
            return {Event.CLOCK: 1.0}
        known = [states for name, states in self.mixes if name == configuration]
        if not known:
            raise InputError(
                f"no memory configuration {configuration!r}",
                do=suggestion(configuration, {name for name, _ in self.mixes} | {"sleep"}),
            )
        states = min(known, key=lambda s: abs((wait_states if s is None else s) - wait_states))
        return self.mixes[configuration, states]


def chip_names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


@cache
def currents_of(chip: str) -> Currents:
    """Return the currents of a chip that comes with the package, read once."""
    return Currents.load(chip)


class _Loader:
    """Reads one table; every refusal names its place."""

    def __init__(self, data: dict[str, Any], path: str) -> None:
        self.path = path
        self.data = Reader(path, {}).table(data, _TOP, "top level")
        if data["schema"] != SCHEMA:
            raise TableError(f"schema {data['schema']}, expected {SCHEMA}", where=path)
        self.reader = Reader(path, data["sources"])

    def fields(self) -> dict[str, Any]:
        supply = self._sourced(self.data["supply"], _SUPPLY, "[supply]")
        if not supply["low_mv"] <= supply["typical_mv"] <= supply["high_mv"]:
            raise self._error("typical_mv outside low_mv … high_mv", "[supply]")
        peripherals = self.reader.table(self.data["peripherals"], _PERIPHERALS, "[peripherals]")
        single = self.data.get("peripheral", {})
        return {
            "path": self.path,
            "chip": self.data["chip"],
            "title": self.data["title"],
            "sources": dict(self.data["sources"]),
            "low_mv": supply["low_mv"],
            "high_mv": supply["high_mv"],
            "typical_mv": supply["typical_mv"],
            "scales": self._scales(),
            "charges_pc": self._charges(),
            "peripherals_static_ma": self._figure(
                peripherals["static_ma"], "peripherals.static_ma"
            ),
            "peripherals_pc": self._figure(peripherals["charge_pc"], "peripherals.charge_pc"),
            "peripherals_asleep_pc": self._figure(
                peripherals["asleep_pc"], "peripherals.asleep_pc"
            ),
            "peripherals_ua_per_mhz": {
                name: self._sourced(row, _PERIPHERAL, f"[peripheral.{name}]")["ua_per_mhz"]
                for name, row in single.items()
            },
            "sleep_wake_cycles": self._figure(
                self.reader.table(self.data["sleep"], _SLEEP, "[sleep]")["wake_cycles"],
                "[sleep].wake_cycles",
            ),
            "idle": {name: self._idle(name, row) for name, row in self.data["idle"].items()},
            "rows": self._rows(),
            "maxima": self._maxima(),
            "mixes": self._mixes(),
        }

    def _error(self, what: str, where: str, do: str = "") -> TableError:
        return TableError(what, where=f"{self.path}: {where}", do=do)

    def _sourced(self, data: Any, keys: Mapping[str, Key], where: str) -> dict[str, Any]:
        row = self.reader.table(data, keys, where)
        self.reader.sourced(row, where)
        return row

    def _figure(self, data: Any, where: str) -> Figure:
        row = self.reader.table(data, _FIGURE, where)
        origin = self.reader.sourced(row, where)
        if not 0 <= row["low"] <= row["value"] <= row["high"]:
            raise self._error("not 0 <= low <= value <= high", where)
        return Figure(row["value"], row["low"], row["high"], *origin)

    def _scales(self) -> tuple[Scale, ...]:
        scales = []
        for index, data in enumerate(self.data["scale"], 1):
            where = f"[[scale]] {index}"
            row = self._sourced(data, _SCALE, where)
            figure = self._figure(row["static_ma"], f"{where}.static_ma")
            scales.append(
                Scale(
                    row["scale"],
                    row["over_drive"],
                    row["max_hz"],
                    row["v12_mv"],
                    row["from_mv"],
                    figure,
                )
            )
            if not row["v12_mv"] or not row["max_hz"]:
                raise self._error("v12_mv and max_hz must not be 0", where)
        if not scales or scales != sorted(scales, key=lambda s: s.max_hz):
            raise self._error("not in the order of rising max_hz, or none", "[[scale]]")
        return tuple(scales)

    def _charges(self) -> dict[Event, Figure]:
        keys = {event.key: Key(dict) for event in Event}
        table = self.reader.table(self.data["charge"], keys, "[charge]")
        return {event: self._figure(table[event.key], f"[charge.{event.key}]") for event in Event}

    def _idle(self, name: str, data: Any) -> Idle:
        row = self.reader.table(data, _IDLE, f"[idle.{name}]")
        return Idle(
            self._figure(row["static_ma"], f"[idle.{name}].static_ma"),
            self._figure(row["wake_us"], f"[idle.{name}].wake_us"),
        )

    def _configuration(self, name: Any, where: str) -> str:
        if name not in CONFIGURATIONS:
            raise self._error(
                f"unknown configuration {name!r}", where, suggestion(str(name), CONFIGURATIONS)
            )
        return str(name)

    def _rows(self) -> tuple[DatasheetRow, ...]:
        rows = []
        for index, data in enumerate(self.data["datasheet"], 1):
            where = f"[[datasheet]] {index}"
            table = self._sourced(data, _DATASHEET, where)
            names = tuple(self._configuration(name, where) for name in table["configurations"])
            for row in table["rows"]:
                check_type(row, list, f"{self.path}: {where}.rows")
                if len(row) != 3 or not all(isinstance(x, int | float) and x > 0 for x in row):
                    raise self._error(f"{row} is not [MHz, mA off, mA on]", where)
                rows.append(DatasheetRow(table["table"], names, int(1e6 * row[0]), row[1], row[2]))
        return tuple(rows)

    def _maxima(self) -> tuple[Maximum, ...]:
        maxima = []
        for index, data in enumerate(self.data.get("maximum", ()), 1):
            where = f"[[maximum]] {index}"
            row = self._sourced(data, _MAXIMUM, where)
            name = self._configuration(row["configuration"], where)
            maxima.append(Maximum(name, row["hz"], row["at_25c_ma"], row["at_85c_ma"]))
        return tuple(maxima)

    def _mixes(self) -> dict[tuple[str, int | None], dict[Event, float]]:
        mixes: dict[tuple[str, int | None], dict[Event, float]] = {}
        keys = {event.key: Key(float, required=False) for event in Event}
        for index, data in enumerate(self.data["mix"], 1):
            where = f"[[mix]] {index}"
            row = self.reader.table(data, _MIX, where)
            name = self._configuration(row["configuration"], where)
            rates = self.reader.table(row["rates"], keys, f"{where}.rates")
            place = name, row.get("wait_states")
            if place in mixes:
                raise self._error(f"second mix of {name}", where)
            mixes[place] = {event: rates[event.key] for event in Event if event.key in rates}
        return mixes
