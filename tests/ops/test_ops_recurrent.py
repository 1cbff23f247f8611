"""Recurrent kernels on the simulated core against the NumPy model, and that against reals."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m7sim import toolchain
from m7sim.errors import InputError
from m7sim.ops import recurrent_ops
from m7sim.ops import reference_recurrent as reference
from m7sim.ops.calls import KernelCall
from m7sim.ops.recurrent import CellType, RecurrentShape
from m7sim.ops.recurrent_layer import FORMS, RecurrentLayer, make

pytestmark = pytest.mark.toolchain

DTCM_START, SRAM2_END = 0x2000_0000, 0x2005_0000  # unmapped below and above, on the STM32F746
DIGEST = "87d0c695db90640b"  # first bytes of a hash over the default workloads
SIZES = {"frames": 3, "in_len": 7, "cells": 9}
thorough = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def board():
    from m7sim.board import Board
    from m7sim.elf import Image
    from m7sim.machine import Machine

    return Machine(Image.load(recurrent_ops.elf()), Board.load("stm32f746"))


@pytest.fixture(scope="module")
def run(board) -> Callable[[KernelCall], np.ndarray]:
    def make_call(call: KernelCall) -> np.ndarray:
        assert board.call(call.function, *call.arguments).value == 0
        return call.output

    return make_call


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return rng.choice(np.array([-128, 127], dtype=np.int8), shape)
    if kind == 1:
        return np.full(shape, -128, dtype=np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def layer_of(shape: RecurrentShape, shifts: tuple[int, int, int, int], seed: int) -> RecurrentLayer:
    rng = np.random.default_rng(seed)
    projected = shape.op is CellType.PROJECTED_LSTM
    return RecurrentLayer(
        name="layer",
        shape=shape,
        weights=int8(rng, shape.gate_rows, shape.joined_len),
        bias=int8(rng, shape.gate_rows),
        bias_shift=shifts[0],
        out_shift=shifts[1],
        peepholes=int8(rng, 3, shape.cells) if projected else None,
        peephole_shift=shifts[2] if projected else 0,
        projection=int8(rng, shape.out_len, shape.cells) if projected else None,
        projection_shift=shifts[3] if projected else 0,
    )


sizes = st.fixed_dictionaries(
    {"frames": st.integers(1, 5), "in_len": st.integers(1, 11), "cells": st.integers(1, 11)}
)
shifts = st.tuples(st.integers(0, 31), st.integers(0, 31), st.integers(0, 31), st.integers(0, 14))


@thorough
@given(st.sampled_from(list(CellType)), sizes, st.integers(1, 9), st.booleans(), shifts,
       st.integers(0, 2**31))  # fmt: skip
def test_any_sizes_shifts_and_extremes(run, kind, lengths, out_len, whole, shift, seed):
    out_len = out_len if kind is CellType.PROJECTED_LSTM else lengths["cells"]
    out_frames = lengths["frames"] if whole else 1
    shape = RecurrentShape(op=kind, **lengths, out_len=out_len, out_frames=out_frames)
    layer = layer_of(shape, shift, seed)
    x = int8(np.random.default_rng(seed + 1), *shape.in_shape)
    expected = layer.forward(x)
    for form in FORMS:
        assert (run(layer.prepare(x, form=form)) == expected).all(), form


@pytest.mark.parametrize("name", recurrent_ops.OPS)
def test_seeded_work_of_usual_sizes(run, name):
    op = recurrent_ops.get(name)
    work = op.workload(op.shape(frames=20, in_len=40, cells=60, out_frames=20), seed=5)
    for variant in op.variants(work.shape):
        call = work.call(variant)
        run(call)
        assert work.check(call), variant
    spread = work.expected.astype(float).std() / 128
    assert 0.1 < spread < 0.7  # alive
    assert (np.abs(work.expected.astype(int)) >= 127).mean() < 0.05


def test_tables_are_those_of_the_model(board):
    for name in ("sigmoid", "tanh"):
        symbol = board.image.symbol(f"m7nn_{name}_table")
        found = np.frombuffer(board.read(symbol.address, 2 * 257), np.int16)
        assert (found == reference.table(name)).all()


def test_tables_are_close_to_the_functions():
    x = np.arange(-32768, 32768)
    for ours, exact in (
        (reference.sigmoid, 1 / (1 + np.exp(-x / 4096))),
        (reference.tanh, np.tanh(x / 4096)),
    ):
        assert np.abs(ours(x) / 32768 - exact).max() < 5e-4


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def real_gates(layer: RecurrentLayer, joined: np.ndarray) -> np.ndarray:
    """Gates as real numbers; ``joined`` in steps of int8."""
    sums = layer.weights @ joined + layer.bias * 2.0**layer.bias_shift
    return sums / 2.0**layer.out_shift / 4096


def test_lstm_is_that_of_the_textbooks_in_real_numbers():
    shape = RecurrentShape(op=CellType.LSTM, frames=30, in_len=10, cells=32, out_len=32,
                           out_frames=30)  # fmt: skip
    work = make(shape, seed=4)
    x = work.input.reshape(30, 10).astype(float)
    c, h, outputs = np.zeros(32), np.zeros(32), []
    for frame in x:
        i, g, f, o = real_gates(work.layer, np.concatenate([frame, 128 * h])).reshape(4, 32)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    error = work.expected.reshape(30, 32) / 128 - np.array(outputs)
    assert np.abs(error).mean() < 0.01
    assert np.abs(error).max() < 0.08


def test_gru_is_that_of_the_textbooks_in_real_numbers():
    shape = RecurrentShape(op=CellType.GRU, frames=30, in_len=10, cells=32, out_len=32,
                           out_frames=30)  # fmt: skip
    work = make(shape, seed=4)
    x = work.input.reshape(30, 10).astype(float)
    h, outputs = np.zeros(32), []
    for frame in x:
        r, z, _ = real_gates(work.layer, np.concatenate([frame, 128 * h])).reshape(3, 32)
        reset = np.concatenate([frame, 128 * sigmoid(r) * h])
        n = real_gates(work.layer, reset).reshape(3, 32)[2]
        h = sigmoid(z) * h + (1 - sigmoid(z)) * np.tanh(n)
        outputs.append(h)
    error = work.expected.reshape(30, 32) / 128 - np.array(outputs)
    assert np.abs(error).mean() < 0.01
    assert np.abs(error).max() < 0.08


def test_projected_lstm_is_that_of_the_textbooks_in_real_numbers():
    shape = RecurrentShape(op=CellType.PROJECTED_LSTM, frames=12, in_len=10, cells=48, out_len=20,
                           out_frames=12)  # fmt: skip
    work = make(shape, seed=4)
    layer = work.layer
    x = work.input.reshape(12, 10).astype(float)
    c, last, outputs = np.zeros(48), np.zeros(20), []
    peep = layer.peepholes / 2.0**layer.peephole_shift
    for frame in x:
        i, g, f, o = real_gates(layer, np.concatenate([frame, last])).reshape(4, 48)
        c = sigmoid(f + peep[1] * c) * c + sigmoid(i + peep[0] * c) * np.tanh(g)
        h = sigmoid(o + peep[2] * c) * np.tanh(c)
        last = np.clip(layer.projection @ (128 * h) / 2.0**layer.projection_shift, -128, 127)
        outputs.append(last)
    error = work.expected.reshape(12, 20) - np.array(outputs)
    assert np.abs(error).mean() < 2  # steps of int8, of a spread of 30
    assert np.abs(error).max() < 12


def test_last_output_is_the_last_of_all():
    for op in recurrent_ops.OPS.values():
        one, every = op.shape(frames=5), op.shape(frames=5, out_frames=5)
        a, b = op.workload(one, seed=2), op.workload(every, seed=2)
        assert (a.expected.reshape(-1) == b.expected.reshape(5, -1)[-1]).all()


@pytest.mark.parametrize("name", recurrent_ops.OPS)
def test_arrays_at_the_edges_of_memory(board, name):
    op = recurrent_ops.get(name)
    for numbers in (SIZES, {"frames": 2, "in_len": 8, "cells": 8}, dict.fromkeys(SIZES, 1)):
        work = op.workload(op.shape(**numbers), seed=1)
        for variant in FORMS:
            for parameter, array in work.call(variant).parameters.items():
                if not isinstance(array, np.ndarray):
                    continue
                for at_end in (False, True):
                    call = work.call(variant)
                    array = call.parameters[parameter]
                    address = SRAM2_END - array.nbytes if at_end else DTCM_START
                    kept = board.read(address, array.nbytes)
                    board.write(address, array.tobytes())
                    given_values = {**call.parameters, parameter: address}.values()
                    assert board.call(call.function, *given_values, place="SRAM1").value == 0
                    got = call.output
                    if array is call.output:
                        got = np.frombuffer(board.read(address, array.nbytes), np.int8)
                    assert (got.reshape(-1) == work.expected.reshape(-1)).all()
                    board.write(address, kept)


def test_bad_shapes_are_refused_and_nothing_is_written(board):
    bad = {"frames": 0, "in_len": 0, "cells": -1, "bias_shift": 32, "out_shift": -1,
           "out_frames": 2, "out_len": 0, "peephole_shift": 32, "projection_shift": -1}  # fmt: skip
    for op in recurrent_ops.OPS.values():
        work = op.workload(op.shape(**SIZES))
        for variant in FORMS:
            for name in bad.keys() & work.call(variant).parameters.keys():
                call = work.call(variant)
                call.output[...] = 99
                values = {**call.parameters, name: bad[name]}.values()
                assert board.call(call.function, *values).value == -1, (call.function, name)
                assert (call.output == 99).all()


@pytest.mark.parametrize("name", recurrent_ops.OPS)
def test_inner_loop_costs_no_more_than_that_of_fully_connected(name):
    """Instructions per MAC, by the difference of two input lengths (x4 in q7: 1.88)."""
    from m7sim.session import load

    firmware = load(recurrent_ops.elf(), board="stm32f746", time=False)
    op = recurrent_ops.get(name)
    counts, macs = [], []
    for in_len in (64, 128):
        work = op.workload(op.shape(frames=2, in_len=in_len, cells=64))
        call = work.call()
        counts.append(firmware.call(call.function, *call.arguments).instructions)
        macs.append(work.shape.macs)
    per_mac = (counts[1] - counts[0]) / (macs[1] - macs[0])
    assert 1.6 < per_mac <= 1.66


def test_parameters_are_those_of_the_header():
    header = toolchain.firmware_dir() / "kernels" / "nets" / "m7nn_recurrent.h"
    text = header.read_text(encoding="utf-8")
    for op in recurrent_ops.OPS.values():
        work = op.workload(op.shape(**SIZES))
        for variant in FORMS:
            call = work.call(variant)
            prototype = re.search(rf"\b{call.function}\(([^)]*)\)", text)
            assert prototype, call.function
            names = [re.split(r"[ *]", part.strip())[-1] for part in prototype[1].split(",")]
            assert list(call.parameters) == names


def test_registry():
    assert list(recurrent_ops.OPS) == ["lstm", "lstm_projected", "gru"]
    for op in recurrent_ops.OPS.values():
        shape = op.shape(**SIZES, out_frames=3)
        assert op.shape(**op.parameters_of(shape)) == shape
        assert list(op.kernels) == list(op.variants(shape)) == list(FORMS)
    with pytest.raises(InputError, match="no recurrent layer 'rnn'"):
        recurrent_ops.get("rnn")
    gru = recurrent_ops.get("gru")
    with pytest.raises(InputError, match="no parameter 'out_len'"):
        gru.shape(out_len=3)
    with pytest.raises(InputError, match="cells is 0"):
        gru.shape(cells=0)
    with pytest.raises(InputError, match="no kernel of form 'fast'"):
        gru.workload(gru.shape()).call("fast")
    work = gru.workload(gru.shape(**SIZES))
    with pytest.raises(InputError, match="needed int8"):
        work.layer.forward(np.zeros(5, np.int8))
    with pytest.raises(InputError, match="2 inputs"):
        work.layer.forward(work.input, work.input)
    with pytest.raises(InputError, match=r"bias of shape \(26,\)"):
        RecurrentLayer(name="x", shape=work.shape, weights=work.layer.weights,
                       bias=work.layer.bias[1:], bias_shift=0, out_shift=0)  # fmt: skip


def test_work_of_a_shape():
    shape = recurrent_ops.get("lstm_projected").shape(frames=25, in_len=10, cells=144, out_len=98)
    assert (shape.weights, shape.bias_bytes) == (62_208 + 432 + 14_112, 576)
    assert shape.macs == 25 * (62_208 + 14_112)
    assert shape.label == "25x10 144-98"


def test_workloads_are_the_same_everywhere():
    digest = hashlib.sha256()
    for op in recurrent_ops.OPS.values():
        work = op.workload(op.shape(), seed=3)
        for argument in (*work.call().arguments, work.expected):
            array = argument if isinstance(argument, np.ndarray) else np.array(argument, "<i8")
            digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest()[:16] == DIGEST
