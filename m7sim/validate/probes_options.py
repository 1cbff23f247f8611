"""Options of ``m7sim probes``; imports nothing heavy, because ``--help`` reads them."""

from __future__ import annotations

import argparse

CONSOLES = ("semihosting", "itm")


def add(to: argparse.ArgumentParser) -> None:
    """Add the options."""
    to.add_argument(
        "--only",
        nargs="+",
        metavar="ID",
        help="facts to report: ids, groups such as latency.mul, or patterns (default: all)",
    )
    to.add_argument(
        "--figure",
        metavar="FILE",
        help="also draw who pairs with whom (.svg, .png, .pdf), or write it as a table (.csv)",
    )
    to.add_argument(
        "--compare", metavar="CSV", help="show where a chip, which printed CSV, takes another time"
    )
    to.add_argument(
        "--elf", metavar="FILE", help="also save the ELF that prints the CSV, to be flashed"
    )
    to.add_argument(
        "--console", choices=CONSOLES, default="semihosting", help="where the ELF of --elf prints"
    )
