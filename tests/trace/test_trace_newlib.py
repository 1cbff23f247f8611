"""A real program (newlib: printf of floats, qsort, strtod, memcpy) against memory hooks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from m7sim.board import Board
from m7sim.elf import Image
from m7sim.machine import Machine
from m7sim.toolchain import build, firmware_dir
from m7sim.trace.capture import Capture
from m7sim.trace.chunk import resolve
from m7sim.trace.oracle import MemoryWatch, differences, reconstructed

pytestmark = pytest.mark.toolchain

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
static int compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}
int main(void)
{
    int v[40];
    char text[64], copy[64];
    unsigned seed = 1;
    for (int i = 0; i < 40; i++) { seed = seed * 1103515245u + 12345u; v[i] = (int)(seed >> 8); }
    qsort(v, 40, sizeof v[0], compare);
    snprintf(text, sizeof text, "%d %.6f %g", v[7], (double)sinf(1.5f), strtod("-12.75e3", 0));
    memcpy(copy + 1, text, 60);
    memmove(copy + 3, copy + 1, 40);
    printf("%s %lld\n", copy + 3, (long long)v[3] * 1000003 / 77);
    return strlen(copy + 3) & 1 ? 3 : 4;
}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    source = tmp_path_factory.mktemp("newlib") / "newlib.c"
    source.write_text(SOURCE)
    board = firmware_dir() / "board"
    elf = build(
        [board / "startup.c", board / "syscalls.c", Path(source)],
        linker_script=board / "stm32f746.ld",
        include=[firmware_dir() / "include"],
    )
    return Image.load(elf)


def test_newlib(image: Image) -> None:
    board = Board.load("stm32f746")

    unhooked = Machine(image, board)
    stop = unhooked.run_from_reset()
    assert stop.reason == "exit"

    watched = Machine(image, board)
    watch = MemoryWatch(watched.engine)
    assert watched.run_from_reset() == stop
    watch.remove()

    machine = Machine(image, board)
    read: list[tuple[np.ndarray, np.ndarray]] = []

    def constant(address: int) -> int | None:
        region = board.region_at(address)
        if region is None or region.writable:
            return None
        return int.from_bytes(machine.read(address, 4), "little")

    capture = Capture(
        machine.engine,
        constant,
        on_chunk=lambda chunk: read.append((chunk.blocks, resolve(chunk, capture.plan()))),
        capacity_blocks=500,
    )
    machine.attach(capture)
    capture.attach()
    assert machine.run_from_reset() == stop
    capture.detach()

    texts = {bytes(m.console.output) for m in (unhooked, watched, machine)}
    assert len(texts) == 1
    blocks = np.concatenate([b for b, _ in read]).tolist()
    found = reconstructed(capture.code, blocks, np.concatenate([a for _, a in read]))
    assert len(found) > 4_000
    assert differences(found, watch.accesses) == []
    plans = capture.blocks.plans
    sites = sum(len(plans[b].sites) for b in blocks)
    assert sites < 0.1 * len(found)  # hooks are the exception
    for m in (unhooked, watched, machine):
        m.close()
