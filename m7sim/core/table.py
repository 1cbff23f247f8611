"""The core table compiled to plain arrays for jitted kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from m7sim.core.columns import Column, Issue
from m7sim.core.parameters import Parameters
from m7sim.core.schema import WRITEBACK, LatencyRow, Tables
from m7sim.isa.classes import CLASS_INDEX, CLASSES
from m7sim.isa.instruction import Role

I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]

NOT_READ = -1  # latency in a column that no reader of such a result uses

# The first reasons are the slot rules; units and pair rules follow in the order of the table.
PAIR_ALLOWED, PAIR_ALONE, PAIR_OLDER_ONLY = 0, 1, 2
_FIXED_REASONS = ("allowed", "alone", "older_slot_only")


class CoreTable(NamedTuple):
    """What a pipeline walk needs, indexed by class (``CLASS_INDEX``), ``Column`` and ``Role``.

    A walk over instructions in program order keeps ``ready[register, column]``, the first cycle at
    which a consumer may issue that needs the register in that column:

    - *Operands*: instruction ``k`` may issue in ``cycle`` if for every read ``(register, role)``
      ``ready[register, read_column[k, role]] <= cycle``. Column ``NONE`` is always ready.
    - *Early execution*: a class with ``early[k] != Early.NO`` runs early if the slot suits
      (``OLDER_SLOT``: issued as older or alone), ``early_blocked[k, partner]`` is 0 for the
      instruction it shares the cycle with, and all its reads are ready in column ``EARLY`` instead
      of ``LATE`` (other columns as they are). Else it runs late, with its reads as above.
    - *Results*: then for each write ``ready[register, :] = cycle + row`` where ``row`` is
      ``latency[k]``, or ``latency_early[k]`` if it ran early; for ``Result.WRITEBACK``
      ``writeback_latency``; for ``Result.TRANSFER`` ``latency[k]`` counted from
      ``cycle + position // parameters.transfer_words_per_cycle`` with the position among the
      instruction's transfers.
    - *Pairs*: ``pair[older, younger]`` is 0 if both may issue in a cycle, else the index of the
      reason (``Core.reasons``); slot rules are in it. What depends on addresses (bank conflict) or
      on history (``after_mac``, ``fp_mac``) is not.
    - *Occupancy*: the next instruction issues no earlier than ``issue_cycles[k]`` after ``k``
      (its partner of the same cycle aside), or, where ``transfers[k]``, than
      ``ceil(words / parameters.transfer_words_per_cycle)``.
    - *FP multiply-accumulate*: for ``parameters.fp_mac_block_cycles`` after the issue of an
      instruction with ``fp_mac != 0``: ``after_mac`` ``BLOCKED`` may not issue, ``NOT_YOUNGER``
      only as older and not beside another multiply-accumulate. A ``FMA`` issues no earlier than
      ``parameters.fma_after_mla_cycles`` after an ``MLA``.

    Latencies are cycles; ``NOT_READ`` (-1) stands in columns that cannot meet the result.
    """

    issue: U8  # [class] Issue
    issue_cycles: U8  # [class]
    transfers: U8  # [class] 1: issue cycles by words moved
    early: U8  # [class] Early
    early_blocked: U8  # [class, partner class]
    read_column: U8  # [class, role] Column
    latency: I8  # [class, column]
    latency_early: I8  # [class, column]; equal to latency where early is NO
    writeback_latency: I8  # [column]
    pair: U8  # [older class, younger class] 0 or the index of the reason
    after_mac: U8  # [class] AfterMac
    fp_mac: U8  # [class] FpMac
    parameters: Parameters
    reasons: tuple[str, ...]  # names behind the codes of pair


def pair_reasons(tables: Tables) -> tuple[str, ...]:
    """Return the names behind the codes of ``CoreTable.pair``."""
    units = tuple(f"unit_{name}" for name in tables.units)
    rules = dict.fromkeys(rule.reason for rule in tables.pairs)
    return (*_FIXED_REASONS, *units, *rules)


def compile_table(tables: Tables) -> CoreTable:
    """Turn validated rows into arrays."""
    n = len(CLASSES)
    rows = [tables.classes[name] for name in CLASSES]
    latency = np.full((n, len(Column)), NOT_READ, np.int8)
    latency_early = latency.copy()
    read_column = np.zeros((n, len(Role)), np.uint8)
    for k, row in enumerate(rows):
        latency[k] = _columns(tables.latencies[row.latency] if row.latency else None)
        latency_early[k] = latency[k]
        if row.latency_early:
            latency_early[k] = _columns(tables.latencies[row.latency_early])
        for role, column in (tables.roles | row.reads).items():
            read_column[k, role] = column
    return CoreTable(
        issue=np.array([row.issue for row in rows], np.uint8),
        issue_cycles=np.array([row.issue_cycles for row in rows], np.uint8),
        transfers=np.array([row.transfers for row in rows], np.uint8),
        early=np.array([row.early for row in rows], np.uint8),
        early_blocked=_early_blocked(tables),
        read_column=read_column,
        latency=latency,
        latency_early=latency_early,
        writeback_latency=_columns(tables.latencies[WRITEBACK]),
        pair=_pairs(tables),
        after_mac=np.array([row.after_mac for row in rows], np.uint8),
        fp_mac=np.array([row.fp_mac for row in rows], np.uint8),
        parameters=Parameters(**{name: row.value for name, row in tables.parameters.items()}),
        reasons=pair_reasons(tables),
    )


def _columns(row: LatencyRow | None) -> I8:
    out = np.full(len(Column), NOT_READ, np.int8)
    out[Column.NONE] = 0
    for column, cycles in row.cycles.items() if row else ():
        out[column] = cycles
    return out


def _early_blocked(tables: Tables) -> U8:
    out = np.zeros((len(CLASSES), len(CLASSES)), np.uint8)
    for block in tables.early_blocks:
        for name in block.classes:
            for partner in block.partners:
                out[CLASS_INDEX[name], CLASS_INDEX[partner]] = 1
    return out


def _pairs(tables: Tables) -> U8:
    """Reason for each ordered pair; the first that applies: slots, units, pair rules."""
    reasons = pair_reasons(tables)
    out = np.zeros((len(CLASSES), len(CLASSES)), np.uint8)
    for rule in reversed(tables.pairs):
        if not rule.when or tables.parameters[rule.when].value:
            code = reasons.index(rule.reason)
            for older in rule.older:
                for younger in rule.younger:
                    out[CLASS_INDEX[older], CLASS_INDEX[younger]] = code
    for unit, limit in reversed(tables.units.items()):
        need = np.array([tables.classes[name].uses.count(unit) for name in CLASSES])
        over = (need[:, None] > 0) & (need > 0) & (need[:, None] + need > limit.count)
        out[over] = reasons.index(f"unit_{unit}")
    issue = np.array([tables.classes[name].issue for name in CLASSES])
    out[:, issue == Issue.OLDER] = PAIR_OLDER_ONLY
    out[:, issue == Issue.ALONE] = PAIR_ALONE
    out[issue == Issue.ALONE, :] = PAIR_ALONE
    return out
