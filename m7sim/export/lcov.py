"""Coverage of a program's own sources as an LCOV tracefile, as genhtml and most CI viewers read it.

Counts come from what ran, without instrumentation: the program is the one that ships.

- *Lines*: all that have code in the ELF, run or not. A line with several pieces of code ran as
  often as the piece that ran most (gcov and LLVM do alike for the blocks of a line); copies of a
  function (inlined, or a template) add up. A statement whose own code optimisation moved or removed
  ran as often as the place where the compiler says it begins; without such a place it is not
  listed. Where a loop was unrolled, its lines ran less often than the source says. Functions that
  the linker threw away are not in the ELF, hence not in the report.
- *Functions*: how often they were entered, wherever they were inlined.
- *Branches* are those of the machine code: a conditional branch has two outcomes, taken (0) and not
  taken (1); a jump by table has one per target, by address. So they are not the branches that gcov
  counts in the source: a condition that became an IT block has none, and counts as run.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from m7sim import toolchain
from m7sim.elf import Image
from m7sim.errors import InputError
from m7sim.export import tracefile
from m7sim.export.executed import Executed
from m7sim.export.sites import Sites
from m7sim.export.tally import FileCoverage, Totals
from m7sim.profile.result import Result
from m7sim.regress.baseline import write_atomically

SCHEMA = 1
_NOTHING = "no source of the program is one of the project's own"
_INSTALLED = {"site-packages", "dist-packages"}  # folders whose sources are somebody else's


class Coverage:
    """Which lines, functions and branches ran, in one result or the sum of several.

    Attributes
    ----------
    files : dict[str, FileCoverage]
        By absolute path of the source.
    left_out : set[str]
        Sources that are no part of the project, or were not wanted.
    """

    def __init__(self) -> None:
        self.files: dict[str, FileCoverage] = {}
        self.left_out: set[str] = set()

    @classmethod
    def of(
        cls,
        result: Result,
        *,
        roots: Sequence[str | Path] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Coverage:
        """Return what a run or a call covered.

        Parameters
        ----------
        result
            Of a timed run, call or replay, of an ELF compiled with ``-g``.
        roots
            Folders of the project; default the current one. Sources below them that exist count as
            the project's own, installed packages excepted.
        include
            Patterns (``*`` matches ``/`` too) of the sources wanted instead, by absolute path or by
            path from a root.
        exclude
            Patterns of sources not wanted.

        Raises
        ------
        InputError
            If nothing was counted (``time=False``), or the ELF has no debug information.
        """
        if result.profile is None:
            do = "Leave time=False (--no-time) out"
            raise InputError("coverage needs a timed run: only that counts instructions", do=do)
        image = result.profile.image
        if not isinstance(image, Image):
            raise TypeError("coverage is of a program that was loaded from an ELF")
        sites = own_sites(image, roots=roots, include=include, exclude=exclude)
        executed = Executed(sites, result.profile)
        coverage = cls()
        coverage.left_out.update(set(sites.all_files) - sites.files)
        for file, lines in executed.lines().items():
            coverage._file(file).lines = lines
        for file, functions in executed.functions().items():
            coverage._file(file).functions = functions
        for site, counts in executed.branches():
            branches = coverage._file(site.file).branches.setdefault(site.line, {})
            branches[image.content_sha256[:16], site.address] = counts
        return coverage

    @classmethod
    def merge(cls, parts: Iterable[Coverage]) -> Coverage:
        """Return the sum of several, also of different programs."""
        total = cls()
        for part in parts:
            total.left_out |= part.left_out
            for path, counts in part.files.items():
                total._file(path).add(counts)
        return total

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage.merge((self, other))

    def _file(self, path: str) -> FileCoverage:
        return self.files.setdefault(path, FileCoverage())

    @property
    def totals(self) -> Totals:
        """Sums over all files."""
        return Totals.sum(counts.totals for counts in self.files.values())

    # As text -------------------------------------------------------------------------------

    def to_lcov(self, test_name: str = "") -> str:
        """Return an LCOV tracefile; files by path, everything in it by line."""
        return "".join(tracefile.record(p, self.files[p], test_name) for p in sorted(self.files))

    def write(self, path: str | Path, test_name: str = "") -> None:
        """Write an LCOV tracefile: whole, or not at all.

        Raises
        ------
        InputError
            If it cannot be written, or if there is nothing to write because no source of the
            program is one of the project's own.
        """
        if not self.files:
            raise InputError(_NOTHING, where=str(path), do=_advice(self.left_out))
        try:
            write_atomically(Path(path), self.to_lcov(test_name))
        except OSError as error:
            raise InputError(f"cannot write: {error.strerror}", where=str(path)) from error

    @classmethod
    def from_file(cls, path: str | Path) -> Coverage:
        """Read an LCOV tracefile, also one that another tool wrote.

        Raises
        ------
        InputError
            If it is missing or damaged; the message names the line.
        """
        coverage = cls()
        for source, counts in tracefile.read(Path(path)):
            coverage._file(source).add(counts)
        return coverage

    # As JSON, between processes ------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return everything in a form that JSON holds."""
        return {
            "schema_version": SCHEMA,
            "files": {path: counts.to_dict() for path, counts in sorted(self.files.items())},
            "left_out": sorted(self.left_out),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Coverage:
        """Return what `to_dict` gave.

        Raises
        ------
        InputError
            If it is of another version.
        """
        if data.get("schema_version") != SCHEMA:
            raise InputError(f"coverage of schema version {data.get('schema_version')!r}")
        coverage = cls()
        for path, counts in data["files"].items():
            coverage.files[path] = FileCoverage.from_dict(counts)
        coverage.left_out.update(data["left_out"])
        return coverage


def own_sites(
    image: Image,
    *,
    roots: Sequence[str | Path] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    required: bool = False,
) -> Sites:
    """Return what can run of a program's own sources; the parameters are those of `Coverage.of`.

    Raises
    ------
    InputError
        If the ELF has no debug information, or, with ``required``, if no source is left.
    """
    if not image.has_debug:
        what = "no debug information, so no coverage"
        raise InputError(what, where=image.path, do="Compile with -g")
    folders = tuple(Path(root).resolve() for root in roots or (Path.cwd(),))
    sites = _sites(image, folders, tuple(include), tuple(exclude))
    if required and not sites.files:
        raise InputError(_NOTHING, where=image.path, do=_advice(set(sites.all_files)))
    return sites


@lru_cache(maxsize=4)  # a test session calls the functions of one program many times
def _sites(
    image: Image, roots: tuple[Path, ...], include: tuple[str, ...], exclude: tuple[str, ...]
) -> Sites:
    return Sites(image, _Own(roots, include, exclude))


def _advice(left_out: set[str]) -> str:
    ours = str(toolchain.firmware_dir())  # start-up code and the like: the last that is meant
    known = sorted(filter(os.path.isfile, left_out), key=lambda file: (file.startswith(ours), file))
    if not known:
        return "Compile with -g, where the sources stay"
    more = f" and {len(known) - 3} more" if len(known) > 3 else ""
    return f"Name those wanted (--lcov-include, include=): it has {', '.join(known[:3])}{more}"


class _Own:
    """Says which sources belong to the project."""

    def __init__(
        self, roots: tuple[Path, ...], include: Sequence[str], exclude: Sequence[str]
    ) -> None:
        self._roots, self._include, self._exclude = roots, include, exclude

    def __call__(self, file: str) -> bool:
        path = Path(file)
        if not path.is_absolute():
            return False
        below = next((root for root in self._roots if path.is_relative_to(root)), None)
        if below is None:  # by another name, such as a link
            path = path.resolve()
            below = next((root for root in self._roots if path.is_relative_to(root)), None)
        names = {file} if below is None else {file, path.relative_to(below).as_posix()}
        if _match(names, self._exclude):
            return False
        if self._include:
            return _match(names, self._include)
        return below is not None and path.is_file() and not _INSTALLED & set(path.parts)


def _match(names: set[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, p) for name in names for p in patterns)
