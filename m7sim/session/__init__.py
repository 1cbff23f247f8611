"""The whole chain in two calls: load an ELF, then run it or call its functions.

Execution is recorded in bounded chunks, and each chunk is timed and attributed as soon as it is
full, so memory does not grow with the run and firmware that reads ``DWT->CYCCNT`` gets modelled
cycles. Timing a saved trace later (`replay`) goes through the same code and gives the same result.
"""

from __future__ import annotations

from m7sim.session.firmware import FROM_RESET, Firmware, Interrupted
from m7sim.session.loading import load
from m7sim.session.replaying import replay

__all__ = ["FROM_RESET", "Firmware", "Interrupted", "load", "replay"]
