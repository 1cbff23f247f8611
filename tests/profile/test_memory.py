"""The memory of a process does not grow with the run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from m7sim import toolchain

pytestmark = pytest.mark.toolchain

DATA = Path(__file__).parent / "data"

CODE = """
import json, sys
import m7sim
from m7sim.profile import worker

worker.spare_core = lambda: sys.argv[2] == "threaded"

def resident_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

firmware = m7sim.load(sys.argv[1])
seen = []
for iterations in (200_000, 4_000_000):
    instructions = firmware.call("work", iterations, 1).instructions
    seen.append((instructions, resident_mb()))
print(json.dumps(seen))
"""


@pytest.mark.parametrize("way", ["threaded", "alone"])
def test_resident_memory_does_not_grow(way: str) -> None:
    elf = toolchain.build(
        [DATA / "overlap.c"],
        linker_script=DATA.parent.parent / "data" / "session.ld",
        flags=("-O2", "-g3", "-ffreestanding", "-fno-optimize-sibling-calls"),
        link_flags=("-nostdlib",),
    )
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(elf), way], capture_output=True, text=True, check=True
    )
    (few, before_mb), (many, after_mb) = json.loads(done.stdout)
    assert few > 1_000_000  # several chunks
    assert many > 30_000_000
    assert after_mb - before_mb < 12  # one byte per instruction would be 30 MB
    assert after_mb < 400
