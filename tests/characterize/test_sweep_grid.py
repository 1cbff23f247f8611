from __future__ import annotations

from pathlib import Path

import pytest

from m7sim.characterize import grid
from m7sim.errors import InputError, TableError


def points(text: str, folder: Path, **options: object) -> list[grid.GridPoint]:
    file = folder / "g.toml"
    file.write_text(text, encoding="utf-8")
    return grid.points(grid.load(file), **options)  # type: ignore[arg-type]


def test_every_combination_in_order(tmp_path: Path) -> None:
    text = """
    schema = 1
    [[sweep]]
    op = "1x1"
    size = 4
    in_ch = { from = 8, to = 32, factor = 2 }
    out_ch = "in_ch + 2 * half"
    half = 1
    """.replace("    half = 1\n", "").replace(" + 2 * half", " * 2")
    found = points(text, tmp_path)
    assert [(p.shape.in_ch, p.shape.out_ch) for p in found if p.shape] == [
        (8, 16),
        (16, 32),
        (32, 64),
    ]


def test_range_with_step_includes_both_ends(tmp_path: Path) -> None:
    text = 'schema=1\n[[sweep]]\nop="fc"\nin_len={from=10, to=30, step=10}\nout_len=[4,2]\n'
    found = points(text, tmp_path)
    sizes = [(p.shape.in_ch, p.shape.out_ch) for p in found if p.shape]
    assert sizes == [(10, 4), (10, 2), (20, 4), (20, 2), (30, 4), (30, 2)]


def test_when_keeps_what_it_holds_for(tmp_path: Path) -> None:
    text = 'schema=1\n[[sweep]]\nop="fc"\nin_len=[8,16,24]\nout_len=[8,16]\nwhen="in_len > out_len"'
    assert len(points(text, tmp_path)) == 3


def test_a_shape_met_twice_is_one_point(tmp_path: Path) -> None:
    """Also a conv with a 1x1 kernel, which is of the operation 1x1."""
    text = """
    schema = 1
    [[sweep]]
    op = "conv"
    size = 4
    kernel = [1, 3]
    [[sweep]]
    op = ["1x1", "conv"]
    size = 4
    """
    assert [p.op for p in points(text, tmp_path)] == ["1x1", "conv"]
    assert [p.op for p in points(text, tmp_path, ops=["1x1"])] == ["1x1"]


def test_an_impossible_shape_is_a_point_with_a_reason(tmp_path: Path) -> None:
    text = 'schema=1\n[[sweep]]\nop="conv"\nsize=4\nkernel=[3,7]\npad=0\n'
    good, bad = points(text, tmp_path)
    assert good.shape is not None
    assert bad.shape is None
    assert "below 1" in bad.reason
    assert "kernel=7" in bad.label


def test_grids_of_the_package() -> None:
    assert {"default", "fig1", "fig2"} <= set(grid.names())
    every = {name: grid.points(grid.load(name)) for name in grid.names()}
    assert all(p.shape is not None for found in every.values() for p in found)
    ops = [p.op for p in every["fig2"]]
    assert len(ops) >= 500
    assert min(ops.count(op) for op in ("conv", "1x1", "fc", "depthwise")) >= 40
    depth = {p.shape.macs_per_output for p in every["fig2"] if p.shape and p.op == "conv"}
    assert min(depth) < 50
    assert max(depth) > 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema=1\n[[sweep]]\nop='conv'\nin_hc=3", "unknown key 'in_hc'.*Did you mean in_ch"),
        ("schema=1\n[[sweep]]\nop='conv'\nwen='1'", "unknown key 'wen'.*Did you mean when"),
        ("schema=1\n[[sweep]]\nop='convv'", "no operation 'convv'.*Did you mean conv"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len=1.5", "1.5 is not a number"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len=true", "True is not a number"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len=[]", "empty list"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len={from=9,to=3}", "no range from 9 to 3"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len={from=1,to=9,stepp=2}", "Did you mean step"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len={from=0,to=9,factor=2}", "no range"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len={from=1,to=99999999}", "more than 10000 values"),
        ("schema=1\n[[sweep]]\nop='fc'\nin_len='out_length'\nout_len=4", "Did you mean out_len"),
        ("schema=1\n[[sweep]]\nop=['fc','relu']\nin_len=4", "unknown key 'in_len' for fc and relu"),
        ("schema=1\n[[sweep]]\nin_len=4", "missing key 'op'"),
        ("schema=2\nsweep=[]", "schema 2, known is 1"),
        ("[[sweep]]\nop='fc'", "missing key 'schema'"),
        ("schema=1\nswep=[]", "Did you mean sweep"),
        ("schema", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError, match=message) as caught:
        points(text, tmp_path)
    assert "g.toml" in str(caught.value)


def test_unknown_grid() -> None:
    with pytest.raises(InputError, match=r"no grid 'defualt'.*Did you mean default"):
        grid.load("defualt")
    with pytest.raises(InputError, match=r"no such grid file.*default, .*fig1, fig2"):
        grid.load("nowhere.toml")
