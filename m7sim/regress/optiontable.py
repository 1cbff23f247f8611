"""The options of the pytest plugin. This is read in every pytest run: it imports nothing."""

from __future__ import annotations

TEXT, FLAG = "text", "flag"

# Of the command line only: name, what it takes ("" for a switch), help.
SESSION_OPTIONS = (
    ("update", "", "write the baselines of m7.check"),
    ("prune", "", "drop baselines that no test checks any more"),
    ("compare", "", "report what changed, fail because of no cost"),
    (
        "baseline",
        "PLACE",
        "baselines: a folder, a .json file, or git:REVISION (default: those beside the tests)",
    ),
    ("markdown", "FILE", "write what changed, for a pull request"),
    ("coverage", "FILE", "write which source lines ran, as LCOV"),
)

# Of the command line and, with "_" for "-" and "m7_" before, of the configuration file.
OPTIONS = (
    ("board", TEXT, "board to run on: a name or a TOML file (default: stm32f746)"),
    ("core", TEXT, "core: a name or a TOML file (default: cortex_m7)"),
    ("clock", TEXT, "core clock such as 216MHz (default: the board's)"),
    ("compiler", TEXT, "cross compiler, a name or a path (default: arm-none-eabi-gcc)"),
    ("flags", TEXT, "options of the compiler for m7.build (default: -O2)"),
    ("placement", TEXT, "where code and arrays lie, such as tcm or flash+sram,code=itcm"),
    ("limits", TEXT, "beyond which m7.check fails, such as 'cycles=1% stack_bytes=512'"),
    ("soft-limits", TEXT, "beyond which m7.check points a cost out without failing"),
    ("strict", FLAG, "fail when a cost is better than its baseline as well"),
    ("sanitize", FLAG, "check every memory access of every call"),
    ("require-compiler", FLAG, "fail rather than skip without the cross compiler (set by CI)"),
)

MARKERS = (
    "m7(board, boards, clock, clocks, flags, placement, placements, compiler, compilers): what a "
    "test with the fixture m7 runs on; lists run it once for each combination",
    "m7_budget(cycles, instructions, stack_bytes, code_bytes, energy_nj): the most that each "
    "m7.check of the test may see, whatever the baseline says",
)
