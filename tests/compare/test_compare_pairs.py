"""Pairs of small kernels: the comparison names the line, the cause and the code that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import m7sim
from m7sim.compare import Comparison, Snapshot, compare, snapshot
from m7sim.compare.comparison import FunctionChange
from m7sim.compare.findings import findings
from m7sim.report.comparison import headline, render_markdown, render_text

pytestmark = pytest.mark.toolchain

DOT = """\
#include <stdint.h>
int32_t table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
int32_t dot(const int16_t *a, const int16_t *b, uint32_t n)
{
    int32_t acc = 0;
    for (uint32_t i = 0; i < n; i++) {
        acc += a[i] * b[i];@EXTRA@
    }
    return acc;
}
void Reset_Handler(void) { for (;;) {} }
"""
EXTRA = "\n        acc += table[i & 7];"


def call(elf: Path, name: str, *arguments: object, **options: object) -> Snapshot:
    return snapshot(m7sim.load(elf).call(name, *arguments, **options))


def dot(elf: Path, name: str = "dot", n: int = 64) -> Snapshot:
    a = np.arange(n, dtype=np.int16)
    return call(elf, name, a, a + 3, n)


def words(text: str) -> str:
    """Undo the breaking of lines."""
    return " ".join(text.split())


def only(comparison: Comparison, name: str) -> FunctionChange:
    (found,) = [f for f in comparison.functions if f.name == name]
    return found


def test_extra_load_in_the_inner_loop(build) -> None:
    before = dot(build("k.c", DOT.replace("@EXTRA@", "")))
    after = dot(build("k.c", DOT.replace("@EXTRA@", EXTRA)))
    done = compare(before, after)
    (finding,) = findings(done)
    part = finding.parts[0]
    assert finding.function.kind == "source"
    assert (part.loop.line_before.line, part.loop.line_after.line) == (6, 6)
    assert part.loop.before.iterations == 64
    assert part.loop.after.iterations in {63, 64}
    line = part.lines[0]
    assert (str(line.after), line.after.text) == ("k.c:8", "acc += table[i & 7];")
    assert line.before is None
    assert line.change.delta_cycles > 64
    assert any(i.text.startswith("ldr") and "lsl #2" in i.text for i in part.added)
    assert len(part.added) - len(part.removed) == round(
        part.per_iteration[1] - part.per_iteration[0]
    )
    sentence = headline(done)
    for word in ("dot, loop at k.c:6", "issue at k.c:8 `acc += table[i & 7];`", "per iteration"):
        assert word in sentence


def test_the_other_way_round_it_is_a_gain(build) -> None:
    elves = [build("k.c", DOT.replace("@EXTRA@", text)) for text in ("", EXTRA)]
    there, back = (compare(*map(dot, side)) for side in (elves, elves[::-1]))
    assert there.delta_cycles == -back.delta_cycles > 0
    assert "(only before)" in render_text(back)
    assert "fewer instructions per iteration" in headline(back)


def test_comments_and_shifted_lines_are_no_difference(build) -> None:
    text = DOT.replace("@EXTRA@", "")
    done = compare(
        dot(build("k.c", text)), dot(build("k.c", f"/* one\n * two\n * three */\n{text}"))
    )
    assert done.equal
    assert headline(done).startswith("No difference")
    assert done.before.functions[0].detail.lines != done.after.functions[0].detail.lines


def test_other_optimisation_is_told_with_its_options(build) -> None:
    text = DOT.replace("@EXTRA@", "")
    done = compare(dot(build("k.c", text, "-O1")), dot(build("k.c", text, "-O3")))
    function = only(done, "dot")
    assert function.kind == "instructions"
    assert "Compiled otherwise: `-O1` → `-O3`" in words(render_text(done))


def test_a_macro_changes_instructions_not_the_source(build) -> None:
    text = DOT.replace("@EXTRA@", "\n#ifdef MORE\n        acc ^= 5;\n#endif")
    done = compare(dot(build("k.c", text)), dot(build("k.c", text, "-DMORE")))
    assert only(done, "dot").kind == "instructions"
    assert "The same source lines gave other instructions" in words(render_text(done))


def test_renamed_function(build) -> None:
    text = DOT.replace("@EXTRA@", "")
    before = dot(build("k.c", text))
    after = dot(build("k.c", text.replace("dot(", "scalar_product(")), "scalar_product")
    done = compare(before, after)
    (function,) = done.functions
    assert function.renamed
    assert (function.kind, function.change.delta_cycles) == ("equal", 0)
    assert "scalar_product (was dot)" in render_text(done)


TWO = """\
#include <stdint.h>
@HOW@ int32_t clamp(int32_t x, int32_t low, int32_t high)
{
    int32_t y = x < low ? low : x;
    return y > high ? high : y;
}
void relu6(const int32_t *in, int32_t *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = clamp(in[i], 0, 6);
}
void Reset_Handler(void) { for (;;) {} }
"""


def test_inlined_function_is_taken_together_with_its_caller(build) -> None:
    def run(how: str) -> Snapshot:
        x = np.arange(-40, 40, dtype=np.int32)
        return call(build("k.c", TWO.replace("@HOW@", how)), "relu6", x, np.zeros_like(x), x.size)

    apart, inside = run("static __attribute__((noipa))"), run("static inline")
    done = compare(apart, inside)
    (function,) = done.functions
    assert (function.name, function.inlined) == ("relu6", ("clamp",))
    assert function.change.delta_cycles == done.delta_cycles < -80
    # What was in clamp is compared with the same lines within the loop.
    (loop,) = [x for x in function.loops if x.line_after and x.line_after.line == 9]
    texts = {line.after.text for line in loop.lines if line.before and line.after}
    assert "int32_t y = x < low ? low : x;" in texts or "return y > high ? high : y;" in texts
    assert "relu6, now with clamp inlined" in headline(done)
    back = compare(inside, apart)
    assert back.functions[0].outlined == ("clamp",)
    assert back.delta_cycles == -done.delta_cycles


BYTES = """\
#include <stdint.h>
uint32_t words(const uint8_t *p, uint32_t offset, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t word;
        __builtin_memcpy(&word, p + offset + 4 * i, 4);
        sum += word;
    }
    return sum;
}
void Reset_Handler(void) { for (;;) {} }
"""


def test_misaligned_data_with_the_same_code(build) -> None:
    elf = build("k.c", BYTES)
    data = np.arange(300, dtype=np.uint8)
    done = compare(*(call(elf, "words", data, offset, 64) for offset in (0, 1)))
    (function,) = done.functions
    assert function.kind == "placement"
    assert all(row.same for row in function.rows)
    assert done.delta_cycles >= 32
    assert " unaligned at k.c:" in headline(done)
    assert "The code did not change" in words(render_text(done))


TABLE = """\
#include <stdint.h>
@CONST@ int32_t table[512] = {1, 2, 3};
uint32_t gather(const uint16_t *index, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (uint32_t)table[index[i]];
    return sum;
}
void Reset_Handler(void) { for (;;) {} }
"""


def test_array_moved_to_flash(build) -> None:
    index = np.random.default_rng(2).permutation(512).astype(np.uint16)
    elves = [build("k.c", TABLE.replace("@CONST@", word)) for word in ("", "const")]
    done = compare(*(call(elf, "gather", index, 512) for elf in elves))
    (function,) = done.functions
    assert function.kind == "placement"  # the literal that holds the address is no other code
    loop = function.loops[0]
    assert loop.change.causes["dcache_flash"] > 0 > loop.change.causes["dcache_sram"]
    assert "dcache_flash at k.c:7 `sum += (uint32_t)table[index[i]];`" in headline(done)


def test_moved_code_is_no_other_code(build) -> None:
    text = DOT.replace("@EXTRA@", "")
    pad = '__attribute__((section(".text.first"), used)) void pad(void) { __asm__("nop"); }\n'
    before = build("k.c", f"#include <stdint.h>\n{text}", "-falign-functions=2")
    after = build("k.c", f"#include <stdint.h>\n{pad}{text}", "-falign-functions=2")
    done = compare(dot(before), dot(after))
    (function,) = done.functions
    assert function.before.address != function.after.address
    assert function.kind in {"equal", "placement"}
    if function.kind == "placement":
        assert f"{function.before.address:#010x}" in words(render_text(done))
    assert [i.text for i in function.before.detail.instructions] == [
        i.text for i in function.after.detail.instructions
    ]


def test_more_data_is_more_iterations_of_the_same_code(build) -> None:
    elf = build("k.c", DOT.replace("@EXTRA@", ""))
    done = compare(dot(elf), dot(elf, n=100))
    (function,) = done.functions
    assert function.kind == "executions"
    assert "(64 → 100 iterations)" in headline(done)
    assert "executed another number of times" in words(render_text(done))


def test_other_board_is_told(build) -> None:
    elf = build("k.c", DOT.replace("@EXTRA@", ""))
    a = np.arange(64, dtype=np.int16)
    sides = [
        snapshot(m7sim.load(elf, clock_hz=clock_hz).call("dot", a, a, 64))
        for clock_hz in (16_000_000, 216_000_000)
    ]
    done = compare(*sides)
    assert ("clock_hz", 16_000_000, 216_000_000) in done.configuration
    assert "Simulated otherwise" in words(render_text(done))
    assert "| clock hz | 16000000 | 216000000 |" in render_markdown(done)
