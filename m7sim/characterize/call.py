"""A call of a kernel, laid out but not yet placed: what every library gives for a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from m7sim.characterize.placement import SCRATCH

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Ref:
    """Stands for the address of an array of the call, by name."""

    name: str


# A number, an address, NULL, or a struct by field name.
Value = int | Ref | None | Mapping[str, "Value"]


@dataclass(frozen=True, eq=False)
class Held:
    """An array of a call and the group that it is placed with."""

    array: Array
    group: str


@dataclass(frozen=True)
class SizeCall:
    """A scratch buffer whose size in bytes a function of the library tells."""

    function: str
    arguments: Sequence[Value]


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """A call of a C function.

    Attributes
    ----------
    function
        Its name.
    arguments
        In order.
    arrays
        What `Ref` names.
    asked
        Scratch buffers by name whose size is asked for first.
    output
        Name of the array that holds the result afterwards.
    returns
        Value of success, or None if the function has no status.
    restore
        Brings the output array into the oracle's order.
    """

    function: str
    arguments: Sequence[Value]
    arrays: Mapping[str, Held]
    output: str
    returns: int | None
    asked: Mapping[str, SizeCall] = field(default_factory=dict)
    restore: Callable[[Array], Array] = np.asarray

    def bytes_of(self, group: str) -> int:
        """Size of the arrays of a group; scratch whose size is asked for is not in it."""
        return sum(held.array.nbytes for held in self.arrays.values() if held.group == group)

    @property
    def groups(self) -> dict[str, str]:
        """Group by array, scratch whose size is asked for included."""
        groups = {name: held.group for name, held in self.arrays.items()}
        return groups | dict.fromkeys(self.asked, SCRATCH)
