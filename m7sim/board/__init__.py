"""Boards: memory map, caches, clocks and first-order latencies, one TOML per chip."""

from __future__ import annotations

from m7sim.board.board import Board, Cache, Provenance, ReadyRule, Region, RegionKind

__all__ = ["Board", "Cache", "Provenance", "ReadyRule", "Region", "RegionKind"]
