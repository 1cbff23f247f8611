"""Rates of events of programs/mixed.c by memory configuration and wait states.

``python tests/energy/energy_rates.py`` prints them as the [[mix]] rows of m7sim/energy/*.toml.
"""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from m7sim.board import Board
from m7sim.energy.events import Event, Events, count_events
from m7sim.nets import cifar10
from m7sim.ops.calls import prepare
from m7sim.ops.kernels import kernel_elf
from m7sim.session import Firmware, load

SOURCE = Path(__file__).parent / "programs" / "mixed.c"
WAIT_STATES_HZ = {0: 25e6, 1: 60e6, 4: 144e6, 5: 180e6, 6: 200e6, 7: 216e6}
CODE = {"ITCM": 0x100, "FLASH_ITCM": 0x0020_0000, "FLASH": 0x0800_0000, "SRAM1": 0x2001_0000}
DATA = {"DTCM": (0x2000_0000, 0x1_0000), "SRAM1": (0x2003_0000, 0x1_0000)}
# configuration -> code, data, caches and accelerator on
CONFIGURATIONS = {
    "itcm": ("ITCM", "DTCM", False),
    "flash_l1": ("FLASH", "DTCM", True),
    "sram_l1": ("SRAM1", "SRAM1", True),
    "flash_art": ("FLASH_ITCM", "DTCM", True),
    "flash_no_l1": ("FLASH", "DTCM", False),
    "sram_no_l1": ("SRAM1", "SRAM1", False),
    "flash_no_art": ("FLASH_ITCM", "DTCM", False),
}
# whether the rates depend on the wait states: not when everything is served by caches
WAITS = {name: name.startswith("flash_no") for name in (*CONFIGURATIONS, "network")}
SCRIPT = """
SECTIONS {{
  .code {code:#x} : {{ LONG({stack:#x}) LONG(first + 1) . = ALIGN(8); first = .;
    *(.text*) *(.rodata*) }}
  .data {data:#x} : {{ *(.data*) *(.bss*) *(COMMON) }}
  /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.init*) *(.fini*) *(.eh_frame*) }}
}}
ENTRY(first)
__Vectors = ADDR(.code);
"""


@cache
def link(code: str, data: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="m7sim-energy-"))
    script, elf = folder / "link.ld", folder / "mixed.elf"
    start, (low, size) = CODE[code], DATA[data]
    script.write_text(SCRIPT.format(code=start, data=low, stack=low + size))
    subprocess.run(
        [
            "arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard",
            "-mfpu=fpv5-sp-d16", "-O2", "-g", "-nostartfiles", "--specs=nosys.specs",
            f"-T{script}", SOURCE, "-o", elf,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return elf


def board_of(configuration: str, clock_hz: int) -> Board:
    on = CONFIGURATIONS[configuration][2]
    # the datasheet's ART row is without prefetch
    return Board.load("stm32f746").override(
        clock_hz=clock_hz, icache=on, dcache=on, art=on, prefetch=False
    )


def measure(configuration: str, clock_hz: int = 216_000_000, rounds: int = 4) -> Events:
    """Events of the warm mix."""
    code, data, *_ = CONFIGURATIONS[configuration]
    board = board_of(configuration, clock_hz)
    firmware = load(link(code, data), board=board)
    try:
        firmware.call("mixed_run", 2)
        firmware.call("mixed_run", rounds, warm=True)
        return _events(firmware)
    finally:
        firmware.close()


def measure_network() -> Events:
    """Events of one inference of the CIFAR-10 network, weights in flash."""
    net, x = cifar10.seeded(), cifar10.seeded_image()
    firmware = load(kernel_elf())
    found = []
    try:
        for index, layer in enumerate(net.layers):
            call = prepare(layer, x)
            place = dict.fromkeys(call.constant_names, "FLASH")
            firmware.call(call.function, *call.arguments, warm=index > 0, place=place)
            x = call.output
            found.append(_events(firmware))
    finally:
        firmware.close()
    return Events(
        np.concatenate([events.cycles for events in found]),
        np.concatenate([events.counts for events in found]),
        np.concatenate([events.klass for events in found]),
    )


def _events(firmware: Firmware) -> Events:
    live = firmware._live
    assert live is not None
    assert live.accounts is not None
    return count_events(live.accounts.timer.result(), live.capture.code.arrays(), firmware.board)


def main() -> None:
    for configuration, waits in WAITS.items():
        for states, clock_hz in WAIT_STATES_HZ.items() if waits else ((None, 216e6),):
            if configuration == "network":
                rates = measure_network().rates
            else:
                rates = measure(configuration, int(clock_hz)).rates
            named = ", ".join(
                f"{event.key} = {rates[event]:.4f}" for event in Event if rates[event] > 5e-5
            )
            print("[[mix]]")
            print(f'configuration = "{configuration}"')
            if states is not None:
                print(f"wait_states = {states}")
            print(f"rates = {{ {named} }}\n")


if __name__ == "__main__":
    main()
