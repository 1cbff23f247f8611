"""Regression tests of kernels: costs of a call against a committed baseline.

Nothing here knows of pytest; `m7sim.pytest_plugin` wires it in.
"""

from __future__ import annotations
