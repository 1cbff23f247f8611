"""Energy: what a run draws at an operating point, calibrated on the chip's current tables."""

from m7sim.energy.events import Event, Events, count_events
from m7sim.energy.model import Energy, EnergyModel, find_model
from m7sim.energy.point import OperatingPoint, operating_point
from m7sim.energy.table import CONFIGURATIONS, Currents, chip_names, currents_of

__all__ = [
    "CONFIGURATIONS",
    "Currents",
    "Energy",
    "EnergyModel",
    "Event",
    "Events",
    "OperatingPoint",
    "chip_names",
    "count_events",
    "currents_of",
    "find_model",
    "operating_point",
]
