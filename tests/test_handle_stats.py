"""How often the loop is woken while a file is read or written: by the window, not by the line."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rapfiles import open as open_file
from rapfiles import stats
from support.engine import idle
from support.handles import filling

WINDOW = 256 << 10
SIZE = 2 << 20


async def _lines(file: Any) -> None:
    async for _ in file:
        pass


async def _readlines(file: Any) -> None:
    while await file.readline():
        pass


async def _chunks(file: Any) -> None:
    async for _ in file.chunks(4096):
        pass


async def _small_reads(file: Any) -> None:
    while await file.read(1000):
        pass


async def _batches(file: Any) -> None:
    async for _ in file.lines():
        pass


READERS: dict[str, tuple[dict[str, Any], Callable[[Any], Awaitable[None]]]] = {
    "lines of bytes": ({"mode": "rb"}, _lines),
    "lines": ({"encoding": "utf-8"}, _lines),
    "lines in latin-1": ({"encoding": "latin-1"}, _lines),
    "lines of a + file": ({"mode": "r+", "encoding": "utf-8"}, _lines),
    "readline": ({"mode": "rb"}, _readlines),
    "batches": ({"encoding": "utf-8"}, _batches),
    "chunks": ({"mode": "rb"}, _chunks),
    "small reads": ({"mode": "rb"}, _small_reads),
}


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not-cached"])
@pytest.mark.parametrize("name", READERS)
async def test_wake_ups_of_reading(name: str, cached: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(filling(SIZE))
    if not cached:
        _drop_from_the_cache(path)
    keywords, work = READERS[name]
    await idle()
    before = stats()
    async with open_file(path, **keywords) as file:
        await work(file)
    await idle()
    after = stats()
    # Beside the windows: opening, the end of the file and closing are jobs where the loop may not try them.
    assert after.wakeups - before.wakeups <= SIZE // WINDOW + 6
    assert after.submitted - before.submitted <= SIZE // WINDOW + 6


def _drop_from_the_cache(path: Path) -> None:
    """Ask the kernel to forget the file; on a file system that lives in memory it cannot."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(number)


async def test_wake_ups_where_nothing_is_cached(prompt_disk: Any) -> None:
    """On a file system of which the kernel promises nothing, each window is a job and a wake-up, no more."""
    size = 2 << 20
    (prompt_disk.backing / "lines").write_bytes(filling(size))
    await idle()
    before = stats()
    async with open_file(prompt_disk.root / "lines", "rb") as file:
        await _lines(file)
    await idle()
    after = stats()
    assert after.wakeups - before.wakeups <= size // WINDOW + 6
    assert after.cached == before.cached


async def test_wake_ups_of_writing(tmp_path: Path) -> None:
    """2,000 writes of 4 KiB leave in large jobs."""
    await idle()
    before = stats()
    async with open_file(tmp_path / "file", "wb") as file:
        for _ in range(2000):
            await file.write(b"x" * 4096)
    await idle()
    after = stats()
    assert after.submitted - before.submitted <= 2000 * 4096 // WINDOW + 6
    assert after.wakeups - before.wakeups <= 2000 * 4096 // WINDOW + 6
    assert (tmp_path / "file").stat().st_size == 2000 * 4096


async def test_a_small_file_is_few_jobs(tmp_path: Path) -> None:
    """Opening, reading what there is, seeing that there is no more, and closing: a job each at most."""
    (tmp_path / "file").write_bytes(b"line\n" * 100)
    await idle()
    before = stats()
    async with open_file(tmp_path / "file", encoding="utf-8") as file:
        assert len([line async for line in file]) == 100
    await idle()
    after = stats()
    assert after.submitted - before.submitted + after.cached - before.cached <= 5
    assert after.wakeups - before.wakeups <= 4


@pytest.mark.parametrize("mode", ["wb", "r+b", "w", "a+"])
@pytest.mark.parametrize("end", ["close", "sync", "datasync", "seek", "truncate", "flush"])
async def test_what_follows_a_write_is_one_job(mode: str, end: str, tmp_path: Path) -> None:
    """What was accepted is written by the job that is asked for next."""
    path = tmp_path / "file"
    path.write_bytes(b"a line\n" * 10)
    file = await open_file(path, mode)
    data: str | bytes = b"written" if "b" in mode else "written"
    await file.write(data)
    await idle()  # a wake-up is counted after it, perhaps when the task has gone on
    before = stats()
    await (file.seek(3) if end == "seek" else getattr(file, end)())
    after = stats()
    assert after.submitted - before.submitted == 1
    assert after.wakeups - before.wakeups <= 1
    assert b"written" in path.read_bytes()
    if end == "seek":
        assert await file.tell() == 3
    await file.close()
