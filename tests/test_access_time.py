"""Where reading a file has the kernel write down when that was, a worker reads."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import rapfiles
from rapfiles import AsyncPath
from support import journal, mounts
from support.loops import SELECTOR

Read = Callable[[AsyncPath], Awaitable[object]]


async def _handle(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.read()


async def _text_handle(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="utf-8") as file:
        assert await file.read()


async def _line(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.readline()


async def _lines(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="utf-8") as file:
        assert [line async for line in file]


async def _raw(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb", buffering=0) as file:
        assert await file.read(4)


async def _into(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.readinto(bytearray(4))


async def _at(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.pread(4, 0)


async def _large_read(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.read(64 << 10)


READS: dict[str, Read] = {
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text("utf-8"),
    "handle": _handle,
    "text": _text_handle,
    "readline": _line,
    "lines": _lines,
    "raw": _raw,
    "readinto": _into,
    "pread": _at,
    "large": _large_read,
}


@pytest.fixture(scope="module")
def held_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[journal.Journal]:
    if (reason := journal.missing()) is not None:
        pytest.skip(reason)
    with journal.mounted(tmp_path_factory.mktemp("journal")) as disk:
        yield disk


async def _beside_a_commit(disk: journal.Journal, work: Callable[[], Awaitable[object]]) -> None:
    """Have the commit last until the loop ends it: it never would, if it waited for the journal itself."""
    with disk.held() as is_late:
        task = asyncio.ensure_future(work())
        for _ in range(10):
            await asyncio.sleep(0)
        disk.disk.open_gate()
        await task
    assert not is_late()


@pytest.mark.parametrize("size", [64 << 10, 512 << 10])
@pytest.mark.parametrize("name", READS)
def test_the_loop_does_not_wait_for_a_journal(name: str, size: int, held_disk: journal.Journal) -> None:
    path = held_disk.make("file", b"content\n" * (size // 8))
    SELECTOR.run(lambda: _beside_a_commit(held_disk, lambda: READS[name](AsyncPath(path))))


def test_nor_for_that_of_a_link(held_disk: journal.Journal) -> None:
    """Following a link is noted as well; the kernel does not do so in a look-up that must not wait."""
    path = held_disk.make("file")
    os.utime(path, ns=(1 << 62, 0))
    link = held_disk.root / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("file")
    SELECTOR.run(lambda: _beside_a_commit(held_disk, AsyncPath(link).read_bytes))
    link.unlink()


def test_nor_where_the_file_is_changed_while_it_is_open(held_disk: journal.Journal) -> None:
    path = held_disk.make("file")

    async def main() -> None:
        async with rapfiles.open(path, "rb", buffering=0) as file:
            await file.read(1)
            held_disk.make("file")
            await _beside_a_commit(held_disk, lambda: file.read(1))

    SELECTOR.run(main)


async def _by_a_worker(work: Callable[[], Awaitable[object]]) -> bool:
    await asyncio.sleep(0.001)  # for a moment, an open file is taken to be as it was
    before = rapfiles.stats()
    await work()
    after = rapfiles.stats()
    assert after.cached - before.cached + after.submitted - before.submitted == 1
    return after.submitted > before.submitted


async def _settles(work: Callable[[], Awaitable[object]]) -> bool:
    """Whether the loop reads, sooner or later: not in the tick of the clock in which the file was written."""
    for _ in range(50):
        if not await _by_a_worker(work):
            return True
    return False


@pytest.fixture(scope="module", params=["ext4", "xfs", "btrfs"])
def file_system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if (reason := mounts.missing(request.param)) is not None:
        pytest.skip(reason)
    with mounts.mounted(request.param, tmp_path_factory.mktemp(request.param), size=8 << 20) as root:
        yield root


def _remount(root: Path, options: str) -> None:
    lazy = "" if "lazytime" in options else ",nolazytime"
    subprocess.run(["mount", "-o", f"remount,{options}{lazy}", str(root)], check=True)


def _kind(root: Path) -> str:
    return subprocess.check_output(["findmnt", "-no", "FSTYPE", str(root)], text=True).strip()


DAY = 24 * 60 * 60


@pytest.mark.parametrize("read", ["read_bytes", "pread"])
def test_relatime(file_system: Path, read: str) -> None:
    """Once after each change, and once a day; a file that was just written is the commonest case."""
    _remount(file_system, "relatime")
    path = file_system / "file"
    path.write_bytes(b"content")

    async def main() -> None:
        async with rapfiles.open(path, "rb", buffering=0) as file:

            async def work() -> object:
                return await (AsyncPath(path).read_bytes() if read == "read_bytes" else file.pread(3, 0))

            assert await _settles(work)
            now = path.stat().st_mtime
            for accessed, modified in ((now, now), (now, now + 1), (now - 1, now - 2)):
                os.utime(path, (accessed, modified))
                assert await _by_a_worker(work)
                # As long as a file was changed in the future, each read counts.
                assert await _settles(work) != (modified > now)
            os.utime(path, (now + 10, now))
            assert not await _by_a_worker(work)
            os.utime(path, (now - DAY, now - 2 * DAY))
            assert await _by_a_worker(work)

    SELECTOR.run(main)


@pytest.mark.parametrize("options", ["noatime", "ro", "strictatime", "strictatime,lazytime"])
def test_other_mounts(file_system: Path, options: str) -> None:
    kind = _kind(file_system)
    if "lazytime" in options and kind == "btrfs":
        pytest.skip("btrfs does not heed it")
    by_a_worker = options == "strictatime"
    path = file_system / "file"
    path.write_bytes(b"content")
    # With times that would ask for an update if the mount were relatime, or would not.
    if by_a_worker:
        mounts.settle(path)
    else:
        os.utime(path, (1, 2))
    _remount(file_system, options)

    async def main() -> None:
        read = AsyncPath(path).read_bytes
        # What the mount was like is known for a second. What is not cached is read by a worker as well, once.
        for _ in range(100):
            if [await _by_a_worker(read) for _ in range(3)] == [by_a_worker] * 3:
                break
            await asyncio.sleep(0.1)
        async with rapfiles.open(path, "rb", buffering=0) as file:
            assert await _by_a_worker(lambda: file.pread(3, 0)) == by_a_worker

    try:
        SELECTOR.run(main)
    finally:
        _remount(file_system, "rw,relatime")


@pytest.mark.parametrize("file_system", ["ext4"], indirect=True)
def test_what_reading_does_not_touch(file_system: Path) -> None:
    """`chattr +A`: that it is of no consequence is seen once, by a worker."""
    if shutil.which("chattr") is None:
        pytest.skip("there is no chattr")
    _remount(file_system, "rw,relatime")
    path = file_system / "file"
    path.write_bytes(b"content")
    subprocess.run(["chattr", "+A", str(path)], check=True)

    async def main() -> None:
        # What the mount was like is known for a second.
        while not await _by_a_worker(AsyncPath(path).read_bytes):
            await asyncio.sleep(0.1)
        for read in (AsyncPath(path).read_bytes, AsyncPath(path).read_text):
            os.utime(path, (1, 2))
            assert await _by_a_worker(read)
            assert path.stat().st_atime == 1
            assert not await _by_a_worker(read)
        async with rapfiles.open(path, "rb", buffering=0) as file:
            os.utime(path, (3, 4))
            assert await _by_a_worker(lambda: file.pread(3, 0))
            assert not await _by_a_worker(lambda: file.pread(3, 0))
        subprocess.run(["chattr", "-A", str(path)], check=True)
        assert await _by_a_worker(AsyncPath(path).read_bytes)

    SELECTOR.run(main)
    path.unlink()
