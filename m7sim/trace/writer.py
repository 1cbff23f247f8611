"""Write traces to files; `m7sim.trace.store` reads them, traces/README.md describes the format."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from m7sim import __version__
from m7sim.errors import InputError
from m7sim.trace.blocks import Blocks
from m7sim.trace.chunk import Chunk
from m7sim.trace.packing import Packer, first_slots
from m7sim.trace.stored_code import code_columns

SCHEMA, SCHEMA_VERSION = "m7sim.trace", 3
# A group ends behind the chunk with which it has as many of one of these.
GROUP_CHUNKS, GROUP_BLOCKS, GROUP_BYTES = 1 << 12, 1 << 20, 1 << 20
_SMALL_BYTES = 1 << 16


class Recorded(Protocol):
    """What a writer needs of a capture."""

    @property
    def blocks(self) -> Blocks: ...


class Program(Protocol):
    """What a writer needs of an image."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def entry(self) -> int: ...


class TraceWriter:
    """Writes chunks as they come; memory does not grow with the run.

    What is written lies beside the file, hidden, and gets its name when it is complete.

    Parameters
    ----------
    capture, image
        What is recorded, and the program it runs.
    run
        How it was run (board, entry, arguments, command line …), for the header; JSON values.
    path
        The file.

    Raises
    ------
    InputError
        If the file cannot be written, here or in any method.
    """

    def __init__(
        self, capture: Recorded, image: Program, run: Mapping[str, Any], path: str | Path
    ) -> None:
        self._blocks, self._image, self._run = capture.blocks, image, dict(run)
        self._path = Path(path)
        self._partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        self._packer = Packer()
        self._n_values: list[int] = []
        self._first_slot = first_slots([])
        self._counts = np.zeros(0, np.int64)
        self._instructions = 0
        self._group_chunks: list[int] = []
        self._events: list[tuple[int, str, tuple[int, ...]]] = []
        if self._path.exists() and not self._path.is_file():
            raise InputError("cannot write the trace: not a regular file", where=str(path))
        with self._telling():
            self._zip = zipfile.ZipFile(self._partial, "w")

    def event(self, kind: str, values: tuple[int, ...]) -> None:
        """Note that the firmware changed the memory system after the last chunk added."""
        self._events.append((self._packer.chunks, kind, values))

    def add(self, chunk: Chunk) -> None:
        """Append a chunk.

        Raises
        ------
        InputError
            If the file cannot be written.
        ValueError
            If the chunk contradicts itself.
        """
        self._know_blocks()
        self._packer.add(chunk, self._first_slot)
        self._instructions += int(self._counts[chunk.blocks].sum())
        packer = self._packer
        if (
            packer.chunks >= GROUP_CHUNKS
            or packer.blocks >= GROUP_BLOCKS
            or packer.size_bytes >= GROUP_BYTES
        ):
            self._end_group()

    def note(self, more: Mapping[str, Any]) -> None:
        """Add to what the header says about the run."""
        self._run.update(more)

    def save(self) -> int:
        """Finish the file and put it in its place; the writer is used up.

        Returns
        -------
        int
            Bytes of the file.
        """
        if self._packer.chunks:
            self._end_group()
        with self._telling():
            for name, column in code_columns(self._blocks).items():
                self._put(name, column)
            self._put("site_pcs", np.array(self._packer.sites.pcs, np.uint32))
            self._put("group_chunks", np.array(self._group_chunks, np.int64))
            self._put("header", _json_bytes(self._header()))
            self._zip.close()
            size_bytes = self._partial.stat().st_size
            self._partial.replace(self._path)
        return size_bytes

    def close(self) -> None:
        """Give up what was not saved; after `save` there is nothing left to do."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
        self._partial.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise InputError(
                f"cannot write the trace: {error.strerror}", where=str(self._path)
            ) from error

    def _know_blocks(self) -> None:
        """Take in blocks met since the last chunk; of the capture's lists, which only grow."""
        known, plans = len(self._n_values), self._blocks.plans
        counts = self._blocks.code.blocks
        if known == len(counts):
            return
        new = range(known, len(counts))
        self._n_values += [len(plans[i].at_entry) + len(plans[i].exit) for i in new]
        self._first_slot = first_slots(self._n_values)
        self._counts = np.append(self._counts, [counts[i][1] for i in new])

    def _end_group(self) -> None:
        chunks = self._packer.chunks
        # Nothing is timed after what came behind the last chunk of a run.
        events, self._events = [event for event in self._events if event[0] < chunks], []
        group = f"group{len(self._group_chunks)}"
        with self._telling():
            for name, column in self._packer.finish().items():
                self._put(f"{group}/{name}", column)
            if events:
                self._put(f"{group}/memory_events", _json_bytes(events))
        self._group_chunks.append(chunks)

    def _header(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "elf": {
                "name": Path(self._image.path).name,
                "sha256": self._image.sha256,
                "entry": self._image.entry,
            },
            "run": self._run,
            "tools": {
                "m7sim": __version__,
                "unicorn": metadata.version("unicorn"),
                "capstone": metadata.version("capstone"),
            },
            "chunks": sum(self._group_chunks),
            "blocks": len(self._blocks),
            "instructions": self._instructions,
        }

    def _put(self, name: str, array: NDArray[Any]) -> None:
        data = io.BytesIO()
        npy.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
        content = data.getbuffer()
        # Random numbers do not get smaller, they only take long.
        sample = content[:_SMALL_BYTES]
        worth = len(content) < _SMALL_BYTES or len(zlib.compress(sample, 1)) < 0.9 * len(sample)
        self._zip.writestr(
            zipfile.ZipInfo(f"{name}.npy"),  # without a date: the same run gives the same file
            content,
            zipfile.ZIP_DEFLATED if worth else zipfile.ZIP_STORED,
            compresslevel=6 if len(content) < _SMALL_BYTES else 1,
        )


def save_trace(
    path: str | Path,
    capture: Recorded,
    image: Program,
    chunks: list[Chunk],
    run: Mapping[str, Any],
) -> None:
    """Write chunks that are in memory; see :class:`TraceWriter` for a stream."""
    writer = TraceWriter(capture, image, run, path)
    try:
        for chunk in chunks:
            writer.add(chunk)
        writer.save()
    finally:
        writer.close()


def _json_bytes(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)
