"""One trace on variants of a board: other cache sizes, flash wait states, clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from m7sim.board import Board
from m7sim.board.schema import suggestion
from m7sim.energy import EnergyModel
from m7sim.energy.duty import SLEEP, DutyCycle, duty_cycle
from m7sim.errors import InputError
from m7sim.memmap.whatif import Retimed

Kind = Literal["dcache", "icache", "waitstates", "clock"]

KINDS: Final[tuple[Kind, ...]] = ("dcache", "icache", "waitstates", "clock")
CACHE_BYTES: Final = (0, *(1024 << n for n in range(7)))
WAIT_STATES: Final = tuple(range(13))
CLOCK_STEP_HZ: Final = 30_000_000  # for boards that do not tell their wait states
LEAST_CLOCK_HZ: Final = 24_000_000
KNEE: Final = 0.02  # nearer than this to the best there is counts as reached
PERIOD: Final = 1.1  # of the longest time: room to wake up in


class Retimes(Protocol):
    """What is needed of a `Study`."""

    def retime(self, places: Mapping[str, str] | None = None, /, *, board: Board) -> Retimed: ...


@dataclass(frozen=True)
class Work:
    """A run as far as a duty cycle needs it."""

    time_s: float
    energy_nj: float

    @property
    def mean_power_mw(self) -> float:
        return self.energy_nj * 1e-6 / self.time_s


@dataclass(frozen=True)
class Point:
    """The trace on one variant of the board.

    Attributes
    ----------
    value
        Bytes of a cache (0: off), wait states, or Hz.
    duty
        By idle state: the work once a period, then idle; empty without current data or a period.
    """

    value: int
    flash_wait_states: int
    timed: Retimed
    duty: Mapping[str, DutyCycle]

    @property
    def cycles(self) -> int:
        return self.timed.cycles

    @property
    def time_ms(self) -> float:
        return 1e3 * self.timed.cycles / self.timed.clock_hz

    @property
    def energy_nj(self) -> float | None:
        return self.timed.energy_nj


@dataclass(frozen=True)
class Sweep:
    """A sweep, ascending.

    Attributes
    ----------
    real
        The board's own value.
    period_s
        From one piece of work to the next, 0 if there is no energy.
    notes
        What a reader has to know.
    """

    kind: Kind
    board: Board
    places: dict[str, str]
    points: tuple[Point, ...]
    real: int
    period_s: float
    notes: tuple[str, ...]

    @property
    def real_point(self) -> Point:
        """The board as it is."""
        return next(point for point in self.points if point.value == self.real)

    @property
    def fastest(self) -> Point:
        """The least time; the least value of equals."""
        return min(self.points, key=lambda p: (p.time_ms, p.value))

    @property
    def knee(self) -> Point:
        """First value, from the cheap end, that is within ``KNEE`` of the best there is.

        Caches are cheap when small, a clock when low; wait states are cheap when many.
        """
        order = reversed(self.points) if self.kind == "waitstates" else iter(self.points)
        best = self.fastest.time_ms
        return next(point for point in order if point.time_ms <= best * (1 + KNEE))

    def thriftiest(self, idle: str = "") -> Point | None:
        """Return the point of least energy, of the work alone or of a period with an idle state."""
        if not idle:
            known = [p for p in self.points if p.energy_nj is not None]
            return min(known, key=lambda p: (p.energy_nj or 0.0, p.value), default=None)
        known = [p for p in self.points if idle in p.duty]
        return min(known, key=lambda p: (p.duty[idle].energy_nj, p.value), default=None)

    @property
    def idle_states(self) -> tuple[str, ...]:
        """States that every point was worked out for."""
        first = self.points[0].duty
        return tuple(name for name in first if all(name in p.duty for p in self.points))


def sweep(
    study: Retimes,
    board: Board,
    kind: str,
    *,
    places: Mapping[str, str] | None = None,
    values: Sequence[int] = (),
    period_s: float = 0.0,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Sweep:
    """Time a trace on variants of a board.

    Parameters
    ----------
    study, board
        What to time, and on what.
    kind
        ``dcache`` or ``icache`` (bytes; ways and line stay), ``waitstates``, ``clock`` (Hz; the
        flash's wait states follow it as the board's table says).
    places
        Map to time, as `Study.retime` takes it; default as linked.
    values
        Default: a usual range; the board's own value is always among them.
    period_s
        For energy: the work is done once in it and the chip sleeps for the rest; default the time
        at the lowest clock.
    on_progress
        Told how many points are done, and of how many.

    Raises
    ------
    InputError
        If the kind is unknown, a value is impossible, or the work does not fit into the period.
    """
    if kind not in KINDS:
        raise InputError(f"no sweep {kind!r}", do=suggestion(kind, KINDS))
    chosen: Kind = KINDS[KINDS.index(kind)]
    real = _real(board, chosen)
    every = sorted({real, *(values or _values(board, chosen))})
    points = []
    for done, value in enumerate(every):
        on_progress(done, len(every))
        variant = vary(board, chosen, value)
        timed = study.retime(places, board=variant)
        points.append(Point(value, variant.flash_wait_states, timed, {}))
    on_progress(len(every), len(every))
    period_s = period_s or PERIOD * max(p.time_ms for p in points) / 1e3
    points = [replace(p, duty=_duty(vary(board, chosen, p.value), p, period_s)) for p in points]
    if all(p.energy_nj is None for p in points):
        period_s = 0.0
    return Sweep(
        kind=chosen, board=board, places=dict(places or {}), points=tuple(points), real=real,
        period_s=period_s, notes=_notes(chosen, board, points),
    )  # fmt: skip


def vary(board: Board, kind: Kind, value: int) -> Board:
    """Return a board with one value of a sweep.

    Raises
    ------
    InputError
        If the value is impossible: a cache whose sets are no power of two, a clock of 0 …
    """
    if kind == "clock":
        return board.override(clock_hz=value)
    if kind == "waitstates":
        return board.override(flash_wait_states=value)
    cache = getattr(board, kind)
    if value == 0:
        return board.override(**{kind: False})
    ways = cache.ways
    while ways > 1 and value < ways * cache.line_bytes:
        ways //= 2
    sets = value // (ways * cache.line_bytes)
    if sets < 1 or sets * ways * cache.line_bytes != value or sets & (sets - 1):
        raise InputError(
            f"a {kind} of {value} bytes",
            where=board.name,
            do=f"Give a power of two, at least {cache.line_bytes} bytes",
        )
    return replace(board, **{kind: replace(cache, size_bytes=value, ways=ways, enabled=True)})


def _real(board: Board, kind: Kind) -> int:
    if kind == "clock":
        return board.clock_hz
    if kind == "waitstates":
        return board.flash_wait_states
    cache = getattr(board, kind)
    return int(cache.size_bytes) if cache.enabled else 0


def _values(board: Board, kind: Kind) -> Iterable[int]:
    if kind == "waitstates":
        return WAIT_STATES
    if kind != "clock":
        return CACHE_BYTES
    step = next(
        (row.hz_per_wait_state for row in board.wait_state_rows if board.supply_mv >= row.from_mv),
        CLOCK_STEP_HZ,
    )
    # the highest clock of each wait state, and what the datasheet gives a current for
    clocks = set(range(step, board.clock_hz, step))
    if (model := _energy(board)) is not None:
        clocks |= {row.clock_hz for row in model.currents.rows}
    return {hz for hz in clocks if LEAST_CLOCK_HZ <= hz <= board.clock_hz}


def _energy(board: Board) -> EnergyModel | None:
    try:
        return EnergyModel.for_board(board)
    except InputError:
        return None


def _duty(board: Board, point: Point, period_s: float) -> dict[str, DutyCycle]:
    """Return the duty cycles of a point, by idle state, as far as the work fits in the period."""
    model = _energy(board)
    if model is None or point.energy_nj is None:
        return {}
    work = Work(point.time_ms / 1e3, point.energy_nj)
    found = {}
    for idle in (SLEEP, *model.currents.idle):
        try:
            found[idle] = duty_cycle(model, work, period_s, idle=idle)
        except InputError:  # does not fit
            continue
    return found


def _notes(kind: Kind, board: Board, points: Sequence[Point]) -> tuple[str, ...]:
    notes = []
    if kind in ("dcache", "icache"):
        cache = getattr(board, kind)
        notes.append(f"{cache.ways} ways of {cache.line_bytes}-byte lines at every size")
        notes.append("the program and its trace stay the same; firmware that asks for the size of "
                     "a cache to clean it would run otherwise")  # fmt: skip
    if kind == "waitstates":
        notes.append("a flash access costs as many core cycles more as there are wait states more")
    if kind == "clock":
        notes.append("the bus matrix and SRAM run at the core's clock; peripherals and external "
                     "memories keep their latency in core cycles")  # fmt: skip
        if all(p.energy_nj is None for p in points):
            notes.append(f"no current data for {board.name}: no energy")
    return tuple(notes)
