"""The blocks of a run: their bytes, decoded instructions and plans, by id."""

from __future__ import annotations

from dataclasses import dataclass

from m7sim.errors import InputError
from m7sim.isa import decode
from m7sim.isa.code import Code
from m7sim.isa.instruction import Branch, Instruction, Result
from m7sim.trace.linear import ReadWord
from m7sim.trace.plan import BlockPlan, PlanArrays, plan_arrays, plan_block


@dataclass(frozen=True, slots=True)
class BlockSource:
    """What a block was decoded from: enough to decode it again without the ELF."""

    address: int
    data: bytes
    it_conditions: tuple[int, ...] = ()  # left over from an IT block that began before this block


class Blocks:
    """Grows as a run meets new code; ids are those of :class:`m7sim.isa.code.Code`."""

    def __init__(self, read_constant: ReadWord) -> None:
        self.extra: tuple[int, ...] = ()  # registers to record at the entry of every block
        self.code = Code()
        self.sources: list[BlockSource] = []
        self.plans: list[BlockPlan] = []
        self._ids: dict[tuple[BlockSource, tuple[int, ...]], int] = {}
        self._read_constant = read_constant
        self._arrays: PlanArrays | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def find(self, source: BlockSource) -> int | None:
        return self._ids.get((source, self.extra))

    def add(self, source: BlockSource) -> int:
        """Decode and plan a new block; return its id.

        Raises
        ------
        InputError
            If an instruction is not known, or the block ends within one.
        """
        instructions = decode_block(source)
        plan = plan_block(instructions, source.data, self._read_constant, extra=self.extra)
        block = self._append(source, instructions, plan)
        self._ids[source, self.extra] = block
        return block

    def add_executed_part(self, block: int, count: int) -> int:
        """Add the first ``count`` instructions of a block that did not end, as a block.

        It records the same entry registers, so that what was recorded can be used. The next
        instruction may have loaded some of its registers before it faulted, when it loads several;
        it writes its base back, and loads a single register, only when nothing can fault any more.
        """
        first, _ = self.code.blocks[block]
        instructions = self.code.instructions[first : first + count]
        whole = self.sources[block]
        size = sum(i.size_bytes for i in instructions)
        fatal = self.code.instructions[first + count]
        source = BlockSource(whole.address, whole.data[:size], whole.it_conditions)
        plan = plan_block(
            instructions,
            source.data,
            self._read_constant,
            entry=self.plans[block].entry,
            lost=_loaded_before_a_fault(fatal),
            extra=self.plans[block].extra,
        )
        return self._append(source, instructions, plan)

    def stops_within(self, block: int, pc: int) -> bool:
        """Tell whether ``pc`` is within a block and not where its last instruction leads.

        False for block -1.
        """
        if block < 0:
            return False
        source = self.sources[block]
        if not 0 < pc - source.address < len(source.data):
            return False
        return self._last_instruction(block).target != pc

    def ends_indirectly(self, block: int) -> bool:
        return self._last_instruction(block).branch >= Branch.INDIRECT

    def _last_instruction(self, block: int) -> Instruction:
        first, count = self.code.blocks[block]
        return self.code.instructions[first + count - 1]

    def plan(self) -> PlanArrays:
        """Columns of all plans (rebuilt only after growth)."""
        if self._arrays is None:
            self._arrays = plan_arrays(self.plans)
        return self._arrays

    def _append(self, source: BlockSource, instructions: list[Instruction], plan: BlockPlan) -> int:
        self.sources.append(source)
        self.plans.append(plan)
        self._arrays = None
        return self.code.add_block(instructions)


def decode_block(source: BlockSource) -> list[Instruction]:
    """Decode all instructions of a block.

    Raises
    ------
    InputError
        If an instruction is not known, or the block ends within one.
    """
    instructions: list[Instruction] = []
    pending = source.it_conditions
    offset = 0
    while offset < len(source.data):
        address = source.address + offset
        instruction = decode(source.data[offset:], address, it_conditions=pending)
        pending = instruction.it_conditions or pending[1:]
        instructions.append(instruction)
        offset += instruction.size_bytes
    if offset != len(source.data):
        raise InputError(
            "the engine's block ends within an instruction", where=f"address {source.address:#x}"
        )
    return instructions


def it_conditions(epsr: int) -> tuple[int, ...]:
    """Return the conditions still to come of the IT block that an EPSR value describes.

    ITSTATE[7:2] are EPSR[15:10] and ITSTATE[1:0] are EPSR[26:25] (Armv7-M ARM B1.4.2).
    """
    state = (epsr >> 10 & 0x3F) << 2 | epsr >> 25 & 3
    conditions: list[int] = []
    while state & 15:
        conditions.append(state >> 4)
        state = 0 if state & 7 == 0 else state & 0xE0 | state << 1 & 0x1F
    return tuple(conditions)


def _loaded_before_a_fault(fatal: Instruction) -> set[int]:
    """Return the registers that an instruction which faulted may have written."""
    if fatal.memory is not None and fatal.memory.count == 1:
        return set()
    return {register for register, result in fatal.writes if result != Result.WRITEBACK}
