"""The arrays behind the native callbacks: growable tables, hash tables, buffers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from m7sim.isa.registers import PC, S0
from m7sim.trace import native
from m7sim.trace.chunk import Chunk

_MOST_VALUES = 80  # a block records at most 47 extra, 15 entry and 15 exit registers
_MOST_EVENTS = 1024  # more instructions than the engine ever translates into one block


class State:
    """The int64 words shared with the callbacks; keeps alive the arrays it points to."""

    def __init__(self) -> None:
        self.words: NDArray[np.int64] = np.zeros(native.STATE_WORDS, np.int64)
        self.words[native.LAST] = -1
        self._kept: dict[int, NDArray[Any]] = {}

    @property
    def address(self) -> int:
        return int(self.words.ctypes.data)

    def point(self, word: int, array: NDArray[Any]) -> None:
        """Make a word of the state hold the address of an array."""
        self._kept[word] = array
        self.words[word] = array.ctypes.data

    def __getitem__(self, word: int) -> int:
        return int(self.words[word])

    def __setitem__(self, word: int, value: int) -> None:
        self.words[word] = value


class Column:
    """An int32 array that grows by doubling."""

    def __init__(self, state: State, word: int) -> None:
        self._state, self._word = state, word
        self._data = np.zeros(256, np.int32)
        self._length = 0
        state.point(word, self._data)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> int:
        return int(self._data[index])

    def append(self, value: int) -> None:
        if self._length == self._data.size:
            self._data = np.concatenate([self._data, np.zeros_like(self._data)])
            self._state.point(self._word, self._data)
        self._data[self._length] = value
        self._length += 1


class Rows:
    """The native rows of blocks, by id, and the registers that they record.

    Parameters
    ----------
    ids
        The engine's numbers of the registers that ``m7sim.isa.registers`` numbers from 0 on.

    Attributes
    ----------
    float_words
        From r0 to s0 where the engine keeps them; 0: not known.
    """

    def __init__(self, state: State, ids: tuple[int, ...]) -> None:
        self._state, self._ids = state, ids
        self.float_words = 0
        self._registers = Column(state, native.REGISTERS)
        self._numbers = Column(state, native.NUMBERS)
        self._data = np.zeros((256, native.ROW_WORDS), np.int32)
        self._length = 0
        state.point(native.ROWS, self._data)

    def append(
        self, size_bytes: int, count: int, entry: tuple[int, ...], exit_: tuple[int, ...]
    ) -> None:
        """Add a block of so many instructions, with the registers recorded at both its ends."""
        if self._length == len(self._data):
            self._data = np.concatenate([self._data, np.zeros_like(self._data)])
            self._state.point(native.ROWS, self._data)
        words = [size_bytes, count, len(self._registers), len(entry), len(exit_)]
        self._data[self._length, : len(words)] = words
        self._length += 1
        for register in entry + exit_:
            self._registers.append(self._ids[register])
            self._numbers.append(register if register < S0 else self.float_words + register - S0)

    def __getitem__(self, place: tuple[int, int]) -> int:
        """Return a word of a row: ``rows[block, native.ROW_ENTRY]``."""
        return int(self._data[place])

    def read_exit(self, block: int, read_batch: Callable[[int, int, int, int], int]) -> None:
        """Note the exit registers of a block as the engine's function tells them."""
        n = self[block, native.ROW_EXIT]
        if n == 0:
            return
        state = self._state
        first = self[block, native.ROW_FIRST] + self[block, native.ROW_ENTRY]
        position = state[native.N_VALUES]
        ids = state[native.REGISTERS] + 4 * first
        read_batch(state[native.ENGINE], ids, state[native.VALUE_POINTERS] + 8 * position, n)
        state[native.N_VALUES] = position + n


class HashTable:
    """Address → int32, open addressing with linear probing, never more than half full."""

    def __init__(self, state: State, keys: int, values: int, mask: int) -> None:
        self._state, self._words = state, (keys, values, mask)
        self._used = 0
        self._allocate(1024)

    def _allocate(self, slots: int) -> None:
        keys, values, mask = self._words
        self._keys: NDArray[np.int32] = np.full(slots, native.EMPTY, np.int32)
        self._values: NDArray[np.int32] = np.zeros(slots, np.int32)
        self._state.point(keys, self._keys)
        self._state.point(values, self._values)
        self._state[mask] = slots - 1

    def _slot(self, address: int) -> int:
        mask = self._keys.size - 1
        key = _signed(address)
        slot = (address >> 1) & mask
        while self._keys[slot] not in (key, native.EMPTY):
            slot = (slot + 1) & mask
        return slot

    def get(self, address: int) -> int | None:
        slot = self._slot(address)
        return None if self._keys[slot] == native.EMPTY else int(self._values[slot])

    def put(self, address: int, value: int) -> None:
        slot = self._slot(address)
        if self._keys[slot] == native.EMPTY:
            if 2 * (self._used + 1) > self._keys.size:
                self._grow()
                slot = self._slot(address)
            self._used += 1
        self._keys[slot] = _signed(address)
        self._values[slot] = value

    def clear(self) -> None:
        self._used = 0
        self._allocate(self._keys.size)

    def _grow(self) -> None:
        keys, values = self._keys, self._values
        self._allocate(2 * keys.size)
        for key, value in zip(keys.tolist(), values.tolist(), strict=True):
            if key != native.EMPTY:
                slot = self._slot(key & 0xFFFF_FFFF)
                self._keys[slot], self._values[slot] = key, value


class Buffers:
    """Where the callbacks put what they record until it is taken as a chunk."""

    def __init__(self, state: State, capacity_blocks: int) -> None:
        self._state = state
        n_events = capacity_blocks + _MOST_EVENTS
        self.blocks: NDArray[np.int32] = np.zeros(capacity_blocks, np.int32)
        self.values: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self.make_room(2)
        self.event_block: NDArray[np.int32] = np.zeros(n_events, np.int32)
        self.event_pc: NDArray[np.uint32] = np.zeros(n_events, np.uint32)
        self.event_address: NDArray[np.uint32] = np.zeros(n_events, np.uint32)
        self._scratch: NDArray[np.int32] = np.zeros(_MOST_VALUES, np.int32)
        pointers = self._scratch.ctypes.data + 4 * np.arange(_MOST_VALUES)
        state.point(native.SCRATCH, self._scratch)
        state.point(native.SCRATCH_POINTERS, pointers)
        state.point(native.SCRATCH_IDS, np.zeros(_MOST_VALUES, np.int32))
        state.point(native.BLOCKS, self.blocks)
        state.point(native.EVENT_BLOCK, self.event_block)
        state.point(native.EVENT_PC, self.event_pc)
        state.point(native.EVENT_ADDRESS, self.event_address)
        state[native.ROOM_BLOCKS] = capacity_blocks
        state[native.ROOM_EVENTS] = n_events - _MOST_EVENTS

    def make_room(self, values_per_block: int) -> None:
        """Have room for so many values per block on average; only while nothing is recorded."""
        n_values = values_per_block * len(self.blocks) + _MOST_VALUES
        if n_values <= self.values.size:
            return
        self.values = np.zeros(n_values, np.uint32)
        # uc_reg_read_batch takes an array of pointers to where the values go.
        self._pointers = self.values.ctypes.data + 4 * np.arange(n_values, dtype=np.int64)
        self._state.point(native.VALUE_POINTERS, self._pointers)
        self._state.point(native.VALUES, self.values)
        self._state[native.ROOM_VALUES] = n_values - _MOST_VALUES

    @property
    def full(self) -> bool:
        state = self._state
        return (
            state[native.N_BLOCKS] >= state[native.ROOM_BLOCKS]
            or state[native.N_VALUES] >= state[native.ROOM_VALUES]
            or state[native.N_EVENTS] >= state[native.ROOM_EVENTS]
        )

    def core_memory(self) -> bytes:
        """Return r0 … lr as they lie in the engine's memory."""
        return ctypes.string_at(self._state[native.CORE], 4 * PC)

    def core_registers(self, read_batch: Callable[[int, int, int, int], int]) -> bytes:
        """Return r0 … lr as the engine's function tells them."""
        state = self._state
        ids = state[native.CORE_IDS]
        read_batch(state[native.ENGINE], ids, state[native.SCRATCH_POINTERS], PC)
        return self._scratch[:PC].tobytes()

    def first_event(self, block: int) -> int:
        """Return the position of the first event of the block at a position, or after it."""
        return int(np.searchsorted(self.event_block[: self._state[native.N_EVENTS]], block))

    def take(self, keep_values: int | None = None) -> Chunk:
        """Return what was recorded and empty the buffers.

        With ``keep_values``, the last block stays behind, with its events and that many values.
        """
        state = self._state
        n_blocks, n_values = state[native.N_BLOCKS], state[native.N_VALUES]
        n_events = state[native.N_EVENTS]
        kept_blocks = 0 if keep_values is None else 1
        first_value = n_values - (keep_values or 0)
        first_block = n_blocks - kept_blocks
        first_event = self.first_event(first_block)
        chunk = Chunk(
            blocks=self.blocks[:first_block].copy(),
            values=self.values[:first_value].copy(),
            site_block=self.event_block[:first_event].copy(),
            site_pc=self.event_pc[:first_event].copy(),
            site_address=self.event_address[:first_event].copy(),
        )
        for array, first, end in (
            (self.blocks, first_block, n_blocks),
            (self.values, first_value, n_values),
            (self.event_block, first_event, n_events),
            (self.event_pc, first_event, n_events),
            (self.event_address, first_event, n_events),
        ):
            array[: end - first] = array[first:end].copy()
        self.event_block[: n_events - first_event] = 0
        state[native.N_BLOCKS] = kept_blocks
        state[native.N_VALUES] = n_values - first_value
        state[native.N_EVENTS] = n_events - first_event
        return chunk


def _signed(address: int) -> int:
    return address - (1 << 32) if address >> 31 else address
