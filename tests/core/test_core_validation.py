"""A core table that breaks its schema is refused with what, where and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m7sim import core as core_package
from m7sim.core import Core
from m7sim.errors import TableError

TEXT = (Path(core_package.__file__).parent / "cortex_m7.toml").read_text()

CLZ = "clz = {"
DIVIDE_CYCLES = "issue_cycles = 7"


def load(tmp_path: Path, text: str) -> Core:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return Core.load(path)


def test_the_table_that_comes_with_the_package_loads() -> None:
    core = Core.load()
    assert core.name == "cortex-m7"
    assert core.path.name == "cortex_m7.toml"


def without(pattern: str) -> str:
    text, times = re.subn(pattern, "", TEXT, flags=re.MULTILINE)
    assert times == 1
    return text


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            without(r"^clz = \{.*\n"),
            "mine.toml: class: no row for instruction class clz. A core table has one row",
            id="row removed",
        ),
        pytest.param(
            changed(CLZ, "clzz = {"),
            "mine.toml: class: unknown instruction class 'clzz'. Did you mean 'clz'?",
            id="row misspelt",
        ),
        pytest.param(
            changed("issue_width = {", "isue_width = {"),
            "parameters: unknown key 'isue_width'. Did you mean 'issue_width'?",
            id="parameter misspelt",
        ),
        pytest.param(
            without(r"^btac_ways = .*\n"),
            "parameters: 'btac_ways' is missing",
            id="parameter missing",
        ),
        pytest.param(
            changed("[latency.divide]", "[latncy.divide]"),
            "mine.toml: unknown key 'latncy'. Did you mean 'latency'?",
            id="section misspelt",
        ),
        pytest.param(
            changed("multiplicand = 7,", "multiplicant = 7,"),
            "latency.divide: unknown key 'multiplicant'. Did you mean 'multiplicand'?",
            id="column misspelt",
        ),
        pytest.param(
            changed("multiplicand = 7,", ""),
            "class.divide: latency row 'divide' lacks column 'multiplicand'. There is no default",
            id="column missing",
        ),
        pytest.param(
            changed("late = 7,", "late = -1,"),
            "latency.divide: -1 is not a whole number from 0 to 100",
            id="latency negative",
        ),
        pytest.param(
            changed("late = 7,", "late = 7.5,"),
            "latency.divide: 7.5 is not a whole number",
            id="latency not whole",
        ),
        pytest.param(
            changed('uses = ["divide"]', 'uses = ["divider"]'),
            "class.divide: unknown unit 'divider'. Did you mean 'divide'?",
            id="unit misspelt",
        ),
        pytest.param(
            changed('uses = ["divide"]', 'uses = "divide"'),
            "class.divide: expected a list of unit names, found 'divide'",
            id="units not a list",
        ),
        pytest.param(
            changed('issue = "alone", issue_cycles = 7', 'issue = "lone", issue_cycles = 7'),
            "class.divide: unknown issue rule 'lone'. Did you mean 'alone'?",
            id="issue rule misspelt",
        ),
        pytest.param(
            changed(DIVIDE_CYCLES, 'issue_cycles = "seven"'),
            "class.divide: 'seven' is not a whole number",
            id="issue cycles not a number",
        ),
        pytest.param(
            changed(DIVIDE_CYCLES + ", ", ""),
            "class.divide: 'issue_cycles' is missing",
            id="issue cycles missing",
        ),
        pytest.param(
            changed('uses = ["divide"], latency = "divide"', 'uses = ["divide"]'),
            "class.divide: 'latency' is missing. There is no default latency",
            id="latency missing",
        ),
        pytest.param(
            changed('latency = "divide"', 'latency = "divides"'),
            "class.divide: unknown latency row 'divides'. Did you mean 'divide'?",
            id="latency row misspelt",
        ),
        pytest.param(
            changed('latency = "divide", source = ["LLVM section 7"], ', 'latency = "divide", '),
            "class.divide: 'source' is missing",
            id="source missing",
        ),
        pytest.param(
            changed(
                'latency = "divide", source = ["LLVM section 7"]', 'latency = "divide", source = []'
            ),
            "class.divide: source has to be a list of at least one source",
            id="source empty",
        ),
        pytest.param(
            changed('latency = "divide", source = ["LLVM', 'latency = "divide", source = ["LVM'),
            "class.divide: unknown source 'LVM'. Did you mean 'LLVM'?",
            id="source misspelt",
        ),
        pytest.param(
            changed(
                'source = ["LLVM section 7"], confidence = "documented"',
                'source = ["LLVM section 7"]',
            ),
            "class.divide: 'confidence' is missing",
            id="confidence missing",
        ),
        pytest.param(
            changed('confidence = "measured"', 'confidence = "xyz"'),
            "unknown confidence 'xyz'. Valid: calibrated, documented",
            id="confidence unknown",
        ),
        pytest.param(
            changed("reads = { flags", "reads = { flagz"),
            "class.branch_conditional: unknown key 'flagz'. Did you mean 'flags'?",
            id="role misspelt",
        ),
        pytest.param(
            changed('reads = { flags = "none"', 'reads = { flags = "nowhere"'),
            "class.branch_conditional: unknown column 'nowhere'",
            id="read column misspelt",
        ),
        pytest.param(
            changed('early = "older_slot", ', 'early = "older", '),
            "class.add: unknown early rule 'older'. Did you mean 'older_slot'?",
            id="early rule misspelt",
        ),
        pytest.param(
            changed(', latency_early = "early"', ""),
            "class.add: 'early' and 'latency_early' have to come together",
            id="early latency missing",
        ),
        pytest.param(
            changed('base = "base"', 'bas = "base"'),
            "roles: unknown key 'bas'. Did you mean 'base'?",
            id="role table misspelt",
        ),
        pytest.param(
            changed('older = { uses = ["mac"] }', 'older = { uses = ["mack"] }'),
            "pair 1, older: unknown unit 'mack'. Did you mean 'mac'?",
            id="pair unit misspelt",
        ),
        pytest.param(
            changed('classes = ["shift", "rrx"]', 'classes = ["shifts", "rrx"]'),
            "pair 3, older: unknown class 'shifts'. Did you mean 'shift'?",
            id="pair class misspelt",
        ),
        pytest.param(
            changed('when = "extend_uses_inline_shift"', 'when = "extends_use_inline_shift"'),
            "pair 4: unknown parameter 'extends_use_inline_shift'",
            id="pair switch misspelt",
        ),
        pytest.param(
            changed('classes = ["shift"]\npartner', 'classes = ["clz"]\npartner'),
            "early_block 1: class 'clz' never runs early",
            id="early block of a late class",
        ),
        pytest.param(
            TEXT + "\n[latency.spare]\ncycles = { flags = 1 }\n"
            'source = ["own"]\nconfidence = "guess"\n',
            "latency row 'spare' is used by no class. Remove it",
            id="latency row unused",
        ),
        pytest.param(TEXT + "\nissue = 3 = 4\n", "cannot be read as TOML", id="not TOML"),
        pytest.param(
            changed("mac = { count = 1, source", "mac = { count = 1, sources"),
            "units.mac: unknown key 'sources'. Did you mean 'source'?",
            id="unit source misspelt",
        ),
        pytest.param('name = "x"\n', "mine.toml: 'sources' is missing", id="nearly empty"),
        pytest.param(
            "pair = 3\n" + without(r"(?s)^\[\[pair\]\].*(?=^# An early-capable)"),
            "pair: expected rows headed [[pair]], found 3",
            id="pairs no rows",
        ),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TableError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value)
    assert caught.value.exit_code == 2


def test_unknown_core_names_the_nearest() -> None:
    with pytest.raises(TableError, match=r"there is no core 'cortex_m8'. Did you mean 'cortex_m7'"):
        Core.load("cortex_m8")


def test_parameters_can_be_set_and_are_checked() -> None:
    core = Core.load()
    other = core.with_parameters(mispredict_cycles=7)
    assert other.table().parameters.mispredict_cycles == 7
    assert core.table().parameters.mispredict_cycles == 8
    assert other.changed == ("mispredict_cycles",)
    assert other.tables.parameters["mispredict_cycles"].provenance.choice.endswith("was 8")
    with pytest.raises(TableError, match=r"unknown parameter 'mispredict_cycle'. Did you mean"):
        core.with_parameters(mispredict_cycle=7)
    with pytest.raises(TableError, match="-1 is not a whole number"):
        core.with_parameters(mispredict_cycles=-1)


def test_disputed_values_say_what_was_chosen() -> None:
    """Section 11 of the facts: where sources disagree, the row has to say so."""
    tables = Core.load().tables
    disputed = [
        tables.parameters["mispredict_cycles"],
        tables.latencies["load_word"],
        tables.pairs[0],
        tables.classes["mul"],
        tables.latencies["reverse"],
        tables.classes["alu_shifted_constant"],
        tables.parameters["extend_uses_inline_shift"],
        tables.latencies["saturate"],
        tables.latencies["load_byte"],
        tables.units["load"],
        tables.classes["divide"],
        tables.classes["fp_sqrt"],
        tables.classes["fp_add_d"],
        tables.classes["fp_mul_d"],
        tables.classes["fp_fma_d"],
        tables.classes["it"],
        tables.classes["bitfield_insert"],
        tables.parameters["inline_shift_blocks_branch"],
    ]
    assert all(row.provenance.choice for row in disputed)
