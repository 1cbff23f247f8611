"""Energy of simulated programs: sums, rates behind the calibration, op types."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import m7sim
from m7sim import cli
from m7sim.energy import Event, currents_of
from m7sim.energy.published import published
from m7sim.nets import cifar10, run
from m7sim.ops.calls import prepare
from m7sim.ops.kernels import NAIVE, kernel_elf
from m7sim.profile.result import CallResult
from m7sim.report import energy_doc, text
from m7sim.session import replay

pytestmark = pytest.mark.toolchain

ENERGY_MD = Path(m7sim.__file__).parent / "energy" / "ENERGY.md"


def _rates_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "energy_rates", Path(__file__).parent / "energy_rates.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["energy_rates"] = module
    spec.loader.exec_module(module)
    return module


rates = _rates_module()


@pytest.fixture(scope="module")
def mixed() -> CallResult:
    firmware = m7sim.load(rates.link("FLASH", "SRAM1"))
    try:
        return firmware.call("mixed_run", 2)
    finally:
        firmware.close()


@pytest.fixture(scope="module")
def network() -> run.NetworkRun:
    return run.run(cifar10.seeded(), cifar10.seeded_image(), image_name="seeded")


def test_every_view_sums_to_the_total(mixed: CallResult) -> None:
    energy, profile = mixed.energy, mixed.profile
    assert energy is not None
    assert profile is not None
    assert profile.instructions.energy_nj is not None
    assert energy.cycles == mixed.cycles
    assert energy.instructions == mixed.instructions
    for parts in (
        energy.row_nj.tolist(),
        energy.parts_nj.values(),
        energy.classes_nj.values(),
        profile.instructions.energy_nj.tolist(),
        [function.energy_nj for function in profile.functions],
        [line.energy_nj for line in profile.lines],
    ):
        values = list(parts)
        assert min(values) >= 0
        assert math.fsum(values) == pytest.approx(energy.energy_nj, rel=1e-9)


def test_counts_against_the_timing(mixed: CallResult) -> None:
    energy, profile = mixed.energy, mixed.profile
    assert energy is not None
    assert profile is not None
    assert energy.counts["clock"] == energy.counts["awake"] == mixed.cycles
    assert energy.counts["instruction"] == mixed.instructions
    # all data in SRAM and all code in flash: nothing lies in a TCM but what the D-cache let pass
    assert energy.counts["cache_access"] > 20 * energy.counts.get("tcm_access", 0.0)
    misses = mixed.statistics["icache_misses"]
    lines = energy.counts["flash_line"]
    assert misses <= lines <= misses + mixed.statistics["dcache_misses"]
    by_text = defaultdict(int)
    for words, n in zip(
        profile.instructions.text, profile.instructions.executions.tolist(), strict=True
    ):
        by_text[words.split()[0].split(".")[0]] += n
    multiplies = sum(n for name, n in by_text.items() if name.startswith(("mul", "mla", "smul")))
    multiplies += sum(n for name, n in by_text.items() if name.startswith(("smla", "umull", "mls")))
    assert energy.counts["multiply"] == multiplies


def test_energy_of_a_function_is_that_of_its_instructions(mixed: CallResult) -> None:
    """Two functions of the same IPC cost the same a cycle, within what their events differ."""
    assert mixed.profile is not None
    busy = [f for f in mixed.profile.functions if f.self_cycles > 0.01 * mixed.cycles]
    assert len(busy) >= 5
    for function in busy:
        assert function.energy_nj is not None
        assert 1.2 < function.energy_nj / function.self_cycles < 2.2


@pytest.mark.parametrize("configuration", list(rates.CONFIGURATIONS))
@pytest.mark.parametrize("clock_mhz", [25, 216])
def test_rates_in_the_table_are_those_of_the_program(configuration: str, clock_mhz: int) -> None:
    """Charges were fitted with them; where timing changes, so must they, and the fit."""
    measured = rates.measure(configuration, clock_mhz * 1_000_000)
    board = rates.board_of(configuration, clock_mhz * 1_000_000)
    mix = currents_of("stm32f746").mix(configuration, board.flash_wait_states)
    charges = currents_of("stm32f746").charges_pc
    for event in Event:
        assert measured.rates[event] == pytest.approx(
            mix.get(event, 0.0), rel=0.05, abs=2.0 / charges[event].value
        ), event.key


def test_rates_of_the_network_in_the_table() -> None:
    measured = rates.measure_network().rates
    mix = currents_of("stm32f746").mix("network", 7)
    for event in (Event.INSTRUCTION, Event.MULTIPLY, Event.CACHE_ACCESS):
        assert measured[event] == pytest.approx(mix[event], rel=0.1), event.key


def test_power_is_nearly_flat_over_op_types(network: run.NetworkRun) -> None:
    """Published: about +-6 % between op types of this network (CMSIS-NN paper, table 2)."""
    energy_nj: dict[str, float] = defaultdict(float)
    ms: dict[str, float] = defaultdict(float)
    for layer in network.layers:
        assert layer.energy_nj is not None
        energy_nj[layer.type] += layer.energy_nj
        ms[layer.type] += layer.ms
    power_mw = {op: 1e-3 * energy_nj[op] / ms[op] for op in energy_nj}
    assert {"conv", "fc", "relu", "max pool"} <= set(power_mw)
    mean = float(np.mean(list(power_mw.values())))
    assert all(abs(mw / mean - 1) < 0.06 for mw in power_mw.values()), power_mw


@pytest.mark.parametrize("op", ["conv", "max pool", "relu"])
def test_power_of_optimised_over_plain_kernels(network: run.NetworkRun, op: str) -> None:
    """Published ratios, for other plain kernels than ours; not used for the fit."""
    plain_nj = plain_ms = 0.0
    firmware = m7sim.load(kernel_elf())
    x = cifar10.seeded_image()
    for layer in cifar10.seeded().layers:
        if layer.shape.op == op:
            call = prepare(layer, x, form=NAIVE)
            place = dict.fromkeys(call.constant_names, "FLASH")
            result = firmware.call(call.function, *call.arguments, place=place)
            assert result.energy is not None
            plain_nj += result.energy.energy_nj
            plain_ms += result.time_ms
        x = layer.forward(x)
    firmware.close()
    layers = [layer for layer in network.layers if layer.type == op]
    optimised = sum(layer.energy_nj or 0 for layer in layers) / sum(layer.ms for layer in layers)
    ratio = optimised / (plain_nj / plain_ms)
    assert ratio == pytest.approx(published().ratios[op], rel=0.10)


def test_network_totals(network: run.NetworkRun) -> None:
    total = network.total
    assert total.energy_nj == pytest.approx(sum(layer.energy_nj or 0 for layer in network.layers))
    assert total.mean_power_mw == pytest.approx(1e-3 * (total.energy_nj or 0) / total.ms)
    rates_mops = {layer.name: layer.mops_per_s for layer in network.layers}
    per_op = {layer.name: layer.pj_per_op or 0 for layer in network.layers}
    # at flat power the energy per Op is the inverse of the throughput
    products = np.array([rates_mops[name] * per_op[name] for name in per_op])
    assert np.ptp(products) / products.mean() < 0.16
    assert max(per_op, key=per_op.__getitem__).startswith("pool")


def test_peripherals_and_supply_change_energy_but_not_cycles() -> None:
    results = {}
    for name, options in {
        "default": {},
        "on": {"peripherals": "on"},
        "low": {"supply_mv": 2800},
        "slow": {"clock_hz": 60_000_000},
        "slow high": {"clock_hz": 60_000_000, "voltage_scale": 1},
    }.items():
        firmware = m7sim.load(rates.link("ITCM", "DTCM"), **options)  # type: ignore[arg-type]
        results[name] = firmware.call("mixed_run", 1)
        firmware.close()
    assert len({result.cycles for result in results.values()}) == 1
    nj = {name: r.energy.energy_nj for name, r in results.items() if r.energy is not None}
    assert nj["on"] > 1.6 * nj["default"]
    assert nj["low"] == pytest.approx(nj["default"] * 2.8 / 3.3)
    assert nj["slow"] < nj["default"]
    assert nj["slow high"] > 1.1 * nj["slow"]


def test_replay_gives_the_same_energy(tmp_path: Path) -> None:
    firmware = m7sim.load(rates.link("FLASH", "SRAM1"))
    trace = tmp_path / "run.npz"
    live = firmware.run(entry="machine", trace=trace, max_instructions=20_000)
    firmware.close()
    again = replay(trace)
    assert live.energy is not None
    assert again.energy is not None
    assert again.energy.energy_nj == live.energy.energy_nj


def test_a_board_without_data_runs_without_energy() -> None:
    firmware = m7sim.load(rates.link("FLASH", "DTCM"), board="stm32f767")
    result = firmware.call("mixed_run", 1)
    firmware.close()
    assert result.energy is None
    assert result.profile is not None
    assert result.profile.instructions.energy_nj is None
    assert all(function.energy_nj is None for function in result.profile.functions)
    report = text.render(result)
    assert "no current data for stm32f767" in report
    assert "mW" not in report


def test_report_and_document(mixed: CallResult, tmp_path: Path) -> None:
    report = text.render(mixed)
    assert mixed.energy is not None
    assert f"{mixed.energy.mean_power_mw:.0f} mW on average" in report
    assert "nJ per instruction" in report
    assert "Energy by event" in report
    assert "Energy by instruction class" in report
    output = tmp_path / "net.json"
    assert cli.main(["net", "cifar10", "--json", "-o", str(output), "--peripherals", "on"]) == 0
    document = json.loads(output.read_text())
    assert all(layer["mean_power_mw"] > 500 for layer in document["layers"])
    # an image a second, on the chip as it was run: the document is enough
    duty = tmp_path / "duty.json"
    arguments = ["--period", "1s", "--peripherals", "on", "--json", "-o", str(duty)]
    assert cli.main(["energy", str(output), *arguments]) == 0
    found = json.loads(duty.read_text())
    assert found["work"]["energy_nj"] == pytest.approx(document["energy"]["energy_nj"])
    assert found["duty_cycle"]["active_s"] == pytest.approx(document["total"]["ms"] / 1e3)


def test_the_written_part_of_the_document_is_up_to_date() -> None:
    words = ENERGY_MD.read_text(encoding="utf-8")
    assert energy_doc.put_tables(words, currents_of("stm32f746")) == words
    assert "cycle-accurate" not in words.lower()
