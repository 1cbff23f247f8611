"""The pytest plugin: fixture ``m7``, its options and markers.

Wiring only; see `m7sim.regress`. This module is loaded in every pytest run of an environment that
has m7sim, so it imports nothing but pytest, and the rest when a test or an option asks for it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from m7sim.errors import InputError, M7Error
from m7sim.regress.optiontable import FLAG, MARKERS, OPTIONS, SESSION_OPTIONS

if TYPE_CHECKING:
    from m7sim.export.lcov import Coverage
    from m7sim.profile.result import Result
    from m7sim.regress.bench import Bench
    from m7sim.regress.settings import Settings
    from m7sim.regress.workshop import Workshop

_PACKAGE = str(Path(__file__).parent) + os.sep
_STATE: pytest.StashKey[_State] = pytest.StashKey()
_BENCH: pytest.StashKey[Bench] = pytest.StashKey()
_QUIET_S = 1.0  # compiling that takes less is not told


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("m7sim", "m7sim: what Cortex-M7 code costs")
    for name, takes, text in SESSION_OPTIONS:
        how: dict[str, Any] = {"metavar": takes} if takes else {"action": "store_true"}
        group.addoption(f"--m7-{name}", help=text.replace("%", "%%"), **how)
    for name, kind, text in OPTIONS:
        flag = kind == FLAG
        how = {"action": "store_true", "default": None} if flag else {"metavar": "TEXT"}
        group.addoption(f"--m7-{name}", help=text.replace("%", "%%"), **how)
        key = f"m7_{name.replace('-', '_')}"
        if flag:
            parser.addini(key, text, type="bool", default=None)
        else:
            parser.addini(key, text, type="string", default=None)
    parser.addini("m7_baseline_dir", "folder of the baselines beside each test", default=None)


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(_Session(config), "m7sim-session")
    # The public way to the keys of the file is deprecated since pytest 9, without a successor.
    keys = config._inicfg if hasattr(config, "_inicfg") else config.inicfg
    given = any(value for name, value in vars(config.option).items() if name.startswith("m7_"))
    if given or any(key.startswith("m7_") for key in keys):
        with _usage_errors():
            from m7sim.regress.options import check_keys, check_session

            check_keys(keys)
            check_session(vars(config.option), config.args)
        _state(config)


@contextlib.contextmanager
def _usage_errors() -> Generator[None]:
    try:
        yield
    except M7Error as error:
        raise pytest.UsageError(f"m7sim: {error}") from None


class _State:
    """What a process of a session keeps, once something of m7sim is used in it."""

    def __init__(self, config: pytest.Config) -> None:
        from m7sim import cache
        from m7sim.regress.baseline import DEFAULT_FOLDER
        from m7sim.regress.book import Book
        from m7sim.regress.options import KEYS, in_ci, settings_from
        from m7sim.regress.shelf import Shelf

        def value(key: str) -> Any:
            given = config.getoption(f"m7_{key}")
            return config.getini(f"m7_{key}") if given is None else given

        option = config.option
        settings = settings_from(
            {key: value(key) for key in KEYS},
            update=option.m7_update,
            report_only=option.m7_compare,
            coverage=bool(option.m7_coverage),
            explain_markdown=bool(option.m7_markdown),
        )
        self.settings = replace(settings, require_compiler=settings.require_compiler or in_ci())
        folder = config.getini("m7_baseline_dir") or DEFAULT_FOLDER
        self.shelf = Shelf(option.m7_baseline or "", config.rootpath, folder=folder)
        self.root = config.rootpath
        self.book = Book()
        self._workshop: Workshop | None = None
        if self.settings.placement:
            self.workshop.placement_of(self.settings.placement)  # a wrong one is told at once
        self.coverage: Coverage | None = None
        cache.on_compile = _Compiling(config)

    @property
    def workshop(self) -> Workshop:
        if self._workshop is None:
            from m7sim.characterize.placement import Placement
            from m7sim.regress.workshop import Workshop

            self._workshop = Workshop(Placement.parse)
        return self._workshop

    def bench(self, item: pytest.Item, settings: Settings) -> Bench:
        from m7sim.regress.bench import Bench
        from m7sim.regress.options import budget
        from m7sim.regress.settings import TestPlace

        def no_compiler(message: str) -> None:
            if not settings.require_compiler:
                raise pytest.skip.Exception(message, _use_item_location=True)

        bench = Bench(
            settings,
            TestPlace(item.path, _id(item.nodeid), item.nodeid, budget(_marks(item, "m7_budget"))),
            self.shelf,
            self.workshop,
            no_compiler=no_compiler,
        )
        if settings.coverage:
            bench.on_result = lambda result: self._cover(result, bench.source_folders)
        return bench

    def _cover(self, result: Result, folders: set[Path]) -> None:
        from m7sim.export.lcov import Coverage

        # An ELF without debug information, or a call that is not timed, has nothing to add.
        with contextlib.suppress(InputError):
            self.add_coverage(Coverage.of(result, roots=[self.root, *sorted(folders)]))

    def add_coverage(self, coverage: Coverage) -> None:
        self.coverage = coverage if self.coverage is None else self.coverage + coverage


def _state(config: pytest.Config) -> _State:
    if _STATE not in config.stash:
        with _usage_errors():
            config.stash[_STATE] = _State(config)
    return config.stash[_STATE]


class _Compiling:
    """Says that kernels of m7sim are being compiled, as that takes a while."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._told = config, False
        self._begin: float | None = None

    def __call__(self, name: str, done: int, known: int) -> None:
        self._begin = self._begin or time.monotonic()
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if not name or self._told or reporter is None or time.monotonic() - self._begin < _QUIET_S:
            return
        self._told = True
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            reporter.write_line("m7sim: compiling kernels, once per version of m7sim …")
            reporter.flush()


def _marks(node: pytest.Item, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [(mark.args, dict(mark.kwargs)) for mark in node.iter_markers(name)]


def _id(nodeid: str) -> str:
    return nodeid.partition("::")[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    item = metafunc.definition
    marks, budgets = _marks(item, "m7"), _marks(item, "m7_budget")
    if not (marks or budgets):
        return
    from m7sim.regress.options import budget, variants

    try:
        ways = variants(marks)
        budget(budgets)
        if "m7" not in metafunc.fixturenames:
            if any(mark.name in ("m7", "m7_budget") for mark in item.own_markers):
                raise InputError("a marker of m7sim, but no fixture m7")
            return  # the module's or the class's, and meant for others
    except M7Error as error:
        pytest.fail(f"{metafunc.function.__name__}: {error}", pytrace=False)
    if len(ways) > 1 or ways[0].id:
        metafunc.parametrize("m7", ways, indirect=True, ids=[way.id for way in ways])


@pytest.fixture
def m7(request: pytest.FixtureRequest) -> Generator[Bench]:
    """Build and load Cortex-M7 firmware, call it, and check what that costs."""
    from m7sim.regress.options import variants

    state, item = _state(request.config), request.node
    try:
        (way,) = [request.param] if hasattr(request, "param") else variants(_marks(item, "m7"))
        bench = state.bench(item, way.apply(state.settings))
    except M7Error as error:
        pytest.fail(str(error), pytrace=False)
    item.stash[_BENCH] = bench
    yield bench
    bench.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any]:
    outcome = yield
    bench = item.stash.get(_BENCH, None)
    if bench is None or bench.checked or outcome.excinfo is not None:
        return
    if item.get_closest_marker("m7_budget"):
        message = "the test has m7_budget, but never calls m7.check"
        outcome.force_exception(pytest.fail.Exception(message, pytrace=False))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any]:
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, M7Error) and not item.config.getoption("fulltrace", False):
        _shorten(call)
    outcome = yield
    report = outcome.get_result()
    if isinstance(error, M7Error) and hasattr(report.longrepr, "reprcrash"):
        # What the short summary and JUnit show: as much of the message as there is room for.
        report.longrepr.reprcrash.message = str(error).partition("\n")[0]
    if "m7" not in getattr(item, "fixturenames", ()):
        return
    report.m7_file = str(item.path)
    bench = item.stash.get(_BENCH, None)
    if bench is None or call.when != "call":
        return
    from m7sim.report.regression import explain

    failed = getattr(error, "checked", None)
    if failed and failed.explainable and hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection("m7.check: what changed", explain(failed))
    for checked in bench.checked:
        if checked.explainable and bench.settings.report_only:
            checked.details = explain(checked)
        if checked.explainable and bench.settings.explain_markdown:
            checked.details_markdown = explain(checked, markdown=True)
        for metric, value in checked.totals.items():
            # On the test: JUnit's file takes them from the report of its end.
            item.user_properties.append((f"m7.{checked.name}.{metric}", value))
    # As plain data on the report: so it gets from a worker of pytest-xdist to the controller, and
    # a run without workers goes the same way.
    report.m7_checks = [checked.to_dict() for checked in bench.checked]


def _shorten(call: pytest.CallInfo[None]) -> None:
    """Cut a traceback where it enters m7sim: the message says all, and it is the test's line."""
    excinfo = call.excinfo
    assert excinfo is not None
    entry: TracebackType | None = excinfo.tb
    while entry is not None and entry.tb_next is not None:
        file = entry.tb_next.tb_frame.f_code.co_filename
        if file.startswith(_PACKAGE) and file != __file__:
            entry.tb_next = None
        entry = entry.tb_next
    excinfo.traceback = type(excinfo.traceback)(excinfo.tb)
    error = excinfo.value
    error.__cause__, error.__suppress_context__ = None, True


class _Session:
    """Gathers what tests checked, on the controller if there are workers, and reports it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._deselected = self._header_shown = False
        self._told: list[str] = []
        self._error = ""

    def pytest_unconfigure(self) -> None:
        if self._known is not None:
            from m7sim import cache

            cache.on_compile = None

    @property
    def _known(self) -> _State | None:
        return self._config.stash.get(_STATE, None)

    def pytest_report_header(self) -> str | None:
        if self._known is None:
            return None
        return self._header(self._known)

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> str | None:
        if self._header_shown or not any("m7" in getattr(i, "fixturenames", ()) for i in items):
            return None
        return self._header(_state(self._config))

    def _header(self, state: _State) -> str:
        from m7sim.regress.options import header

        self._header_shown = True
        with _usage_errors():
            return header(state.settings)

    def pytest_deselected(self) -> None:
        self._deselected = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = getattr(report, "m7_file", None)
        if file is None or self._worker:
            return
        from m7sim.regress.check import Checked

        book = _state(self._config).book
        book.saw(file, _id(report.nodeid), report.passed, first=report.when == "setup")
        for checked in getattr(report, "m7_checks", ()):
            book.add(Checked.from_dict(checked))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        data = getattr(node, "workeroutput", {}).get("m7_coverage")
        if data is not None:
            from m7sim.export.lcov import Coverage

            _state(self._config).add_coverage(Coverage.from_dict(data))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        state = self._known
        if state is None:
            return
        if self._worker:
            if state.coverage is not None:
                output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
                output["m7_coverage"] = state.coverage.to_dict()
            return
        try:
            self._write(state, clean=exitstatus == pytest.ExitCode.OK and not self._deselected)
        except M7Error as error:
            self._error = f"m7sim: {error}"
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write(self, state: _State, *, clean: bool) -> None:
        option = self._config.option
        if option.m7_update:
            self._told += state.book.write(state.shelf)
        if option.m7_prune:
            if not clean:
                raise InputError("nothing pruned: not every test ran and passed")
            self._told += state.book.prune(state.shelf)
        if option.m7_markdown:
            from m7sim.regress.options import header
            from m7sim.report.regression import render_markdown

            text = render_markdown(state.book.ordered(), header=header(state.settings))
            _write_text(option.m7_markdown, text)
        if option.m7_coverage and state.coverage is not None:
            state.coverage.write(option.m7_coverage)
            self._told.append(f"{option.m7_coverage}: ran {state.coverage.totals}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        state = self._known
        if self._worker or state is None or not (state.book.checks or self._told or self._error):
            return
        from m7sim.report.layout import Style
        from m7sim.report.regression import render_summary

        write = terminalreporter.write_line
        terminalreporter.section("m7sim")
        if not self._header_shown:
            write(self._header(state))
        style = Style(self._config.get_terminal_writer().fullwidth)
        everything = self._config.getoption("verbose") > 0
        for line in render_summary(state.book.ordered(), style=style, everything=everything):
            write(line.text, **line.markup)
        for told in self._told:
            write(told)
        if self._error:
            write(self._error, red=True)


def _write_text(name: str, text: str) -> None:
    from m7sim.commands.common import write

    write(name, text)
