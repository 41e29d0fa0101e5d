"""Cancelled at whatever moment, a temporary file or directory is not left behind, and nothing stays open."""

import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from rapfiles.tempfile import (
    NamedTemporaryFile,
    SpooledTemporaryFile,
    TemporaryDirectory,
    TemporaryFile,
    mkdtemp,
    mkstemp,
)
from support import effort
from support.fifo import Fifo
from support.leaks import descriptors
from support.leftovers import entries, no_warnings, nothing_left, same_descriptors
from support.loops import Loop

pytestmark = pytest.mark.interpreter

# How often each of them is cancelled, on each loop.
ROUNDS = effort.times(100, everything=300, variable="RAPFILES_TEMPORARY_CANCELLATIONS")

Use = Callable[[Path], Awaitable[object]]


async def _directory(folder: Path) -> None:
    async with TemporaryDirectory(dir=folder) as path:
        await (path / "sub").mkdir()
        await (path / "sub" / "file").write_bytes(b"x")


async def _awaited_directory(folder: Path) -> None:
    temporary = await TemporaryDirectory(dir=folder)
    try:
        await (temporary.path / "file").touch()
    finally:
        await temporary.cleanup()


async def _nameless(folder: Path) -> None:
    async with TemporaryFile(dir=folder) as file:
        await file.write(b"x" * 100_000)
        await file.seek(0)
        await file.read()


async def _named(folder: Path) -> None:
    async with NamedTemporaryFile("w+", dir=folder, encoding="utf-8") as file:
        await file.write("x" * 100_000)
        await file.flush()


async def _named_closed(folder: Path) -> None:
    async with NamedTemporaryFile(dir=folder, delete_on_close=False) as file:
        await file.write(b"x")
        await file.close()


async def _spooled(folder: Path) -> None:
    async with SpooledTemporaryFile(10, dir=folder) as file:
        await file.write(b"x" * 10)
        await file.write(b"x" * 100_000)
        await file.seek(0)
        await file.read()


async def _low_directory(folder: Path) -> None:
    path = await mkdtemp(dir=folder)
    os.rmdir(path)


async def _low_file(folder: Path) -> None:
    descriptor, path = await mkstemp(dir=folder)
    os.close(descriptor)
    os.unlink(path)


USES = [
    _directory,
    _awaited_directory,
    _nameless,
    _named,
    _named_closed,
    _spooled,
    _low_directory,
    _low_file,
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__.strip("_"))
async def test_at_every_moment(use: Use, tmp_path: Path, loop: Loop) -> None:
    """Cancelled after more and more turns of the loop, and some time: until it is done before."""
    generator = random.Random(f"{use.__name__} {loop}")
    await use(tmp_path)  # what is opened once for good is open now
    with no_warnings():
        before = descriptors()
        cancelled = 0
        for _ in range(ROUNDS):
            finished = False
            async with anyio.create_task_group() as group:

                async def run() -> None:
                    await use(tmp_path)
                    nonlocal finished
                    finished = True

                group.start_soon(run)
                for _ in range(generator.choice([0, 0, 1, 2, 3, 5, 10, 20, 50])):
                    await anyio.sleep(0)
                if generator.random() < 0.3:
                    await anyio.sleep(generator.random() * 0.002)
                group.cancel_scope.cancel()
            cancelled += not finished
        await nothing_left(tmp_path)
        await same_descriptors(before)
    assert cancelled > ROUNDS // 10


async def test_cancelled_before_it_begins(tmp_path: Path) -> None:
    for use in USES:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await use(tmp_path)
    await nothing_left(tmp_path)


async def test_leaving_a_block_in_a_cancelled_task(tmp_path: Path) -> None:
    """Removing begins whatever the task is allowed to wait for."""
    await _named(tmp_path)  # what is opened once for good is open now
    with no_warnings():
        before = descriptors()
        with anyio.CancelScope() as scope:
            async with (
                TemporaryDirectory(dir=tmp_path) as path,
                NamedTemporaryFile(dir=path) as inside,
                NamedTemporaryFile(dir=tmp_path) as beside,
                TemporaryFile(dir=tmp_path),
                SpooledTemporaryFile(dir=tmp_path) as spooled,
            ):
                await inside.write(b"x")
                await beside.write(b"x")
                await spooled.rollover()
                scope.cancel()
                await anyio.sleep(0)
        await nothing_left(tmp_path)
        await same_descriptors(before)


async def test_an_error_while_a_block_is_left(tmp_path: Path) -> None:
    """What failed is raised, and the others go all the same."""

    async def use() -> None:
        async with TemporaryDirectory("kept", dir=tmp_path) as path, NamedTemporaryFile(dir=tmp_path):
            await path.rmdir()
            await path.touch()

    with pytest.raises(NotADirectoryError):
        await use()
    assert [name[-4:] for name in entries(tmp_path)] == ["kept"]


async def test_the_engine_is_busy(tmp_path: Path) -> None:
    """Where every worker is stuck, cancelling ends the wait."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with Fifo(tmp_path / "fifo") as fifo:
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(_read, fifo.path)
            await anyio.sleep(0)
            with anyio.move_on_after(0.05):
                await _named(folder)
            group.cancel_scope.cancel()
        fifo.release()
    await nothing_left(folder)


async def _read(path: Path) -> None:
    from rapfiles import AsyncPath

    await AsyncPath(path).read_bytes()
