"""The TOML core table as typed rows, refused whole if anything in it is unknown or missing."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from m7sim.core.columns import (
    COLUMNS,
    COLUMNS_OF_KIND,
    ROLES,
    AfterMac,
    Column,
    Early,
    FpMac,
    Issue,
)
from m7sim.core.parameters import Parameters
from m7sim.errors import TableError
from m7sim.isa.classes import CLASSES, RESULTS
from m7sim.isa.instruction import Role

CONFIDENCES: Final = ("measured", "documented", "inferred", "guess", "calibrated")
MAX_CYCLES: Final = 100  # fits the int8 of the compiled table
WRITEBACK: Final = "writeback"  # the latency row of written-back bases

_TOP = ("name", "description", "sources", "parameters", "units", "pair", "early_block", "roles",
        "latency", "class")  # fmt: skip
_PROVENANCE = ("source", "confidence", "choice")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a number comes from and how sure we are."""

    source: tuple[str, ...]
    confidence: str
    choice: str = ""  # what sources say when they disagree, and why this value


@dataclass(frozen=True, slots=True)
class ParameterRow:
    value: int
    unit: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class UnitRow:
    count: int
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class LatencyRow:
    cycles: dict[Column, int]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Everything the core says about one instruction class."""

    issue: Issue
    issue_cycles: int  # at least this; of transfers: 1
    transfers: bool  # issue cycles grow with the words moved
    uses: tuple[str, ...]
    early: Early
    reads: dict[Role, Column]  # only what differs from the common columns
    latency: str | None  # name of a latency row
    latency_early: str | None
    after_mac: AfterMac
    fp_mac: FpMac
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class PairRule:
    """Bars ``older`` classes from issuing together with ``younger`` ones."""

    reason: str
    older: frozenset[str]
    younger: frozenset[str]
    when: str  # parameter that switches it on, or ""
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class EarlyBlock:
    """Keeps ``classes`` out of the early ALU when paired with any of ``partners``."""

    classes: frozenset[str]
    partners: frozenset[str]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Tables:
    name: str
    description: str
    sources: dict[str, str]
    parameters: dict[str, ParameterRow]
    units: dict[str, UnitRow]
    pairs: tuple[PairRule, ...]
    early_blocks: tuple[EarlyBlock, ...]
    roles: dict[Role, Column]
    latencies: dict[str, LatencyRow]
    classes: dict[str, ClassRow]


def nearest(word: str, valid: Collection[str]) -> str:
    """Return advice that names the valid word most like ``word``, or all if none is."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Valid: {', '.join(sorted(valid))}"


class Reader:
    """Reads a parsed TOML document section by section; every refusal names its place."""

    def __init__(self, document: Mapping[str, Any], where: str) -> None:
        self.document, self.where = document, where
        self.sources: dict[str, str] = {}
        self.parameters: dict[str, ParameterRow] = {}
        self.units: dict[str, UnitRow] = {}
        self.latencies: dict[str, LatencyRow] = {}
        self.classes: dict[str, ClassRow] = {}

    def fail(self, what: str, place: str = "", do: str = "") -> TableError:
        where = f"{self.where}: {place}" if place else self.where
        return TableError(what, where=where, do=do)

    def tables(self) -> Tables:
        """Read everything; rows may refer to rows of sections read before."""
        self.keys(self.document, _TOP, ("name", *_TOP[2:]), "")
        self.sources = {name: str(text) for name, text in self.section("sources").items()}
        self.parameters = self.read_parameters()
        self.units = {name: self.unit(name, row) for name, row in self.section("units").items()}
        roles = self.roles()
        self.latencies = {n: self.latency(n, row) for n, row in self.section("latency").items()}
        self.classes = self.read_classes()
        self.latency_row(WRITEBACK, "latency", frozenset({"core"}))
        self.refuse_unused()
        return Tables(
            name=str(self.document["name"]),
            description=str(self.document.get("description", "")),
            sources=self.sources,
            parameters=self.parameters,
            units=self.units,
            pairs=tuple(self.pair(n, row) for n, row in self.rows("pair")),
            early_blocks=tuple(self.early_block(n, row) for n, row in self.rows("early_block")),
            roles=roles,
            latencies=self.latencies,
            classes=self.classes,
        )

    # -- small readers -----------------------------------------------------------------------

    def section(self, name: str) -> Mapping[str, Any]:
        section = self.document[name]
        if not isinstance(section, Mapping):
            raise self.fail(f"expected a table, found {section!r}", name)
        return section

    def rows(self, name: str) -> enumerate[Any]:
        rows = self.document[name]
        if not isinstance(rows, list):
            raise self.fail(f"expected rows headed [[{name}]], found {rows!r}", name)
        return enumerate(rows, 1)

    def words(self, value: Any, valid: Mapping[str, Any], kind: str, place: str) -> list[str]:
        """Check a list of names."""
        if not isinstance(value, list):
            raise self.fail(f"expected a list of {kind} names, found {value!r}", place)
        for word in value:
            self.one_of(word, valid, kind, place)
        return value

    def keys(
        self, row: Any, allowed: Collection[str], needed: Collection[str], place: str
    ) -> Mapping[str, Any]:
        if not isinstance(row, Mapping):
            raise self.fail(f"expected a table, found {row!r}", place)
        for key in row:
            if key not in allowed:
                raise self.fail(f"unknown key {key!r}", place, nearest(key, allowed))
        for key in needed:
            if key not in row:
                raise self.fail(f"{key!r} is missing", place, "Every row has to state it")
        return row

    def one_of(self, word: Any, valid: Mapping[str, T], kind: str, place: str) -> T:
        if not isinstance(word, str) or word not in valid:
            raise self.fail(f"unknown {kind} {word!r}", place, nearest(str(word), valid))
        return valid[word]

    def number(self, value: Any, place: str, top: int = 1 << 16) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= top:
            raise self.fail(f"{value!r} is not a whole number from 0 to {top}", place)
        return value

    def provenance(self, row: Mapping[str, Any], place: str) -> Provenance:
        source = row["source"]
        if not isinstance(source, list) or not source:
            raise self.fail("source has to be a list of at least one source", place)
        for entry in source:
            self.one_of(str(entry).partition(" ")[0], self.sources, "source", place)
        confidence = self.one_of(
            row["confidence"], {c: c for c in CONFIDENCES}, "confidence", place
        )
        return Provenance(tuple(source), confidence, str(row.get("choice", "")))

    def row(
        self, row: Any, needed: Collection[str], optional: Collection[str], place: str
    ) -> tuple[Mapping[str, Any], Provenance]:
        row = self.keys(row, (*needed, *optional, *_PROVENANCE), (*needed, *_PROVENANCE[:2]), place)
        return row, self.provenance(row, place)

    # -- sections ----------------------------------------------------------------------------

    def read_parameters(self) -> dict[str, ParameterRow]:
        section = self.section("parameters")
        self.keys(section, Parameters._fields, Parameters._fields, "parameters")
        out = {}
        for name, row in section.items():
            place = f"parameters.{name}"
            row, provenance = self.row(row, ("value", "unit"), (), place)
            value = self.number(row["value"], place)
            out[name] = ParameterRow(value, str(row["unit"]), provenance)
        return out

    def unit(self, name: str, row: Any) -> UnitRow:
        place = f"units.{name}"
        row, provenance = self.row(row, ("count",), (), place)
        return UnitRow(self.number(row["count"], place), provenance)

    def roles(self) -> dict[Role, Column]:
        section = self.keys(self.document["roles"], ROLES, ROLES, "roles")
        return self.read_columns(section, "roles")

    def read_columns(self, section: Any, place: str) -> dict[Role, Column]:
        section = self.keys(section, ROLES, (), place)
        return {ROLES[r]: self.one_of(c, COLUMNS, "column", place) for r, c in section.items()}

    def latency(self, name: str, row: Any) -> LatencyRow:
        place = f"latency.{name}"
        row, provenance = self.row(row, ("cycles",), (), place)
        figures = self.keys(row["cycles"], COLUMNS, (), place)
        cycles = {COLUMNS[c]: self.number(v, place, MAX_CYCLES) for c, v in figures.items()}
        return LatencyRow(cycles, provenance)

    def latency_row(self, name: Any, place: str, kinds: Collection[str]) -> str:
        """Check that the row exists and has a figure for every column its result can meet."""
        row = self.one_of(name, self.latencies, "latency row", place)
        for kind in sorted(kinds):
            for column in COLUMNS_OF_KIND[kind]:
                if column not in row.cycles:
                    raise self.fail(
                        f"latency row {name!r} lacks column {column.name.lower()!r}",
                        place,
                        "There is no default latency: state it",
                    )
        return str(name)

    def read_classes(self) -> dict[str, ClassRow]:
        section = self.section("class")
        for name in section:
            if name not in CLASSES:
                raise self.fail(
                    f"unknown instruction class {name!r}", "class", nearest(name, CLASSES)
                )
        missing = [name for name in CLASSES if name not in section]
        if missing:
            raise self.fail(
                f"no row for instruction class {', '.join(missing)}",
                "class",
                "A core table has one row for every class of m7sim.isa.classes",
            )
        return {name: self.class_row(name, section[name]) for name in CLASSES}

    def class_row(self, name: str, row: Any) -> ClassRow:
        place = f"class.{name}"
        row, provenance = self.row(
            row,
            ("issue", "issue_cycles", "uses"),
            ("early", "reads", "latency", "latency_early", "after_mac", "fp_mac"),
            place,
        )
        transfers = row["issue_cycles"] == "transfers"
        early = self.one_of(row.get("early", "no"), _names(Early), "early rule", place)
        latency, latency_early = row.get("latency"), row.get("latency_early")
        kinds = RESULTS[name]
        if kinds and latency is None:
            raise self.fail("'latency' is missing", place, "There is no default latency: state it")
        if latency is not None:
            latency = self.latency_row(latency, place, kinds)
        if (early == Early.NO) != (latency_early is None):
            raise self.fail("'early' and 'latency_early' have to come together", place)
        if latency_early is not None:
            latency_early = self.latency_row(latency_early, place, kinds)
        return ClassRow(
            issue=self.one_of(row["issue"], _names(Issue), "issue rule", place),
            issue_cycles=1 if transfers else self.number(row["issue_cycles"], place, MAX_CYCLES),
            transfers=transfers,
            uses=tuple(self.words(row["uses"], self.units, "unit", place)),
            early=early,
            reads=self.read_columns(row.get("reads", {}), place),
            latency=latency,
            latency_early=latency_early,
            after_mac=self.one_of(
                row.get("after_mac", "free"), _names(AfterMac), "after_mac rule", place
            ),
            fp_mac=self.one_of(row.get("fp_mac", "no"), _names(FpMac), "fp_mac kind", place),
            provenance=provenance,
        )

    def side(self, row: Any, place: str) -> frozenset[str]:
        row = self.keys(row, ("uses", "classes"), (), place)
        units = set(self.words(row.get("uses", []), self.units, "unit", place))
        chosen = {name for name, r in self.classes.items() if units & set(r.uses)}
        chosen |= set(self.words(row.get("classes", []), self.classes, "class", place))
        if not chosen:
            raise self.fail("no instruction class matches", place)
        return frozenset(chosen)

    def pair(self, number: int, row: Any) -> PairRule:
        place = f"pair {number}"
        row, provenance = self.row(row, ("reason", "older", "younger"), ("when",), place)
        when = row.get("when", "")
        if when:
            self.one_of(when, self.parameters, "parameter", place)
        older = self.side(row["older"], f"{place}, older")
        younger = self.side(row["younger"], f"{place}, younger")
        return PairRule(str(row["reason"]), older, younger, when, provenance)

    def early_block(self, number: int, row: Any) -> EarlyBlock:
        place = f"early_block {number}"
        row, provenance = self.row(row, ("classes", "partner_uses"), (), place)
        classes = self.side({"classes": row["classes"]}, place)
        for name in sorted(classes):
            if self.classes[name].early == Early.NO:
                raise self.fail(f"class {name!r} never runs early", place)
        partners = self.side({"uses": row["partner_uses"]}, place)
        return EarlyBlock(classes, partners, provenance)

    def refuse_unused(self) -> None:
        used = {WRITEBACK}
        units: set[str] = set()
        for row in self.classes.values():
            used |= {name for name in (row.latency, row.latency_early) if name}
            units |= set(row.uses)
        for kind, names, seen in (
            ("latency row", self.latencies, used),
            ("unit", self.units, units),
        ):
            for name in names:
                if name not in seen:
                    raise self.fail(f"{kind} {name!r} is used by no class", do="Remove it")


def _names(codes: type[T]) -> dict[str, T]:
    return {member.name.lower(): member for member in codes}  # type: ignore[attr-defined]
