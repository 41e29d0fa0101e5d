"""FIFOs, pipes and terminals as files: one waits for what has not come, without a stall, and can give up."""

import errno
import os
import threading
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from support import lag, process
from support.engine import idle
from support.fifo import Fifo
from support.handles import of_await, of_call
from support.leaks import descriptors
from support.leftovers import becomes


class Pipe:
    """A pipe; the ends that nobody else has taken are closed when the test ends."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._kept = {self.reader, self.writer}

    def give(self, end: int) -> int:
        """An end for someone who will close it."""
        self._kept.remove(end)
        return end

    def close(self, end: int) -> None:
        os.close(self.give(end))

    def send(self, data: bytes) -> None:
        os.write(self.writer, data)

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._kept:
            os.close(end)


# Every way to read: how the handle is opened, and what then reads the bytes b"word\n".
READING: dict[str, tuple[dict[str, Any], Callable[[Any], Awaitable[Any]]]] = {
    "raw read": ({"mode": "rb", "buffering": 0}, lambda file: file.read(100)),
    "raw readinto": ({"mode": "rb", "buffering": 0}, lambda file: _into(file.readinto)),
    "read": ({"mode": "rb"}, lambda file: file.read(5)),
    "read1": ({"mode": "rb"}, lambda file: file.read1()),
    "readinto": ({"mode": "rb"}, lambda file: _into(file.readinto)),
    "readinto1": ({"mode": "rb"}, lambda file: _into(file.readinto1)),
    "readline": ({"mode": "rb"}, lambda file: file.readline()),
    "next": ({"mode": "rb"}, lambda file: anext(file)),
    "text read": ({"mode": "r"}, lambda file: file.read(5)),
    "text readline": ({"mode": "r"}, lambda file: file.readline()),
    "text next": ({"mode": "r"}, lambda file: anext(file)),
    "text in Python": ({"mode": "r", "encoding": "cp1252"}, lambda file: file.readline()),
}
WAYS = pytest.mark.parametrize("way", READING)


async def _into(read: Callable[[bytearray], Awaitable[int]]) -> bytes:
    target = bytearray(5)
    return bytes(target[: await read(target)])


def _plain(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    with Pipe() as made:
        yield made


@asynccontextmanager
async def closed_in_the_end(opening: Any) -> AsyncIterator[Any]:
    """Open; close in the end, and say so if that waits for something that never comes."""
    file = await opening
    try:
        yield file
    finally:
        with anyio.fail_after(30, shield=True):
            await file.close()


@WAYS
async def test_waiting_is_no_stall(way: str, pipe: Pipe) -> None:
    keywords, read = READING[way]
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), **keywords)) as file:

        async def work() -> None:
            async with anyio.create_task_group() as group:

                async def one() -> None:
                    assert _plain(await read(file)) == b"word\n"

                group.start_soon(one)
                await anyio.sleep(0.1)  # the time in which a stall would show
                pipe.send(b"word\n")

        assert await lag.worst_beside(work) < lag.ALLOWED


@WAYS
async def test_what_comes_after_a_cancelled_read_is_there(way: str, pipe: Pipe) -> None:
    """A read that was given up takes nothing with it."""
    keywords, read = READING[way]
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), **keywords)) as file:
        for _ in range(3):
            with anyio.move_on_after(0.02) as scope:
                await read(file)
            assert scope.cancelled_caught
        pipe.send(b"word\n")
        with anyio.fail_after(30):
            assert _plain(await read(file)) == b"word\n"
        with anyio.move_on_after(0.02):
            await read(file)
        pipe.send(b"more\n")
        with anyio.fail_after(30):
            assert _plain(await read(file)) == b"more\n"


@WAYS
async def test_closing_after_a_cancelled_read(way: str, pipe: Pipe) -> None:
    """The close does not wait for bytes that nobody sends."""
    keywords, read = READING[way]
    file = await rapfiles.open(pipe.give(pipe.reader), **keywords)
    with anyio.move_on_after(0.02):
        await read(file)
    with anyio.fail_after(30):
        await file.close()
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        await read(file)
    await idle()
    with pytest.raises(BrokenPipeError):
        pipe.send(b"nobody reads any more")


@WAYS
async def test_the_end(way: str, pipe: Pipe) -> None:
    keywords, read = READING[way]
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), **keywords)) as file:
        async with anyio.create_task_group() as group:
            found: list[Any] = []

            async def one() -> None:
                found.append(await of_await(lambda: read(file)))

            group.start_soon(one)
            await anyio.sleep(0)
            pipe.close(pipe.writer)
        assert found[0] in (("returns", b""), ("returns", ""), ("ends", None))
        assert await file.read() in (b"", "")


@pytest.mark.parametrize("mode", ["rb", "r"])
async def test_a_line_is_there_when_it_has_come(mode: str, pipe: Pipe) -> None:
    """A conversation: each line is read before the next is written, so nothing may wait for more."""
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), mode)) as file:
        with anyio.fail_after(30):
            for number in range(100):
                pipe.send(b"line %d\n" % number)
                assert _plain(await anext(file)) == b"line %d\n" % number
            pipe.send(b"a\nb\nc")
            assert [_plain(await file.readline()) for _ in range(2)] == [b"a\n", b"b\n"]
            async with anyio.create_task_group() as group:

                async def rest() -> None:
                    assert _plain(await file.readline()) == b"c, and the rest\n"

                group.start_soon(rest)
                await anyio.sleep(0.01)
                pipe.send(b", and the rest\n")


async def test_reads_return_what_is_there(pipe: Pipe) -> None:
    """read1, peek and raw reads wait for something, not for everything."""
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), "rb")) as file:
        with anyio.fail_after(30):
            pipe.send(b"12345")
            assert await file.peek(100) == b"12345"
            assert await file.read1(100) == b"12345"
            pipe.send(b"67")
            assert await file.read1() == b"67"
            pipe.send(b"89")
            assert await file.read(1) == b"8"
            assert await file.read1() == b"9"


async def test_a_large_read_waits_for_all(pipe: Pipe) -> None:
    data = bytes(range(256)) * 4096

    def write() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(pipe.writer, rest[:7001]) :]

    writer = threading.Thread(target=write)
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), "rb")) as file:
        writer.start()
        try:
            assert await file.read(len(data)) == data
        finally:
            writer.join()


WRITING: dict[str, tuple[dict[str, Any], Any]] = {
    "raw": ({"mode": "wb", "buffering": 0}, b"0123456789abcdef" * 65536),
    "buffered": ({"mode": "wb"}, b"0123456789abcdef" * 65536),
    "text": ({"mode": "w"}, "0123456789abcdef" * 65536),
    "text in Python": ({"mode": "w", "encoding": "cp1252"}, "0123456789abcdef" * 65536),
}


@pytest.mark.parametrize("way", WRITING)
async def test_a_full_pipe_is_waited_for(way: str, pipe: Pipe) -> None:
    keywords, data = WRITING[way]
    read: list[bytes] = []

    async def write() -> None:
        file = await rapfiles.open(pipe.give(pipe.writer), **keywords)
        rest = data
        while rest:  # a raw write may write less, as io's may
            rest = rest[await file.write(rest) :]
        await file.flush()
        with anyio.fail_after(30):
            await file.close()

    async def drain() -> None:
        async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), "rb", buffering=0)) as file:
            while sum(map(len, read)) < len(data):
                read.append(await file.read(50_000))

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            await anyio.sleep(0.05)
            await becomes(lambda: seen.ticks > 10, "a loop that goes on meanwhile")
            group.start_soon(drain)

    async with lag.ticking() as seen:
        await work()
    assert b"".join(read) == _plain(data)


@pytest.mark.parametrize("way", WRITING)
async def test_giving_up_on_a_full_pipe(way: str, pipe: Pipe) -> None:
    """The write can be cancelled; what was written is a beginning of it, and what comes next comes behind."""
    keywords, data = WRITING[way]
    file = await rapfiles.open(pipe.give(pipe.writer), **keywords)
    with anyio.move_on_after(0.05) as scope:
        await file.write(data)
        await file.write(data)
        await file.flush()
    assert scope.cancelled_caught
    found = bytearray()

    async def drain() -> None:
        async with closed_in_the_end(
            rapfiles.open(pipe.give(pipe.reader), "rb", buffering=0, closefd=False)
        ) as reader:
            while not found.endswith(b"<end>"):
                found.extend(await reader.read(1 << 16))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(drain)
            await file.write("<end>" if way.startswith("text") else b"<end>")
            await file.flush()
    assert (_plain(data) * 2).startswith(found.removesuffix(b"<end>"))
    await file.close()


async def test_nobody_reads(pipe: Pipe) -> None:
    """The flush and the close raise the error of a write, as in io."""
    pipe.close(pipe.reader)
    file = await rapfiles.open(pipe.give(pipe.writer), "w")
    assert await file.write("x") == 1
    with pytest.raises(BrokenPipeError):
        await file.flush()
    with pytest.raises(BrokenPipeError):
        await file.close()
    assert file.closed


NOT_SEEKABLE: dict[str, Callable[[Any], Any]] = {
    "seekable": lambda file: file.seekable(),
    "isatty": lambda file: file.isatty(),
    "tell": lambda file: file.tell(),
    "seek": lambda file: file.seek(0),
    "seek end": lambda file: file.seek(0, 2),
    "seek here": lambda file: file.seek(0, 1),
    "truncate": lambda file: file.truncate(),
    "truncate 0": lambda file: file.truncate(0),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", NOT_SEEKABLE)
@pytest.mark.parametrize(
    ("end", "keywords"),
    [
        (0, {"mode": "rb", "buffering": 0}),
        (0, {"mode": "rb"}),
        (0, {"mode": "r"}),
        (1, {"mode": "wb", "buffering": 0}),
        (1, {"mode": "wb"}),
        (1, {"mode": "w"}),
        (1, {"mode": "a"}),
    ],
    ids=str,
)
async def test_there_is_no_place_in_a_pipe(name: str, end: int, keywords: dict[str, Any], pipe: Pipe) -> None:
    call = NOT_SEEKABLE[name]
    with open((pipe.reader, pipe.writer)[end], **keywords, closefd=False) as plain:
        expected = of_call(lambda: call(plain))
    async with rapfiles.open((pipe.reader, pipe.writer)[end], **keywords, closefd=False) as file:
        if name in ("seekable", "isatty"):
            assert of_call(lambda: call(file)) == expected
        else:
            assert await of_await(lambda: call(file)) == expected


@pytest.mark.parametrize("keywords", [{"mode": "rb+"}, {"mode": "r+"}, {"mode": "w+b"}], ids=str)
async def test_updating_a_pipe(keywords: dict[str, Any], tmp_path: Path) -> None:
    """What can be read and written through one buffer must have places."""
    os.mkfifo(tmp_path / "fifo")
    expected = of_call(lambda: open(tmp_path / "fifo", **keywords))  # noqa: SIM115
    assert expected[0] == "raises"
    with anyio.fail_after(30):
        assert await of_await(lambda: rapfiles.open(tmp_path / "fifo", **keywords)) == expected


@pytest.mark.one_loop
@WAYS
async def test_a_descriptor_that_does_not_wait(way: str, pipe: Pipe) -> None:
    """io gives None where a descriptor is O_NONBLOCK and nothing is there; we wait for it all the same."""
    keywords, read = READING[way]
    os.set_blocking(pipe.reader, False)
    async with closed_in_the_end(rapfiles.open(pipe.give(pipe.reader), **keywords)) as file:
        with anyio.move_on_after(0.02) as scope:
            await read(file)
        assert scope.cancelled_caught
        pipe.send(b"word\n")
        with anyio.fail_after(30):
            assert _plain(await read(file)) == b"word\n"


# FIFOs by their names: to open one is to wait for the other end.


async def test_both_ends_find_each_other(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    read: list[str] = []

    async def reader() -> None:
        async with rapfiles.open(tmp_path / "fifo") as file:
            read.extend([line async for line in file])

    async with anyio.create_task_group() as group:
        group.start_soon(reader)
        async with rapfiles.open(tmp_path / "fifo", "w") as file:
            await file.writelines(f"{number}\n" for number in range(10_000))
    assert read == [f"{number}\n" for number in range(10_000)]


async def test_giving_up_to_open_one(tmp_path: Path) -> None:
    """Whatever opens in the end is closed again."""
    for mode in ("rb", "w", "ab"):
        with Fifo(tmp_path / mode) as fifo:

            async def work(fifo: Fifo = fifo, mode: str = mode) -> None:
                with anyio.move_on_after(0.05):
                    async with rapfiles.open(fifo.path, mode):
                        pytest.fail("nobody opened the FIFO")

            assert await lag.worst_beside(work) < lag.ALLOWED
    await idle()
    assert not [name for name in descriptors().values() if str(tmp_path) in name]


async def test_many_stuck_readers_delay_nobody(tmp_path: Path) -> None:
    """More handles than there are workers wait; files elsewhere are read and written meanwhile."""
    pipes = [os.pipe() for _ in range(200)]
    read: list[bytes] = []

    async def one(end: int) -> None:
        async with rapfiles.open(end, "rb") as file:
            read.append(await file.readline())

    try:
        async with anyio.create_task_group() as group:
            for ends in pipes:
                group.start_soon(one, ends[0])
            for number in range(50):
                async with rapfiles.open(tmp_path / str(number), "w+") as file:
                    await file.write("elsewhere")
                    await file.seek(0)
                    assert await file.read() == "elsewhere"
            assert read == []
            for number, ends in enumerate(pipes):
                os.write(ends[1], b"%d\n" % number)
    finally:
        for ends in pipes:
            os.close(ends[1])
    assert sorted(read, key=int) == [b"%d\n" % number for number in range(200)]


# Terminals.


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """A pseudo-terminal: (keyboard and screen, the program's end)."""
    keyboard, end = os.openpty()
    tty.setraw(keyboard)
    settings = tty.tcgetattr(end)  # type: ignore[attr-defined]
    settings[3] |= tty.ICANON  # type: ignore[attr-defined]
    tty.tcsetattr(end, tty.TCSANOW, settings)  # type: ignore[attr-defined]
    try:
        yield keyboard, end
    finally:
        os.close(keyboard)
        with suppress(OSError):
            os.close(end)


@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_reading_a_terminal(mode: str) -> None:
    with terminal() as (keyboard, end):
        async with closed_in_the_end(rapfiles.open(end, mode, closefd=False)) as file:
            assert file.isatty()

            async def work() -> None:
                with anyio.move_on_after(0.05) as scope:
                    await file.readline()
                assert scope.cancelled_caught
                os.write(keyboard, b"typed\n")
                with anyio.fail_after(30):
                    assert _plain(await file.readline()) == b"typed\n"

            assert await lag.worst_beside(work) < lag.ALLOWED
            os.write(keyboard, b"one\ntwo\n")
            with anyio.fail_after(30):
                assert _plain(await anext(file)) == b"one\n"
                assert _plain(await anext(file)) == b"two\n"
                os.write(keyboard, b"\x04")  # the end, as typed
                assert _plain(await file.readline()) == b""
            with anyio.move_on_after(0.02):
                await file.readline()
        with anyio.fail_after(30):
            await idle()


async def test_writing_to_a_terminal() -> None:
    """A text handle on a terminal shows each line when it is complete."""
    with terminal() as (keyboard, end):
        os.set_blocking(keyboard, False)
        with open(end, "w", closefd=False) as plain:
            expected = plain.line_buffering
        async with rapfiles.open(end, "w", closefd=False) as file:
            assert file.isatty()
            assert file.line_buffering == expected is True
            await file.write("incomplete")
            with pytest.raises(BlockingIOError):
                os.read(keyboard, 100)
            await file.write(" line\nnext")
            assert os.read(keyboard, 100).replace(b"\r", b"").startswith(b"incomplete line\n")
        assert b"next" in _all_of(keyboard) or expected
        with open(end, "wb", closefd=False) as plain_binary:
            async with rapfiles.open(end, "wb", closefd=False) as binary:
                assert type(binary).__name__ == f"Async{type(plain_binary).__name__}"


def _all_of(end: int) -> bytes:
    found = b""
    with suppress(BlockingIOError):
        while part := os.read(end, 1000):
            found += part
    return found


async def test_a_terminal_that_hangs_up() -> None:
    with terminal() as (keyboard, end):
        async with closed_in_the_end(rapfiles.open(end, "rb", buffering=0, closefd=False)) as file:
            os.write(keyboard, b"x\n")
            assert await file.read(10) == b"x\n"
    keyboard, end = os.openpty()
    async with closed_in_the_end(rapfiles.open(keyboard, "rb", buffering=0)) as file:
        os.close(end)
        with pytest.raises(OSError, match="Input/output error") as caught:
            await file.read(10)
        assert caught.value.errno == errno.EIO


# The end of the process.

_EXIT = """
import asyncio, os, sys
import rapfiles
from support.engine import under_way
from support.leaks import descriptors
from support.loops import LOOPS

way, name, *fifos = sys.argv[1:]
loop = {loop.name: loop for loop in LOOPS}[name]
pipes = [os.pipe() for _ in range(32)]
terminals = [os.openpty() for _ in range(4)]
reading = 0

async def pipe(ends):
    global reading
    async with rapfiles.open(ends[0], "r", closefd=False) as file:
        reading += 1
        await file.readline()

async def terminal(ends):
    global reading
    async with rapfiles.open(ends[1], "rb", closefd=False) as file:
        reading += 1
        await file.read(1)

async def fifo(path):
    global reading
    reading += 1
    async with rapfiles.open(path, "rb") as file:
        await file.read()

async def main():
    import anyio
    async with anyio.create_task_group() as group:
        for ends in pipes:
            group.start_soon(pipe, ends)
        for ends in terminals:
            group.start_soon(terminal, ends)
        for path in fifos:
            group.start_soon(fifo, path)
        while reading < len(pipes) + len(terminals) + len(fifos):
            await anyio.sleep(0.001)
        await anyio.sleep(0.01)
        print("ready", flush=True)
        if way == "return":
            group.cancel_scope.cancel()
        elif way == "exit":
            sys.exit(7)

try:
    loop.run(main)
except BaseExceptionGroup as group:
    found = group.exceptions[0]
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    found.__context__ = found.__cause__ = None
    raise found from None
"""


@pytest.mark.parametrize(("way", "code"), [("return", 0), ("exit", 7)])
def test_waiting_does_not_delay_exit(way: str, code: int, tmp_path: Path, loop: Any) -> None:
    with Fifo(tmp_path / "fifo") as fifo:
        ended = process.run(_EXIT, way, loop.name, *[str(fifo.path)] * 8)
    assert (ended.code, ended.errors) == (code, "")
    assert ended.seconds < process.AT_ONCE


_ABANDONED = """
import asyncio, os, sys, warnings
import rapfiles
from support.engine import under_way

warnings.simplefilter("ignore", ResourceWarning)
ends = os.pipe()

async def main():
    file = await rapfiles.open(ends[0], "rb")
    task = asyncio.ensure_future(file.read(5))
    await asyncio.sleep(0.01)
    print("ready", flush=True)

asyncio.run(main())
"""


def test_a_handle_that_nobody_closes_does_not_delay_exit() -> None:
    ended = process.run(_ABANDONED)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.seconds < process.AT_ONCE
