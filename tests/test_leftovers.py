"""What killed operations have left under temporary names, and what of it `recover()` removes."""

import errno
import os
import re
import select
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rapfiles import AsyncPath, recover
from support import fuse, kill_points, mounts, strace

TEMPORARY = re.compile(r"\.rapfiles-[0-9a-f]{24}")
NAME = ".rapfiles-0123456789abcdef01234567"


@pytest.fixture(scope="module")
def without_nameless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system that makes no files without a name: an unfinished one has a temporary name."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("disk"), delay_ms=0) as disk:
        yield disk.root


@pytest.fixture
def named(without_nameless: Path) -> Path:
    """A new folder there."""
    return Path(tempfile.mkdtemp(dir=without_nameless))


_HALF = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    async with AsyncPath(sys.argv[1], "file").open_atomic("wb") as file:
        await file.write(b"new")
        await file.flush()
        print("open", flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""


async def test_a_file_that_is_being_written_stays_until_its_writer_is_killed(named: Path) -> None:
    (named / "file").write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", _HALF, named], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"open\n"
            (temporary,) = [name for name in os.listdir(named) if TEMPORARY.fullmatch(name)]
            assert (await recover(named)).removed == []
        finally:
            writer.kill()
    assert (await recover(named)).removed == [temporary]
    assert os.listdir(named) == ["file"]
    assert (named / "file").read_bytes() == b"old"


_FORKS = """
import asyncio, os, sys
from rapfiles import AsyncPath

async def main():
    async with AsyncPath(sys.argv[1], "file").open_atomic("wb") as file:
        await file.write(b"new")
        await file.flush()
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            sys.stdin.readline()
            os._exit(0)
        sys.stdin.readline()

asyncio.run(main())
"""


async def test_a_forked_child_keeps_the_file_of_a_killed_writer(named: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _FORKS, named], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        try:
            child = os.pidfd_open(int(writer.stdout.readline()))
        finally:
            writer.kill()
            writer.wait()
        try:
            assert (await recover(named)).removed == []
            writer.stdin.close()
            select.select([child], [], [])
        finally:
            os.close(child)
    assert len((await recover(named)).removed) == 1
    assert os.listdir(named) == []


async def test_a_writer_goes_on_beside_it(named: Path) -> None:
    target = AsyncPath(named, "file")
    async with target.open_atomic("wb") as file:
        await file.write(b"new")
        assert (await recover(named)).removed == []
    assert os.listdir(named) == ["file"]
    assert await target.read_bytes() == b"new"
    # Nor is the lock left that has shown that it was being written.
    async with target.lock(blocking=False):
        pass


_ROUNDS = 60
_WRITER = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    folder, own, rounds = AsyncPath(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for number in range(rounds):
        await (folder / own).write_text(f"{number}", atomic=True)
        await (folder / own).copy(folder / f"{own}-copy", atomic=True)

asyncio.run(main())
"""


@pytest.mark.one_loop
@pytest.mark.parametrize("nameless", [True, False])
async def test_it_disturbs_no_writer(nameless: bool, named: Path, tmp_path: Path) -> None:
    folder = tmp_path if nameless else named
    command = [sys.executable, "-W", "error", "-c", _WRITER, folder]
    writers = [subprocess.Popen([*command, f"own-{number}", str(_ROUNDS)]) for number in range(3)]
    try:
        while any(writer.poll() is None for writer in writers):
            # It may find a file that has just been created: its writer creates another one.
            await recover(folder)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [writer.returncode for writer in writers] == [0] * 3
    names = [f"own-{number}{end}" for number in range(3) for end in ("", "-copy")]
    assert sorted(os.listdir(folder)) == names
    assert [(folder / name).read_text() for name in names] == [f"{_ROUNDS - 1}"] * 6


@strace.needs_strace
@pytest.mark.one_loop
@pytest.mark.parametrize("kept", [False, True], ids=["forgotten", "kept"])
async def test_a_file_that_it_removes_before_it_is_locked_is_created_again(
    kept: bool, tmp_path: Path
) -> None:
    """Where a file that is removed while it is open is unknown, or has another name until it is closed."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    removed = 0
    # Not every attempt may lock its file too late.
    late = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fcntl:delay_enter=20000:when=1+3"]
    with fuse.mounted(tmp_path, delay_ms=0, hide=kept) as disk:
        command = [*late, sys.executable, "-W", "error", "-c", _WRITER, disk.root, "own", "10"]
        with subprocess.Popen(command) as writer:
            while writer.poll() is None:
                removed += len((await recover(disk.root)).removed)
        assert writer.returncode == 0
        assert sorted(os.listdir(disk.root)) == ["own", "own-copy"]
        assert [(disk.root / name).read_text() for name in ("own", "own-copy")] == ["9", "9"]
    assert removed > 0


async def test_what_is_none_stays(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"v")
    (tmp_path / NAME).symlink_to("victim")
    (tmp_path / NAME.replace("0", "1")).mkdir()
    os.mkfifo(tmp_path / NAME.replace("0", "2"))
    (tmp_path / NAME.upper().replace("RAPFILES", "rapfiles")).write_bytes(b"upper case")
    (tmp_path / f"{NAME}-file.backup").write_bytes(b"b")
    (tmp_path / NAME[:-1]).write_bytes(b"short")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / NAME).write_bytes(b"below")
    before = sorted(os.listdir(tmp_path))
    assert (await recover(tmp_path)).removed == []
    assert sorted(os.listdir(tmp_path)) == before
    left = NAME.replace("0", "3")
    (tmp_path / left).write_bytes(b"left")
    assert (await recover(tmp_path)).removed == [left]
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("options", [{}, {"shared": True}, {"range": (0, 0)}], ids=str)
async def test_a_lock_of_the_file_changes_nothing(options: dict[str, Any], named: Path) -> None:
    """It belongs to the same open file as the one that shows that the file is being written."""
    async with AsyncPath(named, "file").open_atomic("wb") as file:
        async with file.lock(**options):
            assert (await recover(named)).removed == []
        assert (await recover(named)).removed == []
        await file.write(b"new")
    assert (named / "file").read_bytes() == b"new"


_LOCKS = """
import fcntl, sys

while True:
    with open(sys.argv[1], "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("locked", flush=True)
            break
        fcntl.flock(file, fcntl.LOCK_UN)
"""


@pytest.mark.one_loop
async def test_nobody_finds_the_target_locked(tmp_path: Path) -> None:
    """Not even in the instant after it was replaced, or while recover() looks at it."""
    target = AsyncPath(tmp_path, "file")
    await target.write_bytes(b"old")
    with subprocess.Popen([sys.executable, "-c", _LOCKS, target], stdout=subprocess.PIPE) as other:
        try:
            for number in range(500):
                await target.write_text(f"{number}", atomic=True)
                await recover(tmp_path)
            assert other.poll() is None
        finally:
            other.kill()
        assert other.stdout is not None
        assert other.stdout.read() == b""


@strace.needs_strace
@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "socket", "device"])
def test_what_is_no_file_is_not_even_opened(kind: str, tmp_path: Path) -> None:
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    entry = folder / NAME
    if kind == "fifo":
        os.mkfifo(entry)
    elif kind == "link":
        entry.symlink_to(tmp_path)
    elif kind == "directory":
        entry.mkdir()
    elif kind == "socket":
        os.mknod(entry, stat.S_IFSOCK | 0o600)
    else:
        try:
            os.mknod(entry, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("not permitted to make a device")
    done = strace.run(_RECOVERS, folder, options=["-e", "trace=openat,open,openat2,newfstatat"], log=log)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    calls = [line for line in log.read_text().splitlines() if NAME in line]
    assert [line for line in calls if "stat" in line]
    assert not [line for line in calls if "open" in line]


_RECOVERS = """
import asyncio, sys
from rapfiles import recover

async def main():
    try:
        print((await recover(sys.argv[1])).removed)
    except OSError as error:
        print(error.errno, error.filename)

asyncio.run(main())
"""


@strace.needs_strace
@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        ("newfstatat", "EIO", True),
        ("openat", "EMFILE", True),
        ("openat", "EACCES", False),
        ("openat", "ESTALE", False),
        ("unlinkat", "EIO", True),
        ("unlinkat", "EROFS", False),
        ("unlinkat", "EPERM", False),
    ],
)
def test_an_error_with_one_does_not_stop_the_rest(call: str, error: str, told: bool, tmp_path: Path) -> None:
    names = [NAME.replace("0", digit) for digit in "012"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    done = strace.run(_RECOVERS, tmp_path, options=["-P", names[1], "-e", f"inject={call}:error={error}"])
    assert os.listdir(tmp_path) == [names[1]]
    expected = f"{getattr(errno, error)} {tmp_path / names[1]}" if told else f"{[names[0], names[2]]}"
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
async def test_what_cannot_be_removed_stays(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path, size=1 << 20) as disk:
        (disk / "other").write_bytes(b"other")
        with mounts.mounted_on_file(disk / "other", disk / NAME):
            assert (await recover(disk)).removed == []
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert (await recover(disk)).removed == []
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        assert (await recover(disk)).removed == [NAME]
        assert os.listdir(disk) == ["other"]


_ATOMIC_COPY = """
from rapfiles import AsyncPath

async def main(folder):
    await AsyncPath(folder, "source").copy(AsyncPath(folder, "file"), atomic=True)
"""


async def test_nothing_is_left_of_a_copy_that_is_killed_at_any_of_its_calls(tmp_path: Path) -> None:
    folder = tmp_path / "folder"

    def prepare() -> None:
        folder.mkdir(exist_ok=True)
        (folder / "source").write_bytes(b"new")
        (folder / "file").write_bytes(b"old")

    removed = 0
    for point in kill_points.each(_ATOMIC_COPY, folder, prepare):
        removed += len((await recover(folder)).removed)
        assert sorted(os.listdir(folder)) == ["file", "source"], point
        assert (folder / "file").read_bytes() in (b"old", b"new"), point
    assert removed > 0
