"""Streams, as their users see them: who may take from one, and what ends it."""

import asyncio
import contextlib
import gc
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, _native
from support import process
from support.engine import idle, queue_empty, under_way
from support.fuse import SlowDisk
from support.leaks import descriptors
from support.leftovers import no_warnings, same_descriptors

pytestmark = pytest.mark.interpreter


class Plain(AsyncPath):
    """A class whose instances can be referenced weakly."""


MANY = 3_000
"""More entries than are read, and far more than are made, at once."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which no test changes how many there are."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(MANY):
        os.close(os.open(folder / f"file {number}", os.O_CREAT))
    return folder


@pytest.fixture
def held(prompt_disk: SlowDisk) -> Iterator[Path]:
    """A directory whose reading waits until the gate is opened."""
    backing = prompt_disk.backing / "held"
    backing.mkdir()
    (backing / "file").touch()
    prompt_disk.close_gate()
    try:
        yield prompt_disk.root / "held"
    finally:
        prompt_disk.open_gate()
        # What waits looks for the gate now and then, and must not find it closed by the next test.
        anyio.run(idle)
        (backing / "file").unlink()
        backing.rmdir()


async def test_everything_comes_in_the_order_of_listdir(files: Path) -> None:
    assert [child.name async for child in AsyncPath(files).iterdir()] == os.listdir(files)


async def test_it_is_a_snapshot(files: Path) -> None:
    """What is renamed on the way does not come again."""
    before = sorted(os.listdir(files))
    seen = []
    async for child in AsyncPath(files).iterdir():
        seen.append(child.name)
        # Over and over, there and back.
        new = child.name.removeprefix("moved ") if child.name.startswith("moved ") else f"moved {child.name}"
        os.rename(child, files / new)
    assert sorted(seen) == before


async def test_it_is_a_context_manager(files: Path) -> None:
    stream: Any = AsyncPath(files).iterdir()
    async with stream as entered:
        assert entered is stream
        await anext(stream)
    assert await anext(stream, None) is None
    with contextlib.suppress(ZeroDivisionError):
        async with AsyncPath(files).iterdir() as stream:  # type: ignore[attr-defined]
            await anext(stream)
            raise ZeroDivisionError
    assert await anext(stream, None) is None
    async with AsyncPath(files, "missing").iterdir():  # type: ignore[attr-defined]
        pass


async def test_what_is_left_early_is_gone_at_once(files: Path) -> None:
    """No garbage collection and no turn of the loop is needed."""
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ZeroDivisionError):
            stream = AsyncPath(files).iterdir()
            alive = weakref.ref(stream)
            async for _child in stream:
                del stream
                raise ZeroDivisionError
        assert alive() is None
        directory = Plain(files)
        alive = weakref.ref(directory)
        async for _child in directory.iterdir():
            del directory
            break
        assert alive() is None
    finally:
        gc.enable()
    await idle()


async def test_a_paused_consumer_holds_no_worker(files: Path) -> None:
    await idle()
    before = descriptors()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            stream: Any = await stack.enter_async_context(AsyncPath(files).iterdir())  # type: ignore[arg-type]
            await anext(stream)
        await idle()
        await same_descriptors(before)
    await idle()


async def test_a_cycle_through_the_children_is_collected(tmp_path: Path) -> None:
    class Marked(AsyncPath):
        mark: Any

        def with_segments(self, *segments: Any) -> "Marked":
            made = Marked(*segments)
            made.mark = self.mark
            return made

    for number in range(40):
        (tmp_path / str(number)).touch()
    directory = Marked(tmp_path)
    directory.mark = []
    stream = directory.iterdir()
    directory.mark.append(stream)
    await anext(stream)
    alive = weakref.ref(stream)
    del stream, directory
    gc.collect()
    assert alive() is None


@pytest.mark.loops("asyncio")
async def test_it_is_asked_again_from_within(tmp_path: Path) -> None:
    """A class that makes its paths may try to take from the iterator that is making them."""
    refused = []

    class Greedy(AsyncPath):
        def with_segments(self, *segments: Any) -> "Greedy":
            try:
                anext(stream).__await__().send(None)
            except RuntimeError as error:
                refused.append(str(error))
            return Greedy(*segments)

    (tmp_path / "file").touch()
    stream = Greedy(tmp_path).iterdir()
    assert [child.name async for child in stream] == ["file"]
    assert refused == ["this iterator is already waiting for its next item in another task"]


async def test_it_is_closed_from_within(tmp_path: Path) -> None:
    class Closing(AsyncPath):
        def with_segments(self, *segments: Any) -> "Closing":
            with contextlib.suppress(StopIteration):
                stream.aclose().send(None)
            return Closing(*segments)

    for number in range(40):
        (tmp_path / str(number)).touch()
    stream: Any = Closing(tmp_path).iterdir()
    assert [child async for child in stream] == []


async def test_an_error_on_the_way_ends_it(tmp_path: Path) -> None:
    class Failing(AsyncPath):
        def with_segments(self, *segments: Any) -> "Failing":
            if len(made) == 20:
                raise ZeroDivisionError
            made.append(1)
            return Failing(*segments)

    made: list[int] = []
    for number in range(40):
        (tmp_path / str(number)).touch()
    stream = Failing(tmp_path).iterdir()
    # Sixteen are made at once.
    for _ in range(16):
        await anext(stream)
    with pytest.raises(ZeroDivisionError):
        await anext(stream)
    assert await anext(stream, None) is None


async def test_an_item_is_awaited_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stream = AsyncPath(tmp_path).iterdir()
    for name in ("file", None):
        item = anext(stream)
        if name is None:
            with pytest.raises(StopAsyncIteration):
                await item
        else:
            assert (await item).name == name
        with pytest.raises(RuntimeError, match="already awaited"):
            await item


async def test_two_tasks_cannot_wait_for_the_same_item(prompt_disk: SlowDisk, held: Path) -> None:
    stream = AsyncPath(held).iterdir()
    names = []

    async def take() -> None:
        names.append((await anext(stream)).name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await under_way(1)
        with pytest.raises(RuntimeError, match="already waiting"):
            await anext(stream)
        prompt_disk.open_gate()
    # The one that came first is not disturbed.
    assert names == ["file"]


async def test_closing_tells_the_task_that_waits(held: Path) -> None:
    stream: Any = AsyncPath(held).iterdir()
    answers = []

    async def take() -> None:
        answers.append(await anext(stream, "nothing"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await under_way(1)
        await queue_empty()
        await stream.aclose()
    # The directory is still being opened.
    assert answers == ["nothing"]
    assert rapfiles.stats().in_flight == 1


async def test_a_cancelled_task_ends_it(prompt_disk: SlowDisk, held: Path) -> None:
    await idle()
    before = descriptors()
    stream = AsyncPath(held).iterdir()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anext, stream, None)
        await under_way(1)
        tasks.cancel_scope.cancel()
    assert await anext(stream, None) is None
    prompt_disk.open_gate()
    await idle()
    # What was opened when nobody wanted it any more is closed.
    await same_descriptors(before)


@pytest.mark.loops("trio")
async def test_a_task_that_is_cancelled_already_ends_it(files: Path) -> None:
    stream = AsyncPath(files).iterdir()
    await anext(stream)
    removing = _native.remove_tree(str(files), False)
    for _ in range(200):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anext(stream)
        # What is at hand is handed out all the same.
        if scope.cancelled_caught:
            break
    assert scope.cancelled_caught
    assert await anext(stream, None) is None
    with no_warnings():
        with anyio.CancelScope() as scope:
            scope.cancel()
            await removing
        del removing
    assert scope.cancelled_caught
    assert files.exists()


@pytest.mark.loops("asyncio")
async def test_it_is_dropped_while_it_is_read(prompt_disk: SlowDisk, held: Path) -> None:
    await idle()
    before = descriptors()
    stream = AsyncPath(held).iterdir()
    alive = weakref.ref(stream)
    item = anext(stream).__await__()
    future = item.send(None)
    await under_way(1)
    del stream, item
    gc.collect()
    assert alive() is None
    assert asyncio.isfuture(future)
    prompt_disk.open_gate()
    await idle()
    await same_descriptors(before)


async def test_a_directory_that_is_read_holds_up_no_other(held: Path, files: Path) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(anext, AsyncPath(held).iterdir(), None)
        await under_way(100)
        assert len([child async for child in AsyncPath(files).iterdir()]) == MANY
        tasks.cancel_scope.cancel()


async def test_many_at_once(files: Path) -> None:
    counts = []

    async def count() -> None:
        counts.append(len([child async for child in AsyncPath(files).iterdir()]))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(count)
    assert counts == [MANY] * 20


_LEFT = """
import asyncio, sys, trio
from rapfiles import AsyncPath
from support.engine import under_way

async def main():
    global stream
    stream = AsyncPath(sys.argv[1]).iterdir()
    await anext(stream)
    print("ready", flush=True)
    raise SystemExit(3)

trio.run(main) if sys.argv[2] == "trio" else asyncio.run(main())
"""


@pytest.mark.parametrize("runner", ["asyncio", "trio"])
def test_the_process_ends_in_the_middle(runner: str, files: Path) -> None:
    ended = process.run(_LEFT, str(files), runner)
    assert (ended.code, ended.errors) == (3, "")


_FORKED = """
import asyncio, os, sys, warnings
from rapfiles import AsyncPath

async def rest(stream):
    return len([child async for child in stream])

async def main():
    stream = AsyncPath(sys.argv[1]).iterdir()
    await anext(stream)
    return stream

stream = asyncio.run(main())
print("ready", flush=True)
warnings.simplefilter("ignore")
child = os.fork()
# The directory has been read, so the child has all of it.
count = asyncio.run(rest(stream))
if child == 0:
    os._exit(0 if count == int(sys.argv[2]) else 1)
assert os.waitpid(child, 0)[1] == 0
assert count == int(sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_forked_child_has_what_was_read(files: Path) -> None:
    ended = process.run(_FORKED, str(files), str(MANY - 1))
    assert (ended.code, ended.errors) == (0, "")
