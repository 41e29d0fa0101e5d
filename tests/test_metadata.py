"""stat and its kin, chmod, touch, utime, truncate, access and statvfs, compared with their `os` functions."""

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePath

import pytest

from rapfiles import AsyncPath
from support import ground, oracle


async def test_stat_is_a_real_stat_result(directory: Path) -> None:
    (directory / "file").write_bytes(b"content")
    (directory / "link").symlink_to("file")
    for name in ("", "file", "link"):
        path = directory / name
        for ours, theirs in (
            (await AsyncPath(path).stat(), os.stat(path)),
            (await AsyncPath(path).lstat(), os.lstat(path)),
            (await AsyncPath(path).stat(follow_symlinks=False), os.lstat(path)),
        ):
            assert type(ours) is os.stat_result
            assert ours == theirs
            fields = [name for name in dir(theirs) if name.startswith("st_")]
            assert {name: getattr(ours, name) for name in fields} == {
                name: getattr(theirs, name) for name in fields
            }
            assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999, -1, 2**31 * 10**9, 1_234_567_890_123_456_789])
async def test_stat_of_odd_times(nanoseconds: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", ns=(nanoseconds, nanoseconds))
    ours, theirs = await AsyncPath(tmp_path, "file").stat(), os.stat(tmp_path / "file")
    assert (ours.st_mtime_ns, ours.st_mtime, ours[8]) == (theirs.st_mtime_ns, theirs.st_mtime, theirs[8])
    assert (ours.st_atime_ns, ours.st_atime, ours[7]) == (theirs.st_atime_ns, theirs.st_atime, theirs[7])


async def test_a_change_is_seen_at_once(directory: Path) -> None:
    """What is remembered of a file, by the engine or by what it asks the kernel for, is no answer."""
    path = AsyncPath(directory, "file")
    for number in range(100):
        assert not await path.exists()
        with open(directory / "file", "wb") as file:
            assert await path.exists()
            assert (await path.stat()).st_size == 0
            os.write(file.fileno(), b"x" * number)
            assert (await path.stat()).st_size == number
            assert await path.exists()
        (directory / "file").rename(directory / "other")
        assert not (await path.is_file() if number % 2 else await path.exists())
        (directory / "other").rename(directory / "file")
        assert await path.is_file()
        (directory / "file").unlink()
        (directory / "file").mkdir()
        assert await path.exists() if number % 2 else await path.is_dir()
        assert not await path.is_file()
        (directory / "file").rmdir()
        (directory / "file").symlink_to("missing")
        assert not await path.exists()
        assert await path.exists(follow_symlinks=False)
        (directory / "file").unlink()


# What each predicate says of each kind of entry; the parameters that are newer than the running pathlib too.
@pytest.mark.parametrize(
    ("predicate", "true_for"),
    [
        (lambda path: path.exists(), {"file", "dir", "to-file", "to-dir", "fifo", "socket", "null"}),
        (
            lambda path: path.exists(follow_symlinks=False),
            {"file", "dir", "to-file", "to-dir", "dangling", "loop", "fifo", "socket", "null"},
        ),
        (lambda path: path.is_file(), {"file", "to-file"}),
        (lambda path: path.is_file(follow_symlinks=False), {"file"}),
        (lambda path: path.is_dir(), {"dir", "to-dir"}),
        (lambda path: path.is_dir(follow_symlinks=False), {"dir"}),
        (lambda path: path.is_symlink(), {"to-file", "to-dir", "dangling", "loop"}),
        (lambda path: path.is_fifo(), {"fifo"}),
        (lambda path: path.is_socket(), {"socket"}),
        (lambda path: path.is_char_device(), {"null"}),
        (lambda path: path.is_block_device(), set()),
        (lambda path: path.is_junction(), set()),
    ],
    ids=[
        *(
            "exists",
            "exists-nofollow",
            "is_file",
            "is_file-nofollow",
            "is_dir",
            "is_dir-nofollow",
            "is_symlink",
        ),
        *("is_fifo", "is_socket", "is_char_device", "is_block_device", "is_junction"),
    ],
)
async def test_predicates(
    predicate: Callable[[AsyncPath], Awaitable[bool]], true_for: set[str], directory: Path
) -> None:
    (directory / "file").touch()
    (directory / "dir").mkdir()
    for name, target in {"to-file": "file", "to-dir": "dir", "dangling": "missing", "loop": "loop"}.items():
        (directory / name).symlink_to(target)
    os.mkfifo(directory / "fifo")
    os.mknod(directory / "socket", stat.S_IFSOCK | 0o600)
    paths = {entry.name: entry for entry in directory.iterdir()}
    paths |= {
        "null": Path("/dev/null"),
        "missing": directory / "missing",
        "inside": directory / "file/inside",
    }
    answers = {name: await predicate(AsyncPath(path)) for name, path in paths.items()}
    assert {type(answer) for answer in answers.values()} == {bool}
    assert {name for name, answer in answers.items() if answer} == true_for


async def test_is_mount(directory: Path) -> None:
    (directory / "file").touch()
    root = directory
    while not os.path.ismount(root):
        root = root.parent
    for path in (
        root,
        directory,
        directory / "file",
        directory / "missing",
        Path("/proc"),
        Path("/"),
        Path("."),
    ):
        assert await AsyncPath(path).is_mount() == path.is_mount()


async def test_is_block_device() -> None:
    devices = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    if not devices:
        pytest.skip("this machine shows no block device in /dev")
    for device in devices:
        assert await AsyncPath(device).is_block_device()
        assert not await AsyncPath(device).is_char_device()


async def test_samefile(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    (tmp_path / "two").touch()
    (tmp_path / "link").symlink_to("one")
    (tmp_path / "hard").hardlink_to(tmp_path / "one")
    path = AsyncPath(tmp_path, "one")
    for other, same in {"one": True, "link": True, "hard": True, "two": False}.items():
        assert await path.samefile(tmp_path / other) is same
        assert await path.samefile(AsyncPath(tmp_path, other)) is same
        assert await path.samefile(str(tmp_path / other)) is same
    with pytest.raises(FileNotFoundError) as caught:
        await path.samefile(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")


@pytest.mark.parametrize("mode", [0o000, 0o777, 0o640, 0o4711, 0o1755, stat.S_IFREG | 0o600])
async def test_chmod(mode: int, directory: Path) -> None:
    (directory / "file").touch()
    (directory / "link").symlink_to("file")
    await AsyncPath(directory, "link").chmod(mode)
    assert stat.S_IMODE((directory / "file").stat().st_mode) == stat.S_IMODE(mode)
    assert (directory / "link").is_symlink()


async def test_touch(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    previous = os.umask(0o022)
    try:
        await path.touch()
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644
        await AsyncPath(tmp_path, "other").touch(0o600)
        assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o600
    finally:
        os.umask(previous)
    os.utime(tmp_path / "file", (1, 1))
    (tmp_path / "file").write_bytes(b"kept")
    os.utime(tmp_path / "file", (1, 1))
    await path.touch(0o777)
    status = (tmp_path / "file").stat()
    assert status.st_mtime > 1_600_000_000
    assert status.st_atime > 1_600_000_000
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert stat.S_IMODE(status.st_mode) == 0o644
    with pytest.raises(FileExistsError) as caught:
        await path.touch(exist_ok=False)
    assert caught.value.filename == str(tmp_path / "file")


TIMES = [
    {"times": (1, 2)},
    {"times": (1.5, 2.25)},
    {"times": (1.1, 1234567890.123456789)},
    {"times": (-1.5, -0.000000001)},
    {"times": (0, 2**33)},
    {"ns": (1, 2)},
    {"ns": (-1, 1_234_567_890_123_456_789)},
    {"times": (1.0, 2.0), "follow_symlinks": False},
    {"ns": (5, 6), "follow_symlinks": False},
]


@pytest.mark.one_loop
@pytest.mark.parametrize("arguments", TIMES, ids=str)
async def test_utime(arguments: dict[str, object], tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (77, 77))
        (tmp_path / f"{name}-link").symlink_to(name)
        os.utime(tmp_path / f"{name}-link", (77, 77), follow_symlinks=False)
    await AsyncPath(tmp_path, "ours-link").utime(**arguments)
    os.utime(tmp_path / "theirs-link", **arguments)
    changed = "" if arguments.get("follow_symlinks", True) else "-link"
    for suffix in ("", "-link"):
        ours, theirs = os.lstat(tmp_path / f"ours{suffix}"), os.lstat(tmp_path / f"theirs{suffix}")
        assert ours.st_mtime_ns == theirs.st_mtime_ns
        # A link that is followed has been read, and its access time is now.
        if suffix == changed:
            assert ours.st_atime_ns == theirs.st_atime_ns


async def test_utime_without_times_is_now(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", (1, 1))
    await AsyncPath(tmp_path, "file").utime()
    assert (tmp_path / "file").stat().st_mtime > 1_600_000_000


@pytest.mark.parametrize("length", [0, 1, 5, 100, 1 << 33])
async def test_truncate(length: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert await AsyncPath(tmp_path, "file").truncate(length) is None
    assert (tmp_path / "file").stat().st_size == length
    with open(tmp_path / "file", "rb") as file:
        assert file.read(10) == b"content"[:length].ljust(min(length, 10), b"\0")


@pytest.mark.parametrize("mode", [os.F_OK, os.R_OK, os.W_OK, os.X_OK, os.R_OK | os.X_OK, os.R_OK | os.W_OK])
async def test_access(mode: int, tree: ground.Tree) -> None:
    for name in [*tree.names, "missing", "small/inside", "nul\0", "lone\ud800"]:
        path = f"{tree.root}/{name}"
        for arguments in ({}, {"effective_ids": True}, {"follow_symlinks": False}):

            def theirs(path: str = path, arguments: dict[str, bool] = arguments) -> bool:
                return os.access(path, mode, **arguments)

            async def ours(path: str = path, arguments: dict[str, bool] = arguments) -> bool:
                return await AsyncPath(path).access(mode, **arguments)

            assert await oracle.of_await(ours) == oracle.of_call(theirs), (name, arguments)


async def test_statvfs_of_what_is_missing(tmp_path: Path) -> None:
    for name in ("missing", "nul\0", "lone\ud800"):
        expected = oracle.of_call(lambda name=name: os.statvfs(tmp_path / name))
        assert await oracle.of_await(lambda name=name: AsyncPath(tmp_path, name).statvfs()) == expected


async def test_statvfs(directory: Path) -> None:
    ours, theirs = await AsyncPath(directory).statvfs(), os.statvfs(directory)
    assert type(ours) is os.statvfs_result
    # What is free changes while the tests run.
    for field in ("f_bsize", "f_frsize", "f_blocks", "f_flag", "f_namemax", "f_fsid"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert len(ours) == len(theirs)


# What pathlib lacks keeps its manners: the error of the `os` function, for every kind of path.
BESIDE_OS: dict[str, tuple[Callable[[AsyncPath], Awaitable[object]], Callable[[str], object]]] = {
    "utime": (lambda path: path.utime((1, 1)), lambda path: os.utime(path, (1, 1))),
    "utime-nofollow": (
        lambda path: path.utime((1, 1), follow_symlinks=False),
        lambda path: os.utime(path, (1, 1), follow_symlinks=False),
    ),
    "truncate": (lambda path: path.truncate(3), lambda path: os.truncate(path, 3)),
}


@pytest.mark.parametrize("name", BESIDE_OS)
async def test_errors_are_those_of_os(name: str, tree: ground.Tree) -> None:
    ours, theirs = BESIDE_OS[name]

    def named(path: str) -> object:
        try:
            return theirs(path)
        except OSError as error:
            # os.utime does not say which file it failed on; pathlib's manners are to say it.
            raise OSError(error.errno, error.strerror, path) from None

    for entry in [*tree.names, "missing", "small/inside", "nul\0", "lone\ud800", "n" * 256, "dir/" * 1100]:
        path = f"{tree.root}/{entry}"
        path = str(PurePath(path))
        expected = oracle.of_call(lambda path=path: named(path))
        assert await oracle.of_await(lambda path=path: ours(AsyncPath(path))) == expected, entry
