"""No operation on a handle holds up the loop on a slow disk."""

import os
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath
from support import lag, strace
from support.fuse import SlowDisk
from support.handles import filling
from support.loops import LOOPS, Loop

# More than is read ahead at once, so that an iteration has to wait in between.
LINES = filling(400_000)


@pytest.fixture(params=["slow_disk"])
def stage(request: pytest.FixtureRequest) -> Iterator[SlowDisk]:
    """The slow disk with one file; it is filled and cleared behind its back, at full speed."""
    disk: SlowDisk = request.getfixturevalue(request.param)
    (disk.backing / "file").write_bytes(LINES)
    yield disk
    for entry in disk.backing.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


Work = Callable[[AsyncPath], Awaitable[None]]


async def _open(path: AsyncPath) -> None:
    async with rapfiles.open(path):
        pass


async def _read(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.read() == LINES


async def _read_raw(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb", buffering=0) as file:
        assert await file.read(50_000) == LINES[:50_000]
        assert await file.readall() == LINES[50_000:]


async def _read_into(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        target = bytearray(200_000)
        assert await file.readinto(target) == 200_000
        assert target == LINES[:200_000]


async def _chunks(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert b"".join([chunk async for chunk in file.chunks()]) == LINES


async def _lines(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert b"".join([line async for line in file]) == LINES


async def _text_lines(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="utf-8") as file:
        assert "".join([line async for line in file]) == LINES.decode()


async def _text_lines_in_python(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="cp1252") as file:
        assert "".join([line async for line in file]) == LINES.decode()


async def _batches(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="utf-8") as file:
        lines = [line async for batch in file.lines() for line in batch]
    assert "".join(lines) == LINES.decode()


async def _read_text(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="utf-8") as file:
        assert await file.read() == LINES.decode()


async def _positions(path: AsyncPath) -> None:
    async with rapfiles.open(path, encoding="utf-8") as file:
        await file.readline()
        place = await file.tell()
        second = await file.readline()
        await file.seek(0, 2)
        await file.seek(place)
        assert await file.readline() == second


async def _write(path: AsyncPath) -> None:
    async with rapfiles.open(path.with_name("new"), "wb") as file:
        await file.write(LINES)
        await file.write(b"more")
        await file.flush()
        await file.write(b"at the close")


async def _write_text(path: AsyncPath) -> None:
    async with rapfiles.open(path.with_name("new"), "w", encoding="utf-8") as file:
        await file.write(LINES.decode())
        await file.writelines(["more\n", "lines\n"])


async def _write_raw(path: AsyncPath) -> None:
    async with rapfiles.open(path.with_name("new"), "wb", buffering=0) as file:
        await file.write(LINES)


async def _append(path: AsyncPath) -> None:
    async with rapfiles.open(path.with_name("new"), "a") as file:
        await file.write("line\n")


async def _update(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb+") as file:
        await file.read(10)
        await file.seek(20)
        await file.write(b"changed")
        await file.seek(0)
        await file.read(40)
        await file.truncate(300_000)
        await file.truncate(400_000)
        await file.seek(0)
        await file.write(LINES)


async def _sync(path: AsyncPath) -> None:
    async with rapfiles.open(path.with_name("new"), "wb") as file:
        await file.write(b"x")
        await file.sync()
        await file.datasync()
        await file.stat()


async def _positional(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb+") as file:
        assert await file.pread(10, 100) == LINES[100:110]
        assert await file.pwrite(LINES[100:110], 100) == 10


async def _drop(path: AsyncPath) -> None:
    """Not closed: the last reference goes while something is still to be written."""
    file = await rapfiles.open(path.with_name("new"), "wb")
    await file.write(b"x" * 100)
    with pytest.warns(ResourceWarning):
        del file


async def _wrap(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb") as file:
        below = await anyio.to_thread.run_sync(lambda: open(file.fileno(), "rb", closefd=False))  # noqa: SIM115
        wrapped = rapfiles.wrap_file(below)
        assert await wrapped.read(100) == LINES[:100]
        await wrapped.close()


def _opener(name: str, flags: int) -> int:
    return os.open(name, flags)


async def _opener_is_called_elsewhere(path: AsyncPath) -> None:
    async with rapfiles.open(path, "rb", opener=_opener):
        pass


WORKS: dict[str, Work] = {
    name.removeprefix("_"): value
    for name, value in list(globals().items())
    if name.startswith("_") and getattr(value, "__annotations__", {}).get("path") is AsyncPath
}


def test_the_works_are_found() -> None:
    assert {"open", "read", "text_lines", "write", "drop"} <= set(WORKS)


@pytest.mark.parametrize("stage", ["sluggish_disk"], indirect=True)
@pytest.mark.parametrize("name", WORKS)
def test_alone_on_a_slow_disk(name: str, stage: SlowDisk) -> None:
    """Each work on one of the loops: the loops take turns."""
    loop: Loop = LOOPS[list(WORKS).index(name) % len(LOOPS)]

    async def main() -> float:
        before = rapfiles.stats().cached
        worst = await lag.worst_beside(lambda: WORKS[name](AsyncPath(stage.root, "file")))
        assert rapfiles.stats().cached == before
        return worst

    assert loop.run(main) < lag.ALLOWED


async def test_all_at_once_on_a_slow_disk(stage: SlowDisk) -> None:
    for name in WORKS:
        (stage.backing / name).mkdir(exist_ok=True)
        (stage.backing / name / "file").write_bytes(LINES)
    # "drop" gives a warning that another one could hear.
    names = [name for name in WORKS if name != "drop"]

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(WORKS[name], AsyncPath(stage.root, name, "file"))

    assert await lag.worst_beside(work) < lag.ALLOWED


# In memory, where nothing is waited for: what is left is work, and that is bounded too.


async def _iterate(file: Any) -> None:
    async for _ in file:
        pass


async def _read_all(file: Any) -> None:
    await file.read()


async def _read_lines(file: Any) -> None:
    await file.readlines()


LARGE: dict[str, tuple[dict[str, Any], Callable[[Any], Awaitable[None]]]] = {
    "read": ({"mode": "rb"}, _read_all),
    "text": ({"encoding": "utf-8"}, _read_all),
    "text in Python": ({"encoding": "cp1252"}, _read_all),
    "lines": ({"encoding": "utf-8"}, _iterate),
    "binary lines": ({"mode": "rb"}, _iterate),
    "lines in Python": ({"encoding": "cp1252"}, _iterate),
    "lines of a + file": ({"mode": "r+", "encoding": "utf-8"}, _iterate),
    "readlines": ({"encoding": "utf-8"}, _read_lines),
    "binary readlines": ({"mode": "rb"}, _read_lines),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", LARGE)
async def test_large_files_do_not_hold_up_the_loop(name: str, tmp_path: Any) -> None:
    keywords, work = LARGE[name]
    line = "a line of text, " if "Python" in name else "a line, \u00fcber zeile, \u30c6\u30ad\u30b9\u30c8, "
    # A text of Python's is put together in one piece: less of it, but still too much to decode in one piece.
    size = (16 if "Python" in name else 32) << 20
    (tmp_path / "file").write_bytes((line * 3 + "\n").encode() * (size // 120))

    async def one() -> None:
        async with rapfiles.open(tmp_path / "file", **keywords) as file:
            await work(file)

    assert await lag.worst_beside(one) < lag.ALLOWED


TEXT = "a line of text, \u00fcber zeile\n" * (1 << 20)
BYTES = bytes(64 << 20)
LARGE_WRITES: dict[str, tuple[dict[str, Any], Callable[[Any], Awaitable[Any]]]] = {
    "text": ({"mode": "w", "encoding": "utf-8"}, lambda file: file.write(TEXT)),
    "text lines": ({"mode": "w", "encoding": "utf-8"}, lambda file: file.writelines([TEXT, TEXT])),
    "text in Python": ({"mode": "w", "encoding": "cp1252"}, lambda file: file.write(TEXT)),
    "bytes": ({"mode": "wb"}, lambda file: file.write(BYTES)),
    "updated": ({"mode": "wb+"}, lambda file: file.write(BYTES)),
    "raw": ({"mode": "wb", "buffering": 0}, lambda file: file.write(BYTES)),
    "lines of bytes": ({"mode": "wb"}, lambda file: file.writelines([BYTES, BYTES])),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", LARGE_WRITES)
async def test_a_large_write_does_not_hold_up_the_loop(name: str, tmp_path: Any) -> None:
    keywords, write = LARGE_WRITES[name]

    async def one() -> None:
        async with rapfiles.open(tmp_path / "file", **keywords) as file:
            await write(file)

    assert await lag.worst_beside(one) < lag.ALLOWED


_RELEASES = """
import asyncio, sys
from time import perf_counter

import rapfiles

TEXT = "\\u00fc" * (1 << 20)

async def main():
    async with rapfiles.open(sys.argv[1], "w", encoding="utf-8") as file:
        await file.write(TEXT)
        flushing = asyncio.create_task(flush(file))
        worst = 0.0
        while not flushing.done():
            before = perf_counter()
            file.fileno()
            worst = max(worst, perf_counter() - before)
            await asyncio.sleep(0.001)
        print(worst)

async def flush(file):
    await file.flush()

asyncio.run(main())
"""


@strace.needs_strace
def test_the_loop_does_not_wait_while_a_worker_releases_memory(tmp_path: Path) -> None:
    """Unmapping a large buffer takes milliseconds, and much longer if its thread loses the processor."""
    log = tmp_path / "log"
    options = ["-e", "trace=munmap", "-e", "inject=munmap:delay_enter=300ms"]
    done = strace.run(_RELEASES, tmp_path / "file", options=options, log=log)
    assert not done.stderr
    assert re.search(r"munmap\(0x[0-9a-f]+, 2\d{6}\b", log.read_text())
    assert float(done.stdout) < 0.15
