from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from m7sim.characterize import library
from m7sim.characterize.call import Ref
from m7sim.characterize.layouts import Layout
from m7sim.characterize.manifest import Manifest
from m7sim.errors import InputError, TableError
from m7sim.ops import registry

HEAD = 'schema = 1\nname = "x"\nsources = ["*.c"]\n[[kernel]]\n'
GOOD = 'op = "fc"\nvariant = "v"\nfunction = "f"\n'
ARGUMENTS = 'arguments = ["input", "weights", "output", "in_ch"]\n'


def load(text: str, folder: Path) -> Manifest:
    file = folder / "m.toml"
    file.write_text(text, encoding="utf-8")
    return Manifest.load(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + GOOD + "argumens = []", "unknown key 'argumens'.*Did you mean arguments"),
        (HEAD + GOOD, "missing key 'arguments'"),
        (HEAD + GOOD.replace("fc", "fcc") + ARGUMENTS, r"\(f\): no operation 'fcc'.*fc"),
        (HEAD + GOOD + 'arguments = ["wieghts"]', r"arguments\[0\].*'wieghts'.*mean weights"),
        (HEAD + GOOD + 'arguments = [{ a = { b = "in_hc" } }]', r"\[0\].a.b.*Did you mean in_ch"),
        (HEAD + GOOD + 'arguments = ["input"]', "no argument is 'output'.*in_place"),
        (HEAD + GOOD + 'arguments = ["output + 1"]', "calculates with an array"),
        (HEAD + GOOD + 'arguments = ["open(1)"]', "cannot be used here"),
        (HEAD + GOOD + "arguments = [1.5]", "1.5 is not text or a number or a table"),
        (HEAD + GOOD + ARGUMENTS + 'when = "in_ch %% 4"', "is no expression"),
        (HEAD + GOOD + ARGUMENTS + 'when = "out_shift"', "unknown name 'out_shift'"),
        (HEAD + GOOD + ARGUMENTS + 'weights = { axes = "out inn" }', "no axis 'inn'.*mean in"),
        (HEAD + GOOD + ARGUMENTS + 'weights = { axes = "out" }', "do not name each axis once"),
        (HEAD + GOOD + ARGUMENTS + 'weights = { interleave = "x8" }', "no interleave 'x8'"),
        (HEAD + GOOD + ARGUMENTS + 'weights = { type = "q7_t" }', "no element type 'q7_t'"),
        (HEAD + GOOD + ARGUMENTS + "scratch.b = {}", "scratch.b: give elements, or bytes_from"),
        (HEAD + GOOD + ARGUMENTS + 'scratch.b = { elements = "in_x *" }', "scratch.b.elements"),
        (
            HEAD + GOOD + ARGUMENTS + 'scratch.b = { bytes_from = "g", arguments = ["input"] }',
            "a size cannot depend on an array",
        ),
        (
            'schema = 1\nname = "x"\nsources = ["*.c"]\n[struct]\na = { n = "b" }\n'
            'b = { n = "a" }\n[[kernel]]\n' + GOOD + 'arguments = ["a", "output"]',
            "struct 'a' holds itself",
        ),
        (HEAD + GOOD + ARGUMENTS + "[[kernel]]\n" + GOOD + ARGUMENTS, "two kernels of variant 'v'"),
        (HEAD + "op = 1\n", "1 is not text or a list"),
        ('schema = 1\nname = "x"\nsources = [1]\nkernel = []', "sources: 1 is not text"),
        ("schema = 3\nname = 'x'\nsources = []\nkernel = []", "schema 3, known is 1"),
        ("name = ", "cannot be read as TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError, match=message) as caught:
        load(text, tmp_path)
    assert "m.toml" in str(caught.value)


def test_no_such_library_or_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no kernels 'nowhere.toml'"):
        library.find("nowhere.toml")
    (tmp_path / "Source").mkdir()
    text = (HEAD + GOOD + ARGUMENTS).replace('"*.c"', '"Sorce/*.c"')
    with pytest.raises(InputError, match=r"no file matches 'Sorce/\*.c'.*Did you mean Source"):
        load(text, tmp_path).sources()


def test_call_of_the_example() -> None:
    """Arguments in the library's order, weights in its layout, structs with arrays inside."""
    from .conftest import EXAMPLE

    manifest = Manifest.load(EXAMPLE)
    work = registry.get("fc").workload(registry.get("fc").shape(in_len=6, out_len=5))
    call = manifest.call(work.layer, work.inputs, "direct")
    layer, data, output = call.arguments
    assert isinstance(layer, dict)
    assert (layer["inputs"], layer["outputs"]) == (6, 5)
    assert (layer["weights"], layer["bias"]) == (Ref("weights"), Ref("bias"))
    assert layer["scale"]["out_shift"] == work.layer.out_shift
    assert (data, output) == (Ref("input"), Ref("output"))
    weights = call.arrays["weights"].array
    assert (weights.dtype, weights.shape) == (np.int16, (6, 5))
    assert work.layer.weights is not None
    assert np.array_equal(weights.T, work.layer.weights)


def test_axes_and_back() -> None:
    shape = registry.get("relu").shape(in_y=2, in_x=3, ch=4)
    image = np.arange(24, dtype=np.int8).reshape(shape.in_shape)
    layout = Layout(axes=("ch", "y", "x"), dtype="int16")
    there = layout.apply(image, ("y", "x", "ch"))
    assert there.shape == (4, 2, 3)
    assert there[3, 1, 2] == image[1, 2, 3]
    assert np.array_equal(layout.undo(there.reshape(-1), shape), image)


def test_digest_follows_the_entry(tmp_path: Path) -> None:
    shape = registry.get("fc").shape()
    one = load(HEAD + GOOD + ARGUMENTS, tmp_path)
    other = load(HEAD + GOOD + ARGUMENTS.replace('"in_ch"', '"out_ch"'), tmp_path)
    assert one.digest(shape, "v") != other.digest(shape, "v")


def test_what_the_readme_shows_is_right(tmp_path: Path) -> None:
    """Its manifest and its grid load, and it names every number and array."""
    from m7sim.characterize import grid
    from m7sim.characterize.operands import array_names, number_names

    from .conftest import EXAMPLE

    text = (EXAMPLE.parents[1] / "README.md").read_text()
    blocks = [block for block in re.split(r"\n(?!    |\n)", text) if "    schema = 1" in block]
    files = []
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.toml"
        lines = [line[4:] for line in block.splitlines() if line.startswith("    ")]
        file.write_text("\n".join(lines))
        files.append(file)
    manifest, shapes = files
    assert {kernel.op for kernel in Manifest.load(manifest).kernels} == {"conv", "1x1"}
    assert len(grid.points(grid.load(shapes))) > 10
    for op in registry.OPS.values():
        for name in (*number_names(op.type, op.family), *array_names(op.type, op.family)):
            assert re.search(rf"\b{name}\b", text), name
