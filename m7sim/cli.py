"""The command line: ``m7sim run|net|core|validate|probes|doctor``.

Wiring only. The document goes to stdout, progress and errors to stderr; exit codes are those of
`m7sim.errors`. Everything heavy is imported by the command that needs it, so ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m7sim import __version__
from m7sim.errors import InputError, M7Error
from m7sim.units import count, hertz

if TYPE_CHECKING:
    from m7sim.profile.result import RunResult

EXIT_CHECK, EXIT_FIRMWARE, EXIT_LIMIT = 1, 3, 4
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141  # as a shell reports a program ended by SIGPIPE

EXIT_CODES = """\
exit codes:
  0    done; the firmware, if any, ended with 0
  1    a comparison, a check or a validation failed
  2    the command, a file or an argument is not usable
  3    the firmware went wrong: it faulted, jumped wild, or ended with another code than 0
  4    a limit was reached (--max-instructions, --max-cycles)
  130  interrupted with Ctrl-C
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Adds the default to the help of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        has_default = action.default not in (None, False, "", argparse.SUPPRESS)
        if has_default and action.option_strings and "%(default)" not in text:
            text += " (default: %(default)s)"
        return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    show_traceback = "--traceback" in (sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        arguments = parser().parse_args(argv)
        code: int = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except M7Error as error:
        if show_traceback:
            traceback.print_exc()
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away; keep the interpreter from failing once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _complain(message: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    print(f"m7sim: {message}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="m7sim",
        description="Cycles, stalls and causes for Cortex-M7 code, without a board.",
        epilog=EXIT_CODES,
        formatter_class=_Help,
    )
    top.add_argument("--version", action="version", version=f"m7sim {__version__}")
    _add_traceback(top)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _run_parser(commands)
    _net_parser(commands)
    _validate_parser(commands)
    _probes_parser(commands)
    _core_parser(commands)
    _doctor_parser(commands)
    return top


def _add_traceback(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--traceback",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where in m7sim an error was raised",
    )


def _add(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, formatter_class=_Help
    )
    sub.set_defaults(command=command)
    _add_traceback(sub)
    return sub


def _add_target(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--board", default="stm32f746", metavar="NAME|FILE", help="board, or a TOML file of one"
    )
    sub.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )
    sub.add_argument(
        "--clock", type=hertz, metavar="HZ", help="core clock such as 216MHz (default: the board's)"
    )


def _add_document(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="one JSON document instead of text")
    sub.add_argument(
        "-o", "--output", default="-", metavar="FILE", help="where the report goes; - is stdout"
    )


def _run_parser(commands: Any) -> None:
    sub = _add(commands, "run", _run, "Run an ELF and tell where its cycles went.")
    sub.add_argument("elf", metavar="FW.ELF", help="bare-metal Cortex-M7 ELF")
    _add_target(sub)
    sub.add_argument(
        "--entry", metavar="SYMBOL", help="function to start at (default: reset, vector table)"
    )
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
    sub.add_argument("--trace", metavar="FILE", help="also save the trace, to be timed again")
    sub.add_argument("--top", type=count, default=12, metavar="N", help="rows per table")
    sub.add_argument("--no-time", action="store_true", help="execute only, without cycles (faster)")
    _add_document(sub)


def _net_parser(commands: Any) -> None:
    sub = _add(commands, "net", _net, "Run a neural network layer by layer on the board.")
    sub.add_argument("network", choices=["cifar10"], help="which network")
    _add_target(sub)
    sub.add_argument("--weights", metavar="NPZ", help="quantized weights (default: seeded ones)")
    sub.add_argument(
        "--image", metavar="NPZ[:N]", help="input images, and which of them (default: a seeded one)"
    )
    sub.add_argument(
        "--figure", metavar="FILE", help="also draw cycles by layer (.svg, .png, .pdf)"
    )
    _add_document(sub)


def _validate_parser(commands: Any) -> None:
    sub = _add(commands, "validate", _validate, "Compare the model with cycles measured on chips.")
    sub.add_argument("folder", metavar="DIR", help="folder of case files (*.toml)")
    sub.add_argument("--board", default="", metavar="NAME|FILE", help="instead of each case's own")
    sub.add_argument("--core", default="", metavar="NAME|FILE", help="instead of each case's own")
    sub.add_argument("--figure", metavar="FILE", help="also draw modelled over measured cycles")
    sub.add_argument(
        "--update-bands", metavar="FILE", help="also write the results as data for error bands"
    )
    _add_document(sub)


def _core_parser(commands: Any) -> None:
    sub = _add(commands, "core", _core, "List the core table; check that it covers an ELF.")
    sub.add_argument(
        "--core", default="cortex_m7", metavar="NAME|FILE", help="core, or a TOML file of one"
    )
    sub.add_argument("--check", metavar="FW.ELF", help="exit 1 if an instruction in it has no row")
    _add_document(sub)


def _probes_parser(commands: Any) -> None:
    from m7sim.validate import probes_options

    sub = _add(commands, "probes", _probes, "Check the model against every measured fact.")
    _add_target(sub)
    probes_options.add(sub)
    _add_document(sub)


def _doctor_parser(commands: Any) -> None:
    sub = _add(
        commands,
        "doctor",
        _doctor,
        "Check that execution and captured addresses are right on this machine.",
    )
    sub.add_argument(
        "--force-memory-hooks",
        action="store_true",
        help="execute with the engine's memory hooks, to see the corruption they cause",
    )
    _add_document(sub)


def _run(arguments: argparse.Namespace) -> int:
    from m7sim import session
    from m7sim.report import document, text
    from m7sim.report.layout import Style

    firmware = session.load(
        arguments.elf,
        board=arguments.board,
        core=arguments.core,
        clock_hz=arguments.clock,
        files=arguments.files,
        time=not arguments.no_time,
    )
    if arguments.entry is not None:
        firmware.image.symbol(arguments.entry)  # before anything is printed
    to_terminal = arguments.output == "-" and not arguments.json
    style = Style.of_stream(sys.stdout if to_terminal else None, top=arguments.top)
    plan = firmware.configuration(entry=arguments.entry, arguments=arguments.args)
    if to_terminal:
        sys.stdout.write(text.render_configuration(plan, style=style))
        sys.stdout.flush()
    interrupted = False
    try:
        result = firmware.run(
            entry=arguments.entry,
            arguments=arguments.args,
            max_instructions=arguments.max_instructions,
            max_cycles=arguments.max_cycles,
            stdout=(sys.stderr if arguments.json else sys.stdout).buffer,
            trace=arguments.trace,
        )
    except session.Interrupted as stop:
        result, interrupted = stop.result, True
    if arguments.json:
        report = document.to_json(document.document(result))
    else:
        report = text.render(result, style=style, with_configuration=not to_terminal)
    _write(arguments.output, report)
    if interrupted:
        _complain(result.message)
        return EXIT_INTERRUPTED
    return _run_exit_code(result)


def _run_exit_code(result: RunResult) -> int:
    if result.stop_reason in {"max_instructions", "max_cycles"}:
        option = "--" + result.stop_reason.replace("_", "-")
        _complain(f"{result.message}. Raise {option} to get further")
        return EXIT_LIMIT
    if result.exit_code:
        _complain(f"the firmware ended with exit code {result.exit_code}")
        return EXIT_FIRMWARE
    return 0


def _net(arguments: argparse.Namespace) -> int:
    from m7sim.nets import cifar10, published, run
    from m7sim.report import document, figure, network, progress
    from m7sim.report.layout import Style

    net, image, image_name = cifar10.choose(arguments.weights, arguments.image)
    with progress.bar("running the network") as on_layer:
        done = run.run(
            net,
            image,
            image_name=image_name,
            board=arguments.board,
            core=arguments.core,
            clock_hz=arguments.clock,
            on_layer=on_layer,
        )
    silicon = published.cifar10()
    beside = silicon if network.fits(done, silicon) else None
    if arguments.json:
        report = document.to_json(network.document(done, beside))
    else:
        style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
        report = network.render(done, beside, style=style)
    if arguments.figure:
        figure.network(done, beside, Path(arguments.figure))
    _write(arguments.output, report)
    return 0 if done.total.matches else EXIT_CHECK


def _validate(arguments: argparse.Namespace) -> int:
    from m7sim.report import document, progress, validation
    from m7sim.report.layout import Style
    from m7sim.validate import cases_run

    with progress.bar("validating") as on_case:
        done = cases_run.run_folder(
            Path(arguments.folder), board=arguments.board, core=arguments.core, on_case=on_case
        )
    if arguments.json:
        report = document.to_json(validation.document(done))
    else:
        style = Style.of_stream(sys.stdout if arguments.output == "-" else None)
        report = validation.render(done, style=style)
    _write(arguments.output, report)
    for failure in done.failures:
        _complain(failure.message)
    if arguments.figure:
        validation.draw(done.rows, Path(arguments.figure))
    if arguments.update_bands:
        for path, text in validation.band_files(done, Path(arguments.update_bands)).items():
            _write(str(path), text)
    return 0 if done.complete else EXIT_CHECK


def _core(arguments: argparse.Namespace) -> int:
    from m7sim.report import core_table
    from m7sim.report.layout import Style

    report, complete = core_table.report(
        arguments.core,
        check=arguments.check,
        as_json=arguments.json,
        style=Style.of_stream(sys.stdout if arguments.output == "-" else None),
    )
    _write(arguments.output, report)
    return 0 if complete else EXIT_CHECK


def _probes(arguments: argparse.Namespace) -> int:
    from m7sim.report import probes_command

    report, good = probes_command.report(arguments)
    _write(arguments.output, report)
    return 0 if good else EXIT_CHECK


def _doctor(arguments: argparse.Namespace) -> int:
    from m7sim.report import doctor
    from m7sim.report.layout import Style

    report, healthy = doctor.report(
        force_memory_hooks=arguments.force_memory_hooks,
        as_json=arguments.json,
        style=Style.of_stream(sys.stdout if arguments.output == "-" else None),
    )
    _write(arguments.output, report)
    return 0 if healthy else EXIT_CHECK


def _write(output: str, report: str) -> None:
    """Write to stdout for ``-``, else to a file that is complete or not there at all."""
    if output == "-":
        sys.stdout.write(report)
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():  # a pipe or a device must not be replaced
            path.write_text(report, encoding="utf-8")
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(report)
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", where=output) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
