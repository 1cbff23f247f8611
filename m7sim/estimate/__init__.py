"""Estimates of cycles and energy from a characterization table, without running anything.

How to use it::

    from m7sim.estimate import Estimator
    from m7sim.ops import registry

    estimator = Estimator.load()                     # the table of the package, or a path
    shape = registry.get("conv").shape(size=16, in_ch=32, out_ch=64)
    one = estimator.estimate(shape)                  # InputError outside the measured range
    one.cycles, one.cycles_error, one.energy_nj, one.time_ms, one.nearest

    many = estimator.predict(shapes, extrapolate=True)   # thousands of shapes a second
    many.cycles, many.energy_nj, many.cycles_error, many.inside   # arrays in the order of shapes
"""

from m7sim.estimate.estimator import Estimate, Estimator, Neighbour
from m7sim.estimate.model import Group, Predictions

__all__ = ["Estimate", "Estimator", "Group", "Neighbour", "Predictions"]
