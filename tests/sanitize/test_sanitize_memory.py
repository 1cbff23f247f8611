"""Bounds, const, values and the stack: what is told of which access, to the byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from m7sim import toolchain
from m7sim.cli import main
from m7sim.errors import FirmwareError, InputError, LimitError
from m7sim.sanitize import Finding, Rules
from m7sim.sanitize.finding import fold
from m7sim.session import Firmware, load

pytestmark = pytest.mark.toolchain

BOARD = toolchain.firmware_dir() / "board"
SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair { int32_t a; int32_t b[5]; double c; char d; };
extern int32_t before[4], apart[4], behind[4];
int32_t before[4] = {1, 2, 3, 4};
char odd[3] = "ab";
int32_t zeros[6];
const int16_t table[5] = {1, 2, 3, 4, 5};

int touch(const uint8_t *x, int offset, int size)
{
    const volatile uint8_t *p = x + offset;
    if (size == 1) return *p; /* touch1 */
    if (size == 2) return *(const volatile uint16_t *)p; /* touch2 */
    if (size == 4) return *(const volatile uint32_t *)p; /* touch4 */
    int low, high;
    __asm__ volatile("ldm %2, {%0, %1}" : "=&r"(low), "=&r"(high) : "r"(p)); /* touch8 */
    return low + high;
}
void poke(uint8_t *x, int offset) { *(volatile uint8_t *)(x + offset) = 1; /* poke */ }
void poke_at(uint32_t address) { *(volatile uint8_t *)address = 1; /* poke_at */ }
int peek_at(uint32_t address) { return *(volatile uint8_t *)address; /* peek_at */ }
int peek_word(uint32_t address) { return *(volatile int *)address; /* peek_word */ }
void second(int32_t *y, int n) { for (int i = 0; i < n; i++) y[i] = y[i] + i; /* second */ }
void fill(int32_t *y, int n) { for (int i = 0; i < n; i++) y[i] = i; }
void tail_call(int32_t *y, const int32_t *x, int n) { memcpy(y, x, 4 * n); /* tail_call */ }
void via_memcpy(int32_t *y, const int32_t *x, int n)
{
    memcpy(y, x, 4 * n); /* via_memcpy */
    y[0]++;
}
int set_pair(struct pair *p) { p->b[4] = p->a; return 1; }
int set_const(const struct pair *p) { ((struct pair *)p)->a = 1; return 1; /* set_const */ }
struct pair give_pair(int a) { struct pair p; p.a = a; return p; }

__attribute__((noinline)) static void half(struct pair *p) { p->a = 3; p->d = 1; }
int copies_padding(void)
{
    struct pair one, two;
    half(&one);
    memcpy(&two, &one, sizeof two);
    struct pair three = two;
    return three.a + three.d;
}
int uses_padding(int at)
{
    struct pair one, two;
    half(&one);
    memcpy(&two, &one, sizeof two); /* copies */
    return *(volatile int32_t *)&two.b[at] + 1;
}
int returns_nothing(int n) { volatile int x; if (n) x = n; return x; /* returns_nothing */ }
void leaks(int32_t *y) { volatile int32_t x[2]; x[0] = 1; y[0] = x[0]; y[1] = x[1]; /* leaks */ }
int bits(int n)
{
    struct { unsigned a : 5, b : 7; } s;
    s.a = n; s.b = 3;
    volatile unsigned *p = (volatile unsigned *)&s;
    return (*p & 31) == (unsigned)n;
}
int sum_zeros(int n)
{
    int s = 0;
    for (int i = 0; i < n; i++) s += zeros[i]; /* sum_zeros */
    return s;
}
static int total(const int32_t *x, int n)
{
    int s = 0;
    for (int i = 0; i < n; i++) s += x[i];
    return s;
}
int sum_both(void)
{
    const int32_t *all[] = {before, zeros};
    int s = 0;
    for (int k = 0; k < 2; k++) for (int i = 0; i < 4 + 2 * k; i++) s += all[k][i];
    return s + total(before, 4) + total(zeros, 6);
}
int read_table(int at) { return *(volatile const int16_t *)((const char *)table + at); }
int depth(int n) { volatile char room[256]; room[0] = n; return n ? depth(n - 1) + room[0] : 0; }
int variable(int n)
{
    volatile char room[n];
    room[0] = 1; room[n - 1] = 2;
    return room[0] + room[n - 1];
}
int heap(int n) { volatile char *p = malloc(n); p[0] = p[n - 1] = 1; free((void *)p); return 1; }
int below(void)
{
    int x;
    __asm__ volatile("str %1, [sp, #-8]\n\tldr %0, [sp, #-8]" : "=r"(x) : "r"(5) : "memory");
    return x;
}
int needs_r5(void);
__asm__(".thumb_func\n.global needs_r5\n.type needs_r5, %function\n"
        "needs_r5: add r0, r5, #1\nbx lr\n");
int spin(const uint8_t *x) { for (;;) if (*(const volatile uint8_t *)(x + 4) == 77) return 1; }
int reads_file(void)
{
    char text[64];
    FILE *file = fopen("words.txt", "rb");
    size_t n = fread(text, 1, sizeof text, file);
    int sum = 0;
    for (size_t i = 0; i < n; i++) sum += text[i];
    return sum;
}
int main(int argc, char **argv)
{
    printf("%d %s %5.2f\n", argc, argv[0], 1.5);
    return argc > 1 ? touch((const uint8_t *)zeros, 12 * argc, 1) + sum_zeros(7) : 0;
}
"""
# every function of the source that is called by name
KEPT = re.findall(r"^(?:int|void|struct pair) (\w+)\(", SOURCE, re.MULTILINE)


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("sanitize") / "memory.c"
    source.write_text(f"{SOURCE}/* {source} */\n")  # an ELF made before has another folder in it
    return toolchain.build(
        [source, BOARD / "startup.c", BOARD / "syscalls.c"],
        include=[toolchain.firmware_dir() / "include"],
        flags=("-O2", "-g", "-fno-inline", "-fno-ipa-cp", "-fno-ipa-sra"),
        link_flags=("-nostartfiles", "-lm"),
        keep=KEPT,
    )


@pytest.fixture(scope="module")
def firmware(elf: Path, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    folder = tmp_path_factory.mktemp("files")
    (folder / "words.txt").write_text("what the host writes has a value")
    return load(elf, board="stm32f746", time=False, files=folder)


Find = Callable[..., tuple[Finding, ...]]


@pytest.fixture
def find(firmware: Firmware) -> Find:
    def call(name: str, *arguments: object, **options: object) -> tuple[Finding, ...]:
        options.setdefault("sanitize", True)
        return firmware.call(name, *arguments, **options).findings  # type: ignore[arg-type]

    return call


def line(mark: str) -> int:
    return next(n for n, text in enumerate(SOURCE.split("\n"), 1) if f"/* {mark} */" in text)


def array(size_bytes: int) -> np.ndarray:
    return np.arange(size_bytes, dtype=np.uint8)


# Bounds of arrays ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_reads_are_checked_to_the_byte(find: Find, size: int) -> None:
    """Every offset around an array of every small size, against plain arithmetic."""
    for length in (1, 2, 3, 7, 8, 13):
        for offset in (*range(-9, 9), *range(length - 9, length + 9)):
            at = offset & ~3 if size == 8 else offset
            found = find("touch", array(length), at, size)
            pieces = [(at, 4), (at + 4, 4)] if size == 8 else [(at, size)]
            outside = [p for p, n in pieces if p < 0 or p + n > length]
            assert bool(found) == bool(outside), (length, at)
            if not found:
                continue
            assert len(found) == 1
            assert found[0].kind == "out_of_bounds_read"
            assert found[0].line == line(f"touch{size}")
            assert found[0].object == "x"
            assert found[0].offset_bytes == outside[0]
            assert found[0].size_bytes == (4 if size == 8 else size)


@pytest.mark.parametrize("name", ["via_memcpy", "tail_call"])
def test_an_overrun_in_the_library_is_told_at_its_call(find: Find, name: str) -> None:
    y, x = np.zeros(4, np.int32), np.zeros(4, np.int32)
    (read, write) = find(name, y, x, 5)
    assert {read.kind, write.kind} == {"out_of_bounds_read", "out_of_bounds_write"}
    assert {read.object, write.object} == {"x", "y"}
    for finding in (read, write):
        assert finding.function == name
        assert finding.line == line(name)
        assert "calls memcpy, which " in finding.what
        assert finding.offset_bytes == 16


def test_messages_name_array_and_distance(find: Find) -> None:
    (past,) = find("touch", array(6), 4, 4)
    at = past.address
    assert str(past) == (
        f"out_of_bounds_read: touch at memory.c:{line('touch4')} reads 4 bytes at 0x{at:08x}, "
        "2 of them past the end of array 'x' (argument 1, uint8[6], 6 bytes)"
    )
    (far,) = find("touch", array(6), 10, 1)
    assert "1 byte at" in far.what
    assert "4 bytes past the end of array 'x'" in far.what
    (front,) = find("touch", array(6), -3, 1)
    assert "3 bytes before the start of array 'x'" in front.what
    (just,) = find("poke", array(6), 6)
    assert "just past the end of array 'x'" in just.what


def test_findings_are_folded_and_counted(find: Find) -> None:
    (finding,) = [f for f in find("second", np.zeros(4, np.int32), 9) if "read" in f.kind]
    assert finding.count == 5
    assert finding.offset_bytes == 16
    assert finding.instruction > 0
    assert "(5 times)" in str(finding)


def test_a_sanitized_call_computes_the_same(firmware: Firmware) -> None:
    plain, checked = np.zeros(9, np.int32), np.zeros(9, np.int32)
    one = firmware.call("second", plain, 9)
    two = firmware.call("second", checked, 9, sanitize=True)
    assert (plain == checked).all()
    assert one.instructions == two.instructions == two.usage.instructions
    assert one.findings == two.findings == ()
    assert one.usage is None
    assert two.usage.accesses == 18
    (buffer,) = one.buffers
    assert (buffer.name, buffer.size_bytes, buffer.writable) == ("y", 36, True)


def test_memory_of_structs_and_texts_is_checked_too(find: Find) -> None:
    pair = {"a": 1, "b": [0] * 5, "c": 0.0, "d": 0}
    assert find("set_pair", pair) == ()
    (finding,) = find("set_const", pair)
    assert finding.kind == "const_write"
    assert finding.line == line("set_const")
    (text,) = find("touch", b"abc", 3, 1)
    assert "array 'x' (argument 1, 3 bytes, 3 bytes)" in text.what
    assert find("give_pair", 3) == ()


def test_buffers_that_stay_are_known(firmware: Firmware, find: Find) -> None:
    kept = firmware.machine.alloc(array(5))
    assert find("touch", kept, 4, 1) == ()
    (finding,) = find("touch", kept, 5, 1)
    kept.free()
    assert finding.object == f"buffer at 0x{kept.address:08x}"


def test_an_array_in_flash_may_be_read_but_not_written(find: Find) -> None:
    assert find("touch", array(8), 4, 4, place={"x": "FLASH"}) == ()
    pair = {"a": 1, "b": [0] * 5, "c": 0.0, "d": 0}
    with pytest.raises(FirmwareError, match=r"read-only FLASH.*\[const_write: set_const") as error:
        find("set_const", pair, place="FLASH")
    (finding,) = error.value.findings
    assert finding.kind == "const_write"
    assert finding.line == line("set_const")


# Variables and all else ------------------------------------------------------------------------


def test_an_access_across_the_end_of_a_variable(firmware: Firmware, find: Find) -> None:
    start = firmware.image.symbol("odd").address
    assert find("peek_at", start + 2) == ()
    (padding,) = find("peek_at", start + 3)
    assert padding.kind == "out_of_bounds_read"
    assert padding.object == "odd"
    assert padding.offset_bytes == 3
    (across,) = find("peek_word", start)
    assert "1 of them past the end of 'odd' (3 bytes)" in across.what
    (constant,) = find("read_table", 9)
    assert constant.object == "table"
    assert find("read_table", 8) == ()


def test_a_loop_that_walks_out_of_a_variable(find: Find) -> None:
    assert find("sum_zeros", 6) == ()
    (finding,) = find("sum_zeros", 8)
    assert finding.kind == "out_of_bounds_read"
    assert finding.line == line("sum_zeros")
    assert finding.object == "zeros"
    assert finding.offset_bytes == 24


def test_one_loop_over_two_neighbours_is_no_walk(find: Find) -> None:
    assert find("sum_both") == ()


def test_memory_of_nobody(find: Find) -> None:
    (finding,) = find("poke_at", 0x2003_0000)
    assert finding.kind == "wild_write"
    assert "SRAM1" in finding.what
    with pytest.raises(FirmwareError) as error:
        find("peek_at", 0x3000_0000)
    assert [f.kind for f in error.value.findings] == ["wild_read"]
    assert error.value.findings[0].line == line("peek_at")


def test_peripherals_and_heap_are_no_ones_business(find: Find) -> None:
    assert find("peek_word", 0xE000_ED00) == ()
    assert find("heap", 40) == ()


# Values ----------------------------------------------------------------------------------------


def test_outputs_are_undefined_until_written(find: Find) -> None:
    for outputs in (("y",), (0,)):
        (finding,) = find("second", np.zeros(4, np.int32), 4, sanitize=Rules(outputs=outputs))
        assert finding.kind == "uninitialised_read"
        assert finding.line == line("second")
        assert finding.object == "y"
        assert finding.count == 4
    assert find("fill", np.zeros(4, np.int32), 4, sanitize=Rules(outputs=("y",))) == ()
    assert find("fill", np.zeros(4, np.int32), 3, sanitize=Rules(outputs=("y",))) == ()


def test_outputs_can_be_asked_to_be_complete(find: Find) -> None:
    rules = Rules(outputs=("y",), complete_outputs=True)
    assert find("fill", np.zeros(4, np.int32), 4, sanitize=rules) == ()
    (finding,) = find("fill", np.zeros(4, np.int32), 3, sanitize=rules)
    assert finding.kind == "unwritten_output"
    assert "leaves 4 bytes of array 'y'" in finding.what
    assert finding.offset_bytes == 12


def test_copies_of_nothing_are_fine_but_not_their_use(find: Find) -> None:
    assert find("copies_padding") == ()
    assert find("bits", 9) == ()
    (finding,) = find("uses_padding", 2)
    assert finding.kind == "uninitialised_read"
    assert finding.line == line("copies")
    assert ", for use at memory.c:" in finding.what


def test_what_leaves_a_function_must_have_a_value(find: Find) -> None:
    assert find("returns_nothing", 1) == ()
    (local,) = find("uses_padding", 3)
    assert (local.object, local.offset_bytes) == ("one", 4 + 4 * 3)
    (finding,) = find("returns_nothing", 0)
    assert finding.kind == "uninitialised_read"
    assert finding.line == line("returns_nothing")
    assert finding.what.endswith("and returns it")
    (leak,) = find("leaks", np.zeros(2, np.int32))
    assert (leak.kind, leak.line) == ("uninitialised_read", line("leaks"))


def test_registers_that_nobody_set(find: Find) -> None:
    (finding,) = find("needs_r5")
    assert finding.kind == "uninitialised_read"
    assert finding.object == "register r5"


def test_what_the_host_writes_has_a_value(find: Find, firmware: Firmware) -> None:
    assert find("reads_file") == ()
    assert firmware.call("reads_file").value == sum(b"what the host writes has a value")


# The stack -------------------------------------------------------------------------------------


def test_the_stack_is_measured_to_the_byte(firmware: Firmware) -> None:
    one, two, ten = (firmware.call("depth", n, sanitize=True) for n in (1, 2, 10))
    step = two.usage.stack_bytes - one.usage.stack_bytes
    assert step > 256
    assert ten.usage.stack_bytes == one.usage.stack_bytes + 9 * step
    assert ten.stack_bytes <= ten.usage.stack_bytes
    assert ten.usage.stack_room_bytes == 0x2000
    assert not ten.findings


def test_an_overflow_is_one_finding(firmware: Firmware) -> None:
    one, two = (firmware.call("depth", n, sanitize=True).usage.stack_bytes for n in (1, 2))
    most = (0x2000 - one) // (two - one) + 1
    assert firmware.call("depth", most, sanitize=True).findings == ()
    with pytest.raises(FirmwareError, match="stack overflow") as error:
        firmware.call("depth", most + 3, sanitize=True)
    (finding,) = error.value.findings
    assert finding.kind == "stack_overflow"
    assert finding.function == "depth"
    assert finding.count > 1
    firmware.reset()


def test_a_stack_pointer_that_data_moves_is_followed(firmware: Firmware) -> None:
    for n in (8, 100, 1000):
        result = firmware.call("variable", n, sanitize=True)
        assert result.findings == ()
        assert n <= result.usage.stack_bytes <= n + 48


def test_below_the_stack_pointer(find: Find) -> None:
    (finding,) = find("below")
    assert finding.kind == "below_sp"
    assert "8 bytes below the stack pointer" in finding.what
    assert finding.count == 2


# Rules -----------------------------------------------------------------------------------------


def test_over_reads_can_be_declared(find: Find) -> None:
    rules = Rules(over_read_bytes={"x": 2, "zeros": 4})
    assert find("touch", array(6), 4, 4, sanitize=rules) == ()
    assert find("touch", array(6), 7, 1, sanitize=rules) == ()
    (more,) = find("touch", array(6), 8, 1, sanitize=rules)
    assert more.offset_bytes == 8
    assert find("sum_zeros", 7, sanitize=rules) == ()
    (walked,) = find("sum_zeros", 8, sanitize=rules)
    assert walked.object == "zeros"
    assert walked.offset_bytes == 28
    (written,) = find("poke", array(6), 6, sanitize=rules)
    assert written.kind == "out_of_bounds_write"


def test_findings_can_be_allowed(find: Find) -> None:
    for allow in (("touch", "out_of_bounds_read"), ("to*", "*_read"), ("*", "*")):
        assert find("touch", array(6), 6, 1, sanitize=Rules(allow=(allow,))) == ()
    for allow in (("touch", "out_of_bounds_write"), ("poke", "*")):
        assert len(find("touch", array(6), 6, 1, sanitize=Rules(allow=(allow,)))) == 1
    y, x = np.zeros(4, np.int32), np.zeros(4, np.int32)
    for function in ("memcpy", "via_memcpy"):
        assert find("via_memcpy", y, x, 5, sanitize=Rules(allow=((function, "*"),))) == ()


def test_rules_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        "outputs = ['y', 2]\ncomplete_outputs = true\nguard_bytes = 32\n"
        "[over_read_bytes]\nx = 4\n"
        "[[allow]]\nfunction = 'crc*'\nkind = 'const_write'\nwhy = 'by design'\n"
    )
    assert Rules.load(file) == Rules({"x": 4}, (("crc*", "const_write"),), ("y", 2), True, 32)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("guard = 3", "unknown key 'guard'"),
        ("guard_bytes = '3'", "not of type int"),
        ("[over_read_bytes]\nx = 65", "over-read of 65 bytes"),
        ("[over_read_bytes]\nx = true", "over_read_bytes of 'x' is True"),
        ("[[allow]]\nfunction = 'f'", "allow has"),
        ("[[allow]]\nfunction = 'f'\nkind = 'out_of_bound_read'", "no kind of finding"),
        ("[[allow]]\nfunction = 1\nkind = 'below_sp'", "not all text"),
        ("outputs = ", "not valid TOML"),
    ],
)
def test_wrong_rules_are_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        Rules.load(file)


# Ends of all kinds, and whole runs ---------------------------------------------------------------


def test_a_limit_does_not_lose_findings(firmware: Firmware) -> None:
    with pytest.raises(LimitError) as error:
        firmware.call("spin", array(4), max_instructions=1000, sanitize=True)
    (finding,) = error.value.findings
    assert finding.kind == "out_of_bounds_read"
    assert finding.count > 100


def test_a_run_from_reset_is_clean_until_it_errs(firmware: Firmware) -> None:
    result = firmware.run(sanitize=True)
    assert (result.exit_code, result.findings) == (0, ())
    again = firmware.run(arguments="one two", sanitize=True)
    assert {f.object for f in again.findings} == {"zeros"}
    assert {f.kind for f in again.findings} == {"out_of_bounds_read"}
    assert again.console == firmware.run(arguments="one two").console
    assert firmware.run().findings == ()


def test_data_that_start_up_code_forgot(tmp_path: Path) -> None:
    source = tmp_path / "forgets.c"
    source.write_text(
        "int zeroed; static void copies(void) {}\n"
        "int main(void);\n"
        'void Reset_Handler(void) { copies(); main(); __asm__("b ."); }\n'
        '__attribute__((section(".isr_vector"), used)) static void *const vectors[] = '
        "{(void *)0x20010000, (void *)Reset_Handler};\n"
        "int main(void) { return ++zeroed; }\n"
    )
    elf = toolchain.build([source], link_flags=("-nostartfiles",))
    result = load(elf, time=False).run(sanitize=True, max_instructions=1000)
    (finding,) = result.findings
    assert finding.kind == "uninitialised_read"
    assert finding.object == "zeroed"
    assert finding.line == 5


def test_the_command(elf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sanitize", str(elf)]) == 0
    assert "findings      none" in capfd.readouterr().out
    assert main(["sanitize", str(elf), "--args", "one two", "--json"]) == 1
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert {f["kind"] for f in document["findings"]} == {"out_of_bounds_read"}
    assert document["accesses"] > 100
    assert "1 finding: out_of_bounds_read: " in err
    command = ["sanitize", str(elf), "--args", "one two"]
    assert main(command) == 1
    out, _ = capfd.readouterr()
    assert "just past the end of 'zeros' (24 bytes)" in " ".join(out.split())
    assert "| for (int i = 0; i < n; i++) s += zeros[i]; /* sum_zeros */" in out
    assert main([*command, "--allow", "touch:*", "--allow", "sum_zeros:*"]) == 3  # exits with 21
    rules = tmp_path / "rules.toml"
    rules.write_text("[[allow]]\nfunction = '*'\nkind = 'out_of_bounds_*'\n")
    assert main([*command, "--rules", str(rules)]) == 3
    assert main([*command, "--allow", "touch"]) == 2
    assert "not of the form function:kind" in capfd.readouterr().err


def test_folding_keeps_what_came_first() -> None:
    late = Finding("below_sp", "writes", 8, line=3, object="stack", count=2, instruction=9)
    early = replace(late, instruction=4, count=1)
    other = replace(late, line=4, instruction=1)
    assert fold([late, early, other]) == (other, replace(early, count=3))
