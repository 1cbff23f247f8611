"""What a whole session checked, and the baselines it writes."""

from __future__ import annotations

from pathlib import Path

from m7sim.regress.baseline import Baseline, Entry
from m7sim.regress.check import Checked, Row, format_change, format_number
from m7sim.regress.shelf import Shelf


class Book:
    """Collects the checks of all tests, of this process and of others.

    Attributes
    ----------
    checks : dict
        Outcomes by file, test and name of the check; those of a test that ran twice are the last.
    """

    def __init__(self) -> None:
        self.checks: dict[tuple[str, str, str], Checked] = {}
        self._passed: dict[tuple[str, str], bool] = {}  # by file and id of the test

    def saw(self, file: str, test: str, passed: bool, *, first: bool = False) -> None:
        """Note how a phase of a test ended; ``first`` is the first of its phases."""
        self._passed[file, test] = passed and (first or self._passed.get((file, test), True))

    def add(self, checked: Checked) -> None:
        self.checks[checked.module, checked.test, checked.name] = checked

    def ordered(self) -> list[Checked]:
        """Return the checks by file, test and name, whoever ran them."""
        return [self.checks[key] for key in sorted(self.checks)]

    def write(self, shelf: Shelf) -> list[str]:
        """Put what passing tests measured into the baselines; return what changed, in words.

        Raises
        ------
        InputError
            If a baseline is damaged or cannot be written.
        """
        told = []
        for baseline, checks in self._by_baseline(shelf):
            changed = False
            for checked in checks:
                if not self._passed.get((checked.module, checked.test), False):
                    told.append(f"baseline of {checked.label}: left as it was, the test failed")
                    continue
                old = baseline.entry(checked.test, checked.name)
                entry = Entry(checked.measured_on, checked.totals, checked.snapshot)
                if baseline.put(checked.test, checked.name, entry):
                    told.append(f"baseline of {checked.label}: {_change(old, entry)}")
                    changed = True
            if changed:
                baseline.save()
        return told

    def stale(self, shelf: Shelf) -> list[tuple[Baseline, str, str]]:
        """Return entries of the files that were tested which no test checks any more.

        Only of use after whole files ran without a failure: a test that was not selected, or not
        reached, looks like one that is no longer there.
        """
        found = []
        for module in sorted({file for file, _ in self._passed}):
            baseline = shelf.of(Path(module))
            for test, entries in baseline.tests.items():
                passed = self._passed.get((module, test))
                for name in entries:
                    gone = passed is None or (passed and (module, test, name) not in self.checks)
                    if gone:
                        found.append((baseline, test, name))
        return found

    def prune(self, shelf: Shelf) -> list[str]:
        """Drop stale entries; return which."""
        told = []
        for baseline, test, name in self.stale(shelf):
            baseline.drop(test, name)
            baseline.save()
            told.append(f"baseline of {test} {name}: dropped, no test checks it")
        return told

    def _by_baseline(self, shelf: Shelf) -> list[tuple[Baseline, list[Checked]]]:
        groups: dict[str, list[Checked]] = {}
        for checked in self.ordered():
            if checked.update:
                groups.setdefault(checked.module, []).append(checked)
        return [(shelf.of(Path(module)), checks) for module, checks in groups.items()]


def _change(old: Entry | None, new: Entry) -> str:
    if old is None:
        return "new, " + ", ".join(f"{m} {format_number(v)}" for m, v in new.totals.items())
    rows = [Row(m, old.totals.get(m), new.totals.get(m), "", "") for m in new.totals]
    changes = [f"{row.metric} {format_change(row)}" for row in rows if row.change]
    return ", ".join(changes) or "same costs, other details"
