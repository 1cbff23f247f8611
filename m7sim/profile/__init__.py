"""Who spent the cycles: by instruction, source line, function and calling context."""

from __future__ import annotations

from m7sim.profile.attribution import FunctionCost, InstructionCosts, LineCost, Profile
from m7sim.profile.calls import Calls, CallTracker
from m7sim.profile.functions import FunctionIndex

__all__ = [
    "CallTracker",
    "Calls",
    "FunctionCost",
    "FunctionIndex",
    "InstructionCosts",
    "LineCost",
    "Profile",
]
