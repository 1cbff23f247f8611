"""Memory maps: what lies where, what that costs, and what another map would cost."""

from m7sim.memmap.layout import Layout
from m7sim.memmap.objects import MemoryObject
from m7sim.memmap.room import RegionUse
from m7sim.memmap.study import Study, study, study_call, study_run
from m7sim.memmap.whatif import Retimed

__all__ = [
    "Layout",
    "MemoryObject",
    "RegionUse",
    "Retimed",
    "Study",
    "study",
    "study_call",
    "study_run",
]
