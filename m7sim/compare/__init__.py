"""Why one result costs more than another: snapshots of results, and their comparison."""

from __future__ import annotations

from m7sim.compare.comparison import Comparison, compare
from m7sim.compare.record import snapshot
from m7sim.compare.snapshot import Snapshot

__all__ = ["Comparison", "Snapshot", "compare", "snapshot"]
