from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from m7sim.board import Board
from m7sim.characterize.library import Ours
from m7sim.characterize.placement import PRESETS, Placement, region_of
from m7sim.elf import Image
from m7sim.errors import InputError

ROLES = {"in": "activations", "weights": "weights", "bias": "weights", "col_buffer": "scratch"}


def test_kind_and_name_and_override() -> None:
    board = Board.load("stm32f746")
    placement = Placement.parse("Flash+SRAM, bias=dtcm, scratch=sram2")
    assert placement.regions(board, ROLES) == {
        "in": "SRAM1", "weights": "FLASH", "bias": "DTCM", "col_buffer": "SRAM2",
    }  # fmt: skip
    assert region_of("sram", Board.load("stm32h743")) == "AXISRAM"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flash+srm", r"no placement 'flash\+srm'.*Did you mean flash\+sram"),
        ("flash+sram,bias", "'bias' is no assignment"),
        ("dtcm,code=dtcm", "code cannot be linked to 'dtcm'.*itcm"),
        ("dtcm,bais=sram", "no array 'bais'.*Did you mean bias"),
        ("dtcm,bias=dtmc", "no memory 'dtmc'.*Did you mean dtcm"),
        ("dtcm,bias=external", "no memory of the kind external"),
    ],
)
def test_message(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Placement.parse(text).regions(Board.load("stm32f746"), ROLES)


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("code", "region"), [("flash", "FLASH"), ("itcm", "ITCM"), ("sram", "SRAM1")]
)
def test_code_lies_where_it_was_asked_for(code: str, region: str) -> None:
    board = Board.load("stm32h743")  # whose ITCM has room for all kernels
    elf = Ours().build(board, Placement.parse(f"flash+sram,code={code}"), ())
    found = board.region_at(Image.load(elf).symbol("m7nn_conv_fast").address)
    assert found is not None
    assert found.name == (region if region != "SRAM1" else "AXISRAM")


@pytest.mark.toolchain
def test_a_changed_board_is_linked_for_like_the_one_it_was_made_from() -> None:
    board = replace(Board.load("stm32h743"), name="mine")
    usual, script = Placement.parse("dtcm"), Board.load("stm32h743")
    assert usual.linker_script(board) == usual.linker_script(script)
    nothing = replace(board, regions=board.regions[:1])
    with pytest.raises(InputError, match="no linker script for the memories of the board mine"):
        usual.linker_script(nothing)


@pytest.mark.toolchain
def test_placements_change_cost_only(sweeper: Callable[..., object]) -> None:
    text = 'schema=1\n[[sweep]]\nop="conv"\nsize=6\nin_ch=32\nout_ch=16\n'
    done = sweeper(text, placements=[*PRESETS, "flash+sram,code=sram"])
    rows = {row["placement"]: row for row in done.table.rows}  # type: ignore[attr-defined]
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert len({row["instructions"] for row in rows.values()}) == 1
    assert rows["dtcm"]["dcache_misses"] < rows["sram"]["dcache_misses"]
    assert rows["dtcm"]["cycles"] < rows["flash+sram"]["cycles"]
