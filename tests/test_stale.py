"""Targets that others replace meanwhile, of which network and FUSE file systems say ESTALE."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rapfiles import recover, transaction
from support import fuse, strace

_REPLACES = """
import asyncio, os, sys
from rapfiles import AsyncPath, transaction

folder = AsyncPath(sys.argv[1])
target, own = folder / "shared", folder / "own"

async def open_atomic():
    async with target.open_atomic("wb") as file:
        await file.write(b"new")

async def staged(method, *arguments):
    async with transaction(folder, durable=False) as t:
        await getattr(t, method)(*arguments)

operations = {
    "write": lambda: target.write_bytes(b"new", atomic=True),
    "open": open_atomic,
    "copy": lambda: own.copy(target, atomic=True),
    "copy with metadata": lambda: own.copy(target, atomic=True, preserve_metadata=True),
    "copy in place": lambda: own.copy(target),
    "replace": lambda: target.replace(folder / "other", durable=True),
    "exchange": lambda: (folder / "other").exchange(target, durable=True),
    "transaction, write": lambda: staged("write_bytes", "shared", b"new"),
    "transaction, append": lambda: staged("append_bytes", "shared", b"new"),
    "transaction, copy": lambda: staged("copy", "shared", "other"),
    "transaction, rename": lambda: staged("rename", "shared", "other"),
    "transaction, remove": lambda: staged("remove", "shared"),
}

async def main():
    for name, operation in operations.items():
        for path in (target, own, folder / "other"):
            with open(path, "wb") as file:
                file.write(b"old")
        try:
            await operation()
        except OSError as error:
            print(name, error.errno, sep=": ")
        else:
            print(name, "done", sep=": ")

asyncio.run(main())
"""


def _replaced(injection: str, folder: Path, log: Path | str = "/dev/null") -> dict[str, str]:
    """What becomes of operations whose calls for the name "shared" fail as `injection` of strace(1) says."""
    done = strace.run(
        _REPLACES,
        folder,
        options=["-P", "shared", "-e", f"inject=newfstatat,openat,linkat:{injection}"],
        log=log,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split(": ") for line in done.stdout.splitlines())


@strace.needs_strace
def test_a_stale_target_is_looked_up_again(tmp_path: Path) -> None:
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    # Calls are counted in each thread: the first fails, and every other one.
    outcomes = _replaced("error=ESTALE:when=1+2", folder, log)
    assert len(outcomes) > 10
    assert set(outcomes.values()) == {"done"}, outcomes
    assert log.read_text().count("ESTALE") > len(outcomes)


@strace.needs_strace
def test_a_target_that_stays_stale_is_an_error(tmp_path: Path) -> None:
    outcomes = _replaced("error=ESTALE", tmp_path)
    assert set(outcomes.values()) == {str(errno.ESTALE)}, outcomes
    assert sorted(os.listdir(tmp_path)) == ["other", "own", "shared"]


_WRITER = """
import asyncio, sys
from rapfiles import AsyncPath, transaction

async def main():
    folder, own, rounds = AsyncPath(sys.argv[1]), AsyncPath(sys.argv[1], sys.argv[2]), int(sys.argv[3])
    target = folder / "target"
    await own.write_bytes(b"a")
    for _ in range(rounds):
        await own.copy(target, atomic=True)
        await target.write_bytes(b"b", atomic=True)
        await target.exchange(own, durable=True)
        async with transaction(folder, durable=False) as t:
            await t.write_bytes("target", b"c")

asyncio.run(main())
"""


def test_several_processes_replace_a_target(prompt_disk: fuse.SlowDisk) -> None:
    folder = Path(tempfile.mkdtemp(dir=prompt_disk.root))
    (folder / "target").write_bytes(b"old")
    writers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", _WRITER, folder, f"own-{number}", "30"])
        for number in range(4)
    ]
    try:
        assert [writer.wait() for writer in writers] == [0] * 4
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert sorted(os.listdir(folder)) == [*(f"own-{number}" for number in range(4)), "target"]


async def _transaction_in_exchanged(folder: Path) -> None:
    async with transaction(folder) as late:
        await late.write_bytes("late", b"late")
        async with transaction(folder, swap=True) as swapped:
            await swapped.write_bytes("swapped", b"new")


async def test_a_transaction_whose_directory_was_exchanged(prompt_disk: fuse.SlowDisk) -> None:
    folder = Path(tempfile.mkdtemp(dir=prompt_disk.root))
    with pytest.raises(OSError, match="has been replaced since it began") as caught:
        await _transaction_in_exchanged(folder)
    assert caught.value.errno == errno.EBUSY
    assert os.listdir(folder) == ["swapped"]


_SWAPS = """
import asyncio, sys
from rapfiles import transaction

async def main():
    print("begun", flush=True)
    while True:
        async with transaction(sys.argv[1], swap=True) as t:
            await t.write_bytes("file", b"new")

asyncio.run(main())
"""


async def test_recovery_beside_exchanges_of_the_directory(prompt_disk: fuse.SlowDisk) -> None:
    folder = Path(tempfile.mkdtemp(dir=prompt_disk.root))
    (folder / "file").write_bytes(b"old")
    with subprocess.Popen([sys.executable, "-c", _SWAPS, folder], stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            assert swapper.stdout.readline() == b"begun\n"
            for _ in range(100):
                await recover(folder)
            assert swapper.poll() is None
        finally:
            swapper.kill()
    await recover(folder)
    assert os.listdir(folder) == ["file"]
