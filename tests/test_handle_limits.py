"""Full disks, failing disks, limits and sudden ends: what a handle acknowledged is true, errors are told."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from support import mounts, process
from support.fuse import SlowDisk
from support.handles import filling

SIZE = 512 << 10


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    if (reason := mounts.can_mount()) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "tiny", size=SIZE) as root:
        yield root


# How a handle is opened, and how a piece of data is for it.
KINDS: dict[str, dict[str, Any]] = {
    "raw": {"mode": "wb", "buffering": 0},
    "raw appended": {"mode": "ab", "buffering": 0},
    "raw updated": {"mode": "wb+", "buffering": 0},
    "buffered": {"mode": "wb"},
    "small buffer": {"mode": "wb", "buffering": 100},
    "large buffer": {"mode": "wb", "buffering": 4 << 20},
    "appended": {"mode": "ab"},
    "updated": {"mode": "wb+"},
    "exclusive": {"mode": "xb"},
    "text": {"mode": "w", "encoding": "utf-8"},
    "text appended": {"mode": "a", "encoding": "utf-8"},
    "text updated": {"mode": "w+", "encoding": "utf-8"},
    "text by lines": {"mode": "w", "encoding": "utf-8", "buffering": 1},
    "text in Python": {"mode": "w", "encoding": "cp1252"},
    "text, large buffer": {"mode": "w", "encoding": "utf-8", "buffering": 4 << 20},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
PIECES = {"small": 1000, "large": 200_000, "whole": 1 << 20}


def _data(kind: str, size: int) -> Any:
    data = filling(size)
    return data if "b" in KINDS[kind]["mode"] else data.decode()


@pytest.mark.one_loop
@EVERY_KIND
@pytest.mark.parametrize("piece", PIECES)
async def test_full_disk(kind: str, piece: str, tiny_disk: Path) -> None:
    """The error comes from a write or a flush, once it is known; the handle works when there is room."""
    data = _data(kind, PIECES[piece])
    file = await rapfiles.open(tiny_disk / "file", **KINDS[kind])
    written = 0
    with pytest.raises(OSError, match="No space left on device") as caught:  # noqa: PT012
        while written < 2 * SIZE:
            written += await file.write(data)
        await file.flush()
    assert caught.value.errno == errno.ENOSPC
    assert type(caught.value) is OSError
    assert not file.closed
    # Somebody makes room.
    subprocess.run(["mount", "-o", "remount,size=16m", str(tiny_disk)], check=True, timeout=60)
    await file.flush()
    end = "<end>" if isinstance(data, str) else b"<end>"
    await file.write(end)
    await file.close()
    assert file.closed
    content = (tiny_disk / "file").read_bytes()
    # Everything that was acknowledged, in order; perhaps more of what was not, and nothing else.
    whole = _data(kind, PIECES[piece])
    stream = (whole if isinstance(whole, bytes) else whole.encode()) * (2 * SIZE // PIECES[piece] + 2)
    assert content.endswith(b"<end>")
    assert stream.startswith(content[:-5])
    assert len(content) - 5 >= written


@pytest.mark.one_loop
@EVERY_KIND
async def test_full_disk_at_the_close(kind: str, tiny_disk: Path) -> None:
    """What is in the buffer at the close is not lost without a word, and the descriptor is closed."""
    if ("buffer" in kind and "small" not in kind) or kind in ("text", "buffered", "appended", "updated"):
        (tiny_disk / "in the way").write_bytes(bytes(SIZE))
        file = await rapfiles.open(tiny_disk / "file", **KINDS[kind])
        number = file.fileno()
        await file.write(_data(kind, 50))
        with pytest.raises(OSError, match="No space left on device"):
            await file.close()
    else:
        with pytest.raises(OSError, match="No space left on device"):  # noqa: PT012
            async with rapfiles.open(tiny_disk / "file", **KINDS[kind]) as file:
                number = file.fileno()
                for _ in range(20):
                    await file.write(_data(kind, 100_000))
    assert file.closed
    # The number may be the loop's by now, which gets a descriptor when it waits for the first time.
    with contextlib.suppress(OSError):
        assert not os.path.samestat(os.fstat(number), (tiny_disk / "file").stat())
    await file.close()


TELLING: dict[str, Callable[[Any], Awaitable[object]]] = {
    "flush": lambda file: file.flush(),
    "sync": lambda file: file.sync(),
    "datasync": lambda file: file.datasync(),
    "seek": lambda file: file.seek(0),
    "truncate": lambda file: file.truncate(),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("call", TELLING)
@pytest.mark.parametrize("kind", ["buffered", "updated", "text", "text in Python"])
async def test_a_full_disk_is_told_once(kind: str, call: str, tiny_disk: Path) -> None:
    """What comes after the call that had to write the buffer, and raised, does not raise again."""
    (tiny_disk / "in the way").write_bytes(bytes(SIZE))
    file = await rapfiles.open(tiny_disk / "file", **KINDS[kind])
    await file.write(_data(kind, 50))
    with pytest.raises(OSError, match="No space left on device"):
        await TELLING[call](file)
    (tiny_disk / "in the way").unlink()
    await TELLING[call](file)
    await file.close()
    assert (tiny_disk / "file").read_bytes() == filling(50)


async def test_many_writers_on_a_full_disk(tiny_disk: Path) -> None:
    """Each write that succeeds finds all of its bytes; each other one raises its error."""
    well: dict[int, bool] = {}

    async def write(number: int) -> None:
        try:
            async with rapfiles.open(tiny_disk / str(number), "wb") as file:
                for _ in range(50):
                    await file.write(b"x" * 1000)
            well[number] = True
        except OSError as error:
            well[number] = error.errno != errno.ENOSPC

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(write, number)
    assert set(well.values()) == {True, False}
    for number, fine in well.items():
        size = (tiny_disk / str(number)).stat().st_size if (tiny_disk / str(number)).exists() else 0
        assert (size == 50_000) == fine


_FILE_TOO_LARGE = """
import errno, resource, sys
import rapfiles
from support.loops import LOOPS

resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
print("ready")

async def main():
    for keywords in ({"mode": "wb"}, {"mode": "wb", "buffering": 0}, {"mode": "w"}, {"mode": "a+"}):
        text = "b" not in keywords["mode"]
        try:
            async with rapfiles.open(sys.argv[1], **keywords) as file:
                for _ in range(70):
                    await file.write("x" * 1000 if text else b"x" * 1000)
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        else:
            raise AssertionError(f"{keywords}: nobody said that the file is too large")
        assert file.closed

for loop in LOOPS:
    loop.run(main)
"""


def test_file_too_large(tmp_path: Path) -> None:
    ended = process.run(_FILE_TOO_LARGE, str(tmp_path / "file"))
    assert (ended.code, ended.errors) == (0, "")


FAILING: dict[str, tuple[str, dict[str, Any], Any]] = {
    "open": ("eio-open", {"mode": "rb"}, lambda file: file.read(1)),
    "read": ("eio-read", {"mode": "rb"}, lambda file: file.read(1)),
    "raw read": ("eio-read", {"mode": "rb", "buffering": 0}, lambda file: file.read(1)),
    "text read": ("eio-read", {"mode": "r"}, lambda file: file.read(1)),
    "line": ("eio-read", {"mode": "rb"}, lambda file: anext(file)),
    "text line": ("eio-read", {"mode": "r", "encoding": "cp1252"}, lambda file: anext(file)),
    "pread": ("eio-read", {"mode": "rb"}, lambda file: file.pread(1, 0)),
    "raw write": ("eio-write", {"mode": "wb", "buffering": 0}, lambda file: file.write(b"x")),
    "pwrite": ("eio-write", {"mode": "wb"}, lambda file: file.pwrite(b"x", 0)),
    "truncate": ("eio-truncate", {"mode": "rb+"}, lambda file: file.truncate(0)),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", FAILING)
async def test_failing_disk(name: str, prompt_disk: SlowDisk, tmp_path: Path) -> None:
    victim, keywords, call = FAILING[name]
    folder = prompt_disk.backing / f"handles-{tmp_path.name}"
    folder.mkdir(exist_ok=True)
    (folder / victim).write_bytes(b"content\n")
    with pytest.raises(OSError, match="Input/output error") as caught:
        async with rapfiles.open(prompt_disk.root / folder.name / victim, **keywords) as file:
            await call(file)
    assert caught.value.errno == errno.EIO
    if name == "open":
        assert caught.value.filename == str(prompt_disk.root / folder.name / victim)
    else:
        assert file.closed


@pytest.mark.one_loop
@pytest.mark.parametrize("victim", ["eio-write", "eio-flush"])
@pytest.mark.parametrize("kind", ["buffered", "text", "text in Python", "updated", "raw"])
async def test_failing_disk_when_closing(
    victim: str, kind: str, prompt_disk: SlowDisk, tmp_path: Path
) -> None:
    """close(2) itself can fail: a network disk tells there what became of the writes."""
    folder = prompt_disk.backing / f"handles-{tmp_path.name}"
    folder.mkdir(exist_ok=True)
    with pytest.raises(OSError, match="Input/output error"):  # noqa: PT012
        file = await rapfiles.open(prompt_disk.root / folder.name / victim, **KINDS[kind])
        await file.write(_data(kind, 10))
        await file.close()
    if kind != "raw" or victim == "eio-flush":
        assert file.closed
    else:
        await file.close()


@pytest.mark.parametrize("kind", ["buffered", "text", "text in Python"])
async def test_an_error_in_the_background_is_told_once(
    kind: str, prompt_disk: SlowDisk, tmp_path: Path
) -> None:
    """What could not be written behind the caller's back is raised by what comes next."""
    folder = prompt_disk.backing / f"handles-{tmp_path.name}"
    folder.mkdir(exist_ok=True)
    file = await rapfiles.open(prompt_disk.root / folder.name / "eio-write", **KINDS[kind])
    with pytest.raises(OSError, match="Input/output error"):  # noqa: PT012
        for _ in range(100):
            await file.write(_data(kind, 100_000))
        await file.flush()
    with pytest.raises(OSError, match="Input/output error"):
        await file.close()
    assert file.closed


# A process that ends in the middle: what it had flushed is there.

_KILLED = """
import asyncio, os, signal, sys
import rapfiles
from support.loops import LOOPS

async def main():
    name, way, keywords = sys.argv[2], sys.argv[3], eval(sys.argv[4])
    file = await rapfiles.open(sys.argv[2], **keywords)
    text = "b" not in keywords["mode"]
    size = 0
    for number in range(300):
        record = f"{number}:{'x' * (number * 37 % 5000)}\\n"
        size += await file.write(record if text else record.encode())
        if number % 3 == 0 or way == "raw":
            if way == "flush":
                await file.flush()
            elif way == "sync":
                await file.sync()
            elif way == "datasync":
                await file.datasync()
            if way == "close":
                await file.close()
                file = await rapfiles.open(sys.argv[2], keywords["mode"].replace("w", "a"))
            os.write(1, b"%d\\n" % size)
    os.kill(os.getpid(), signal.SIGKILL)

{loop.name: loop for loop in LOOPS}[sys.argv[1]].run(main)
"""


@pytest.mark.one_loop
@pytest.mark.parametrize(
    ("way", "keywords"),
    [
        ("flush", {"mode": "wb"}),
        ("flush", {"mode": "w", "encoding": "utf-8"}),
        ("flush", {"mode": "a", "encoding": "cp1252"}),
        ("flush", {"mode": "wb+"}),
        ("sync", {"mode": "wb"}),
        ("datasync", {"mode": "w"}),
        ("close", {"mode": "wb"}),
        ("raw", {"mode": "wb", "buffering": 0}),
    ],
    ids=str,
)
def test_killed_after_an_acknowledged_flush(way: str, keywords: Any, tmp_path: Path, loop: Any) -> None:
    """Each size on the output was acknowledged before the process was killed, at a moment of our choice."""
    program = f"import sys; sys.path += {[str(Path(__file__).parent)]!r}\n{_KILLED}"
    path = tmp_path / "file"
    for kill_after in (1, 20, None):
        path.unlink(missing_ok=True)
        command = [sys.executable, "-c", program, loop.name, str(path), way, repr(keywords)]
        with process.limited(subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)) as child:
            assert child.stdout is not None
            acknowledged = 0
            for count, line in enumerate(iter(child.stdout.readline, b""), 1):
                acknowledged = int(line)
                assert path.stat().st_size >= acknowledged
                if count == kill_after:
                    child.kill()
                    break
        assert child.returncode == -signal.SIGKILL
        records = b"".join(b"%d:%s\n" % (number, b"x" * (number * 37 % 5000)) for number in range(300))
        content = path.read_bytes()
        assert acknowledged
        assert len(content) >= acknowledged
        assert records.startswith(content)


_FEW_DESCRIPTORS = """
import asyncio, resource, sys
import rapfiles

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print("ready")

async def one(number):
    async with limit, rapfiles.open(f"{sys.argv[1]}/{number}", "w+") as file:
        await file.write("x" * number)
        await file.seek(0)
        assert await file.read() == "x" * number

async def main():
    global limit
    limit = asyncio.Semaphore(40)
    await asyncio.gather(*map(one, range(2000)))
    # And without a limit: the error, for those for whom there is no descriptor left, and nothing worse.
    opening = [rapfiles.open(sys.argv[1] + "/1") for _ in range(100)]
    files = await asyncio.gather(*opening, return_exceptions=True)
    failed = [file for file in files if isinstance(file, OSError)]
    assert failed and {error.errno for error in failed} == {24}, failed
    await asyncio.gather(*(file.close() for file in files if not isinstance(file, OSError)))
    await one(1)

asyncio.run(main())
"""


def test_few_descriptors(tmp_path: Path) -> None:
    ended = process.run(_FEW_DESCRIPTORS, str(tmp_path))
    assert (ended.code, ended.errors) == (0, "")


async def test_backpressure(tmp_path: Path) -> None:
    """A task that writes faster than the disk waits: memory does not grow with the data."""
    before = _memory()
    async with rapfiles.open(tmp_path / "file", "wb") as file:
        piece = bytes(1 << 20)
        for _ in range(256):
            await file.write(piece)
    assert _memory() - before < 64 << 20


def _memory() -> int:
    """How much of this process's own memory is in use, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))
