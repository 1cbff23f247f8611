"""Snapshots out of thin air: consistent, but of no program."""

from __future__ import annotations

from hypothesis import strategies as st

from m7sim.compare.snapshot import (
    Cost,
    Detail,
    FunctionRecord,
    InstructionRecord,
    Loop,
    Snapshot,
    SourceLine,
    Totals,
)

CAUSES = ["load_use", "mispredict", "fetch", "dcache_sram"]
TEXTS = ["ldr r3, [r0], #4", "ldrsh.w r3, [r2, #2]", "adds r1, #1", "cmp r1, r2", "bne f+0x10",
         "smlabb r0, r3, r4, r0", "bl g", "movw r0, #0x1234", "movt r0, #0x2000",
         "ldr r0, =table"]  # fmt: skip
SOURCE = [
    "acc += a[i];",
    "acc += a[i] * b[i];",
    "for (i = 0; i < n; i++) {",
    "}",
    "return acc;",
    "",
]

counts = st.integers(0, 50)
costs = st.builds(
    Cost, counts, st.dictionaries(st.sampled_from(CAUSES), st.integers(1, 20), max_size=3)
)


def total(parts: list[Cost]) -> Cost:
    stalls: dict[str, int] = {}
    for part in parts:
        for cause, cycles in part.stalls.items():
            stalls[cause] = stalls.get(cause, 0) + cycles
    return Cost(sum(part.issue_cycles for part in parts), stalls)


@st.composite
def details(draw: st.DrawFn) -> Detail:
    lines = tuple(
        SourceLine(draw(st.sampled_from(["k.c", "h.h"])), n + 1, draw(st.sampled_from(SOURCE)),
                   draw(st.sampled_from(["", "", "g", "h"])))
        for n in range(draw(st.integers(0, 5)))
    )  # fmt: skip
    loops = tuple(
        Loop(draw(st.integers(-1, len(lines) - 1)), draw(st.integers(-1, n - 1)), draw(counts), 1)
        for n in range(draw(st.integers(0, 3)))
    )
    code = tuple(
        InstructionRecord(2 * n, draw(st.sampled_from(TEXTS)), draw(counts), draw(costs),
                          draw(st.integers(-1, len(lines) - 1)),
                          draw(st.integers(-1, len(loops) - 1)))
        for n in range(draw(st.integers(0, 12)))
    )  # fmt: skip
    return Detail(lines, loops, code)


@st.composite
def functions(draw: st.DrawFn, name: str) -> FunctionRecord:
    detail = draw(details())
    cost = total([i.cost for i in detail.instructions])
    return FunctionRecord(
        name=name,
        file=draw(st.sampled_from(["k.c", "h.h"])),
        address=draw(st.integers(0, 1 << 20)) * 2,
        size_bytes=2 * len(detail.instructions),
        compiled=draw(st.sampled_from(["", "GNU C17 -O2", "GNU C17 -O3"])),
        calls=1,
        instructions=sum(i.executions for i in detail.instructions),
        cost=cost,
        detail=None if draw(st.integers(0, 5)) == 0 else detail,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    names = draw(st.lists(st.sampled_from(["f", "g", "h", "g.part.0", "main"]), max_size=4))
    found = tuple(draw(functions(name)) for name in names)
    cost = total([f.cost for f in found])
    return Snapshot(
        configuration={"entry": "main", "board": "stm32f746", "clock_hz": 216_000_000,
                       "timed": True, "memories": draw(st.lists(st.sampled_from("ab")))},
        totals=Totals(
            cycles=cost.cycles,
            instructions=sum(f.instructions for f in found),
            issue_cycles=cost.issue_cycles,
            dual_issued=0,
            stalls=cost.stalls,
            energy_nj=draw(st.sampled_from([None, 12.5, 1e6])),
            stack_bytes=draw(st.sampled_from([None, 0, 64])),
            code_bytes=sum(f.size_bytes for f in found),
        ),
        sources={"k.c": draw(st.sampled_from(["", "12", "34"]))},
        functions=found,
    )  # fmt: skip
