"""Read saved traces; the format is described in traces/README.md.

A trace file is the stream of chunks written down, with what is needed to time it without the ELF:
the bytes and the plan of every block. Chunks are in groups, of which only what predictors got wrong
is stored (`m7sim.trace.packing`). Anybody may have written what is read here: all of it is checked,
and no more memory is asked for than a file of m7sim can need.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from m7sim.errors import InputError
from m7sim.machine.events import CACHES, MAINTENANCE, MPU
from m7sim.trace.chunk import Chunk
from m7sim.trace.packing import STREAMS, first_slots, unpack
from m7sim.trace.plan import PlanArrays
from m7sim.trace.stored_code import read_code, read_plan
from m7sim.trace.writer import GROUP_CHUNKS, SCHEMA, SCHEMA_VERSION

# Members that claim more are refused.
MOST_CODE_BYTES, MOST_STREAM_BYTES = 1 << 26, 1 << 23
# What Python's readers raise for bytes that are not what they should be.
_DAMAGED = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OverflowError,
    RecursionError, NotImplementedError, RuntimeError, struct.error, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class SavedTrace:
    """A trace read from a file; chunks are decoded one at a time, as they are asked for.

    Attributes
    ----------
    header : dict
    code : Code
        Decoded from the bytes in the file; the ELF is not needed.
    instructions : int
        Executed in the run.
    stored_bytes : int
        Size of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._refusing("not a trace, or a damaged one"):
            self.stored_bytes = path.stat().st_size
            self._zip = zipfile.ZipFile(path)
            header = json.loads(self._get("header", np.uint8).tobytes())
        if not isinstance(header, dict) or header.get("schema") != SCHEMA:
            raise self._error("not a trace of m7sim")
        self.header: dict[str, Any] = header
        version = header.get("schema_version")
        if version != SCHEMA_VERSION:
            raise self._error(f"schema version {version}; this m7sim reads {SCHEMA_VERSION}")
        with self._refusing("damaged"):
            self._plan = read_plan(self._get)
            self.code = read_code(self._get, self._plan)
            self._first_slot = first_slots(self._plan.values)
            self._site_pcs = self._get("site_pcs", np.uint32)
            self._group_first = _group_first(self._get("group_chunks", np.int64))
            self.instructions = _count(header["instructions"])
            if _count(header["chunks"]) != self._group_first[-1]:
                raise ValueError("chunks")
            if not all(isinstance(header[key], dict) for key in ("elf", "run", "tools")):
                raise ValueError("header")
        self._events: tuple[int, dict[int, list[tuple[str, tuple[int, ...]]]]] = (-1, {})

    def __len__(self) -> int:
        """Return the number of chunks."""
        return int(self._group_first[-1])

    @property
    def bytes_per_instruction(self) -> float:
        """Size of the file, its code included, by instructions executed."""
        return self.stored_bytes / self.instructions if self.instructions else 0.0

    def plan(self) -> PlanArrays:
        """How to resolve its chunks."""
        return self._plan

    def run_text(self, key: str) -> str:
        """Return one thing that the header says about the run, such as its board.

        Raises
        ------
        InputError
            If it does not.
        """
        value = self.header["run"].get(key)
        if not isinstance(value, str):
            raise self._error(f"the header does not tell the {key} of the run")
        return value

    @property
    def clock_hz(self) -> int:
        """Core clock of the run.

        Raises
        ------
        InputError
            If the header does not tell it.
        """
        value = self.header["run"].get("clock_hz")
        if type(value) is not int or value <= 0:
            raise self._error("the header does not tell the clock_hz of the run")
        return value

    def chunks(self) -> Iterator[Chunk]:
        """Decode the chunks in order.

        Raises
        ------
        InputError
            If one is damaged.
        """
        for group in range(self._group_first.size - 1):
            yield from self._group(group)

    def chunk(self, index: int) -> Chunk:
        """Decode one chunk, which means those before it in its group as well.

        Raises
        ------
        IndexError
            If there are not as many.
        InputError
            If it is damaged.
        """
        group = self._group_of(index)
        for i, chunk in enumerate(self._group(group), int(self._group_first[group])):
            if i == index:
                return chunk
        raise IndexError(index)

    def events(self, index: int) -> list[tuple[str, tuple[int, ...]]]:
        """What the firmware did to the memory system just before a chunk: kind and values.

        Raises
        ------
        InputError
            If they are damaged.
        """
        group = self._group_of(index)
        if self._events[0] != group:
            with self._refusing(f"the memory events of group {group} are damaged"):
                self._events = group, self._read_events(group)
        return self._events[1].get(index - int(self._group_first[group]), [])

    def close(self) -> None:
        self._zip.close()

    def __enter__(self) -> SavedTrace:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _group_of(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return int(np.searchsorted(self._group_first, index, "right")) - 1

    def _group(self, group: int) -> Iterator[Chunk]:
        expected = int(self._group_first[group + 1] - self._group_first[group])
        with self._refusing(f"group {group} of its chunks is damaged"):
            counts = self._get(f"group{group}/chunks", np.int64, MOST_STREAM_BYTES)
            if counts.size != 2 * expected:
                raise ValueError("chunks")
            streams = {
                name: self._get(f"group{group}/{name}", np.uint8, MOST_STREAM_BYTES)
                for name in STREAMS
                if f"group{group}/{name}.npy" in self._zip.NameToInfo
            }
        decoded = unpack(counts, streams, self._first_slot, self._site_pcs)
        while True:
            with self._refusing(f"group {group} of its chunks is damaged"):
                chunk = next(decoded, None)
            if chunk is None:
                return
            yield chunk

    def _read_events(self, group: int) -> dict[int, list[tuple[str, tuple[int, ...]]]]:
        name = f"group{group}/memory_events"
        found: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
        if f"{name}.npy" not in self._zip.NameToInfo:
            return found
        for at, kind, values in json.loads(self._get(name, np.uint8).tobytes()):
            words = tuple(_count(value) for value in values)
            sound = {
                CACHES: len(words) == 2,
                MAINTENANCE: len(words) == 2,
                MPU: len(words) % 2 == 1,
            }
            if not sound.get(kind) or max(words) > 0xFFFF_FFFF:
                raise ValueError("memory event")
            found.setdefault(_count(at), []).append((kind, words))
        return found

    def _error(self, what: str) -> InputError:
        return InputError(
            what, where=str(self.path), do="Record it again: m7sim run --trace FILE FW.ELF"
        )

    @contextlib.contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (*_DAMAGED, InputError) as error:
            raise self._error(what) from error

    def _get(self, name: str, dtype: Any, most_bytes: int = MOST_CODE_BYTES) -> NDArray[Any]:
        """Read a member: one-dimensional, of a type, and not more than there is."""
        info = self._zip.getinfo(f"{name}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(name)
        if info.file_size > most_bytes + 4096:
            raise ValueError(name)
        content = io.BytesIO(self._zip.read(info))
        if npy.read_magic(content) != (1, 0):
            raise ValueError(name)
        shape, _, found = npy.read_array_header_1_0(content)
        data = content.getbuffer()[content.tell() :]
        if len(shape) != 1 or found != dtype or len(data) != shape[0] * found.itemsize:
            raise ValueError(name)
        return np.frombuffer(data, dtype)


def load_trace(path: str | Path) -> SavedTrace:
    """Open a saved trace.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such trace", where=str(path))
    return SavedTrace(path)


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("not a count")
    return int(value)


def _group_first(chunks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the first chunk of each group, and behind them how many there are."""
    if ((chunks < 1) | (chunks > GROUP_CHUNKS)).any():
        raise ValueError("groups")
    return first_slots(chunks)
