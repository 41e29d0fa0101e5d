"""What type checkers infer about AsyncPath. Nothing is run: mypy and pyright check each `assert_type`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import assert_type

from rapfiles import (
    AsyncDirEntry,
    AsyncPath,
    Configuration,
    DiskUsage,
    FileLock,
    Stats,
    Stream,
    __version__,
    configuration,
    configure,
    stats,
)


class Derived(AsyncPath):
    """A subclass: what is made from its paths has its type."""


def lexical(path: AsyncPath, derived: Derived) -> None:
    assert_type(AsyncPath("a", Path("b"), PurePath("c"), path), AsyncPath)
    assert_type(path / "a", AsyncPath)
    assert_type(path / Path("a"), AsyncPath)
    assert_type("a" / path, AsyncPath)
    assert_type(path.joinpath("a", path), AsyncPath)
    assert_type(path.parent, AsyncPath)
    assert_type(path.parents, Sequence[AsyncPath])
    assert_type(path.with_name("a"), AsyncPath)
    assert_type(path.with_stem("a"), AsyncPath)
    assert_type(path.with_suffix(".a"), AsyncPath)
    assert_type(path.with_segments("a", path), AsyncPath)
    assert_type(path.relative_to("a"), AsyncPath)
    assert_type(path.relative_to("a", walk_up=True), AsyncPath)
    assert_type(path.is_relative_to("a"), bool)
    assert_type(path.match("*.py", case_sensitive=False), bool)
    assert_type(path.full_match("**/*.py"), bool)
    assert_type(AsyncPath.from_uri("file:///a"), AsyncPath)
    assert_type(path.as_uri(), str)
    assert_type(path.parts, tuple[str, ...])
    assert_type(path.name, str)
    assert_type(os.fspath(path), str)
    assert_type(Path(path), Path)

    assert_type(derived / "a", Derived)
    assert_type("a" / derived, Derived)
    assert_type(derived.parent, Derived)
    assert_type(derived.parents, Sequence[Derived])
    assert_type(derived.relative_to("a", walk_up=True), Derived)
    assert_type(Derived.from_uri("file:///a"), Derived)


async def whole_files(path: AsyncPath) -> None:
    assert_type(await path.read_bytes(), bytes)
    assert_type(await path.read_text("utf-8", errors="replace", newline=""), str)
    assert_type(await path.write_bytes(b"a"), int)
    assert_type(await path.write_bytes(bytearray(b"a")), int)
    assert_type(await path.write_bytes(memoryview(b"a")), int)
    assert_type(await path.write_text("a", encoding="utf-8"), int)
    assert_type(await path.append_bytes(b"a"), int)
    assert_type(await path.append_text("a"), int)
    await path.truncate(0)


async def metadata(path: AsyncPath) -> None:
    assert_type(await path.stat(), os.stat_result)
    assert_type(await path.lstat(), os.stat_result)
    assert_type(await path.exists(follow_symlinks=False), bool)
    assert_type(await path.is_file(), bool)
    assert_type(await path.is_dir(), bool)
    assert_type(await path.is_symlink(), bool)
    assert_type(await path.is_junction(), bool)
    assert_type(await path.is_mount(), bool)
    assert_type(await path.samefile("a"), bool)
    assert_type(await path.samefile(Path("a")), bool)
    assert_type(await path.owner(), str)
    assert_type(await path.group(), str)
    assert_type(await path.access(os.R_OK), bool)
    if sys.platform == "linux":
        assert_type(await path.getxattr("user.a"), bytes)
        assert_type(await path.listxattr(), list[str])
        await path.setxattr(b"user.a", b"value", os.XATTR_CREATE, follow_symlinks=False)
        await path.removexattr("user.a")
    if sys.platform != "win32":
        assert_type(await path.statvfs(), os.statvfs_result)
        await path.chown("root", 0)
    await path.chmod(0o600, follow_symlinks=False)
    await path.lchmod(0o600)
    await path.utime((1, 2.5))
    await path.utime(ns=(1, 2))


async def entries(path: AsyncPath, derived: Derived) -> None:
    assert_type(path.iterdir(), Stream[AsyncPath])
    async with derived.scandir(with_stat=True) as scanned:
        async for entry in scanned:
            assert_type(entry, AsyncDirEntry[Derived])
            assert_type(entry.path, Derived)
            assert_type(entry.is_dir(follow_symlinks=False), bool)
            assert_type(await entry.stat(), os.stat_result)
    assert_type(await path.info.is_dir(follow_symlinks=False), bool)
    assert_type([child async for child in derived.iterdir()], list[Derived])
    async for root, directories, files in derived.walk(on_error=print, max_depth=3):
        assert_type(root, Derived)
        assert_type((directories, files), tuple[list[str], list[str]])
    async with derived.find(kind="file", include=["*.py"], size=(None, 10), on_error=print) as found:
        assert_type([entry async for entry in found], list[AsyncDirEntry[Derived]])
    path.find(kind="door")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await path.du(exclude="*.o"), DiskUsage)
    assert_type(await path.tree(max_depth=2), str)
    await path.mkdir(0o700, parents=True, exist_ok=True, parent_mode=0o700)
    await path.rmdir()
    await path.touch(exist_ok=False)
    await path.unlink(missing_ok=True)
    assert_type(await path.rename("a"), AsyncPath)
    assert_type(await derived.replace(Path("a")), Derived)
    await path.symlink_to("a", target_is_directory=True)
    await path.hardlink_to(path)
    assert_type(await derived.readlink(), Derived)
    assert_type(await derived.resolve(strict=True), Derived)
    assert_type(await derived.absolute(), Derived)
    assert_type(await derived.expanduser(), Derived)
    assert_type(await AsyncPath.cwd(), AsyncPath)
    assert_type(await Derived.home(), Derived)


async def mistakes(path: AsyncPath) -> None:
    await path.write_bytes("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await path.write_text(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await path.rename(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncPath(b"bytes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    configure(64)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    for _ in path.iterdir():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


def engine() -> None:
    configure(max_workers=64)
    assert_type(configuration(), Configuration)
    assert_type(configuration().max_workers, int)
    assert_type(stats(), Stats)
    assert_type(stats().in_flight, int)
    assert_type(__version__, str)


async def locks(path: AsyncPath, derived: Derived) -> None:
    assert_type(path.lock(), FileLock)
    assert_type(derived.lock(shared=True, timeout=1, range=(0, 10)), FileLock)
    async with path.lock(blocking=False) as lock:
        assert_type(lock, FileLock)
    assert_type(await lock.acquire(), FileLock)
    assert_type(await lock.upgrade(), FileLock)
    assert_type(await lock.downgrade(), FileLock)
    assert_type(await lock.holder(), int | None)
    assert_type(lock.locked, bool)
    assert_type(lock.shared, bool)
    assert_type(await lock.release(), None)
