"""Coverage without instrumentation against gcov's, of the same C compiled for this computer."""

from __future__ import annotations

import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from m7sim.export.lcov import Coverage, FileCoverage

pytestmark = pytest.mark.toolchain

# Lines that gcov counts although no code is theirs: declarations of functions, and labels.
NO_CODE = re.compile(r"\s*((case \d+|default|[a-z]+):|(static )?int \w+\(.*\))$")
# A compiler lets other jumps go past these straight to where they lead, even at -O0.
JUMP = re.compile(r"\s*(continue|break|goto \w+);$")

BY_HAND = """\
volatile int input[8] = {3, -1, 4, 1, 5, -9, 2, 6};

static int clamp(int x, int low, int high)
{
    if (x < low)
        return low;
    if (x > high)
        return high;
    return x;
}

static int kind(int x)
{
    switch (x & 7) {
    case 0:
        return 5;
    case 1:
        x += 2;
        break;
    case 2:
        x -= 7;
        /* fall through */
    case 3:
        x ^= 9;
        break;
    case 4:
        return x + 1;
    case 5:
        return x - 3;
    default:
        x = x * 3;
    }
    return x;
}

int factorial(int n)
{
    return n <= 1 ? 1 : n * factorial(n - 1);
}

int never(int x)
{
    for (int i = 0; i < x; i++)
        x += input[i & 7];
    return x;
}

int one_line(int n) { int s = 0; for (int i = 0; i < n; i++) s += i; return s; }

int work(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        if (input[i & 7] > 0 && (i & 1) == 0)
            sum += clamp(input[i & 7], -2, 4);
        else if (input[i & 7] < -5 || i > 100)
            sum -= 1;
        else
            sum++;
        if (i > 1000)
            break;
    }
    int k = 0;
    while (k < 3) { sum += kind(k + n); k++; }
    do {
        sum += 2;
    } while (sum < 10);
    if (sum == 12345)
        goto out;
    sum += factorial(
        4 +
        one_line(n));
out:
    return sum;
}

int main(void)
{
    int s = work(5);
    s += work(9);
    if (s == 0)
        s = never(s);
    return 0;
}
"""


class Writer:
    """Writes one statement per line; loops are bounded by counters of their own."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.lines: list[str] = []
        self.loops = 0

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def value(self) -> str:
        return self.pick.choice(["a", "b", "c", "input[a & 7]", str(self.pick.randrange(1, 99))])

    def condition(self) -> str:
        left, right = self.pick.sample("abc", 2)  # nothing that a compiler folds
        right = self.pick.choice([right, "input[a & 7]", str(self.pick.randrange(-9, 99))])
        one = f"{left} {self.pick.choice(['<', '>', '==', '!='])} {right}"
        if self.pick.random() < 0.3:
            other = f"(input[b & 7] & {self.pick.choice([1, 2, 3])}) == 0"
            return f"{one} {self.pick.choice(['&&', '||'])} {other}"
        return one

    def simple(self, depth: int, callees: list[str]) -> None:
        name = self.pick.choice("abc")
        kind = self.pick.randrange(4 if callees else 3)
        if kind == 0:
            self.line(depth, f"{name} += {self.value()};")
        elif kind == 1:
            self.line(depth, f"{name} = {self.condition()} ? {self.value()} : b + 1;")
        elif kind == 2:
            self.line(depth, f"{name} ^= ({self.value()}) * 5;")
        else:
            self.line(depth, f"{name} = {self.pick.choice(callees)}({self.value()}, {name});")

    def block(self, depth: int, callees: list[str], loop: bool) -> None:
        for _ in range(self.pick.randrange(1, 4)):
            self.statement(depth, callees, loop)

    def statement(self, depth: int, callees: list[str], loop: bool) -> None:
        kind = (
            "simple"
            if depth > 4
            else self.pick.choice(
                ["simple", "simple", "if", "if", "for", "while", "do", "switch", "leave"]
            )
        )
        if kind == "simple":
            self.simple(depth, callees)
        elif kind == "if":
            self.line(depth, f"if ({self.condition()}) {{")
            self.block(depth + 1, callees, loop)
            if self.pick.random() < 0.5:
                self.line(depth, "} else {")
                self.block(depth + 1, callees, loop)
            self.line(depth, "}")
        elif kind == "leave":
            leave = self.pick.choice(
                ["return a;", "break;", "continue;"] if loop else ["return b;"]
            )
            self.line(depth, f"if ({self.condition()})")
            self.line(depth + 1, leave)
        elif kind == "switch":
            self.line(depth, f"switch (({self.value()}) & 7) {{")
            for case in self.pick.sample(range(8), self.pick.randrange(2, 7)):
                self.line(depth, f"case {case}:")
                self.simple(depth + 1, callees)
                if self.pick.random() < 0.8:
                    self.line(depth + 1, "break;")
            self.line(depth, "}")
        else:
            self.repeat(kind, depth, callees)

    def repeat(self, kind: str, depth: int, callees: list[str]) -> None:
        self.loops += 1
        index, times = f"i{self.loops}", self.pick.randrange(0, 5)
        if kind == "for":
            self.line(depth, f"for (int {index} = 0; {index} < {times}; {index}++) {{")
            self.block(depth + 1, callees, True)
            self.line(depth, "}")
            return
        self.line(depth, f"int {index} = {times};")
        head, tail = ("do {", f"}} while ({index} > 0);")
        if kind == "while":
            head, tail = (f"while ({index} > 0) {{", "}")
        self.line(depth, head)
        self.line(depth + 1, f"{index} -= 1;")
        self.block(depth + 1, callees, True)
        self.line(depth, tail)


def program(seed: int) -> str:
    """Return a program of a few functions that only depends on the seed."""
    writer = Writer(seed)
    writer.line(0, "volatile int input[8] = {3, -1, 4, 1, -5, 9, 2, 6};")
    names: list[str] = []
    for number in range(4):
        writer.line(0, "")
        writer.line(0, f"{'static ' if number else ''}int f{number}(int a, int b)")
        writer.line(0, "{")
        writer.line(1, "int c = input[b & 7];")
        for _ in range(4):
            writer.statement(1, names, False)
        writer.line(1, "return a + b + c;")
        writer.line(0, "}")
        names.append(f"f{number}")
    writer.line(0, "")
    writer.line(0, "int main(void)")
    writer.line(0, "{")
    writer.line(1, "int total = 0;")
    writer.line(1, "for (int k = 0; k < 8; k++) {")
    for name in names:
        writer.line(2, f"total += {name}(k * 3, input[k]);")
    writer.line(1, "}")
    writer.line(1, "return total == 123456789;")
    writer.line(0, "}")
    return "\n".join(writer.lines) + "\n"


def gcov(source: Path) -> dict[str, Any]:
    """Run a program on this computer and return what gcov says of it."""
    folder = source.parent
    for command in (["gcc", "-O0", "-w", "--coverage", source.name, "-o", "host"], ["./host"]):
        subprocess.run(command, cwd=folder, check=True, timeout=60)
    command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", f"host-{source.stem}"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    (counted,) = json.loads(done.stdout)["files"]
    return counted


def compare(source: Path, own: FileCoverage, *, exact: bool) -> int:
    """Compare counts with gcov's; return the number of lines and branches that were compared.

    Without ``exact``, gcov may say more of lines with && and ||: it adds the block behind the
    opening brace to some of them.
    """
    text = ["", *source.read_text().splitlines()]
    counted = gcov(source)
    wrong, compared = [], 0
    lines = {entry["line_number"]: entry for entry in counted["lines"]}
    missing = [text[n] for n in lines.keys() - own.lines.keys()]
    assert not [line for line in missing if not NO_CODE.match(line) and not JUMP.match(line)]
    assert {text[n].strip() for n in own.lines.keys() - lines.keys()} <= {"{", "}"}
    for number in sorted(lines.keys() & own.lines.keys()):
        ours, theirs = own.lines[number], lines[number]["count"]
        equal = ours == theirs
        if JUMP.match(text[number]):
            equal = ours <= theirs
        elif not exact and ("&&" in text[number] or "||" in text[number]):
            equal = ours <= theirs and bool(ours) == bool(theirs)
        if not equal:
            wrong.append((number, text[number], ours, theirs))
        compared += 1
        branches = list(own.branches.get(number, {}).values())
        taken = [branch["count"] for branch in lines[number]["branches"]]
        if len(taken) == 2 and [len(ways) for ways in branches] == [2]:
            if sorted(n or 0 for n in branches[0]) != sorted(taken):
                wrong.append((number, text[number], branches, taken))
            compared += 1
    assert not wrong
    functions = {f["name"]: (f["start_line"], f["execution_count"]) for f in counted["functions"]}
    assert own.functions == functions
    return compared


def test_a_program_of_every_statement(firmware_of, tmp_path):
    result = firmware_of(BY_HAND, "-O0", "-g3", "-w").run("main")
    own = Coverage.of(result, roots=[tmp_path]).files[str(tmp_path / "prog.c")]
    assert compare(tmp_path / "prog.c", own, exact=True) > 50


@pytest.mark.parametrize("seed", range(6))
def test_random_programs(firmware_of, tmp_path, seed):
    result = firmware_of(program(seed), "-O0", "-g3", "-w").run("main")
    own = Coverage.of(result, roots=[tmp_path]).files[str(tmp_path / "prog.c")]
    assert compare(tmp_path / "prog.c", own, exact=False) > 150
