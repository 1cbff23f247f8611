"""Random Thumb programs, encoded by hand: every addressing mode, in blocks with branches.

Words in RAM start out as pointers into RAM, so that chasing them mostly stays in memory; a program
that does fault is as good a test.
"""

from __future__ import annotations

import random

RAM, RAM_BYTES = 0x2000_0000, 1 << 16
COUNTER = 7


def pointers(rng: random.Random) -> bytes:
    """Fill RAM with pointers to words in its middle half."""
    words = [
        RAM + RAM_BYTES // 4 + 4 * rng.randrange(RAM_BYTES // 8) for _ in range(RAM_BYTES // 4)
    ]
    return b"".join(word.to_bytes(4, "little") for word in words)


class Generator:
    """Writes one program; ``text`` is its code as halfwords."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.code: list[int] = []
        self.bases = set(range(5))

    def program(self) -> bytes:
        rng = self.rng
        for register in range(5):
            self.pointer(register)
        self.code += [0xEC90 | rng.randrange(5), 0x0A10]  # vldmia: s0 … s15 hold pointers
        self.code += [0xB0FF]  # sub sp, #508
        self.index(5)
        self.index(6)
        self.move(COUNTER, rng.randrange(1, 6))
        start = len(self.code)
        for _ in range(rng.randrange(1, 9)):
            self.segment()
        self.code += [0x3801 | COUNTER << 8]  # subs counter, #1
        self.branch(1, start - len(self.code))
        self.code += [0x4770]  # bx lr
        return b"".join(half.to_bytes(2, "little") for half in self.code)

    def index(self, register: int) -> None:
        self.move(register, self.rng.randrange(4) * self.step())

    def step(self) -> int:
        """Keep most addresses aligned, so that most loaded words are pointers."""
        return 4 if self.rng.random() < 0.97 else 1

    def segment(self) -> None:
        rng = self.rng
        for _ in range(rng.randrange(1, 9)):
            rng.choice((self.memory, self.memory, self.memory, self.arithmetic))()
        kind = rng.randrange(4)
        if kind == 0:
            self.it_block()
        elif kind == 1:
            self.skip()
        elif kind == 2:
            self.pointer(rng.randrange(5))

    def it_block(self) -> None:
        rng = self.rng
        self.compare()
        count, condition = rng.randrange(1, 5), rng.randrange(14)
        mask = 0
        for _ in range(count - 1):  # the lowest bit of each further condition
            mask = mask << 1 | rng.randrange(2)
        mask = (mask << 1 | 1) << (4 - count)
        self.code.append(0xBF00 | condition << 4 | mask)
        for _ in range(count):
            rng.choice((self.memory, self.memory, self.add_shifted))()

    def skip(self) -> None:
        """Branch over a few instructions, or not."""
        self.compare()
        at = len(self.code)
        self.code += [0, 0]
        for _ in range(self.rng.randrange(1, 4)):
            self.memory()
        behind = self.code[at + 2 :]
        self.code[at:] = []
        self.branch(self.rng.randrange(14), len(behind) + 2)
        self.code += behind

    def branch(self, condition: int, distance: int) -> None:
        """Add b<c>.w to ``distance`` halfwords from here (encoding T3)."""
        offset = 2 * distance - 4
        s, j2, j1 = offset >> 20 & 1, offset >> 19 & 1, offset >> 18 & 1
        self.code += [
            0xF000 | s << 10 | condition << 6 | offset >> 12 & 0x3F,
            0x8000 | j1 << 13 | j2 << 11 | offset >> 1 & 0x7FF,
        ]

    def compare(self) -> None:
        self.code.append(0x2800 | self.rng.choice((5, 6, COUNTER)) << 8 | self.rng.randrange(6))

    def move(self, register: int, value: int) -> None:
        """Add movw."""
        self.code += [
            0xF240 | value >> 12 & 15 | (value >> 11 & 1) << 10,
            (value >> 8 & 7) << 12 | register << 8 | value & 0xFF,
        ]

    def pointer(self, register: int) -> None:
        value = RAM + RAM_BYTES // 4 + 4 * self.rng.randrange(RAM_BYTES // 8)
        self.move(register, value & 0xFFFF)
        self.move(register, value >> 16)
        self.code[-2] |= 0x80  # movt
        self.bases.add(register)

    def arithmetic(self) -> None:
        rng = self.rng
        kind = rng.randrange(7)
        a, b = rng.randrange(5), rng.choice(sorted(self.bases) or [0])
        if kind == 0:
            self.code.append(0x4600 | b << 3 | a)  # mov a, b
        elif kind == 1:
            self.code += [0xF100 | b, a << 8 | rng.randrange(16) * self.step()]  # add.w a, b, #n
        elif kind == 2:
            self.code += [0xF1A0 | b, a << 8 | rng.randrange(16) * self.step()]  # sub.w a, b, #n
        elif kind == 3:
            self.add_shifted()
            return
        elif kind == 4:
            self.derived_index(rng.choice((5, 6)), rng.choice((b, 5, 6)))
            return
        elif kind == 5:  # bfi a, index, #2, #6; bic.w a, b, #255
            bfi = [0xF360 | rng.choice((5, 6)), b << 8 | 0x87]
            self.code += bfi if rng.random() < 0.5 else [0xF020 | b, b << 8 | 0xFF]
            return
        else:
            self.code.append(0x4040 | b << 3 | rng.choice((5, 6)))  # eors
            self.index(5)
            self.index(6)
            return
        self.bases.add(a)

    def derived_index(self, index: int, source: int) -> None:
        """Make a small multiple of 4 of any register."""
        rng = self.rng
        kind, lowest = rng.randrange(5), rng.randrange(8)
        by_four = [0xEA4F, index << 8 | 0x80 | index]  # lsl.w index, index, #2
        if kind == 0:
            self.code += [0xF000 | source, index << 8 | 0xFC]  # and.w
        elif kind == 1:  # ubfx, six bits
            self.code += [0xF3C0 | source, (lowest >> 2) << 12 | index << 8 | (lowest & 3) << 6 | 5]
            self.code += by_four
        elif kind == 2:
            self.code += [0xFA5F, 0xF080 | index << 8 | source, *by_four]  # uxtb.w
        elif kind == 3:
            self.code += [0xEA4F, 0x6010 | index << 8 | source]  # lsr.w #24
        else:  # eor.w, and.w
            self.code += [0xEA80 | source, index << 8 | rng.choice((5, 6))]
            self.code += [0xF000 | index, index << 8 | 0x7C]

    def add_shifted(self) -> None:
        """Add ``add.w a, b, index, lsl #n``."""
        rng = self.rng
        a, b, index, shift = rng.randrange(5), self.base(), rng.choice((5, 6)), rng.randrange(4)
        self.code += [0xEB00 | b, a << 8 | shift << 6 | index]

    def base(self) -> int:
        return self.rng.choice(sorted(self.bases) or [0])

    def memory(self) -> None:
        self.rng.choice(
            (self.offset, self.offset, self.indexed, self.indexed, self.by_register, self.dual,
             self.multiple, self.stack, self.floating)
        )()  # fmt: skip

    def _sized(self) -> tuple[int, bool, int]:
        """Choose opcode bits [6:4] of a single transfer, whether it loads, and its register."""
        rng = self.rng
        size, load = rng.choice((0, 1, 2, 2, 2, 2)), rng.random() < 0.6
        if size == 2 and load:
            return 0x50, True, rng.randrange(5)
        if size == 2:
            return 0x40, False, self.base()
        return size << 5 | load << 4, load, rng.choice((5, 6)) if load else self.base()

    def _loaded(self, register: int) -> None:
        if register < 5:
            self.bases.add(register)

    def offset(self) -> None:
        bits, load, register = self._sized()
        signed = 0x100 if load and bits != 0x50 and self.rng.random() < 0.5 else 0
        offset = self.rng.randrange(64) * self.step()
        self.code += [0xF880 | signed | bits | self.base(), register << 12 | offset]
        if register in (5, 6) and load:
            self.index(register)

    def indexed(self) -> None:
        bits, load, register = self._sized()
        base = self.base()
        if register == base:
            register = next(r for r in (4, 3) if r != base)
        mode = self.rng.choice((0x400, 0x500, 0x700, 0x100, 0x300))  # P, U, W
        self.code += [
            0xF800 | bits | base,
            register << 12 | 0x800 | mode | self.rng.randrange(32) * self.step(),
        ]
        if register in (5, 6) and load:
            self.index(register)

    def by_register(self) -> None:
        bits, load, register = self._sized()
        index, shift = self.rng.choice((5, 6)), self.rng.randrange(4)
        self.code += [0xF800 | bits | self.base(), register << 12 | shift << 4 | index]
        if register in (5, 6) and load:
            self.index(register)

    def dual(self) -> None:
        rng = self.rng
        base = self.base()
        load = rng.random() < 0.5
        mode = rng.choice((0x100, 0x180, 0x120, 0x1A0, 0x020, 0x0A0))  # P, U, W at 8, 7, 5
        first, second = rng.sample([r for r in range(5) if r != base], 2)
        self.code += [
            0xE840 | mode | load << 4 | base,
            first << 12 | second << 8 | rng.randrange(16),
        ]

    def multiple(self) -> None:
        rng = self.rng
        base = self.base()
        load, back = rng.random() < 0.5, rng.randrange(2)
        registers = rng.sample([r for r in range(5) if r != base], rng.randrange(2, 4))
        if load and not back and rng.random() < 0.3:
            registers.append(base)
        mask = sum(1 << r for r in registers)
        direction = rng.choice((0xE880, 0xE900))
        self.code += [direction | back << 5 | load << 4 | base, mask]

    def stack(self) -> None:
        rng = self.rng
        registers = rng.sample(range(5), rng.randrange(1, 5))
        mask = sum(1 << r for r in registers)
        self.code.append((0xB400 if rng.random() < 0.6 else 0xBC00) | mask)

    def floating(self) -> None:
        rng = self.rng
        kind = rng.choice((0xED90, 0xED80, 0xED10, 0xED00))  # vldr, vstr, upwards and downwards
        self.code += [kind | self.base(), rng.randrange(16) << 12 | 0x0A00 | rng.randrange(16)]
