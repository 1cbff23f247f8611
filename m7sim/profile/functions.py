"""One number per function of the symbol table that a run touched."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NO_SYMBOL = "[no symbol]"


class FunctionSymbol(Protocol):
    """What is needed of a symbol: its name and its first address (bit 0 clear)."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> int: ...


class FunctionFinder(Protocol):
    """What is needed of an image."""

    def function_at(self, address: int) -> FunctionSymbol | None: ...


class FunctionIndex:
    """Gives each function met a small number; number 0 is code without a symbol.

    Functions are told apart by address, not by name: two files may each have a static ``init``.
    """

    def __init__(self, image: FunctionFinder) -> None:
        self._image = image
        self._by_address: dict[int, int] = {}
        self.names: list[str] = [NO_SYMBOL]
        self.addresses: list[int] = [-1]

    def __len__(self) -> int:
        return len(self.names)

    def at(self, address: int) -> int:
        """Return the number of the function that ``address`` belongs to."""
        symbol = self._image.function_at(address)
        if symbol is None:
            return 0
        start = symbol.address & ~1
        number = self._by_address.get(start)
        if number is None:
            number = self._by_address[start] = len(self.names)
            self.names.append(symbol.name)
            self.addresses.append(start)
        return number

    def of(self, addresses: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the function numbers of ``addresses``, element by element."""
        return np.array([self.at(int(address)) for address in addresses], np.int32)
