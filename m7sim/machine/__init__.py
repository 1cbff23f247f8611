"""The machine: executes an image on a board, and calls its functions."""

from __future__ import annotations

from m7sim.machine.call import RETURN_ADDRESS, Buffer, CallResult
from m7sim.machine.engine import Engine
from m7sim.machine.machine import Machine, Observer, Stop

__all__ = ["Buffer", "CallResult", "Engine", "Machine", "Observer", "RETURN_ADDRESS", "Stop"]
