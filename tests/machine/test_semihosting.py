"""Semihosting: the protocol against a memory of bytes, the sandbox, and files from C."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from m7sim.errors import FirmwareError, InputError
from m7sim.machine import Machine
from m7sim.machine.hostfiles import EACCES, EBADF, EINVAL, ENOENT, HostError, HostFiles
from m7sim.machine.semihosting import Exit, Operation, Semihosting, StreamConsole

FAILED = 0xFFFF_FFFF


class Bytes:
    """A little memory at address 0."""

    def __init__(self) -> None:
        self.data = bytearray(4096)

    def read(self, address: int, size_bytes: int) -> bytes:
        if address + size_bytes > len(self.data):
            raise InputError("no memory", where=hex(address))
        return bytes(self.data[address : address + size_bytes])

    def write(self, address: int, data: bytes) -> None:
        self.read(address, len(data))
        self.data[address : address + len(data)] = data


class Host:
    """Semihosting with arguments given as a Python caller would."""

    def __init__(self, root: Path | None, **options: object) -> None:
        self.memory = Bytes()
        self.console = StreamConsole(**options)  # type: ignore[arg-type]
        self.cycles = 0
        self.it = Semihosting(
            self.memory, HostFiles(self.console, root), 216_000_000, lambda: self.cycles,
            "a b", 0x2001_0000,
        )  # fmt: skip

    def __call__(self, operation: Operation, *words: int) -> int:
        self.memory.write(0, struct.pack(f"<{len(words)}I", *words))
        return self.it.handle(operation, 0)

    def open(self, name: str, mode: int = 0) -> int:
        data = name.encode()
        self.memory.write(256, data + b"\0")
        return self(Operation.OPEN, 256, mode, len(data))

    def put(self, handle: int, data: bytes) -> int:
        self.memory.write(512, data)
        return self(Operation.WRITE, handle, 512, len(data))

    def get(self, handle: int, size_bytes: int) -> tuple[int, bytes]:
        left = self(Operation.READ, handle, 1024, size_bytes)
        return left, self.memory.read(1024, size_bytes - left)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    root = tmp_path / "root"
    root.mkdir()
    return Host(root)


def test_write_seek_read(host: Host) -> None:
    handle = host.open("data.bin", 6)  # w+
    assert handle != FAILED
    assert host.put(handle, b"hello world") == 0
    assert host(Operation.FLEN, handle) == 11
    assert host(Operation.SEEK, handle, 6) == 0
    assert host.get(handle, 100) == (95, b"world")
    assert host.get(handle, 10) == (10, b"")
    assert host(Operation.ISTTY, handle) == 0
    assert host(Operation.CLOSE, handle) == 0
    assert host(Operation.CLOSE, handle) == FAILED
    assert host.it.handle(Operation.ERRNO, 0) == EBADF


def test_rename_and_remove(host: Host) -> None:
    host(Operation.CLOSE, host.open("one", 4))
    host.memory.write(256, b"one\0two\0")
    assert host(Operation.RENAME, 256, 3, 260, 3) == 0
    assert host(Operation.REMOVE, 260, 3) == 0
    assert host(Operation.REMOVE, 260, 3) == FAILED
    assert host.it.handle(Operation.ERRNO, 0) == ENOENT
    assert host.open("two") == FAILED


@pytest.mark.parametrize("mode", [0, 4, 8])
@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "sub/../../secret", "link/secret", "link_file", "", ".",
     "a\\..\\..\\secret", "//etc/passwd", "sub/.."],
)  # fmt: skip
def test_nothing_outside_the_folder(tmp_path: Path, name: str, mode: int) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (root / "link").symlink_to(tmp_path)
    (root / "link_file").symlink_to(secret)
    host = Host(root)
    assert host.open(name, mode) == FAILED
    assert host.it.handle(Operation.ERRNO, 0) in (EACCES, ENOENT)
    assert secret.read_text() == "secret"
    files = HostFiles(host.console, root)
    for refused in (lambda: files.remove(name), lambda: files.rename(name, "x")):
        with pytest.raises(HostError):
            refused()
    (root / "mine").write_text("x")
    with pytest.raises(HostError):
        files.rename("mine", name or "..")
    assert secret.read_text() == "secret"


def test_links_that_stay_inside_work(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("inside")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    host = Host(tmp_path)
    assert host.get(host.open("alias"), 6) == (0, b"inside")


def test_no_files_without_a_folder() -> None:
    host = Host(None)
    assert host.open("x", 4) == FAILED
    assert host.it.handle(Operation.ERRNO, 0) == EACCES
    assert host.open(":tt", 4) != FAILED
    assert not Path("x").exists()


def test_console(host: Host) -> None:
    out, err = io.BytesIO(), io.BytesIO()
    host.console.stdout, host.console.stderr = out, err
    host.console.stdin = io.BytesIO(b"line one\nline two\n")
    stdin, stdout, stderr = (host.open(":tt", mode) for mode in (0, 4, 8))
    host.put(stdout, b"out")
    host.put(stderr, b"err")
    host.memory.write(256, b"text\0")
    host.it.handle(Operation.WRITE0, 256)
    host.it.handle(Operation.WRITEC, 256)
    assert (out.getvalue(), err.getvalue()) == (b"outtextt", b"err")
    assert host.get(stdin, 100) == (91, b"line one\n")
    assert host.it.handle(Operation.READC, 0) == ord("l")
    assert host(Operation.ISTTY, stdin) == 1


def test_clock_is_modelled_time(host: Host) -> None:
    host.cycles = 216_000_000 * 3 + 108_000_000
    assert host.it.handle(Operation.CLOCK, 0) == 350
    assert host.it.handle(Operation.TIME, 0) == 3
    assert host.it.handle(Operation.TICKFREQ, 0) == 216_000_000
    assert host.it.handle(Operation.ELAPSED, 64) == 0
    assert int.from_bytes(host.memory.read(64, 8), "little") == host.cycles


def test_command_line_and_heap(host: Host) -> None:
    assert host(Operation.GET_CMDLINE, 512, 4) == 0
    assert host.memory.read(512, 4) == b"a b\0"
    assert host.memory.read(4, 4) == b"\x03\0\0\0"
    assert host(Operation.GET_CMDLINE, 512, 3) == FAILED
    assert host(Operation.HEAPINFO, 128) == 0
    assert struct.unpack("<4I", host.memory.read(128, 16)) == (0, 0, 0x2001_0000, 0)


def test_exits(host: Host) -> None:
    for operation, argument, words, code in [
        (Operation.EXIT, 0x20026, (), 0), (Operation.EXIT, 0x20023, (), 1),
        (Operation.EXIT_EXTENDED, 0, (0x20026, 7), 7),
        (Operation.EXIT_EXTENDED, 0, (0x20026, 0xFFFF_FFFE), -2),
        (Operation.EXIT_EXTENDED, 0, (0x20023, 0), 1),
    ]:  # fmt: skip
        host.memory.write(0, struct.pack(f"<{len(words)}I", *words))
        with pytest.raises(Exit) as caught:
            host.it.handle(operation, argument)
        assert caught.value.code == code


def test_refusals(host: Host) -> None:
    assert host.open("x", 12) == FAILED
    assert host.it.handle(Operation.ERRNO, 0) == EINVAL
    assert host(Operation.SYSTEM, 0, 0) == FAILED
    assert host(Operation.TMPNAM, 512, 3, 8) == FAILED
    assert host(Operation.TMPNAM, 512, 3, 20) == 0
    assert host.memory.read(512, 14) == b"m7sim-003.tmp\0"
    with pytest.raises(FirmwareError, match="0x99"):
        host.it.handle(0x99, 0)
    with pytest.raises(FirmwareError, match="SYS_READ with a buffer outside memory"):
        host(Operation.READ, host.open(":tt"), 4000, 1000)
    handles = [host.open(":tt") for _ in range(100)]
    assert handles.count(FAILED) > 30  # not without end


@pytest.mark.toolchain
def test_files_from_c(start: Callable[..., Machine], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("line 1\nline 2\n")
    machine = start("""
        #include <stdio.h>
        #include <string.h>
        #include <errno.h>
        #include <unistd.h>
        #include <sys/stat.h>
        int main(void) {
            char line[32];
            FILE *in = fopen("in.txt", "r");
            fseek(in, -7, SEEK_END);
            printf("%s", fgets(line, 32, in));
            rewind(in);
            printf("%s%ld\\n", fgets(line, 32, in), ftell(in));
            struct stat st;
            printf("%d %ld\\n", fstat(fileno(in), &st), (long)st.st_size);
            FILE *out = fopen("out.txt", "w");
            fprintf(out, "%d", 123); fclose(out);
            out = fopen("out.txt", "a"); fputs("+", out); fclose(out);
            out = fopen("out.txt", "r+"); fputs("9", out); fclose(out);
            rename("out.txt", "final.txt");
            printf("%d ", fopen("../up", "w") == 0); printf("errno %d\\n", errno);
            printf("%d ", fopen("missing", "r") == 0); printf("errno %d\\n", errno);
            out = fopen("gone", "w"); fclose(out); remove("gone");
            printf("%d\\n", isatty(1));
            out = fopen("left_open.txt", "w"); fputs("flushed by exit", out);
            return 0;
        }""", files=tmp_path)  # fmt: skip
    machine.run_from_reset()
    assert bytes(machine.console.output).decode().splitlines() == [
        "line 2", "line 1", "7", "0 14", "1 errno 13", "1 errno 2", "1",
    ]  # fmt: skip
    assert (tmp_path / "final.txt").read_text() == "923+"
    assert (tmp_path / "left_open.txt").read_text() == "flushed by exit"
    assert not (tmp_path / "gone").exists()
    assert not (tmp_path.parent / "up").exists()


@pytest.mark.toolchain
def test_input_from_c(start: Callable[..., Machine]) -> None:
    out = io.BytesIO()
    machine = start(
        '#include <stdio.h>\nint main(void) { int a, b; scanf("%d %d", &a, &b); '
        'printf("%d\\n", a * b); return getchar() == 10 && getchar() == EOF ? 0 : 1; }',
        stdin=io.BytesIO(b"6 7\n"), stdout=out,
    )  # fmt: skip
    assert machine.run_from_reset().exit_code == 0
    assert out.getvalue() == b"42\n"


def test_files_folder_must_exist(board: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Machine(None, board, files=tmp_path / "none")  # type: ignore[arg-type]
