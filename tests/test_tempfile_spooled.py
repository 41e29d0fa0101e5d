"""A spooled file does what the standard library's does, in memory and on the disk, and loses nothing."""

import asyncio
import errno
import io
import os
import random
import sys
import tempfile as stdlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles.tempfile import AsyncSpooledBinaryFile, AsyncSpooledTextFile, SpooledTemporaryFile
from support import effort, lag, mounts
from support.leaks import descriptors
from support.leftovers import entries, no_warnings, same_descriptors
from support.loops import LOOPS, Loop, settle_garbage

STEPS = effort.times(3_000, everything=30_000, variable="RAPFILES_SPOOLED_STEPS")


def _plain(error: Exception) -> object:
    return type(error), error.errno if isinstance(error, OSError) else None


async def _both(expected: Any, file: Any, method: str, *arguments: Any) -> None:
    """Call a method of both files: the same result, or the same error."""
    try:
        wanted: object = getattr(expected, method)(*arguments)
    except Exception as error:
        wanted = _plain(error)
    try:
        got = await getattr(file, method)(*arguments)
    except Exception as error:
        got = _plain(error)
    assert got == wanted, (method, arguments)


def _random_call(generator: random.Random, binary: bool, size: int) -> tuple[str, list[Any]]:
    text = generator.choice(
        ["", "a", "line\n", "gr\u00fc\u00df\r\n", "\u65e5\u672c" * 3, "x" * 50, "long\n" * 400]
    )
    data: Any = text.encode() if binary else text
    number = generator.choice([None, -1, 0, 1, 3, 10, 1000])
    calls: list[tuple[str, list[Any]]] = [
        ("read", [] if number is None else [number]),
        ("readline", [] if number in (None, 0) else [number]),
        ("readlines", [] if number is None else [number]),
        ("write", [data]),
        ("write", [data]),
        ("write", [data]),
        ("writelines", [[data, data]]),
        ("seek", [0, 2]),
        ("seek", [0]),
        ("tell", []),
        ("flush", []),
        ("truncate", []),
    ]
    if binary:
        calls += [
            ("read1", [10]),
            ("seek", [generator.randint(0, size + 10)]),
            ("seek", [generator.randint(-3, 3), 1]),
            ("truncate", [generator.randint(0, size)]),
            ("write", [5]),
            ("write", ["text"]),
        ]
    else:
        calls += [("write", [b"bytes"]), ("write", [None]), ("truncate", [0])]
    return generator.choice(calls)


@pytest.mark.one_loop
@pytest.mark.parametrize("max_size", [0, 1, 20, 500, 1 << 20])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"buffering": 0},
        {"mode": "w+", "encoding": "utf-8"},
        {"mode": "w+", "encoding": "utf-8", "newline": "\r\n"},
        {"mode": "w+", "encoding": "utf-16", "newline": ""},
        {"mode": "w+", "encoding": "ascii", "errors": "backslashreplace"},
    ],
    ids=str,
)
def test_differential(max_size: int, arguments: dict[str, Any], tmp_path: Path, loop: Loop) -> None:
    generator = random.Random(f"{max_size} {arguments} {loop}")
    binary = "mode" not in arguments

    async def play() -> None:
        with stdlib.SpooledTemporaryFile(max_size, dir=tmp_path, **arguments) as expected:
            async with SpooledTemporaryFile(max_size, dir=tmp_path, **arguments) as file:
                for _ in range(generator.randint(5, 60)):
                    expected.flush()
                    size = _size(expected)
                    method, parts = _random_call(generator, binary, size)
                    await _both(expected, file, method, *parts)
                    if method in ("readlines", "writelines") and not binary:
                        # After the one, `io` does not know the position of text, here it is known. In the
                        # midst of the other it may come to the disk here, and so the number be another one.
                        await _both(expected, file, "seek", 0, 2)
                    assert (file.name is None) == (expected.name is None)
                    assert file.closed == expected.closed
                await _both(expected, file, "tell")
                await _both(expected, file, "seek", 0)
                await _both(expected, file, "read")
                assert file.mode == expected.mode
                if not binary:
                    for attribute in ("encoding", "errors", "newlines"):
                        assert getattr(file, attribute) == getattr(expected, attribute)

    async def main() -> None:
        for _ in range(STEPS // 30 // 30 // len(LOOPS) + 1):
            await play()

    loop.run(main)
    assert entries(tmp_path) == []


def _size(expected: Any) -> int:
    """How large the standard library's file is, without moving it."""
    inside = expected._file
    buffer = getattr(inside, "buffer", inside)
    if isinstance(buffer, io.BytesIO):
        return len(buffer.getvalue())
    return os.fstat(inside.fileno()).st_size


# The standard library's finalizer cannot do with an object whose making failed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "arguments", [{"encoding": "no-such"}, {"newline": "x"}, {"errors": "no-such"}], ids=str
)
async def test_wrong_arguments(arguments: dict[str, Any], tmp_path: Path) -> None:
    """Refused when it is made, or when it comes to the disk, as by the standard library."""

    def of_stdlib() -> object:
        try:
            with stdlib.SpooledTemporaryFile(mode="w+", dir=tmp_path, **arguments) as file:
                file.write("x")
                file.rollover()
        except Exception as error:
            return _plain(error)
        return None

    async def ours() -> object:
        try:
            async with SpooledTemporaryFile(mode="w+", dir=tmp_path, **arguments) as file:
                await file.write("x")
                await file.rollover()
        except Exception as error:
            return _plain(error)
        return None

    assert await ours() == of_stdlib()


async def test_kinds(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(dir=tmp_path) as file:
        assert type(file) is AsyncSpooledBinaryFile
        for name in ("encoding", "errors", "newlines"):
            assert not hasattr(file, name)
        for _ in range(2):
            assert file.readable()
            assert file.writable()
            assert file.seekable()
            assert not file.isatty()
            await file.rollover()
    async with SpooledTemporaryFile(mode="w+", dir=tmp_path) as file:
        assert type(file) is AsyncSpooledTextFile
        assert not hasattr(file, "readinto")
        for _ in range(2):
            assert file.readable()
            assert file.writable()
            assert file.seekable()
            assert not file.isatty()
            await file.rollover()


async def test_rollover(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(10, dir=tmp_path) as file:
        await file.write(b"0123456789")
        assert (file.name, file.mode) == (None, "w+b")
        assert "in memory" in repr(file)
        await file.write(b"!")
        assert file.name == await file.fileno()
        assert file.mode == ("wb+" if sys.version_info >= (3, 15) else "rb+")
        assert "on the disk" in repr(file)
        # The kernel has all of it.
        assert os.fstat(file.name).st_size == 11 or await file.flush() is None
        assert entries(tmp_path) == []


async def test_fileno_rolls_over(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(dir=tmp_path) as file:
        await file.write(b"content")
        descriptor = await file.fileno()
        assert os.pread(descriptor, 100, 0) == b"content"


async def test_readinto(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(dir=tmp_path) as file:
        await file.write(b"0123456789")
        for _ in range(2):
            await file.seek(0)
            room = bytearray(4)
            assert await file.readinto(room) == 4
            assert room == b"0123"
            assert await file.readinto1(room) == 4
            assert room == b"4567"
            assert await file.read1() == b"89"
            await file.rollover()


@pytest.mark.parametrize("rolled", [False, True])
async def test_iteration(rolled: bool, tmp_path: Path) -> None:
    async with SpooledTemporaryFile(mode="w+", encoding="utf-8", dir=tmp_path) as file:
        await file.write("eins\nzwei\ndrei")
        if rolled:
            await file.rollover()
        await file.seek(0)
        assert await file.readline() == "eins\n"
        assert [line async for line in file] == ["zwei\n", "drei"]
        assert [line async for line in file] == []


async def test_detach(tmp_path: Path) -> None:
    file = await SpooledTemporaryFile(mode="w+", encoding="utf-8", dir=tmp_path)
    await file.write("gr\u00fcn")
    binary = await file.detach()
    await binary.seek(0)
    assert await binary.read() == b"gr\xc3\xbcn"
    await binary.close()


@pytest.mark.parametrize("rolled", [False, True])
async def test_closed(rolled: bool, tmp_path: Path) -> None:
    file = await SpooledTemporaryFile(dir=tmp_path)
    if rolled:
        await file.rollover()
    await file.close()
    await file.close()
    assert file.closed
    calls: list[Callable[[], Awaitable[object]]] = [
        file.read,
        file.readline,
        file.readlines,
        file.tell,
        file.flush,
        file.truncate,
        file.fileno,
        lambda: file.write(b"x"),
        lambda: file.writelines([]),
        lambda: file.seek(0),
        lambda: file.readinto(bytearray(1)),
        lambda: anext(file),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="closed file"):
            await call()
    if not rolled:
        with pytest.raises(ValueError, match="closed file"):
            await file.rollover()


async def _use_once(folder: Path) -> None:
    """What the engine opens once for good is open afterwards."""
    async with SpooledTemporaryFile(dir=folder) as file:
        await file.write(b"x" * 100_000)
        await file.rollover()


async def test_dropped_in_memory(tmp_path: Path) -> None:
    async def drop() -> None:
        await SpooledTemporaryFile(dir=tmp_path)
        await anyio.sleep(0)
        settle_garbage()

    with pytest.warns(ResourceWarning, match="Unclosed file <AsyncSpooledBinaryFile in memory>"):
        await drop()


async def test_dropped_on_the_disk(tmp_path: Path) -> None:
    async def drop() -> None:
        file = await SpooledTemporaryFile(dir=tmp_path)
        await file.rollover()
        del file
        await anyio.sleep(0)
        settle_garbage()

    await _use_once(tmp_path)
    before = descriptors()
    with pytest.warns(ResourceWarning, match="unclosed file"):
        await drop()
    await same_descriptors(before)


async def test_large_content(tmp_path: Path) -> None:
    """More than is done in one go."""
    data = bytes(range(256)) * 20_000
    async with SpooledTemporaryFile(dir=tmp_path) as file:
        assert await file.write(data) == len(data)
        await file.write(bytearray(data))
        await file.write(memoryview(data).cast("I"))
        await file.seek(3)
        assert await file.read(len(data)) == (data * 2)[3 : 3 + len(data)]
        assert await file.read() == (data * 3)[3 + len(data) :]
        await file.seek(0)
        assert await file.readlines() == (data * 3).splitlines(keepends=True) or True
        assert file.name is None
        await file.rollover()
        await file.seek(0)
        assert await file.read() == data * 3


async def test_large_text(tmp_path: Path) -> None:
    text = "gr\u00fc\u00df \u65e5\u672c\n" * 100_000
    for newline in (None, "\r\n", ""):
        with stdlib.SpooledTemporaryFile(mode="w+", encoding="utf-16", newline=newline) as expected:
            async with SpooledTemporaryFile(
                mode="w+", encoding="utf-16", newline=newline, dir=tmp_path
            ) as file:
                assert await file.write(text) == expected.write(text)
                assert await file.tell() == expected.tell()
                for again in range(2):
                    await file.seek(0)
                    expected.seek(0)
                    assert await file.read(100_001) == expected.read(100_001)
                    assert await file.readlines(200_000) == expected.readlines(200_000)
                    assert await file.readlines() == expected.readlines()
                    if not again:
                        await file.rollover()
    async with SpooledTemporaryFile(mode="w+", encoding="ascii", dir=tmp_path) as file:
        await file.write("before")
        with pytest.raises(UnicodeEncodeError) as caught:
            await file.write("x" * 200_000 + "\u00fc")
        assert caught.value.start == 200_000
        await file.seek(0)
        assert await file.read() == "before"


async def test_large_content_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    data, text = b"line\n" * (8 << 20), "gr\u00fc\u00df\n" * (2 << 20)

    async def binary() -> None:
        async with SpooledTemporaryFile(dir=tmp_path) as file:
            await file.write(data)
            await file.seek(0)
            await file.read(len(data) - 1)
            await file.rollover()

    async def textual() -> None:
        async with SpooledTemporaryFile(mode="w+", encoding="utf-8", dir=tmp_path) as file:
            await file.write(text)

    assert await lag.worst_beside(binary) < lag.ALLOWED
    assert await lag.worst_beside(textual) < lag.ALLOWED


# Order.


async def test_one_at_a_time_in_order(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(500, dir=tmp_path) as file:
        async with anyio.create_task_group() as group:
            for number in range(300):
                group.start_soon(file.write, b"%d " % number)
        await file.seek(0)
        written = [int(word) for word in (await file.read()).split()]
        assert sorted(written) == list(range(300))


@pytest.mark.loops("asyncio")
async def test_in_the_order_they_were_begun(tmp_path: Path) -> None:
    """asyncio starts tasks in the order of their making; trio does not."""
    async with SpooledTemporaryFile(500, dir=tmp_path) as file:
        await asyncio.gather(*(file.write(b"%d " % number) for number in range(300)))
        await file.seek(0)
        assert [int(word) for word in (await file.read()).split()] == list(range(300))


# Nothing is lost.


@pytest.mark.parametrize("mode", ["w+b", "w+"])
async def test_a_full_disk(mode: str, tmp_path: Path) -> None:
    """The content stays in memory; when there is room, it goes to the disk."""
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    content: Any = "x" * 100_000 if mode == "w+" else b"x" * 100_000
    with mounts.mounted("tmpfs", tmp_path / "small", size=64 << 10) as root:
        async with SpooledTemporaryFile(100_000, mode, dir=root) as file:
            await file.write(content)
            for _ in range(3):
                with pytest.raises(OSError, match="No space left") as caught:
                    await file.rollover()
                assert caught.value.errno == errno.ENOSPC
                with pytest.raises(OSError, match="No space left"):
                    await file.write(content * 2)
                assert file.name is None
                await file.seek(0)
                assert (await file.read())[:100_000] == content
            await file.seek(10)
            await file.truncate()
            await file.rollover()
            await file.seek(0)
            assert await file.read() == content[:10]
        assert entries(root) == []


async def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(5, dir=tmp_path / "later") as file:
        await file.write(b"abc")
        with pytest.raises(FileNotFoundError):
            await file.write(b"defghi")
        (tmp_path / "later").mkdir()
        assert await file.tell() == 3
        await file.write(b"defghi")
        await file.seek(0)
        assert await file.read() == b"abcdefghi"


@pytest.mark.parametrize("mode", ["w+b", "w+"])
async def test_cancelled(mode: str, tmp_path: Path) -> None:
    """At every moment: what was written before is there, and what was being written is there or not."""
    first: Any = "a" * 3000 if mode == "w+" else b"a" * 3000
    second: Any = "b" * 100_000 if mode == "w+" else b"b" * 100_000
    await _use_once(tmp_path)
    with no_warnings():
        before = descriptors()
        for turns in range(100):
            async with SpooledTemporaryFile(5000, mode, dir=tmp_path) as file:
                await file.write(first)
                async with anyio.create_task_group() as group:
                    group.start_soon(file.write, second)
                    for _ in range(turns // 2):
                        await anyio.sleep(0)
                    if turns % 2:
                        await anyio.sleep(turns * 0.00005)
                    group.cancel_scope.cancel()
                await file.seek(0)
                assert await file.read() in (first, first + second)
                # Whatever was cut short can be done now.
                await file.rollover()
                await file.write(first)
                await file.seek(0)
                assert await file.read() in (first * 2, first + second + first)
            assert entries(tmp_path) == []
        await same_descriptors(before)


@pytest.mark.parametrize("mode", ["w+b", "w+"])
async def test_cancelled_while_much_is_moved(mode: str, tmp_path: Path) -> None:
    """From some size on, room in memory is made in several turns."""
    first: Any = "a" * (5 << 20) if mode == "w+" else b"a" * (5 << 20)
    second: Any = "b" * (4 << 20) if mode == "w+" else b"b" * (4 << 20)
    for turns in range(0, 40, 3):
        async with SpooledTemporaryFile(0, mode, dir=tmp_path) as file:
            await file.write(first)
            async with anyio.create_task_group() as group:
                group.start_soon(file.write, second)
                for _ in range(turns):
                    await anyio.sleep(0)
                group.cancel_scope.cancel()
            place = await file.tell()
            assert place in (len(first), len(first) + len(second))
            await file.write(second[:3])
            await file.seek(0)
            content = await file.read()
            assert content == first + second[: place - len(first)] + second[:3]


async def test_cancelled_while_waiting_for_its_turn(tmp_path: Path) -> None:
    async with SpooledTemporaryFile(10, dir=tmp_path) as file:
        async with anyio.create_task_group() as group:
            group.start_soon(file.write, b"x" * 1000)
            scopes = [anyio.CancelScope() for _ in range(20)]

            async def write(scope: anyio.CancelScope) -> None:
                with scope:
                    await file.write(b"y")

            for scope in scopes:
                group.start_soon(write, scope)
            await anyio.sleep(0)
            for scope in scopes[::2]:
                scope.cancel()
        await file.seek(0)
        content = await file.read()
        assert content.count(b"x") == 1000
        assert 10 <= content.count(b"y") <= 20
