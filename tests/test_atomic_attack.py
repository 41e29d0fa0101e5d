"""Atomic writes and transactions beside somebody who plants and exchanges links: nothing outside is touched.

`RAPFILES_SOAK=60` lets each of the attacks run for this many seconds.
"""

import ctypes
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath, transaction
from support import compiled, process
from support.exchanges import SOAK, attack
from support.generated import description

_KNOWN_NAMES = Path(__file__).parent / "preload" / "known_names.c"
_TEMPORARY = ".rapfiles-" + "ab" * 12

_WRITES = """
import asyncio, errno, sys
from rapfiles import AsyncPath

async def fails(work):
    try:
        await work
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("written")

async def opens(path, **options):
    async with path.open_atomic("wb", **options) as file:
        await file.write(b"new")

async def main():
    folder = AsyncPath(sys.argv[1])
    print("ready", flush=True)
    for name in ("file", "new"):
        path = folder / name
        for attempt in (
            path.write_bytes(b"new", atomic=True),
            path.write_bytes(b"new", atomic=True, durable=True, follow_symlinks=False),
            opens(path),
        ):
            await fails(attempt)
            if name == "new":
                await path.unlink()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux" or compiled.missing() is not None, reason="needs a C compiler")
@pytest.mark.parametrize("plant", ["link", "dangling link", "directory", "hard link"])
def test_planted_at_the_name_of_a_temporary_file(plant: str, tmp_path: Path) -> None:
    """Though the names are known, which they are not: what is there is neither followed nor replaced."""
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "file").write_bytes(b"old")
    (outside / "victim").write_bytes(b"precious")
    planted = folder / _TEMPORARY
    if plant == "directory":
        planted.mkdir()
    elif plant == "hard link":
        planted.hardlink_to(outside / "victim")
    else:
        planted.symlink_to(outside / ("victim" if plant == "link" else "new"))
    before = description(tmp_path), description(outside, metadata=True)
    library = compiled.program(_KNOWN_NAMES, "-shared", "-fPIC")
    ended = process.run(_WRITES, str(folder), LD_PRELOAD=str(library))
    assert (ended.code, ended.errors) == (0, "")
    # A new name needs no temporary one.
    assert ended.output.split() == ["EEXIST"] * 3 + ["written"] * 3
    assert (description(tmp_path), description(outside, metadata=True)) == before


@contextmanager
def _exchanged(one: Path, other: Path) -> Iterator[None]:
    """Exchange two entries over and over, as long as the block lasts."""
    library = ctypes.CDLL(None)
    if sys.platform != "linux" or not hasattr(library, "renameat2"):
        pytest.skip("two names cannot be exchanged at one stroke")
    over = threading.Event()
    here = -100  # AT_FDCWD

    def exchange() -> None:
        while not over.is_set():
            library.renameat2(here, os.fsencode(one), here, os.fsencode(other), 2)

    exchanging = threading.Thread(target=exchange)
    exchanging.start()
    try:
        yield
    finally:
        over.set()
        exchanging.join()


@pytest.mark.one_loop
async def test_a_target_that_becomes_a_link(tmp_path: Path) -> None:
    """The link itself is replaced, or it is an error, but never what it leads to."""
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "victim").write_bytes(b"precious")
    before = description(outside, metadata=True)
    path = AsyncPath(folder, "file")
    until = time.monotonic() + SOAK
    rounds = 0
    (folder / "file").write_bytes(b"old")
    (folder / "link").symlink_to(outside / "victim")
    with _exchanged(folder / "file", folder / "link"):
        while rounds < 15 or time.monotonic() < until:
            rounds += 1
            with suppress(OSError):
                await path.write_bytes(b"new", atomic=True, durable=rounds % 10 == 0, follow_symlinks=False)
            with suppress(OSError):
                async with path.open_atomic("wb", follow_symlinks=False) as file:
                    await file.write(b"newer")
            with suppress(OSError):
                async with transaction(folder, durable=False) as t:
                    await t.write_bytes("file", b"new")
                    await t.append_bytes("file", b" and more")
            if not (folder / "link").is_symlink():
                (folder / "planted").symlink_to(outside / "victim")
                (folder / "planted").replace(folder / "link")
    assert description(outside, metadata=True) == before
    assert sorted(os.listdir(folder)) == ["file", "link"]


@pytest.mark.one_loop
async def test_a_directory_that_becomes_a_link(tmp_path: Path) -> None:
    """What a write has found at its beginning is where it ends; a transaction does not follow links."""
    tree = tmp_path / "tree"
    with attack(tmp_path) as attacker:
        before = description(tmp_path / "canary", metadata=True)
        for _ in attacker.rounds(least=3):
            for number in range(4):
                with suppress(OSError):
                    async with transaction(tree, durable=False) as t:
                        await t.write_bytes(f"{number}/a/b/c/file", b"new")
                        await t.append_bytes(f"{number}/a/e/file", b" more")
                        await t.rename(f"{number}/a/b/d/file", f"{number}/a/b/c/moved")
                        await t.mkdir(f"{number}/a/b/made")
            assert description(tmp_path / "canary", metadata=True) == before, attacker.seed
    shutil.rmtree(tree, ignore_errors=True)


async def test_writers_and_an_appender_at_once(tmp_path: Path) -> None:
    """Each write is there as a whole, and what is appended is behind one of them."""
    path = AsyncPath(tmp_path, "file")
    contents = [letter * 100_000 for letter in (b"a", b"b")]
    record = b"appended durably\n"

    async def write(content: bytes) -> None:
        for number in range(15):
            await path.write_bytes(content, atomic=True, durable=number % 5 == 0)

    async def append() -> None:
        for _ in range(15):
            await path.append_bytes(record, durable=True)

    (tmp_path / "file").write_bytes(contents[0])
    async with anyio.create_task_group() as tasks:
        for content in contents:
            tasks.start_soon(write, content)
        tasks.start_soon(append)
        for _ in range(30):
            found = await path.read_bytes()
            behind = found[100_000:]
            assert found[:100_000] in contents
            assert behind == record * (len(behind) // len(record))
    assert os.listdir(tmp_path) == ["file"]
