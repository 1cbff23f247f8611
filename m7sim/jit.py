"""The one place where numba is met: the decorators of jitted kernels and of native callbacks.

A kernel takes arrays, scalars and named tuples of them, and runs un-jitted as well
(``kernel.py_func``), which is what the parity tests do.

numba's on-disk cache notices a change only in the file of the function itself, not in the kernels
it calls. The cache directory is therefore named by a hash of all files that kernels are made from,
so a changed file never meets machine code made from its former self.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys
from numba.core.sigutils import normalize_signature
from numba.extending import intrinsic

from m7sim import cache

F = TypeVar("F", bound=Callable[..., Any])


_IMPORT = re.compile(rb"^(?:from|import) (m7sim[.\w]*)", re.MULTILINE)


def _sources_hash() -> str:
    """Hash the files that hold kernels and, since constants are baked in, all they import."""
    root = Path(__file__).parent
    text = {path: path.read_bytes() for path in root.rglob("*.py")}
    todo = [path for path, source in text.items() if b"m7sim.jit" in source]
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _IMPORT.findall(text[path]):
            module = root.joinpath(*name.decode().split(".")[1:])
            found = (module.with_suffix(".py"), module / "__init__.py")
            todo += [candidate for candidate in found if candidate in text]
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(seen):
        digest.update(path.relative_to(root).as_posix().encode() + text[path])
    return digest.hexdigest()[:16]


def _kernel_dir() -> Path | None:
    """Return where machine code is kept; None when that is nowhere."""
    try:
        return cache.version_dir("kernels", _sources_hash())
    except OSError:
        return None


_KERNEL_DIR = _kernel_dir()
numba.config.CACHE_DIR = str(_KERNEL_DIR or "")


class _Compiling:
    """Tells `m7sim.cache.on_compile` what is being compiled."""

    def __init__(self) -> None:
        self.known = 0  # kernels
        self.done = 0
        self._names: list[str] = []  # a kernel, one that it calls, one that this calls, …

    def begin(self, name: str) -> None:
        self._names.append(name)
        self._tell()

    def end(self, name: str) -> None:
        if name in self._names:
            del self._names[self._names.index(name) :]
            self.done += 1
            self._tell()

    def _tell(self) -> None:
        if cache.on_compile is not None:
            name = self._names[-1] if self._names else ""
            cache.on_compile(name, self.done, max(self.known, self.done + len(self._names)))


_compiling = _Compiling()


class _Kept(FunctionCache):  # type: ignore[misc]
    """numba's cache on disk, but quicker to load from and safe with several processes."""

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return the machine code for a signature, or None: it must be compiled.

        numba would load its whole compiler first, which only compiling needs.
        """
        found = None
        with contextlib.suppress(Exception):  # a damaged file is as good as none
            rtsys.initialize(target)
            found = self._load_overload(signature, target)
        if found is None:
            _compiling.begin(self._py_func.__name__)
        return found

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep machine code; when that cannot be written, it is compiled again next time."""
        try:
            # The index of a kernel is read, added to and written: one process at a time.
            if _KERNEL_DIR is not None:
                with contextlib.suppress(OSError), cache.locked(_KERNEL_DIR):
                    try:
                        self._save_overload(signature, data)
                    except OSError:
                        raise
                    except Exception:  # a damaged index: begin a new one
                        self._cache_file.flush()
                        self._save_overload(signature, data)
        finally:
            _compiling.end(self._py_func.__name__)


def _keep(made: Any, function: Any) -> None:
    if _KERNEL_DIR is not None:
        with contextlib.suppress(OSError, RuntimeError):
            made._cache = _Kept(function)


def kernel(function: F) -> F:
    """Compile ``function`` on first use, without the interpreter lock, cached on disk."""
    jitted: F = numba.njit(nogil=True, boundscheck=False)(function)
    if isinstance(jitted, Dispatcher):
        _compiling.known += 1
        _keep(jitted, function)
    return jitted


def inlined(function: F) -> F:
    """Compile ``function`` into each kernel that calls it: for the short steps of hot loops."""
    jitted: F = numba.njit(nogil=True, boundscheck=False, inline="always")(function)
    if isinstance(jitted, Dispatcher):
        _keep(jitted, function)
    return jitted


def plain(function: Any) -> Any:
    """Return the Python function behind a jitted one (or the function itself)."""
    return getattr(function, "py_func", function)


class NativeCallback:
    """A C-callable function, compiled when its address is first asked for."""

    def __init__(self, signature: Any, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function
        self._signature = signature
        _compiling.known += 1

    @cached_property
    def _compiled(self) -> Any:
        signature = normalize_signature(self._signature)
        made = CFunc(self.__wrapped__, signature, locals={}, options={"nopython": True})
        _keep(made, self.__wrapped__)
        made.compile()
        return made

    @property
    def address(self) -> int:
        """What native libraries are given."""
        return int(self._compiled.address)


def native_callback(signature: Any) -> Callable[[Callable[..., Any]], NativeCallback]:
    """Make a C-callable function; its ``address`` goes to native libraries."""
    return lambda function: NativeCallback(signature, function)


@intrinsic  # type: ignore[untyped-decorator]
def int32_at(_typing: Any, address: Any) -> Any:
    """Return a pointer to the int32 array at an address held in an int64 (jitted code only)."""
    return _pointer(types.int32, ir.IntType(32))


@intrinsic  # type: ignore[untyped-decorator]
def int64_at(_typing: Any, address: Any) -> Any:
    """Return a pointer to the int64 array at an address held in an int64 (jitted code only)."""
    return _pointer(types.int64, ir.IntType(64))


@intrinsic  # type: ignore[untyped-decorator]
def float64_at(_typing: Any, address: Any) -> Any:
    """Return a pointer to the float64 array at an address held in an int64 (jitted code only)."""
    return _pointer(types.float64, ir.DoubleType())


@intrinsic  # type: ignore[untyped-decorator]
def fused(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c`` in double precision, rounded once (jitted code only)."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(*[types.float64] * 3), generate


def _pointer(element: Any, native: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], native.as_pointer())

    return types.CPointer(element)(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def call_c(_typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Call the C function at an address with four int64 (or pointer) arguments; returns int32.

    Jitted code only. Surplus arguments are harmless: the caller cleans up in every 64-bit C
    calling convention.
    """
    return _call(4)


@intrinsic  # type: ignore[untyped-decorator]
def call_c5(_typing: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    """As `call_c`, with five arguments."""
    return _call(5)


def _call(count: int) -> Any:
    int64 = types.int64

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(64)] * count)
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        return builder.call(function, arguments[1:])

    return types.int32(int64, *[int64] * count), generate


__all__ = [
    "call_c",
    "call_c5",
    "float64_at",
    "fused",
    "int32_at",
    "int64_at",
    "kernel",
    "native_callback",
    "plain",
    "types",
]
