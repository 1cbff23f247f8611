from __future__ import annotations

from pathlib import Path

import pytest

from m7sim.characterize.journal import Journal
from m7sim.errors import InputError

ROWS = [("aa", {"cycles": 1, "energy_nj": 0.1 + 0.2}), ("bb", {"cycles": None, "reason": "é\n"})]


def filled(path: Path) -> bytes:
    with Journal(path) as journal:
        for row in ROWS:
            journal.add([row])
    return path.read_bytes()


def test_what_was_added_is_there(tmp_path: Path) -> None:
    filled(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        assert journal.finished == dict(ROWS)


def test_killed_at_any_byte(tmp_path: Path) -> None:
    """Every whole line counts, nothing else does, and writing goes on behind it."""
    whole = filled(tmp_path / "j")
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path = tmp_path / f"cut{length}"
        path.write_bytes(whole[:length])
        with Journal(path) as journal:
            lines = sum(end <= length for end in ends)
            assert len(journal.finished) == max(lines - 1, 0)
            journal.add(ROWS)
        assert path.read_bytes() == whole


def test_a_later_measurement_replaces_a_former(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.add([("aa", {"status": "died"})])
        journal.add([("aa", {"status": "ok"})])
    with Journal(tmp_path / "j") as journal:
        assert journal.finished == {"aa": {"status": "ok"}}


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader,\n")
    with pytest.raises(InputError, match="not a journal"):
        Journal(path)
    assert path.read_text() == "Dear reader,\n"


def test_the_rows_of_another_sweep_are_not_lost(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "m7sim characterize --ops fc") as journal:
        journal.add(ROWS)
    with pytest.raises(InputError, match="finished of another sweep, 'm7sim characterize --ops fc"):
        Journal(tmp_path / "j", "m7sim characterize")
    with Journal(tmp_path / "j", "m7sim characterize", replace=True) as journal:
        assert journal.finished == dict(ROWS)


def test_one_writer(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j"),
        pytest.raises(InputError, match="another sweep is writing"),
    ):
        Journal(tmp_path / "j")
    Journal(tmp_path / "j").close()
