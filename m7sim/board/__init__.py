"""Boards: memory map, caches, clocks and latencies, one TOML per chip."""

from __future__ import annotations

from m7sim.board.board import Board
from m7sim.board.parts import Art, Cache, Provenance, ReadyRule, Region, RegionKind, WaitStates

__all__ = ["Art", "Board", "Cache", "Provenance", "ReadyRule", "Region", "RegionKind", "WaitStates"]
