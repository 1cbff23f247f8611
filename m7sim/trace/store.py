"""Write traces to files, and read them back; the format is described in traces/README.md.

A trace file is the stream of chunks written down, with what is needed to time it without the ELF:
the bytes and the plan of every block.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from m7sim import __version__
from m7sim.errors import InputError
from m7sim.isa.code import Code
from m7sim.trace.blocks import Blocks, BlockSource, decode_block
from m7sim.trace.chunk import Chunk
from m7sim.trace.plan import PlanArrays
from m7sim.trace.pure import ROR

SCHEMA, SCHEMA_VERSION = "m7sim.trace", 2
_COLUMNS = tuple(field.name for field in dataclasses.fields(Chunk))
_DTYPES = {"blocks": np.int32, "site_block": np.int32}  # of chunk columns; the rest uint32
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


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

    Parameters
    ----------
    capture, image
        What is recorded, and the program it runs.
    run
        How it was run (board, entry, arguments, command line …), for the header; JSON values.
    """

    def __init__(self, capture: Recorded, image: Program, run: Mapping[str, Any]) -> None:
        self._blocks, self._image, self._run = capture.blocks, image, dict(run)
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by save or with self
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._chunks = 0
        self._instructions = 0
        self._events: list[tuple[int, str, tuple[int, ...]]] = []

    def event(self, kind: str, values: tuple[int, ...]) -> None:
        """Note that the firmware changed the memory system after the last chunk added."""
        self._events.append((self._chunks, kind, values))

    def add(self, chunk: Chunk) -> None:
        """Append a chunk."""
        for name in _COLUMNS:
            self._put(f"chunk{self._chunks}/{name}", getattr(chunk, name))
        counts = np.array([count for _, count in self._blocks.code.blocks], np.int64)
        self._instructions += int(counts[chunk.blocks].sum())
        self._chunks += 1

    def save(self, path: str | Path) -> None:
        """Finish the file and put it in its place; the writer is used up.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        sources = self._blocks.sources
        first, data = _joined([source.data for source in sources])
        it_first, it_conditions = _joined([bytes(source.it_conditions) for source in sources])
        self._put("block_address", np.array([s.address for s in sources], np.uint32))
        self._put("block_first", first)
        self._put("block_data", data)
        self._put("block_it_first", it_first)
        self._put("block_it_conditions", it_conditions)
        for name, column in self._blocks.plan()._asdict().items():
            self._put(f"plan_{name}", column)
        self._put("header", np.frombuffer(json.dumps(self._header()).encode(), np.uint8))
        self._zip.close()
        self._file.seek(0)
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with partial.open("wb") as out:
                shutil.copyfileobj(self._file, out, 1 << 20)
            partial.replace(path)
        except OSError as error:
            raise InputError(
                f"cannot write the trace: {error.strerror}", where=str(path)
            ) from error
        finally:
            partial.unlink(missing_ok=True)
            self._file.close()

    def close(self) -> None:
        """Give up what was not saved; after `save` there is nothing left to do."""
        self._zip.close()
        self._file.close()

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
            "chunks": self._chunks,
            "blocks": len(self._blocks),
            "instructions": self._instructions,
            "memory_events": self._events,
        }

    def _put(self, name: str, array: NDArray[Any]) -> None:
        # Without a date, the same run gives the same file.
        info = zipfile.ZipInfo(f"{name}.npy")
        info.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(info, "w", force_zip64=True) as member:
            npy.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


class SavedTrace:
    """A trace read from a file; chunks are read one at a time.

    Attributes
    ----------
    header : dict
    code : Code
        Decoded from the bytes in the file; the ELF is not needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            self.header: dict[str, Any] = json.loads(self._get("header", np.uint8).tobytes())
        except _DAMAGED as error:
            raise self._error("not a trace, or a damaged one") from error
        if self.header.get("schema") != SCHEMA:
            raise self._error("not a trace of m7sim")
        if self.header.get("schema_version") != SCHEMA_VERSION:
            raise self._error(
                f"schema version {self.header.get('schema_version')}; this m7sim reads "
                f"{SCHEMA_VERSION}"
            )
        try:
            self._plan = self._read_plan()
            self.code = self._read_code()
        except (*_DAMAGED, IndexError) as error:
            raise self._error("damaged") from error

    def __len__(self) -> int:
        """Return the number of chunks."""
        return int(self.header["chunks"])

    def plan(self) -> PlanArrays:
        """How to resolve its chunks."""
        return self._plan

    def chunk(self, index: int) -> Chunk:
        """Read one chunk.

        Raises
        ------
        InputError
            If it is damaged.
        """
        try:
            chunk = Chunk(
                **{
                    name: self._get(f"chunk{index}/{name}", _DTYPES.get(name, np.uint32))
                    for name in _COLUMNS
                }
            )
        except _DAMAGED as error:
            raise self._error(f"chunk {index} is damaged") from error
        blocks = chunk.blocks
        if blocks.size and not 0 <= blocks.min() <= blocks.max() < len(self._plan.values):
            raise self._error(f"chunk {index} has an unknown block")
        sound = (
            chunk.values.size == int(self._plan.values[blocks].sum())
            and chunk.site_block.size == chunk.site_pc.size == chunk.site_address.size
        )
        if not sound:
            raise self._error(f"chunk {index} is damaged")
        return chunk

    def events(self, index: int) -> list[tuple[str, tuple[int, ...]]]:
        """What the firmware did to the memory system just before a chunk: kind and values."""
        noted = self.header.get("memory_events", [])
        return [(str(kind), tuple(values)) for at, kind, values in noted if at == index]

    def chunks(self) -> Iterator[Chunk]:
        """Read the chunks in order."""
        for index in range(len(self)):
            yield self.chunk(index)

    def close(self) -> None:
        self._zip.close()

    def __enter__(self) -> SavedTrace:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _error(self, what: str) -> InputError:
        return InputError(what, where=str(self.path), do="Save the trace again")

    def _get(self, name: str, dtype: Any) -> NDArray[Any]:
        with self._zip.open(f"{name}.npy") as member:
            array = npy.read_array(member, allow_pickle=False)
        if array.ndim != 1 or array.dtype != dtype:
            raise ValueError(name)
        return array

    def _read_plan(self) -> PlanArrays:
        types = {"site": np.int64, "constant": np.uint32, "operand_constant": np.uint32}
        plan = PlanArrays(
            **{
                name: self._get(f"plan_{name}", types.get(name, np.int32))
                for name in PlanArrays._fields
            }
        )
        block = np.repeat(np.arange(plan.values.size), np.diff(plan.access_first))
        steps = np.arange(plan.step_operation.size)
        step_block = np.repeat(np.arange(plan.values.size), np.diff(plan.step_first))
        if block.size != plan.constant.size or step_block.size != steps.size:
            raise ValueError("plan")
        if (plan.values < 0).any() or not np.isin(plan.step_operation, range(ROR + 1)).all():
            raise ValueError("plan")
        n_steps = np.diff(plan.step_first)
        before = plan.values[step_block] + steps - plan.step_first[step_block]
        _check_terms(
            plan.constant, plan.term_first, plan.term_value, plan.term_coefficient,
            (plan.values + n_steps)[block],
        )  # fmt: skip
        _check_terms(
            plan.operand_constant, plan.operand_term_first, plan.operand_term_value,
            plan.operand_term_coefficient, np.repeat(before, 2),
        )  # fmt: skip
        return plan

    def _read_code(self) -> Code:
        code = Code()
        addresses = self._get("block_address", np.uint32).tolist()
        first = self._get("block_first", np.int64)
        data = self._get("block_data", np.uint8)
        it_first = self._get("block_it_first", np.int64)
        it_conditions = self._get("block_it_conditions", np.uint8)
        for i, address in enumerate(addresses):
            conditions = tuple(it_conditions[it_first[i] : it_first[i + 1]].tolist())
            source = BlockSource(address, data[first[i] : first[i + 1]].tobytes(), conditions)
            instructions = decode_block(source)
            accesses = sum(1 for instruction in instructions if instruction.memory)
            if accesses != self._plan.access_first[i + 1] - self._plan.access_first[i]:
                raise ValueError("plan")
            code.add_block(instructions)
        if len(addresses) != len(self._plan.values):
            raise ValueError("blocks")
        return code


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


def save_trace(
    path: str | Path,
    capture: Recorded,
    image: Program,
    chunks: list[Chunk],
    run: Mapping[str, Any],
) -> None:
    """Write chunks that are in memory; see :class:`TraceWriter` for a stream."""
    writer = TraceWriter(capture, image, run)
    for chunk in chunks:
        writer.add(chunk)
    writer.save(path)


def _joined(pieces: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    first = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=first[1:])
    return first, np.frombuffer(b"".join(pieces), np.uint8)


def _check_terms(
    constant: NDArray[Any],
    first: NDArray[Any],
    value: NDArray[Any],
    coefficient: NDArray[Any],
    limit: NDArray[Any],
) -> None:
    """Refuse forms with a term at or behind the limit of their form."""
    form = np.repeat(np.arange(constant.size), np.diff(first))
    if not constant.size == limit.size or not form.size == value.size == coefficient.size:
        raise ValueError("plan")
    if not ((value >= 0) & (value < limit[form])).all():
        raise ValueError("plan")
