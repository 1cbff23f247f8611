"""What is built once, and what makes it built again."""

from __future__ import annotations

from pathlib import Path

import pytest

from m7sim import toolchain
from m7sim.elf import Image
from m7sim.errors import InputError, ToolError

pytestmark = pytest.mark.toolchain


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(toolchain, "cache_dir", lambda: tmp_path / "cache")
    (tmp_path / "other folder").mkdir()
    (tmp_path / "scale.c").write_text(
        '#include "factor.h"\n#include "more headers.h"\nint scale(int x) { return x * F + M; }\n'
    )
    (tmp_path / "factor.h").write_text("#define F 3\n")
    (tmp_path / "other folder" / "more headers.h").write_text("#define M 5\n")
    return tmp_path


def _build(project: Path) -> Path:
    return toolchain.build(
        [project / "scale.c"], include=[project / "other folder"], keep=["scale"]
    )


def test_an_unchanged_source_is_compiled_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _build(project)
    monkeypatch.setattr(toolchain, "_run", None)  # no compiler is called
    assert _build(project) == first


@pytest.mark.parametrize("header", ["factor.h", "other folder/more headers.h"])
def test_an_edited_header_is_never_missed(project: Path, header: str) -> None:
    first = _build(project)
    text = (project / header).read_text()
    (project / header).write_text(text.replace("3", "7").replace("5", "9"))
    second = _build(project)
    assert Image.load(first).content_sha256 != Image.load(second).content_sha256
    (project / header).write_text(text)
    assert _build(project) == first


def test_a_header_that_is_included_later_is_followed(project: Path) -> None:
    (project / "deep.h").write_text("#define F 11\n")
    first = _build(project)
    (project / "factor.h").write_text('#include "deep.h"\n')
    second = _build(project)
    (project / "deep.h").write_text("#define F 12\n")
    assert len({first, second, _build(project)}) == 3


def test_relative_options_mean_the_folder_one_is_in(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    flags = (*toolchain.DEFAULT_FLAGS, "-Iother folder")
    built = toolchain.build([Path("scale.c")], flags=flags, keep=["scale"])
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ToolError, match="more headers"):
        toolchain.build([project / "scale.c"], flags=flags, keep=["scale"])
    assert Image.load(built).content_sha256 == Image.load(_build(project)).content_sha256


def test_the_same_bytes_wherever_it_is_called_from(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _build(project)
    monkeypatch.setattr(toolchain, "cache_dir", lambda: project / "another cache")
    monkeypatch.chdir(project / "other folder")
    second = _build(project)
    assert first != second
    assert first.read_bytes() == second.read_bytes()


def test_what_is_missing_is_named(project: Path) -> None:
    (project / "factor.h").unlink()
    with pytest.raises(ToolError, match=r"factor\.h: No such file"):
        _build(project)
    (project / "scale.c").unlink()
    with pytest.raises(InputError, match="cannot read the source"):
        _build(project)
