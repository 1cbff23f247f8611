"""The core as a table: when each class of instruction issues, and when its results can be used."""

from m7sim.core.columns import AfterMac, Column, Early, FpMac, Issue
from m7sim.core.core import Core
from m7sim.core.parameters import Parameters
from m7sim.core.table import CoreTable

__all__ = [
    "AfterMac",
    "Column",
    "Core",
    "CoreTable",
    "Early",
    "FpMac",
    "Issue",
    "Parameters",
]
