"""Reads on the loop in slices: files that change meanwhile, cancelled ones, and who has turns in between."""

import asyncio
import os
from bisect import bisect_left
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
import rapfiles._native as _native
from support import mounts
from support.engine import idle
from support.handles import filling

# Around what is read with one call, in one turn of the loop, and on the loop at all.
SIZES = [
    *(0, 1, (32 << 10) - 1, 32 << 10, (32 << 10) + 1, (64 << 10) - 1, 64 << 10, (64 << 10) + 1),
    *((128 << 10) - 1, 128 << 10, (128 << 10) + 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1),
    *(1 << 20, 3 << 20, (3 << 20) + 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (9 << 20) + 3),
]
MOST_SLICED = 3 << 20
MOST_SLICED_OPEN = 4 << 20
MOST_TEXT = 128 << 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(filling(MOST_SLICED))
    # The first read after a change writes an access time down, and is left to a worker.
    path.read_bytes()
    return path


async def test_reading_an_open_file(tmp_path: Path) -> None:
    """From the beginning and from behind what is buffered; everything, and more than there is."""
    for size in SIZES:
        content = filling(size)
        (tmp_path / "file").write_bytes(content)
        for start in (0, 5):
            for limit in (-1, size + 1, size):
                async with rapfiles.open(tmp_path / "file", "rb") as file:
                    assert await file.read(start) == content[:start]
                    assert await file.read(limit) == content[start:]
                    assert await file.tell() == size
                    assert await file.read() == b""
                    assert await file.seek(start) == start
                    assert await file.read(10) == content[start : start + 10]


@pytest.mark.parametrize("letters", ["plain\n", "two\r\n", "gr\u00fc\u00df\n", "\u65e5\u672c \U0001f980\n"])
async def test_reading_open_text(letters: str, tmp_path: Path) -> None:
    for size in SIZES:
        text = letters * (size // len(letters.encode()))
        text += "." * (size - len(text.encode()))
        (tmp_path / "file").write_bytes(text.encode())
        expected = text.replace("\r\n", "\n")
        async with rapfiles.open(tmp_path / "file", encoding="utf-8") as file:
            assert await file.read(3) == expected[:3]
            assert await file.read() == expected[3:]
            assert await file.read() == ""
            assert await file.seek(0) == 0
            assert await file.read() == expected


async def test_what_is_cached_is_read_without_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in SIZES:
        path.write_bytes(b"x" * size)
        mounts.settle(path)
        await idle()
        before = rapfiles.stats()
        async with rapfiles.open(path, "rb") as file:
            assert len(await file.read()) == size
        if size <= MOST_SLICED or size > MOST_SLICED_OPEN:
            assert len(await rapfiles.AsyncPath(path).read_bytes()) == size
        if size <= MOST_TEXT:
            async with rapfiles.open(path, encoding="utf-8") as text:
                assert len(await text.read()) == size
        await idle()
        after = rapfiles.stats()
        if after.cached == before.cached:
            pytest.skip("nothing is read on the loop here")
        if size <= MOST_SLICED_OPEN:
            assert after.submitted == before.submitted, size


def _shorten(path: Path) -> None:
    os.truncate(path, MOST_SLICED - 1000)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more" * 1000)


def _punch(path: Path) -> None:
    os.truncate(path, 100)
    os.truncate(path, MOST_SLICED)


def _shared(one: bytes, other: bytes) -> int:
    """How many bytes at their beginnings are the same."""
    most = min(len(one), len(other))
    return bisect_left(range(1, most + 1), True, key=lambda count: one[:count] != other[:count])


class _Changing:
    """An operation during whose first pause something is done; `paused` tells whether there was one."""

    def __init__(self, operation: Any, change: Callable[[], object]) -> None:
        self._operation = operation
        self._change = change
        self.paused = False

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            while True:
                waits_for = self._operation.send(None)
                if waits_for is None and not self.paused:
                    self.paused = True
                    self._change()
                yield waits_for
        except StopIteration as end:
            return end.value


def _pauses(operation: Any) -> bool:
    """Go on to the first pause; False where there is none, because a worker has to do it."""
    try:
        return operation.send(None) is None
    except StopIteration:
        return False


CHANGES: list[Callable[[Path], None]] = [_shorten, _empty, _append, _punch, Path.unlink]


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [-1, MOST_SLICED + 5, MOST_SLICED - 5])
async def test_a_file_that_changes_between_slices(
    size: int, change: Callable[[Path], None], path: Path
) -> None:
    """What is read is a beginning of what was there, and behind that what is there now."""
    before = path.read_bytes()
    async with rapfiles.open(path, "rb") as file, rapfiles.open(path, "rb") as other:
        changing = _Changing(file.read(size), lambda: change(path))
        result = await changing
        if not changing.paused:
            pytest.skip("nothing is read on the loop here")
        now = await other.read()
        same = _shared(result, before)
        assert result[same:] == now[same : len(result)]
        # The position is behind what was returned.
        assert await file.tell() == len(result)
        if change is _append and size < 0:
            assert result == now


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("change", CHANGES)
async def test_a_path_that_changes_between_slices(change: Callable[[Path], None], path: Path) -> None:
    """The same of a whole file; it is read to its end, wherever that is by then."""
    before = path.read_bytes()
    with path.open("rb") as file:
        changing = _Changing(_native.read_bytes(path), lambda: change(path))
        result = await changing
        if not changing.paused:
            pytest.skip("nothing is read on the loop here")
        now = file.read()
    same = _shared(result, before)
    assert result[same:] == now[same : len(result)]
    assert len(result) >= len(now)


@pytest.mark.loops("asyncio")
async def test_a_file_that_is_replaced_between_slices(path: Path, tmp_path: Path) -> None:
    """What is read is the file that was opened."""
    before = path.read_bytes()
    (tmp_path / "other").write_bytes(b"other" * 100_000)
    changing = _Changing(_native.read_bytes(path), lambda: (tmp_path / "other").replace(path))
    result = await changing
    if not changing.paused:
        pytest.skip("nothing is read on the loop here")
    assert result == before
    assert await rapfiles.AsyncPath(path).read_bytes() == b"other" * 100_000


@pytest.mark.loops("asyncio")
async def test_a_cancelled_read_leaves_no_descriptor(path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(40):
        operation: Any = _native.read_bytes(path)
        _pauses(operation)
        operation.close()
    del operation
    await idle()
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 1


async def test_many_at_once_have_few_descriptors_open(path: Path) -> None:
    """A read while too many files are open waits for a worker."""
    content = path.read_bytes()
    most = 0

    async def read() -> None:
        nonlocal most
        assert await rapfiles.AsyncPath(path).read_bytes() == content

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(os.listdir("/proc/self/fd")))
            await anyio.sleep(0)

    before = len(os.listdir("/proc/self/fd"))
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        async with anyio.create_task_group() as readers:
            for _ in range(60):
                readers.start_soon(read)
        group.cancel_scope.cancel()
    # 16 that are read in slices, one for each worker, and what the loop and this test have.
    assert most - before <= 16 + rapfiles.configuration().max_workers + 8


async def test_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, MOST_SLICED)
    async with rapfiles.open(path, "rb") as file:
        assert await file.read() == bytes(MOST_SLICED)


@pytest.mark.loops("asyncio")
async def test_a_cancelled_read_has_read_nothing(path: Path) -> None:
    content = path.read_bytes()
    async with rapfiles.open(path, "rb") as file:
        assert await file.read(100) == content[:100]
        operation: Any = file.read()
        paused = _pauses(operation)
        # Before anything else: closing the file waits for it.
        operation.close()
        if not paused:
            pytest.skip("nothing is read on the loop here")
        assert await file.tell() == 100
        assert await file.read(100) == content[100:200]
        assert await file.read() == content[200:]


async def test_cancelling_at_every_pause(path: Path) -> None:
    """However far it has come, a cancelled read leaves the file where it was, and passes the turn on."""
    content = path.read_bytes()
    async with rapfiles.open(path, "rb") as file:
        for turns in range(8):
            with anyio.CancelScope() as scope:

                async def cancel(scope: anyio.CancelScope, turns: int) -> None:
                    for _ in range(turns):
                        await anyio.sleep(0)
                    scope.cancel()

                async with anyio.create_task_group() as group:
                    group.start_soon(cancel, scope, turns)
                    await file.seek(turns)
                    assert await file.read() == content[turns:]
            position = await file.tell()
            assert position in (0, turns, max(0, turns - 1), len(content))
            assert await file.read() == content[position:]


async def test_others_wait_for_their_turn_at_the_file(path: Path) -> None:
    content = path.read_bytes()
    halves: list[bytes] = []

    async def read(file: Any) -> None:
        halves.append(await file.read(MOST_SLICED // 2))

    async with rapfiles.open(path, "rb") as file, anyio.create_task_group() as group:
        group.start_soon(read, file)
        group.start_soon(read, file)
    assert sorted(halves, key=content.index) == [content[: MOST_SLICED // 2], content[MOST_SLICED // 2 :]]


@pytest.mark.loops("asyncio")
async def test_other_tasks_have_turns_between_slices(path: Path) -> None:
    turns = 0

    async def run() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(run())
    async with rapfiles.open(path, "rb") as file:
        for _ in range(10):
            await file.seek(0)
            await file.read()
    assert turns >= 10
    task.cancel()
