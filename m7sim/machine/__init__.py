"""The machine: executes an image on a board, and calls its functions."""

from __future__ import annotations

from m7sim.machine.engine import Engine
from m7sim.machine.machine import RETURN_ADDRESS, Machine, Observer, Stop

__all__ = ["Engine", "Machine", "Observer", "RETURN_ADDRESS", "Stop"]
