"""``python -m m7sim`` is ``m7sim``."""

from __future__ import annotations

import sys

from m7sim.cli import main

sys.exit(main())
