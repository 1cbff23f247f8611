"""The tables of facts (``facts/*.toml``): read, checked as a whole, turned into probes."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from m7sim.board.schema import Key, Reader, suggestion
from m7sim.errors import InputError, TableError
from m7sim.validate.probes import (
    FEATURES,
    FP_FENCES,
    GRADES,
    PAIR_COPIES,
    TEMPLATES,
    TOLERANCE_CYCLES,
    Fact,
    Facts,
    Kind,
    NotMeasured,
    Probe,
    pair_id,
)

SCHEMA = 1
FACTS = Path(__file__).parent / "facts"

_COMMON = {
    "grade": Key(str), "source": Key(str), "choice": Key(str, required=False),
}  # fmt: skip
_EXPERIMENT = {
    "id": Key(str), "meaning": Key(str), "text": Key(str), "template": Key(str, required=False),
    "setup": Key(str, required=False), "data": Key(str, required=False),
    "copies": Key(int, required=False), "fences": Key(int, required=False),
    "offset_bytes": Key(int, required=False), "applies": Key(list, required=False),
    "expected_cycles": Key(object), "subtract_cycles": Key(int, required=False),
    "tolerance_cycles": Key(object, required=False), **_COMMON,
}  # fmt: skip
_PRODUCER = {
    "id": Key(str), "text": Key(str), "setup": Key(str, required=False),
    "data": Key(str, required=False), "cycles": Key(dict), "grades": Key(dict, required=False),
    **_COMMON,
}  # fmt: skip
_CONSUMER = {"text": Key(str), "meaning": Key(str)}
_KIND = {
    "text": Key(str), "label": Key(str), "setup": Key(str, required=False),
    "figure": Key(bool, required=False), "fp": Key(bool, required=False),
    "cycles": Key(int, required=False),
}  # fmt: skip
_RULE = {
    "older": Key(list), "younger": Key(list), "both_orders": Key(bool, required=False),
    "pairs": Key(bool), **_COMMON,
}  # fmt: skip
_EXCEPTION = {"id": Key(str), "reason": Key(str)}
_NOT_MEASURED = {"id": Key(str), "grade": Key(str), "reason": Key(str)}
_TOP = {
    "schema": Key(int), "experiment": Key(list, required=False),
    "consumer": Key(dict, required=False), "producer": Key(list, required=False),
    "representative": Key(dict, required=False), "rule": Key(list, required=False),
    "feature": Key(dict, required=False),
    "exception": Key(list, required=False), "not_measured": Key(list, required=False),
}  # fmt: skip


@cache
def load(folder: Path = FACTS) -> Facts:
    """Load all tables of a folder.

    Raises
    ------
    TableError
        For an unknown, missing or wrongly typed key, an unknown name, two facts of one id, or two
        rules that contradict each other.
    InputError
        If there is no table.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise InputError("no tables of facts (*.toml)", where=str(folder))
    load_ = _Load()
    for path in paths:
        load_.read(path)
    return load_.finish()


class _Load:
    """Collects what the tables say, and checks it as a whole in the end."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.kinds: dict[str, Kind] = {}
        self.kinds_path = ""
        self.exceptions: dict[str, str] = {}
        self.not_measured: list[NotMeasured] = []
        self.features: dict[str, str] = {}

    def read(self, path: Path) -> None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TableError(f"not TOML: {error}", where=str(path)) from error
        reader = Reader(path.name, {})
        reader.table(data, _TOP, "top level")
        if data["schema"] != SCHEMA:
            raise TableError(f"schema {data['schema']} is not {SCHEMA}", where=path.name)
        for k, row in enumerate(data.get("experiment", [])):
            self.facts.append(_experiment(reader, row, f"experiment {k + 1}"))
        self.facts += _latencies(reader, data)
        self._pairs(reader, data)
        self._scope(reader, data)

    def _pairs(self, reader: Reader, data: Mapping[str, Any]) -> None:
        for name, row in data.get("representative", {}).items():
            reader.table(row, _KIND, f"representative.{name}")
            self.kinds[name] = Kind(
                name, row["label"], row["text"], row.get("setup", ""),
                row.get("figure", False), row.get("fp", False), row.get("cycles", 1),
            )  # fmt: skip
        said: dict[str, bool] = {}
        for k, row in enumerate(data.get("rule", [])):
            where = f"rule {k + 1}"
            reader.table(row, _RULE, where)
            _check_grade(reader, row["grade"], where)
            for older, younger in _cells(row):
                for name in (older, younger):
                    if name not in self.kinds:
                        raise TableError(
                            f"no representative {name!r}",
                            where=f"{reader.path}: {where}",
                            do=suggestion(str(name), self.kinds),
                        )
                id_ = pair_id(older, younger)
                if said.setdefault(id_, row["pairs"]) != row["pairs"]:
                    raise TableError(f"contradicts an earlier rule on {id_}", where=where)
                if not any(fact.id == id_ for fact in self.facts):
                    self.facts.append(_pair(self.kinds[older], self.kinds[younger], row))

    def _scope(self, reader: Reader, data: Mapping[str, Any]) -> None:
        for name, text in data.get("feature", {}).items():
            if name not in FEATURES:
                raise TableError(
                    f"no board can tell of {name!r}",
                    where=f"{reader.path}: feature",
                    do=suggestion(name, FEATURES),
                )
            self.features[name] = str(text)
        for row in data.get("exception", []):
            reader.table(row, _EXCEPTION, "exception")
            self.exceptions[row["id"]] = row["reason"]
        for row in data.get("not_measured", []):
            reader.table(row, _NOT_MEASURED, "not_measured")
            self.not_measured.append(NotMeasured(row["id"], row["grade"], row["reason"]))

    def finish(self) -> Facts:
        ids = [fact.id for fact in self.facts]
        twice = [name for name, n in Counter(ids).items() if n > 1]
        if twice:
            raise TableError(f"more than one fact has the id {twice[0]!r}")
        for name in self.exceptions:
            if name not in ids:
                raise TableError(
                    f"an exception names the fact {name!r}, which does not exist",
                    do=suggestion(name, ids),
                )
        for fact in self.facts:
            for name in fact.probe.applies:
                if name not in self.features:
                    raise TableError(
                        f"unknown feature {name!r}",
                        where=fact.id,
                        do=suggestion(name, self.features),
                    )
        probes = [fact.probe for fact in self.facts]
        shown = [kind for kind in self.kinds.values() if kind.figure]
        for older in shown:
            for younger in shown:
                if pair_id(older.name, younger.name) not in ids:
                    probes.append(_pair_probe(older, younger))
        return Facts(
            tuple(self.facts), tuple(probes), self.kinds, self.exceptions,
            tuple(self.not_measured), self.features,
        )  # fmt: skip


def _check_grade(reader: Reader, grade: str, where: str) -> None:
    if grade not in GRADES:
        raise TableError(
            f"grade {grade!r} is not one of {', '.join(GRADES)}", where=f"{reader.path}: {where}"
        )


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise TableError(f"{value!r} is not a number of cycles", where=where)
    return float(value)


def _experiment(reader: Reader, row: Mapping[str, Any], where: str) -> Fact:
    reader.table(row, _EXPERIMENT, str(row.get("id", where)) if isinstance(row, dict) else where)
    where = row["id"]
    _check_grade(reader, row["grade"], where)
    template = row.get("template", "straight")
    if template not in TEMPLATES:
        raise TableError(
            f"unknown template {template!r}", where=where, do=suggestion(template, TEMPLATES)
        )
    copies = row.get("copies", TEMPLATES[template])
    if copies < 1:
        raise TableError("there must be at least one copy", where=where)
    probe = Probe(
        id=row["id"], text=row["text"], template=template, setup=row.get("setup", ""),
        data=row.get("data", ""), copies=copies, fences=row.get("fences", 1),
        offset_bytes=row.get("offset_bytes", 0), applies=tuple(row.get("applies", ())),
    )  # fmt: skip
    return Fact(
        id=row["id"], meaning=row["meaning"], grade=row["grade"],
        expected_cycles=_number(row["expected_cycles"], where),
        subtract_cycles=row.get("subtract_cycles", 0),
        tolerance_cycles=_number(row.get("tolerance_cycles", TOLERANCE_CYCLES), where),
        source=row["source"], choice=row.get("choice", ""), probe=probe,
    )  # fmt: skip


def _latencies(reader: Reader, data: Mapping[str, Any]) -> Iterator[Fact]:
    consumers = data.get("consumer", {})
    for name, row in consumers.items():
        reader.table(row, _CONSUMER, f"consumer.{name}")
    for k, row in enumerate(data.get("producer", [])):
        where = f"producer {k + 1}"
        reader.table(row, _PRODUCER, where)
        grades = row.get("grades", {})
        for column in (*row["cycles"], *grades):
            if column not in consumers or column not in row["cycles"]:
                raise TableError(
                    f"no consumer {column!r}",
                    where=f"{reader.path}: {row['id']}",
                    do=suggestion(column, consumers),
                )
        for column, cycles in row["cycles"].items():
            grade = grades.get(column, row["grade"])
            _check_grade(reader, grade, where)
            consumer = consumers[column]["text"]
            fences = FP_FENCES if "v" in (row["text"][0], consumer[0]) else 1
            id_ = f"latency.{row['id']}.{column}"
            probe = Probe(
                id=id_, text=f"{row['text']}\n{consumer}", setup=row.get("setup", ""),
                data=row.get("data", ""), fences=fences,
            )  # fmt: skip
            yield Fact(
                id=id_, meaning=consumers[column]["meaning"], grade=grade,
                expected_cycles=_number(cycles, id_), subtract_cycles=1 + fences,
                tolerance_cycles=TOLERANCE_CYCLES, source=row["source"],
                choice=row.get("choice", ""), probe=probe,
            )  # fmt: skip


def _cells(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    cells = [(older, younger) for older in rule["older"] for younger in rule["younger"]]
    if rule.get("both_orders"):
        cells += [(younger, older) for older, younger in cells]
    return list(dict.fromkeys(cells))


def _pair_probe(older: Kind, younger: Kind) -> Probe:
    return Probe(
        id=pair_id(older.name, younger.name),
        text=f"{older.as_older()}\n{younger.as_younger()}",
        setup="\n".join(filter(None, dict.fromkeys((older.setup, younger.setup)))),
        copies=PAIR_COPIES,
        fences=FP_FENCES if older.fp or younger.fp else 1,
    )


def _pair(older: Kind, younger: Kind, rule: Mapping[str, Any]) -> Fact:
    probe = _pair_probe(older, younger)
    verb = "pairs" if rule["pairs"] else "does not pair"
    return Fact(
        id=probe.id,
        meaning=f"{older.label} {verb} with {younger.label}",
        grade=rule["grade"],
        expected_cycles=older.cycles + younger.cycles - int(rule["pairs"]),
        subtract_cycles=probe.fences,
        tolerance_cycles=TOLERANCE_CYCLES,
        source=rule["source"],
        choice=rule.get("choice", ""),
        probe=probe,
    )
