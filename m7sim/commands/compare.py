"""``m7sim compare``: Explain why one result costs more than another."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim.commands.common import (
    DETAIL_INSTRUCTIONS,
    EXIT_CHECK,
    EXIT_FIRMWARE,
    EXIT_INTERRUPTED,
    EXIT_LIMIT,
    Help,
    add_clock,
    add_command,
    add_core,
    add_document,
    add_power,
    complain,
    write,
)
from m7sim.units import count

if TYPE_CHECKING:
    from m7sim.compare import Comparison, Snapshot

EXPLANATION = """\
A and B are each an ELF, which is run; a trace that run --trace saved, which is timed again; or a
JSON document that run --json or replay --json wrote. Options of the board and of the run apply to
both ELFs, those of board, core and clock to both traces, and none to documents.

exit codes:
  0    compared, and nothing exceeds what --fail-over allows
  1    B costs more than --fail-over allows
  2    a file or an option is not usable, or the two have no figure that --fail-over asks for
  3    a firmware went wrong or ended with another code than 0
  4    a limit was reached (--max-instructions, --max-cycles)
  130  interrupted with Ctrl-C
"""


def add(commands: Any) -> None:
    sub = add_command(
        commands, "compare", _command, "Explain why one result costs more than another."
    )
    sub.epilog = EXPLANATION
    sub.formatter_class = Help
    sub.add_argument("before", metavar="A", help="ELF, trace or JSON document")
    sub.add_argument("after", metavar="B", help="what to compare with it")
    sub.add_argument(
        "--board",
        default="",
        metavar="NAME|FILE",
        help="board, or a TOML file of one (default: stm32f746; of a trace that of its run)",
    )
    add_core(sub)
    add_clock(sub)
    add_power(sub)
    sub.add_argument("--entry", metavar="SYMBOL", help="function to start at (default: reset)")
    sub.add_argument(
        "--args",
        default="",
        metavar="TEXT",
        help="command line that semihosting gives the firmware",
    )
    sub.add_argument(
        "--files", metavar="DIR", help="folder the firmware may open files in (default: none)"
    )
    sub.add_argument(
        "--max-instructions", type=count, metavar="N", help="stop after N (default: no limit)"
    )
    sub.add_argument(
        "--max-cycles", type=count, metavar="N", help="stop after N (default: no limit)"
    )
    sub.add_argument(
        "--fail-over",
        action="append",
        metavar="METRIC=LIMIT",
        help="exit with 1 if B has more: cycles=1%%, cycles=+100 or cycles=12000 (at most); also "
        "instructions, stack_bytes, code_bytes, energy_nj; may be repeated",
    )
    sub.add_argument("--top", type=count, default=12, metavar="N", help="rows per table")
    sub.add_argument(
        "--markdown", action="store_true", help="markdown for a pull request instead of text"
    )
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
    from m7sim.compare import compare
    from m7sim.errors import InputError
    from m7sim.regress.limits import parse_limits
    from m7sim.report import comparison as report
    from m7sim.report import comparison_document, document
    from m7sim.report.layout import Style

    limits = parse_limits(" ".join(arguments.fail_over or ()), "--fail-over")
    if arguments.json and arguments.markdown:
        raise InputError("--json and --markdown at once", do="Choose one")
    code, sides = 0, []
    for path in (arguments.before, arguments.after):
        side, worse = _snapshot(Path(path), arguments)
        sides.append(side)
        code = code or worse
        if worse == EXIT_INTERRUPTED:
            return code
    done = compare(*sides)
    over = _over(done, limits)  # before anything is written: it may refuse
    if arguments.json:
        text = document.to_json(comparison_document.document(done))
    elif arguments.markdown:
        text = report.render_markdown(done)
    else:
        stream = sys.stdout if arguments.output == "-" else None
        text = report.render_text(done, Style.of_stream(stream, top=arguments.top))
    write(arguments.output, text)
    for message in over:
        complain(message)
    return code or (EXIT_CHECK if over else 0)


def _over(done: Comparison, limits: Any) -> list[str]:
    """Return a sentence for each metric over its limit."""
    from m7sim.errors import InputError
    from m7sim.units import format_count

    found = []
    for name, limit in limits.items():
        before, after = (getattr(side.totals, name) for side in (done.before, done.after))
        if after is None or (before is None and limit.kind in {"plus", "percent"}):
            raise InputError(f"there is no {name} on both sides", where="--fail-over")
        if not done.timed and name != "instructions":
            raise InputError(f"{name} needs timing", where="--fail-over")
        most = limit.most(before)
        if most is not None and after > most:
            told = f"{name}: {format_count(after)}, was {format_count(before or 0)}"
            found.append(f"{told}; allowed is {limit}")
    return found


def _snapshot(path: Path, arguments: argparse.Namespace) -> tuple[Snapshot, int]:
    """Return what a file amounts to, and the exit code that its run alone would give."""
    from m7sim import session
    from m7sim.compare import reading, snapshot

    kind = reading.kind_of(path)
    if kind == reading.DOCUMENT:
        return reading.read_document(path), 0
    if kind == reading.TRACE:
        result = session.replay(
            path, board=arguments.board, core=arguments.core, clock_hz=arguments.clock
        )
        return snapshot(result, detail_instructions=DETAIL_INSTRUCTIONS), 0
    firmware = session.load(
        path,
        board=arguments.board or "stm32f746",
        core=arguments.core,
        clock_hz=arguments.clock,
        files=arguments.files,
        supply_mv=arguments.supply,
        voltage_scale=arguments.voltage_scale,
        peripherals=arguments.peripherals,
    )
    return _run(firmware, path, arguments)


def _run(firmware: Any, path: Path, arguments: argparse.Namespace) -> tuple[Snapshot, int]:
    from m7sim import session
    from m7sim.compare import snapshot
    from m7sim.report import progress

    code = 0
    try:
        with progress.Running(arguments.max_instructions) as running:
            result = firmware.run(
                entry=arguments.entry,
                arguments=arguments.args,
                max_instructions=arguments.max_instructions,
                max_cycles=arguments.max_cycles,
                stdout=running.below(sys.stderr.buffer),
                on_progress=running.tick,
            )
    except session.Interrupted as stop:
        result, code = stop.result, EXIT_INTERRUPTED
        complain(f"{path}: {result.message}")
    else:
        if result.stop_reason in {"max_instructions", "max_cycles"}:
            code = EXIT_LIMIT
            complain(f"{path}: {result.message}")
        elif result.exit_code:
            code = EXIT_FIRMWARE
            complain(f"{path}: the firmware ended with exit code {result.exit_code}")
    return snapshot(result, detail_instructions=DETAIL_INSTRUCTIONS), code
