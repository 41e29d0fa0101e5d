"""No operation holds up the loop: neither on a slow disk, nor on a FIFO nobody opens."""

import inspect
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, Stream
from support import lag, process
from support.engine import idle, queue_empty, under_way
from support.fifo import Fifo
from support.fuse import SlowDisk
from support.loops import SELECTOR
from support.operations import OPERATIONS, Operation, build

STUCK = 64


def test_every_operation_is_tried() -> None:
    """A new method of AsyncPath must be added to the list, or here with a reason."""
    waiting = {name for name in dir(AsyncPath) if not name.startswith("_") and _may_wait(name)}
    tried = {operation.name for operation in OPERATIONS}
    # lchmod is chmod, which Linux has no link-changing form of; the others look at no path on a disk.
    assert waiting - tried <= {"lchmod", "is_junction", "absolute", "cwd", "home", "expanduser"}


def _may_wait(name: str) -> bool:
    """Whether it is awaited, or returns a stream, whose items are."""
    member = inspect.getattr_static(AsyncPath, name)
    if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
        return True
    return inspect.isfunction(member) and str(inspect.signature(member).return_annotation).startswith(
        "Stream["
    )


def test_streams_may_wait() -> None:
    """Guards the search for them."""
    assert {name for name in dir(AsyncPath) if not name.startswith("_") and _may_wait(name)} >= {
        *("iterdir", "scandir", "glob", "rglob", "walk", "find", "stat")
    }


@pytest.fixture(params=["slow_disk"])
def stage(request: pytest.FixtureRequest) -> Iterator[SlowDisk]:
    """The slow disk, empty; it is filled and cleared behind its back, at full speed."""
    disk: SlowDisk = request.getfixturevalue(request.param)
    yield disk
    for entry in disk.backing.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@pytest.mark.parametrize("stage", ["sluggish_disk"], indirect=True)
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_each_operation_on_a_slow_disk(operation: Operation, stage: SlowDisk) -> None:
    """Alone on the loop, when the submitter may look for its answer before it suspends."""
    build(stage.backing)

    async def main() -> float:
        before = rapfiles.stats().cached
        worst = await lag.worst_beside(lambda: _in_spite_of_errors(operation.start(stage.root)))
        assert rapfiles.stats().cached == before
        return worst

    assert SELECTOR.run(main) < lag.ALLOWED


async def test_all_operations_at_once_on_a_slow_disk(stage: SlowDisk) -> None:
    # Each in a folder of its own: the kernel lets changes into a folder one by one.
    for operation in OPERATIONS:
        (stage.backing / operation.name).mkdir()
        build(stage.backing / operation.name)
    # The same is true for the first look-ups of names; this makes all of them known.
    os.listdir(stage.root)

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for operation in OPERATIONS:
                group.start_soon(_in_spite_of_errors, operation.start(stage.root / operation.name))

    before = rapfiles.stats().cached
    assert await lag.worst_beside(work) < lag.ALLOWED
    assert rapfiles.stats().cached == before


async def _in_spite_of_errors(operation: Awaitable[object]) -> None:
    """A second attempt finds what the first made or removed; how long the loop waits is all that counts."""
    with suppress(OSError):
        await operation


STREAMS: dict[str, Callable[[AsyncPath], Stream[object]]] = {
    "walk": lambda path: path.walk(),
    "find": lambda path: path.find(),
    "find_with_stat": lambda path: path.find(with_stat=True),
    "glob": lambda path: path.glob("**/*"),
    "rglob": lambda path: path.rglob("*"),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", STREAMS)
async def test_a_slow_disk_is_left_at_once(name: str, slow_disk: SlowDisk) -> None:
    """No request is waited for when the block is left: this one is answered only after that."""
    for directory in ("held", "other"):
        (slow_disk.backing / f"left by {name}" / directory).mkdir(parents=True)
    slow_disk.close_gate()
    try:
        with anyio.fail_after(30):
            async with STREAMS[name](AsyncPath(slow_disk.root, f"left by {name}")) as stream:
                # The first took so long that it is given out before anything else is read.
                await anext(stream)
                await under_way(1)
    finally:
        slow_disk.open_gate()
    await idle()


OPENING: dict[str, Callable[[AsyncPath], Awaitable[object]]] = {
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text("utf-8"),
    "read_text_in_python": lambda path: path.read_text("cp1252"),
    "write_bytes": lambda path: path.write_bytes(b"x"),
    "write_text": lambda path: path.write_text("x", "utf-8"),
    "append_bytes": lambda path: path.append_bytes(b"x"),
    "append_text": lambda path: path.append_text("x", "utf-8"),
}


@pytest.mark.parametrize("name", OPENING)
async def test_opening_a_fifo(name: str, tmp_path: Path) -> None:
    before = rapfiles.stats().cached
    with Fifo(tmp_path / "fifo") as fifo:

        async def work() -> None:
            with anyio.move_on_after(0.1):
                await OPENING[name](AsyncPath(fifo.path))
                pytest.fail("nobody opened the FIFO")

        assert await lag.worst_beside(work) < lag.ALLOWED
    assert rapfiles.stats().cached == before


async def test_everything_else_on_a_fifo(tmp_path: Path) -> None:
    with Fifo(tmp_path / "fifo") as fifo:

        async def work() -> None:
            path = AsyncPath(fifo.path)
            assert await path.is_fifo()
            assert not await path.is_file()
            await path.stat()
            await path.chmod(0o600)
            await path.touch()
            with pytest.raises(OSError, match="Invalid argument"):
                await path.truncate(0)
            with pytest.raises(NotADirectoryError):
                [_ async for _ in path.iterdir()]

        assert await lag.worst_beside(work) < lag.ALLOWED


async def _work_elsewhere(folder: Path) -> None:
    """Operations of every tier: answered from the cache, and by workers."""
    for number in range(20):
        path = AsyncPath(folder, f"elsewhere-{number}")
        await path.mkdir()
        await (path / "file").write_bytes(b"content")
        assert await (path / "file").read_bytes() == b"content"
        assert [entry.name async for entry in path.iterdir()] == ["file"]
        assert (await path.stat()).st_nlink == 2
        await (path / "file").unlink()
        await path.rmdir()


async def _stay_stuck(
    works: list[Callable[[], Awaitable[object]]], folder: Path, release: Callable[[], None]
) -> None:
    """Start all of `works`, which end only after `release`, and show that work elsewhere ends before them."""
    ended = 0

    async def one(work: Callable[[], Awaitable[object]]) -> None:
        nonlocal ended
        await work()
        ended += 1

    async with anyio.create_task_group() as group:
        try:
            for work in works:
                group.start_soon(one, work)
            await under_way(len(works))
            await _work_elsewhere(folder)
            assert ended == 0
        finally:
            release()
    assert ended == len(works)


async def test_stuck_on_a_fifo_does_not_delay_the_others(tmp_path: Path) -> None:
    with Fifo(tmp_path / "fifo") as fifo:
        path = AsyncPath(fifo.path)
        await _stay_stuck([path.read_bytes] * STUCK, tmp_path, fifo.release)


async def test_far_more_stuck_than_workers(tmp_path: Path) -> None:
    """More operations than the engine has workers: a dead disk does not take all of them."""
    with Fifo(tmp_path / "fifo") as fifo:
        path = AsyncPath(fifo.path)
        await _stay_stuck([path.read_bytes] * 1000, tmp_path, fifo.release)


async def test_readers_and_writers_of_fifos_find_each_other(tmp_path: Path) -> None:
    """More readers than there are workers wait for writers that come after them."""
    for number in range(100):
        os.mkfifo(tmp_path / str(number))
    read: list[bytes] = []

    async def one(number: int) -> None:
        read.append(await AsyncPath(tmp_path, str(number)).read_bytes())

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
        await under_way(100)
        for number in range(100):
            group.start_soon(AsyncPath(tmp_path, str(number)).write_bytes, b"%d" % number)
    assert sorted(read, key=int) == [b"%d" % number for number in range(100)]


async def test_what_is_cancelled_does_not_pile_up_behind_a_dead_disk(tmp_path: Path) -> None:
    """Operations that gave up leave the queue even if no worker ever comes back."""
    with Fifo(tmp_path / "fifo") as fifo:
        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(AsyncPath(fifo.path).read_bytes)
            await under_way(1000)
            group.cancel_scope.cancel()
        await queue_empty()
    await idle()


async def test_stuck_on_a_dead_disk_does_not_delay_the_others(prompt_disk: SlowDisk, tmp_path: Path) -> None:
    """One that answers nothing until the test says so."""
    for number in range(STUCK):
        (prompt_disk.backing / f"held-{number}").write_bytes(b"x")
    prompt_disk.close_gate()
    works = [AsyncPath(prompt_disk.root, f"held-{number}").read_bytes for number in range(STUCK)]
    await _stay_stuck(works, tmp_path, prompt_disk.open_gate)


_EXIT = """
import asyncio, sys
from rapfiles import AsyncPath
from support.engine import under_way

async def main():
    tasks = [asyncio.ensure_future(AsyncPath(path).read_bytes()) for path in sys.argv[1:]]
    await under_way(len(tasks))
    print("ready", flush=True)

asyncio.run(main())
"""


def test_stuck_on_a_fifo_does_not_delay_exit(tmp_path: Path) -> None:
    with Fifo(tmp_path / "fifo") as fifo:
        ended = process.run(_EXIT, *[str(fifo.path)] * STUCK)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.seconds < process.AT_ONCE


def test_stuck_on_a_slow_disk_does_not_delay_exit(stage: SlowDisk) -> None:
    paths = [stage.root / f"exit-{number}" for number in range(STUCK)]
    for path in paths:
        (stage.backing / path.name).write_bytes(b"x")
    ended = process.run(_EXIT, *map(str, paths))
    assert (ended.code, ended.errors) == (0, "")
    assert ended.seconds < process.AT_ONCE
