"""copy and copy_into of files and links: what pathlib does since 3.14, and what is promised beyond."""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rapfiles import AsyncPath
from support import access_list, mounts, pathlib_copy
from support.generated import description
from support.leaks import nothing_leaks


class Project(AsyncPath):
    """A subclass, which results must keep."""


async def error_of(copy: Any) -> tuple[Any, ...]:
    try:
        await copy
    except OSError as error:
        return (type(error), error.errno, error.strerror, error.filename, error.filename2)
    return ()


def pathlibs_error(copy: Callable[[], object]) -> tuple[Any, ...]:
    try:
        copy()
    except OSError as error:
        return (type(error), error.errno, error.strerror, error.filename, error.filename2)
    return ()


SIZES = [0, 1, 4096, 65535, 65536, 65537, 300_000, (4 << 20) + 1]


async def test_content_of_every_size(directory: Path) -> None:
    for size in SIZES:
        content = os.urandom(size)
        (directory / "source").write_bytes(content)
        for target in ("new", "new"):  # the second time in place
            assert await AsyncPath(directory, "source").copy(directory / target) == AsyncPath(
                directory, target
            )
            assert (directory / target).read_bytes() == content
        (directory / "new").unlink()
    assert sorted(os.listdir(directory)) == ["source"]


async def test_what_is_returned(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "into").mkdir()
    source = Project(tmp_path, "file")
    for target, kind in ((str(tmp_path / "a"), Project), (AsyncPath(tmp_path, "b"), AsyncPath)):
        copied = await source.copy(target)
        assert (type(copied), copied) == (kind, AsyncPath(target))
        assert copied is not target
    copied = await source.copy_into(tmp_path / "into")
    assert (type(copied), copied) == (Project, AsyncPath(tmp_path, "into", "file"))
    for method in ("copy_into", "move_into"):
        with pytest.raises(ValueError, match="has an empty name"):
            await getattr(AsyncPath("/"), method)(tmp_path)


async def test_in_place_keeps_what_the_target_is(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    target = tmp_path / "target"
    target.write_bytes(b"older and longer")
    target.chmod(0o640)
    os.link(target, tmp_path / "other-name")
    (tmp_path / "link").symlink_to("target")
    before = target.stat()
    await AsyncPath(tmp_path, "source").copy(tmp_path / "link")
    after = target.stat()
    assert (after.st_ino, after.st_mode, after.st_nlink) == (before.st_ino, before.st_mode, 2)
    assert (tmp_path / "other-name").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


async def test_atomic_replaces_the_target(directory: Path) -> None:
    (directory / "source").write_bytes(b"new")
    (directory / "target").write_bytes(b"old")
    with (directory / "target").open("rb") as old:
        await AsyncPath(directory, "source").copy(directory / "target", atomic=True)
        assert old.read() == b"old"
    assert (directory / "target").read_bytes() == b"new"
    (directory / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        await AsyncPath(directory, "source").copy(directory / "folder", atomic=True)
    await AsyncPath(directory, "new").symlink_to("somewhere")
    await AsyncPath(directory, "new").copy(directory / "target", atomic=True, follow_symlinks=False)
    assert os.readlink(directory / "target") == "somewhere"
    assert sorted(os.listdir(directory)) == ["folder", "new", "source", "target"]


ERRORS: list[tuple[str, str, dict[str, bool]]] = [
    ("missing", "new", {}),
    ("file", "missing/new", {}),
    ("file", "folder", {}),
    ("file", "file", {}),
    ("file", "link-to-file", {}),
    ("file", "hard-link", {}),
    ("file", "file/below", {}),
    ("dangling", "new", {}),
    ("link-to-file", "file", {"follow_symlinks": False}),
    ("link-to-file", "missing/new", {"follow_symlinks": False}),
    ("folder", "file", {}),
    ("folder", "folder", {}),
    ("folder", "folder/new", {}),
    ("folder", "folder/in/new", {}),
    ("folder", "dangling", {}),
    ("folder", "missing/new", {}),
    ("file", "x" * 300, {}),
    ("file/below", "new", {}),
    ("loop", "new", {}),
]


@pytest.mark.parametrize(("source", "target", "options"), ERRORS)
@pytest.mark.one_loop
async def test_errors_are_pathlibs(
    source: str, target: str, options: dict[str, bool], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link-to-file").symlink_to("file")
    os.link(tmp_path / "file", tmp_path / "hard-link")
    before = description(tmp_path)
    theirs = pathlibs_error(lambda: pathlib_copy.copy(tmp_path / source, tmp_path / target, **options))
    assert theirs
    assert description(tmp_path) == before
    assert await error_of(AsyncPath(tmp_path, source).copy(tmp_path / target, **options)) == theirs
    assert description(tmp_path) == before


async def test_bad_arguments(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    await path.touch()
    with pytest.raises(ValueError, match="hardlinks must be 'copy' or 'preserve', not 'both'"):
        await path.copy(tmp_path / "copy", hardlinks="both")  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(ValueError, match="special_files must be"):
        await path.copy(tmp_path / "copy", special_files="copy")  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(TypeError, match=r"target should be str or os\.PathLike"):
        await path.copy(b"copy")  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(ValueError, match="null"):
        await path.copy(tmp_path / "a\0b")
    assert os.listdir(tmp_path) == ["file"]


async def test_preserved_metadata(directory: Path) -> None:
    source = directory / "source"
    source.write_bytes(b"content")
    for mode in (0o400, 0o640, 0o755, 0o4711):
        source.chmod(mode)
        os.utime(source, ns=(123_456_789_000_000_000, 987_654_321_000_000_000))
        (directory / "target").unlink(missing_ok=True)
        await AsyncPath(source).copy(directory / "target", preserve_metadata=True)
        before, after = source.stat(), (directory / "target").stat()
        assert stat.S_IMODE(after.st_mode) == mode
        assert after.st_mtime_ns == before.st_mtime_ns
    (directory / "link").symlink_to("source")
    os.utime(directory / "link", ns=(10**18, 2 * 10**18), follow_symlinks=False)
    await AsyncPath(directory, "link").copy(
        directory / "target-link", follow_symlinks=False, preserve_metadata=True
    )
    assert (directory / "target-link").lstat().st_mtime_ns == (directory / "link").lstat().st_mtime_ns


async def test_without_it_a_copy_is_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    (tmp_path / "source").chmod(0o755)
    os.utime(tmp_path / "source", (0, 0))
    (tmp_path / "new").touch()
    await AsyncPath(tmp_path, "source").copy(tmp_path / "target")
    status = (tmp_path / "target").stat()
    assert status.st_mode == (tmp_path / "new").stat().st_mode
    assert status.st_mtime > 10**9


async def test_who_may_open_what_is_replaced_atomically(tmp_path: Path) -> None:
    """It stays closed to others, as in place, and as with `write_bytes(atomic=True)`."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"content")
    source.chmod(0o644)
    for mode in (0o600, 0o666):
        target.write_bytes(b"old")
        target.chmod(mode)
        os.setxattr(target, "user.colour", b"red")
        inode = target.stat().st_ino
        await AsyncPath(source).copy(target, atomic=True)
        assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"content", mode)
        assert target.stat().st_ino != inode
        assert os.getxattr(target, "user.colour") == b"red"
    target.chmod(0o600)
    await AsyncPath(source).copy(target, atomic=True, preserve_metadata=True)
    assert description(target, metadata=True) == description(source, metadata=True)
    # In a tree, too, and in place of what is no file, as a new one.
    tree = tmp_path / "tree"
    (tree / "to").mkdir(parents=True)
    (tree / "from").mkdir()
    for name in ("file", "link"):
        (tree / "from" / name).write_bytes(b"content")
    (tree / "to" / "file").write_bytes(b"old")
    (tree / "to" / "file").chmod(0o600)
    (tree / "to" / "link").symlink_to(target)
    await AsyncPath(tree, "from").copy(tree / "to", atomic=True, merge=True)
    assert stat.S_IMODE((tree / "to" / "file").stat().st_mode) == 0o600
    (tree / "plain").write_bytes(b"")
    assert (tree / "to" / "link").lstat().st_mode == (tree / "plain").stat().st_mode


async def test_attributes_and_access_lists(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"content")
    os.setxattr(source, "user.colour", b"red")
    for number in range(60):  # more names than fit where few are expected
        os.setxattr(source, f"user.{'n' * 30}{number}", b"v" * 10)
    access_list.give(source)
    await AsyncPath(source).copy(target, preserve_metadata=True)
    assert description(target, metadata=True) == description(source, metadata=True)
    await AsyncPath(source).copy(tmp_path / "plain")
    assert os.listxattr(tmp_path / "plain") == []


async def test_holes_stay_holes(directory: Path) -> None:
    source, target = directory / "source", directory / "target"
    with source.open("wb") as file:
        for offset in (0, 5 << 20, 9 << 20):
            file.seek(offset)
            file.write(os.urandom(10_000))
        file.truncate(20 << 20)
        os.fsync(file.fileno())
    await AsyncPath(source).copy(target)
    assert target.read_bytes() == source.read_bytes()
    with source.open("rb") as file:
        first_hole = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
    if first_hole < source.stat().st_size:  # this file system tells
        assert target.stat().st_blocks <= source.stat().st_blocks + 64
    source.unlink()
    source.touch()
    os.truncate(source, 100 << 20)
    await AsyncPath(source).copy(target)
    assert target.stat().st_size == 100 << 20


@pytest.mark.parametrize("size", [20_000, 1 << 16])
@pytest.mark.parametrize("in_tree", [False, True])
async def test_holes_of_small_files_stay_holes(size: int, in_tree: bool, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source = tmp_path / "source" / "sparse"
    with source.open("wb") as file:
        file.seek(size - 100)
        file.write(b"x" * 100)
        os.fsync(file.fileno())
    if in_tree:
        await AsyncPath(tmp_path, "source").copy(tmp_path / "copy")
        target = tmp_path / "copy" / "sparse"
    else:
        target = tmp_path / "copy"
        await AsyncPath(source).copy(target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks


async def test_what_claims_to_be_empty(tmp_path: Path) -> None:
    await AsyncPath("/proc/self/cmdline").copy(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == Path("/proc/self/cmdline").read_bytes()
    await AsyncPath("/proc/cpuinfo").copy(tmp_path / "copy")
    assert len((tmp_path / "copy").read_bytes()) > 100


async def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o640)
    (tmp_path / "link").symlink_to("fifo")
    for source in (tmp_path / "fifo", tmp_path / "link", Path("/dev/null")):
        with pytest.raises(shutil.SpecialFileError) as caught:
            await AsyncPath(source).copy(tmp_path / "copy")
        assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(source))
    assert not (tmp_path / "copy").exists()
    await AsyncPath(tmp_path, "fifo").copy(tmp_path / "copy", special_files="recreate")
    assert (tmp_path / "copy").is_fifo()


@pytest.mark.one_loop
@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
async def test_content_is_shared_where_it_can_be(kind: str, tmp_path: Path) -> None:
    if (reason := mounts.missing(kind)) is not None:
        pytest.skip(reason)
    with mounts.mounted(kind, tmp_path) as root:
        (root / "source").write_bytes(os.urandom(32 << 20))
        os.sync()
        free = os.statvfs(root).f_bavail
        await AsyncPath(root, "source").copy(root / "target")
        os.sync()
        assert (root / "target").read_bytes() == (root / "source").read_bytes()
        taken = (free - os.statvfs(root).f_bavail) * os.statvfs(root).f_frsize
        assert taken < 8 << 20


@pytest.mark.one_loop
async def test_no_space_leaves_nothing(tmp_path: Path) -> None:
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 << 20))
    with mounts.mounted("tmpfs", tmp_path / "small", size=1 << 20) as root:
        for options in ({}, {"atomic": True}):
            with nothing_leaks(), pytest.raises(OSError, match="No space left") as caught:
                await AsyncPath(source).copy(root / "target", **options)
            assert (caught.value.filename, caught.value.filename2) == (str(source), str(root / "target"))
            assert os.listdir(root) == []
        (root / "target").write_bytes(b"before")
        with pytest.raises(OSError, match="No space left"):
            await AsyncPath(source).copy(root / "target", atomic=True)
        assert (root / "target").read_bytes() == b"before"
        assert os.listdir(root) == ["target"]
        with pytest.raises(OSError, match="No space left"):
            await AsyncPath(source).move(root / "target")
        assert source.stat().st_size == 3 << 20
        assert (root / "target").read_bytes() == b"before"


async def test_nothing_leaks(directory: Path) -> None:
    (directory / "source").write_bytes(os.urandom(100_000))
    with nothing_leaks():
        await AsyncPath(directory, "source").copy(directory / "target")
        await AsyncPath(directory, "source").copy(directory / "target")
        await AsyncPath(directory, "source").copy(directory / "target", atomic=True)
        with pytest.raises(OSError, match=r"Is a directory"):
            await AsyncPath(directory, "source").copy(directory)
