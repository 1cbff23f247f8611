"""Kernels kept on disk: never stale, safe with several processes, and never in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import m7sim
from m7sim import cache

PACKAGE = Path(m7sim.__file__).parent

# Functions of several signatures: these share an index file and number their data files.
MODULE = """
from m7sim import cache, jit
compiled = []
cache.on_compile = lambda name, done, known: compiled.append(name)

@jit.kernel
def inner(x):
    return x + 1

@jit.kernel
def total(a, factor):
    s = a[0] * 0
    for i in range(a.shape[0]):
        s += inner(a[i]) * factor
    return s
"""


def python(
    code: str, cache_dir: Path | str, cwd: Path, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={
            **os.environ, "PYTHONPATH": f"{PACKAGE.parent}{os.pathsep}{cwd}",
            "M7SIM_CACHE": str(cache_dir), **environment,
        },
    )  # fmt: skip


def told(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    return out.strip()


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "few_kernels.py").write_text(MODULE)
    return tmp_path


USE = """
import numpy as np, few_kernels as k
a = np.arange(10, dtype=np.{dtype})
print(k.total(a, a.dtype.type(2)), *dict.fromkeys(filter(None, k.compiled)))
"""


def test_compiled_once_and_told(module: Path) -> None:
    code = USE.format(dtype="int64") + "print(k.compiled[-1] == '')"
    assert told(python(code, module / "c", module)) == "110 total inner\nTrue"
    assert told(python(USE.format(dtype="int64"), module / "c", module)) == "110"


def test_loading_needs_no_compiler(module: Path) -> None:
    """What numba imports to compile costs a third of a second."""
    code = USE.format(dtype="int64") + "import sys; print('numba.typed.typeddict' in sys.modules)"
    assert told(python(code, module / "c", module)).endswith("True")
    assert told(python(code, module / "c", module)).endswith("False")


def test_a_new_signature_after_a_loaded_one(module: Path) -> None:
    told(python(USE.format(dtype="int64"), module / "c", module))
    code = USE.format(dtype="int64") + USE.format(dtype="float32")
    lines = told(python(code, module / "c", module)).splitlines()
    assert lines == ["110", "110.0 total inner"]


SLOW_DISK = """
import time
from numba.core.caching import IndexDataCacheFile
write = IndexDataCacheFile._save_index
def slowly(self, overloads):
    time.sleep(1)
    write(self, overloads)
IndexDataCacheFile._save_index = slowly
"""


def test_processes_at_once(module: Path) -> None:
    """Each adds to the same index, which is read, added to and written."""
    dtypes = ("int64", "float64", "float32")
    running = [
        python(SLOW_DISK + USE.format(dtype=dtype), module / "c", module) for dtype in dtypes
    ]
    sums = [told(process).split()[0] for process in running]
    assert sums == ["110", "110.0", "110.0"]
    code = "".join(USE.format(dtype=dtype) for dtype in dtypes)
    assert told(python(code, module / "c", module)).splitlines() == sums  # all is there


def test_damaged_files_are_compiled_again(module: Path) -> None:
    told(python(USE.format(dtype="int64"), module / "c", module))
    for suffix in ("nbc", "nbi"):
        files = sorted((module / "c").rglob(f"*.{suffix}"))
        assert files
        for file in files:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        out = told(python(USE.format(dtype="int64"), module / "c", module))
        assert out == "110 total inner"
    assert told(python(USE.format(dtype="int64"), module / "c", module)) == "110"


@pytest.mark.parametrize(
    "trouble",
    [
        "FunctionCache._save_overload = full",
        "FunctionCache._load_overload = full",
        "cache.cache_dir = full",
        "cache.version_dir = full",
    ],
)
def test_a_disk_that_cannot_be_used(module: Path, trouble: str) -> None:
    code = f"""
from m7sim import cache
from numba.core.caching import FunctionCache
def full(*arguments):
    raise OSError(28, "No space left on device")
{trouble}
"""
    out = told(python(code + USE.format(dtype="int64"), module / "c", module))
    assert out.split()[0] == "110"


def test_a_callback_is_compiled_when_asked_for(module: Path) -> None:
    code = """
import ctypes
from m7sim import cache, jit
names = []
cache.on_compile = lambda name, done, known: names.append(name)
@jit.native_callback(jit.types.int64(jit.types.int64))
def twice(x):
    return 2 * x
print(names[:], ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(twice.address)(21), names)
"""
    (module / "callback.py").write_text(code)
    assert told(python("import callback", module / "c", module)) == "[] 42 ['twice', '']"
    assert told(python("import callback", module / "c", module)) == "[] 42 []"


# --- which directory --------------------------------------------------------------------------


def hash_of(package: Path) -> str:
    code = "import m7sim.jit; print(m7sim.jit._sources_hash(), m7sim.__file__)"
    environment = {"PYTHONPATH": str(package), "M7SIM_CACHE": str(package / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=package,
        env={**os.environ, **environment},
    )  # fmt: skip
    name, where = done.stdout.split()
    assert Path(where).is_relative_to(package)
    return name


def test_a_changed_constant_in_an_imported_file_is_another_version(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "m7sim", ignore=shutil.ignore_patterns("__pycache__"))
    before = hash_of(tmp_path)
    assert hash_of(tmp_path) == before
    # no kernel in it, but kernels are compiled with its constant
    code = tmp_path / "m7sim" / "isa" / "code.py"
    text = code.read_text()
    assert "NO_ACCESS = 0xFFFF_FFFF" in text
    assert "m7sim.jit" not in text
    code.write_text(text.replace("NO_ACCESS = 0xFFFF_FFFF", "NO_ACCESS = 0xFFFF_FFFE"))
    assert hash_of(tmp_path) != before


def test_an_unusable_directory_is_told_once(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    (tmp_path / "tmp").mkdir()
    code = "from m7sim import cache, jit; print(jit._KERNEL_DIR); cache.cache_dir()"
    process = python(
        code, blocked / "x", tmp_path, HOME=str(blocked), TMPDIR=str(tmp_path / "tmp"),
        XDG_CACHE_HOME="",
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path(out.strip()).is_relative_to(tmp_path / "tmp" / f"m7sim-{os.getuid()}")
    assert len(err.splitlines()) == 1
    assert str(blocked) in err


def test_a_named_directory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M7SIM_CACHE", str(tmp_path / "here"))
    assert cache.cache_dir.__wrapped__() == tmp_path / "here"


def test_a_temporary_directory_of_others_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write there can have us execute something."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    for name in ("M7SIM_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(blocked))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    shared = tmp_path / f"m7sim-{os.getuid()}"
    assert cache.cache_dir.__wrapped__() == shared
    shared.chmod(0o777)
    private = cache.cache_dir.__wrapped__()
    assert private != shared
    assert private.stat().st_mode & 0o077 == 0
    assert capsys.readouterr().err.count("\n") == 2


def test_old_versions_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "cache_dir", lambda: tmp_path)
    now = time.time()
    for age in range(20):
        made = cache.version_dir("kernels", f"v{age:02d}")
        (made / "sub").mkdir()
        for each in (made / "sub", made):
            os.utime(each, (now - 86400 * (age + 1),) * 2)
    just_compiled = tmp_path / "kernels" / "v19" / "sub"
    os.utime(just_compiled)  # long there, but another process has just put something into it
    cache.version_dir("kernels", "new")
    left = {each.name for each in (tmp_path / "kernels").iterdir()}
    assert left == {"new", "v19", *(f"v{age:02d}" for age in range(cache.KEPT_VERSIONS - 1))}
    for name in ("new", "v03"):
        cache.version_dir("kernels", name)  # nothing is removed for one that is there
    assert {each.name for each in (tmp_path / "kernels").iterdir()} == left


def test_versions_in_use_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "cache_dir", lambda: tmp_path)
    for n in range(20):
        cache.version_dir("kernels", f"v{n}")
    assert len(list((tmp_path / "kernels").iterdir())) == 20
