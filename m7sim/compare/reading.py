"""Results in files: which kind a file is, and snapshots out of JSON documents."""

from __future__ import annotations

import json
from pathlib import Path

from m7sim.compare.snapshot import Snapshot
from m7sim.errors import InputError

ELF, TRACE, DOCUMENT = "ELF", "trace", "document"

_MAGIC = {b"\x7fELF": ELF, b"PK\x03\x04": TRACE}
_DO = "Give an ELF, a trace that run --trace saved, or the JSON document of run --json"


def kind_of(path: Path) -> str:
    """Return ``ELF``, ``TRACE`` or ``DOCUMENT``, from the first bytes of a file.

    Raises
    ------
    InputError
        If it cannot be read or is none of them.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise InputError(what, where=str(path), do=_DO) from error
    if kind := _MAGIC.get(head[:4]):
        return kind
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return DOCUMENT
    raise InputError("neither ELF nor trace nor JSON document", where=str(path), do=_DO)


def read_document(path: Path) -> Snapshot:
    """Return the snapshot in the JSON document of a run, or one that stands alone.

    Raises
    ------
    InputError
        If it is no JSON, holds no snapshot, or that is damaged.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"no JSON: {error}", where=str(path), do=_DO) from error
    if isinstance(data, dict) and "snapshot" in data:
        return Snapshot.from_dict(data["snapshot"], where=f"{path}: snapshot")
    if isinstance(data, dict) and {"totals", "functions"} <= data.keys():
        return Snapshot.from_dict(data, where=str(path))
    do = "Documents of run --json and replay --json have one, from schema_version 2 on"
    raise InputError("holds no snapshot", where=str(path), do=do)
