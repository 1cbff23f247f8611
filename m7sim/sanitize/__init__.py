"""Checks of what firmware does, from the trace alone: see SANITIZER.md."""

from __future__ import annotations

from m7sim.sanitize.checker import Checker
from m7sim.sanitize.finding import KINDS, Finding
from m7sim.sanitize.memory import Usage
from m7sim.sanitize.rules import Rules, parse_allow

__all__ = ["KINDS", "Checker", "Finding", "Rules", "Usage", "parse_allow"]
