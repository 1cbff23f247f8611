"""Networks by file name, and the inputs they are run with."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from m7sim.errors import InputError
from m7sim.nets.execute import quantized
from m7sim.nets.graph import Array, Graph, Tensor
from m7sim.ops.stream import Stream

SEED = 2018
KINDS = ".tflite, .onnx, .toml or .npz"
MAX_INPUT_BYTES = 256 << 20


def load(name: str | Path, *, allow_unsupported: bool = False) -> Graph:
    """Read a network: ``.tflite``, ``.onnx`` (QDQ), ``.toml`` (a design) or ``.npz`` (legacy q7).

    A design gets weights from a seed, and so does ``kws:ds-cnn-s`` and its like: networks of
    `m7sim.nets.kws`.

    Raises
    ------
    InputError
        If the file cannot be used, or has operators without a kernel and ``allow_unsupported`` is
        not set; the message lists all of them.
    ToolError
        If a package that reads the file is missing.
    """
    kind, _, known = str(name).partition(":")
    if kind == "kws":
        from m7sim.nets.kws import graphs

        return graphs.named(known)
    path = Path(name)
    readers: dict[str, Callable[[Path, bool], Graph]] = {
        ".tflite": _tflite,
        ".onnx": _onnx,
        ".toml": _toml,
        ".npz": _npz,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        do = f"Give cifar10, kws:NAME, or a {KINDS} file."
        raise InputError(f"no network {str(name)!r}", do=do)
    return reader(path, allow_unsupported)


def _tflite(path: Path, allow_unsupported: bool) -> Graph:
    from m7sim.nets import lower, tflite_import

    return lower.lower(tflite_import.read(path), allow_unsupported=allow_unsupported)


def _onnx(path: Path, allow_unsupported: bool) -> Graph:
    from m7sim.nets import lower, onnx_import

    return lower.lower(onnx_import.read(path), allow_unsupported=allow_unsupported)


def _toml(path: Path, allow_unsupported: bool) -> Graph:
    from m7sim.nets import design, work

    return work.seeded(design.read(path))


def _npz(path: Path, allow_unsupported: bool) -> Graph:
    from m7sim.nets import legacy

    return legacy.load(path)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """An input of a network.

    Attributes
    ----------
    inputs
        One array per input of the graph.
    name
        Where they come from, for people.
    expected
        What the first output should be, if the file says so.
    """

    inputs: tuple[Array, ...]
    name: str
    expected: Array | None = None


def sample(graph: Graph, source: str | None) -> Sample:
    """Make or read the input of a network.

    Parameters
    ----------
    source
        ``FILE`` or ``FILE:N``: a ``.npy`` array, or an ``.npz`` with ``x`` (or one array that
        fits); several inputs stand along the first axis and N chooses, from 0. Arrays ``y`` of the
        same length are taken as the answers to expect. None: made from a seed.

    Raises
    ------
    InputError
        If the file cannot be used or holds nothing of the right size.
    """
    tensors = [graph.tensor(name) for name in graph.inputs]
    if source is None:
        made = tuple(_random(tensor, SEED + i) for i, tensor in enumerate(tensors))
        return Sample(inputs=made, name=f"made from seed {SEED}")
    if len(tensors) != 1:
        raise InputError(f"the network has {len(tensors)} inputs, a file gives one", where=source)
    name, _, number = source.rpartition(":")
    if not (name and number.isdigit()):
        name, number = source, "0"
    arrays = _read(Path(name))
    fitting = {k: a for k, a in arrays.items() if a.size and a.size % tensors[0].elements == 0}
    key = "x" if "x" in fitting else next(iter(fitting), "")
    if not key:
        shapes = ", ".join(f"{k} {a.dtype}{a.shape}" for k, a in arrays.items())
        raise InputError(f"nothing in it fits an input of {tensors[0].shape}: {shapes}", where=name)
    rows = _rows(fitting[key], graph, tensors[0])
    if int(number) >= len(rows):
        raise InputError(f"no input {number}: it has {len(rows)}, counted from 0", where=name)
    given = _typed(rows[int(number)], tensors[0], name).reshape(tensors[0].shape)
    tag = _tag(arrays, int(number), len(rows))
    return Sample(
        inputs=(given,),
        name=f"input {number}{tag} of {Path(name).name}",
        expected=_expected(graph, arrays, int(number), len(rows)),
    )


def _rows(array: Array, graph: Graph, tensor: Tensor) -> Array:
    """Return inputs one behind the other, each a vector with channels last."""
    sides = tensor.shape
    if graph.channels_first and len(sides) == 4 and array.shape[-3:] == (sides[3], *sides[1:3]):
        array = np.moveaxis(array, -3, -1)
    return np.ascontiguousarray(array).reshape(-1, tensor.elements)


def _random(tensor: Tensor, seed: int) -> Array:
    stream = Stream(seed)
    if tensor.dtype == "float32":
        made = stream.normal(tensor.elements, 40.0).astype(np.float32) / np.float32(4.0)
    else:
        made = stream.normal(tensor.elements, 45.0).astype(np.dtype(tensor.dtype))
    return made.reshape(tensor.shape)


def _typed(row: Array, tensor: Tensor, where: str) -> Array:
    wanted = np.dtype(tensor.dtype)
    if row.dtype == wanted:
        return row
    if wanted == np.float32 and row.dtype.kind in "fiu":
        return row.astype(np.float32)
    if wanted == np.int8 and row.dtype == np.float32 and tensor.scale is not None:
        return quantized(row, tensor.scale.scale, tensor.scale.zero_point)
    if wanted == np.int8 and row.dtype == np.uint8:
        return (row.astype(np.int16) - 128).astype(np.int8)  # pixels, as MLPerf Tiny gives them
    raise InputError(f"elements of type {row.dtype}, needed {tensor.dtype}", where=where)


def _tag(arrays: dict[str, Array], number: int, rows: int) -> str:
    tags = arrays.get("tags")
    return f" ({tags.reshape(-1)[number]})" if tags is not None and tags.size == rows else ""


def _expected(graph: Graph, arrays: dict[str, Array], number: int, rows: int) -> Array | None:
    answers = arrays.get("y")
    if answers is None or answers.shape[:1] != (rows,):
        return None
    answer: Array = answers[number]
    return answer.reshape(graph.tensor(graph.outputs[0]).shape)


def _read(path: Path) -> dict[str, Array]:
    try:
        if path.stat().st_size > MAX_INPUT_BYTES:
            raise InputError(f"larger than {MAX_INPUT_BYTES >> 20} MiB", where=str(path))
        if path.suffix == ".npy":
            return {"x": np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError, EOFError) as error:
        raise InputError(f"not a file of arrays: {error}", where=str(path)) from error
