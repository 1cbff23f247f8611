"""From what was executed to cycles, with one named cause for every lost one."""

from m7sim.timing.causes import PairLoss, StallCause
from m7sim.timing.result import BranchCounts, CacheCounts, Timing
from m7sim.timing.timer import Timer

__all__ = ["BranchCounts", "CacheCounts", "PairLoss", "StallCause", "Timer", "Timing"]
