"""Whole files written atomically: the target is what it was or what it becomes, whatever happens."""

import errno
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles import AsyncPath, DurabilityError
from support import access_list, mounts, strace

_OLD = b"old content"
root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give files away")


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) - 1, 1 << 20, (5 << 20) + 7])
async def test_the_content_is_replaced(size: int, durable: bool, tmp_path: Path) -> None:
    content = (os.urandom(1009) * (size // 1009 + 1))[:size]
    path = AsyncPath(tmp_path, "file")
    assert await path.write_bytes(content, atomic=True, durable=durable) == size
    assert (tmp_path / "file").read_bytes() == content
    inode = (tmp_path / "file").stat().st_ino
    assert await path.write_bytes(b"shorter", atomic=True, durable=durable) == 7
    assert (tmp_path / "file").read_bytes() == b"shorter"
    assert (tmp_path / "file").stat().st_ino != inode
    assert _names(tmp_path) == ["file"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("newline", [None, "\r\n"])
@pytest.mark.one_loop
async def test_text(encoding: str, newline: str | None, tmp_path: Path) -> None:
    for text in ("", "gr\u00fc\u00df\n" * 3, "a\nb\r\n" * 100_000):
        path = AsyncPath(tmp_path, "ours")
        assert await path.write_text(text, encoding, newline=newline, atomic=True) == len(text)
        (tmp_path / "theirs").write_bytes(b"")
        with open(tmp_path / "theirs", "w", encoding=encoding, newline=newline) as file:
            file.write(text)
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.one_loop
async def test_text_that_cannot_be_encoded_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(_OLD)
    for encoding in ("ascii", "latin-1", "cp1252"):
        with pytest.raises(UnicodeEncodeError):
            await AsyncPath(tmp_path, "file").write_text("\u65e5\u672c", encoding, atomic=True)
    with pytest.raises(UnicodeEncodeError):
        await AsyncPath(tmp_path, "file").write_text("\ud800", "utf-8", atomic=True)
    assert ((tmp_path / "file").read_bytes(), _names(tmp_path)) == (_OLD, ["file"])


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400, 0o4755, 0o2750])
@pytest.mark.one_loop
async def test_permissions_stay(mode: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(_OLD)
    (tmp_path / "file").chmod(mode)
    await AsyncPath(tmp_path, "file").write_bytes(b"new", atomic=True)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


@pytest.mark.one_loop
async def test_a_new_file_has_those_of_any_new_file(tmp_path: Path) -> None:
    for umask in (0o022, 0o077, 0o002):
        before = os.umask(umask)
        try:
            (tmp_path / f"theirs{umask}").touch()
            await AsyncPath(tmp_path, f"ours{umask}").write_bytes(b"", atomic=True)
        finally:
            os.umask(before)
        modes = {stat.S_IMODE((tmp_path / f"{whose}{umask}").stat().st_mode) for whose in ("ours", "theirs")}
        assert modes == {0o666 & ~umask}


@root
@pytest.mark.one_loop
async def test_owner_and_attributes_stay(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(_OLD)
    os.chown(file, 12345, 23456)
    file.chmod(0o6755)
    os.setxattr(file, "user.colour", b"blue")
    await AsyncPath(file).write_bytes(b"new", atomic=True)
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o6755)
    assert os.getxattr(file, "user.colour") == b"blue"


@pytest.mark.skipif(sys.platform != "linux", reason="an access list is set as an extended attribute")
@pytest.mark.one_loop
async def test_access_lists_stay(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(_OLD)
    access_list.give(file)
    mode = file.stat().st_mode
    await AsyncPath(file).write_bytes(b"new", atomic=True)
    assert os.getxattr(file, access_list.NAME) == access_list.CONTENT
    assert (file.stat().st_mode, file.read_bytes()) == (mode, b"new")


@pytest.mark.one_loop
async def test_links_are_followed_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    link = tmp_path / "link"
    link.symlink_to("elsewhere/target")
    # One that leads to nothing is where the file comes about, as with open().
    await AsyncPath(link).write_bytes(b"first", atomic=True)
    await AsyncPath(link).write_bytes(b"second", atomic=True)
    assert (link.is_symlink(), target.read_bytes()) == (True, b"second")
    assert (_names(tmp_path), _names(tmp_path / "elsewhere")) == (["elsewhere", "link"], ["target"])
    await AsyncPath(link).write_bytes(b"third", atomic=True, follow_symlinks=False)
    assert (link.is_symlink(), link.read_bytes(), target.read_bytes()) == (False, b"third", b"second")
    # The permissions are those of a new file.
    assert link.stat().st_mode == target.stat().st_mode
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Errno") as caught:
        await AsyncPath(tmp_path, "loop").write_bytes(b"", atomic=True)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.one_loop
async def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name, expected in [
        ("directory", IsADirectoryError),
        ("fifo", OSError),
        ("missing/file", FileNotFoundError),
        ("fifo/file", NotADirectoryError),
        ("directory/" + "n" * 300, OSError),
    ]:
        for options in ({}, {"durable": True}, {"follow_symlinks": False}):
            with pytest.raises(expected) as caught:
                await AsyncPath(tmp_path, name).write_bytes(b"", atomic=True, **options)
            assert caught.value.filename == str(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert (_names(tmp_path), _names(tmp_path / "directory")) == (["directory", "fifo"], [])


async def test_one_of_many_may_be_first(tmp_path: Path) -> None:
    """Without overwriting, one of those that write the same new file has it, and all others are told."""
    path = AsyncPath(tmp_path, "file")
    refused: list[int] = []

    async def write(number: int) -> None:
        try:
            await path.write_bytes(b"%d" % number * 5000, atomic=True, overwrite=False)
        except FileExistsError:
            refused.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(write, number)
    assert len(refused) == 7
    [first] = set(range(8)) - set(refused)
    assert (tmp_path / "file").read_bytes() == b"%d" % first * 5000
    assert _names(tmp_path) == ["file"]


async def test_others_see_old_or_new(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    contents = {b"%d" % number * 50_000 for number in range(10)}
    (tmp_path / "file").write_bytes(b"0" * 50_000)
    over = threading.Event()
    seen: set[bytes] = set()

    def look() -> None:
        while not over.is_set():
            seen.add((tmp_path / "file").read_bytes())

    watching = threading.Thread(target=look)
    watching.start()
    try:
        for _ in range(20):
            async with anyio.create_task_group() as tasks:
                for content in contents:
                    tasks.start_soon(partial(path.write_bytes, content, atomic=True))
    finally:
        over.set()
        watching.join()
    assert seen <= contents
    assert _names(tmp_path) == ["file"]


async def test_cancelled_it_is_old_or_new(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    (tmp_path / "file").write_bytes(_OLD)
    new = b"n" * (3 << 20)
    for delay in [0.0] * 5 + [0.0005 * n for n in range(20)]:
        with anyio.move_on_after(delay):
            await path.write_bytes(new, atomic=True)
    # What was under way may still be going on; it ends before one that is asked for later.
    while _names(tmp_path) != ["file"]:
        await anyio.sleep(0.001)
    assert (tmp_path / "file").read_bytes() in (_OLD, new)


@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
@pytest.mark.one_loop
async def test_a_full_disk(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path, size=1 << 20) as disk:
        (disk / "file").write_bytes(_OLD)
        for size in (1 << 20, 4 << 20):
            for name in ("file", "new"):
                with pytest.raises(OSError, match="Errno") as caught:
                    await AsyncPath(disk, name).write_bytes(bytes(size), atomic=True)
                assert caught.value.errno == errno.ENOSPC
        assert ((disk / "file").read_bytes(), _names(disk)) == (_OLD, ["file"])


@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
@pytest.mark.one_loop
async def test_a_mount_point(tmp_path: Path) -> None:
    """A single file that is mounted into a container cannot be renamed to."""
    (tmp_path / "outside").write_bytes(_OLD)
    inside = tmp_path / "inside"
    inside.mkdir()
    with mounts.mounted_on_file(tmp_path / "outside", inside / "file"):
        path = AsyncPath(inside, "file")
        with pytest.raises(OSError, match="Errno") as caught:
            await path.write_bytes(b"new", atomic=True)
        assert caught.value.errno == errno.EBUSY
        assert "mount the directory instead" in caught.value.__notes__[0]
        assert ((tmp_path / "outside").read_bytes(), _names(inside)) == (_OLD, ["file"])
        for content in (b"longer than it was before" * 100_000, b"short", b""):
            await path.write_bytes(content, atomic=True, durable=True, fallback="inplace")
            assert ((tmp_path / "outside").read_bytes(), _names(inside)) == (content, ["file"])


@pytest.mark.one_loop
@pytest.mark.parametrize(
    "options",
    [
        {"durable": True},
        {"overwrite": False},
        {"follow_symlinks": False},
        {"fallback": "inplace"},
        {"fallback": "x"},
    ],
)
async def test_options_that_mean_nothing(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(_OLD)
    with pytest.raises(ValueError, match=r"need atomic=True|fallback must be"):
        await AsyncPath(tmp_path, "file").write_bytes(b"new", **options)
    with pytest.raises(ValueError, match=r"need atomic=True|fallback must be"):
        await AsyncPath(tmp_path, "file").write_text("new", **options)
    assert (tmp_path / "file").read_bytes() == _OLD


def test_the_error_of_what_may_not_last() -> None:
    error = DurabilityError(errno.EIO, "Input/output error", "file")
    assert (error.path, error.visible, error.errno) == ("file", True, errno.EIO)
    assert isinstance(error, OSError)
    assert repr(type(error)) == "<class 'rapfiles.DurabilityError'>"


_WRITES = """
import asyncio, os, sys
from rapfiles import AsyncPath, DurabilityError

async def main():
    path = AsyncPath(sys.argv[1])
    await path.exists()
    print("ready", flush=True)
    try:
        await path.write_bytes(b"n" * (2 << 20), atomic=True, durable=True)
    except DurabilityError as error:
        print("visible", error.errno)
    except OSError as error:
        print("failed", error.errno)
    else:
        print("written")

asyncio.run(main())
"""


def _traced(path: Path, injection: str, *options: str) -> tuple[int, list[str]]:
    """Write a file in a process whose system calls fail as `injection` of strace(1) says."""
    done = strace.run(_WRITES, path, options=["-e", f"inject={injection}", *options])
    return done.returncode, done.stdout.split()


@contextmanager
def _target(tmp_path: Path, exists: bool) -> Iterator[Path]:
    """A file, or the name of one, and afterwards the check that it is as it was or complete."""
    folder = tmp_path / "folder"
    folder.mkdir(parents=True)
    target = folder / "file"
    if exists:
        target.write_bytes(_OLD)
    yield target
    found = target.read_bytes() if target.exists() else None
    assert found in (b"n" * (2 << 20), _OLD if exists else None)


@strace.needs_strace
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    ("injection", "expected"),
    [
        ("fallocate:error=ENOSPC", ["failed", "28"]),
        ("fallocate:error=EOPNOTSUPP", ["written"]),
        # The first of them is that of the file.
        ("sync_file_range,fsync:error=EIO:when=1", ["failed", "5"]),
        ("linkat:error=EROFS", ["failed", "30"]),
        ("linkat:error=EDQUOT", ["failed", "122"]),
        # What network file systems say of a file that somebody else has just replaced. Each second call is
        # for that one.
        ("flistxattr:error=ESTALE:when=2+2", ["written"]),
    ],
)
def test_errors_at_each_step(injection: str, expected: list[str], exists: bool, tmp_path: Path) -> None:
    with _target(tmp_path, exists) as path:
        assert _traced(path, injection) == (0, ["ready", *expected])
    new = expected[0] in ("written", "visible")
    assert _names(path.parent) == (["file"] if exists or new else [])
    if exists:
        assert (path.read_bytes() == _OLD) is not new


@strace.needs_strace
@pytest.mark.parametrize("exists", [False, True])
def test_an_error_of_the_directory(exists: bool, tmp_path: Path) -> None:
    with _target(tmp_path, exists) as path:
        of_directory = ("-P", str(path.parent))
        assert _traced(path, "fsync:error=EIO", *of_directory) == (0, ["ready", "visible", "5"])
    assert _names(path.parent) == ["file"]
    assert path.read_bytes() != _OLD


@strace.needs_strace
@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
def test_nobody_is_asked_for_the_kind_of_a_file_system_without_a_device(tmp_path: Path) -> None:
    # For network file systems and FUSE, this is a question to the server.
    log = tmp_path / "log"
    with mounts.mounted("tmpfs", tmp_path, size=8 << 20) as disk:
        done = strace.run(_WRITES, disk / "file", options=["-e", "trace=fstatfs,linkat"], log=log)
        assert (done.returncode, done.stdout.split()) == (0, ["ready", "written"])
    assert ("linkat" in log.read_text(), "fstatfs" in log.read_text()) == (True, False)


_OVERWRITES = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    path = AsyncPath(sys.argv[1])
    await path.exists()
    print("ready", flush=True)
    try:
        await path.write_bytes(b"new", atomic=True, fallback="inplace")
    except OSError as error:
        print(error.errno, *error.__notes__, sep="\\n")

asyncio.run(main())
"""


@strace.needs_strace
@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
def test_what_cannot_be_restored(tmp_path: Path) -> None:
    """Neither the new content can be written over a mount point nor the old one: the backup is named."""
    (tmp_path / "outside").write_bytes(_OLD)
    inside = tmp_path / "inside"
    inside.mkdir()
    with mounts.mounted_on_file(tmp_path / "outside", inside / "file"):
        options = ["-P", inside / "file", "-e", "inject=write:error=EIO"]
        done = strace.run(_OVERWRITES, inside / "file", options=options)
        [backup] = set(_names(inside)) - {"file"}
        note = f"The file could not be restored: its old content is in {backup!r}, beside it."
        assert done.stdout.splitlines() == ["ready", "5", note], done.stderr
        assert (inside / backup).read_bytes() == _OLD
