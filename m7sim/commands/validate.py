"""``m7sim validate``: Compare with silicon."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from m7sim.commands.common import EXIT_CHECK, add_command, add_document, complain, write


def add(commands: Any) -> None:
    sub = add_command(
        commands, "validate", _command, "Compare the model with cycles measured on chips."
    )
    sub.add_argument("folder", metavar="DIR", help="folder of case files (*.toml)")
    sub.add_argument("--board", default="", metavar="NAME|FILE", help="instead of each case's own")
    sub.add_argument("--core", default="", metavar="NAME|FILE", help="instead of each case's own")
    sub.add_argument("--figure", metavar="FILE", help="also draw modelled over measured cycles")
    sub.add_argument(
        "--update-bands", metavar="FILE", help="also write the results as data for error bands"
    )
    add_document(sub)


def _command(arguments: argparse.Namespace) -> int:
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
    write(arguments.output, report)
    for failure in done.failures:
        complain(failure.message)
    if arguments.figure:
        validation.draw(done.rows, Path(arguments.figure))
    if arguments.update_bands:
        for path, text in validation.band_files(done, Path(arguments.update_bands)).items():
            write(str(path), text)
    return 0 if done.complete else EXIT_CHECK
