"""Cancelling at random moments leaks nothing, says nothing, and leaves behind only what is documented."""

import asyncio
import gc
import os
import random
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath
from support import effort
from support.engine import idle, under_way
from support.fifo import Fifo
from support.leaks import descriptors, nothing_leaks
from support.loops import LOOPS, Loop

pytestmark = pytest.mark.interpreter

TOTAL = effort.times(15_000, everything=100_000, variable="RAPFILES_CANCELLATIONS")
BATCH = 100
CONTENT = b"content" * 100


def _operations(folder: Path) -> list[Callable[[], Awaitable[object]]]:
    """Operations of each kind: cached, small, large, in Python's codecs, making and removing entries."""
    small, large, text = (AsyncPath(folder, name) for name in ("small", "large", "text"))
    written, appended = AsyncPath(folder, "written"), AsyncPath(folder, "appended")
    made, renamed, back = (AsyncPath(folder, name) for name in ("made", "here", "there"))

    async def list_folder() -> list[AsyncPath]:
        return [entry async for entry in AsyncPath(folder).iterdir()]

    return [
        small.read_bytes,
        small.read_bytes,
        small.stat,
        small.exists,
        large.read_bytes,
        lambda: large.read_text("latin-1"),
        lambda: text.read_text("utf-8"),
        lambda: text.read_text("cp1252"),
        lambda: written.write_bytes(CONTENT),
        lambda: written.write_text(CONTENT.decode(), "utf-8"),
        lambda: appended.append_bytes(b"+"),
        made.mkdir,
        made.rmdir,
        lambda: made.mkdir(exist_ok=True),
        lambda: renamed.rename(back),
        lambda: back.rename(renamed),
        lambda: written.touch(),
        lambda: written.chmod(0o600),
        lambda: AsyncPath(folder, "link").resolve(),
        list_folder,
    ]


def _build(folder: Path) -> None:
    (folder / "small").write_bytes(CONTENT)
    (folder / "large").write_bytes(b"l" * (1 << 20))
    (folder / "text").write_text("text\n" * 100)
    (folder / "here").write_bytes(b"moves")
    (folder / "appended").touch()
    (folder / "link").symlink_to("small")


def _check_leftovers(folder: Path) -> None:
    """Every cancelled operation happened or did not; a cancelled write may have stopped in between."""
    names = set(os.listdir(folder))
    assert {"small", "large", "text", "appended", "link"} <= names
    assert names <= {"small", "large", "text", "appended", "link", "written", "made", "here", "there"}
    assert ("here" in names) != ("there" in names)
    assert (folder / ("here" if "here" in names else "there")).read_bytes() == b"moves"
    assert (folder / "small").read_bytes() == CONTENT
    assert (folder / "large").read_bytes() == b"l" * (1 << 20)
    if "written" in names:
        assert CONTENT.startswith((folder / "written").read_bytes())
    appended = (folder / "appended").read_bytes()
    assert appended == b"+" * len(appended)


class _Counted:
    """Runs operations and counts those that were cancelled while they were awaited."""

    def __init__(self, folder: Path, generator: random.Random) -> None:
        self.cancelled = 0
        self._operations = _operations(folder)
        self._generator = generator

    async def run(self) -> None:
        try:
            with suppress(OSError):  # the others make and remove the same entries
                await self._generator.choice(self._operations)()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise

    async def asyncio_batch(self) -> None:
        tasks = [asyncio.ensure_future(self.run()) for _ in range(BATCH)]
        await self._cancel_all([task.cancel for task in tasks])

    async def trio_batch(self) -> None:
        scopes = [anyio.CancelScope() for _ in range(BATCH)]

        async def scoped(scope: anyio.CancelScope) -> None:
            with scope:
                await self.run()

        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(scoped, scope)
            await self._cancel_all([scope.cancel for scope in scopes])

    async def _cancel_all(self, cancels: list[Callable[[], object]]) -> None:
        """Cancel one after the other, in bursts, over some turns of the loop; some of them twice."""
        self._generator.shuffle(cancels)
        while cancels:
            for _ in range(min(len(cancels), self._generator.choice([1, 2, 5, 20]))):
                cancel = cancels.pop()
                cancel()
                if self._generator.random() < 0.1:
                    cancel()
            await anyio.sleep(0 if self._generator.random() < 0.9 else 0.0005)


def test_cancelling_at_random_moments(tmp_path: Path, loop: Loop, capfd: pytest.CaptureFixture[str]) -> None:
    _build(tmp_path)
    counted = _Counted(tmp_path, random.Random(loop.name))
    batch = counted.trio_batch if loop.library == "trio" else counted.asyncio_batch
    loop.run(counted.run)  # what is opened once for good is open now

    async def main() -> None:
        while counted.cancelled < TOTAL // len(LOOPS):
            await batch()
        await idle()

    with nothing_leaks():
        loop.run(main)
    _check_leftovers(tmp_path)
    assert capfd.readouterr() == ("", "")


async def test_a_queued_operation_is_dropped(tmp_path: Path) -> None:
    """What no worker has begun when it is cancelled never happens."""
    with Fifo(tmp_path / "fifo") as fifo:
        before = rapfiles.stats()
        async with anyio.create_task_group() as group:
            # Far more than there are workers, so that the last ones wait in the queue.
            for _ in range(1000):
                group.start_soon(AsyncPath(fifo.path).read_bytes)
            await under_way(1000)
            group.cancel_scope.cancel()
        fifo.release()
        await idle()
    after = rapfiles.stats()
    assert after.cancelled - before.cancelled > 0
    assert after.cancelled - before.cancelled + after.completed - before.completed == 1000


async def test_a_running_operation_finishes_in_the_background(tmp_path: Path) -> None:
    """A cancelled read that is stuck in open() closes what it gets, when it gets it."""
    before = descriptors()
    with Fifo(tmp_path / "fifo") as fifo:
        async with anyio.create_task_group() as group:
            group.start_soon(AsyncPath(fifo.path).read_bytes)
            await under_way(1)
            group.cancel_scope.cancel()
        fifo.release()
        await idle()
    assert descriptors() == before


async def test_cancelled_before_it_begins(tmp_path: Path) -> None:
    """asyncio delivers a cancellation when a task first suspends, trio before that: all or nothing."""
    path = AsyncPath(tmp_path, "file")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await path.write_bytes(b"x")
    await idle()
    assert not (tmp_path / "file").exists() or (tmp_path / "file").read_bytes() == b"x"


async def test_time_out(tmp_path: Path) -> None:
    with Fifo(tmp_path / "fifo") as fifo:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await AsyncPath(fifo.path).read_bytes()
        (tmp_path / "other").write_bytes(b"other")
        assert await AsyncPath(tmp_path, "other").read_bytes() == b"other"
    await idle()


class _Memory(bytearray):
    """Something large that can be seen to have gone."""


async def test_what_a_cancelled_operation_held_is_released(tmp_path: Path) -> None:
    """By the loop, when the worker is done, though nobody asks for anything any more."""
    with Fifo(tmp_path / "fifo") as fifo:
        memory = _Memory(300_000)
        seen = weakref.ref(memory)
        async with anyio.create_task_group() as group:
            group.start_soon(AsyncPath(fifo.path).write_bytes, memory)
            await under_way(1)
            group.cancel_scope.cancel()
        del memory, group
        gc.collect()
        reader = os.open(fifo.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with anyio.fail_after(30):
                while seen() is not None:
                    with suppress(BlockingIOError):
                        os.read(reader, 1 << 16)
                    await anyio.sleep(0.001)
        finally:
            os.close(reader)
