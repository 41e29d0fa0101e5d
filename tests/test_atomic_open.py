"""`AsyncPath.open_atomic()`: a file that takes the place of another one when its block ends well."""

import asyncio
import errno
import gc
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncBufferedWriter, AsyncPath, AtomicFileContextManager
from support import fuse, mounts

_OLD = b"old content"
mounting = pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


async def _fail(opening: AtomicFileContextManager[AsyncBufferedWriter], content: bytes = b"new") -> None:
    try:
        async with opening as file:
            await file.write(content)
            raise KeyError
    finally:
        assert file.closed


@contextmanager
def _unchanged(folder: Path) -> Iterator[AsyncPath]:
    """A file that has to be as it was, with nothing beside it."""
    (folder / "file").write_bytes(_OLD)
    yield AsyncPath(folder, "file")
    assert ((folder / "file").read_bytes(), _names(folder)) == (_OLD, ["file"])


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("exists", [False, True])
async def test_the_target_changes_when_the_block_ends(exists: bool, durable: bool, tmp_path: Path) -> None:
    target = tmp_path / "file"
    if exists:
        target.write_bytes(_OLD)
    path = AsyncPath(target)
    async with path.open_atomic("wb", durable=durable) as file:
        for _ in range(50):
            await file.write(b"n" * 10_000)
        assert file.name == str(target)
        assert _names(tmp_path) == (["file"] if exists else [])
        assert not exists or target.read_bytes() == _OLD
    assert file.closed
    assert target.read_bytes() == b"n" * 500_000
    assert _names(tmp_path) == ["file"]
    with pytest.raises(ValueError, match="closed file"):
        await file.write(b"more")


@pytest.mark.parametrize(
    ("mode", "options", "kind"),
    [
        ("w", {}, "AsyncTextIOWrapper"),
        ("xt", {}, "AsyncTextIOWrapper"),
        ("w+", {}, "AsyncTextIOWrapper"),
        ("wb", {}, "AsyncBufferedWriter"),
        ("xb", {}, "AsyncBufferedWriter"),
        ("w+b", {}, "AsyncBufferedRandom"),
        ("wb", {"buffering": 0}, "AsyncFileIO"),
        ("xb+", {"buffering": 0}, "AsyncFileIO"),
    ],
)
@pytest.mark.one_loop
async def test_modes(mode: str, options: dict[str, Any], kind: str, tmp_path: Path) -> None:
    content: Any = b"abc" if "b" in mode else "abc"
    async with AsyncPath(tmp_path, "file").open_atomic(mode, **options) as file:
        assert type(file) is getattr(rapfiles, kind)
        with open(tmp_path / "other", mode, **options) as other:
            assert file.mode == other.mode
        assert file.readable() is ("+" in mode)
        assert await file.write(content) == 3
        if "+" in mode:
            await file.seek(0)
            assert await file.read() == content
    assert (tmp_path / "file").read_bytes() == b"abc"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.one_loop
async def test_text(encoding: str, tmp_path: Path) -> None:
    async with AsyncPath(tmp_path, "ours").open_atomic("w", encoding=encoding, newline="\r\n") as file:
        for _ in range(3):
            await file.write("gr\u00fcn\n")
    with open(tmp_path / "theirs", "w", encoding=encoding, newline="\r\n") as theirs:
        theirs.write("gr\u00fcn\n" * 3)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.one_loop
async def test_arguments_that_cannot_be_combined(tmp_path: Path) -> None:
    with _unchanged(tmp_path) as path:
        for mode in ("r", "rb", "r+", "a", "ab+"):
            with pytest.raises(ValueError, match="must have 'w' or 'x'"):
                path.open_atomic(mode)
        for arguments, options in (
            (("wz",), {}),
            (("w", 0), {}),
            (("wb", -1, "utf-8"), {}),
            (("w",), {"newline": "x"}),
            (("w",), {"fallback": "other"}),
        ):
            with pytest.raises(ValueError, match=r"."):
                path.open_atomic(*arguments, **options)  # type: ignore[call-overload]
        with pytest.raises(LookupError):
            path.open_atomic("w", encoding="missing")
        with pytest.raises(TypeError):
            await path.open_atomic("w")  # type: ignore[misc]


@pytest.mark.one_loop
async def test_a_block_is_entered_once(tmp_path: Path) -> None:
    opening = AsyncPath(tmp_path, "file").open_atomic("wb")
    async with opening:
        pass
    assert (tmp_path / "file").read_bytes() == b""
    with pytest.raises(RuntimeError, match="cannot reuse"):
        await opening.__aenter__()


async def test_an_exception_discards_the_file(tmp_path: Path) -> None:
    with _unchanged(tmp_path) as path:
        for size in (0, 10, 1 << 20):
            opening = path.open_atomic("wb")
            with pytest.raises(KeyError):
                await _fail(opening, b"n" * size)


@pytest.mark.parametrize("delay", [0, 0.001, 0.005])
async def test_cancelled_within_the_block(delay: float, tmp_path: Path) -> None:
    with _unchanged(tmp_path) as path:
        with anyio.move_on_after(delay):
            async with path.open_atomic("wb") as file:
                while True:
                    await file.write(b"n" * 100_000)
        gc.collect()


@pytest.mark.one_loop
async def test_cancelled_at_each_await(tmp_path: Path) -> None:
    """The task is cancelled at its first, second … turn, until it comes to its end."""
    new = b"n" * 300_000

    async def write() -> None:
        async with AsyncPath(tmp_path, "file").open_atomic("w+b", buffering=0) as file:
            await file.write(new)
            await file.seek(0)
            await file.read(10)

    cancelled = 0
    for number in range(1, 50):
        (tmp_path / "file").write_bytes(_OLD)
        task = asyncio.ensure_future(write())
        for _ in range(number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        # What was begun may still be going on.
        while _names(tmp_path) != ["file"]:
            await asyncio.sleep(0)
        assert (tmp_path / "file").read_bytes() in (_OLD, new)
        cancelled += task.cancelled()
    assert cancelled > 0


@pytest.mark.one_loop
async def test_closed_and_detached_within_the_block(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    async with path.open_atomic("w") as text:
        await text.write("abc")
        await text.close()
        assert not await path.exists()
    assert await path.read_text() == "abc"
    async with path.open_atomic("w") as text:
        await text.write("one")
        buffered = await text.detach()
        await buffered.write(b"two")
    assert await path.read_text() == "onetwo"
    async with path.open_atomic("wb") as binary:
        await binary.write(b"one")
        raw = await binary.detach()
        await raw.write(b"two")
    assert (await path.read_text(), raw.closed) == ("onetwo", True)
    with suppress(KeyError):
        async with path.open_atomic("w") as text:
            await text.write("new")
            buffered = await text.detach()
            raise KeyError
    assert (await path.read_text(), buffered.closed) == ("onetwo", True)


@pytest.mark.one_loop
async def test_exclusive(tmp_path: Path) -> None:
    with _unchanged(tmp_path) as path:
        for options in ({"mode": "x"}, {"mode": "x", "overwrite": True}, {"mode": "w", "overwrite": False}):
            with pytest.raises(FileExistsError) as caught:
                async with path.open_atomic(**options):
                    raise AssertionError
            assert caught.value.filename == str(path)
    # It came while the new file was being written.
    with pytest.raises(FileExistsError):
        async with AsyncPath(tmp_path, "new").open_atomic("x"):
            (tmp_path / "new").write_bytes(_OLD)
    assert ((tmp_path / "new").read_bytes(), _names(tmp_path)) == (_OLD, ["file", "new"])


@pytest.mark.one_loop
async def test_errors_of_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        async with AsyncPath(folder, "file").open_atomic("w"):
            (folder / "file").mkdir()
    assert caught.value.filename == str(folder / "file")
    assert _names(folder) == ["file"]
    (folder / "file").rmdir()
    with pytest.raises(FileNotFoundError):
        async with AsyncPath(folder, "other").open_atomic("w"):
            folder.rmdir()


@mounting
@pytest.mark.one_loop
async def test_a_full_disk(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path, size=1 << 20) as disk, _unchanged(disk) as path:
        with pytest.raises(OSError, match="No space left"):
            async with path.open_atomic("wb") as file:
                await file.write(bytes(2 << 20))

        async def fill(closed: bool) -> None:
            async with path.open_atomic("wb") as file:
                await file.pwrite(bytes((1 << 20) - 8192), 0)
                await file.seek(1 << 20)
                # Fits into the buffer, and is written when the file is closed.
                await file.write(bytes(16384))
                if closed:
                    with pytest.raises(OSError, match="No space left"):
                        await file.close()

        with pytest.raises(OSError, match="No space left"):
            await fill(closed=False)
        # A caller that closes the file and ignores the error has no complete file either.
        with pytest.raises(OSError, match="Not all of the file was written") as caught:
            await fill(closed=True)
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))


@mounting
@pytest.mark.one_loop
async def test_a_mount_point(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(_OLD)
    inside = tmp_path / "inside"
    inside.mkdir()
    with mounts.mounted_on_file(tmp_path / "outside", inside / "file"):
        path = AsyncPath(inside, "file")
        with pytest.raises(OSError, match="busy") as caught:
            async with path.open_atomic("wb") as file:
                await file.write(b"new")
        assert "mount the directory instead" in caught.value.__notes__[0]
        assert ((tmp_path / "outside").read_bytes(), _names(inside)) == (_OLD, ["file"])
        for content in (b"longer than it was before" * 100_000, b"short", b""):
            async with path.open_atomic("wb", fallback="inplace") as file:
                await file.write(content)
            assert ((tmp_path / "outside").read_bytes(), _names(inside)) == (content, ["file"])


@pytest.mark.one_loop
async def test_permissions_and_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(_OLD)
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    async with AsyncPath(tmp_path, "link").open_atomic("wb") as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        await file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    async with AsyncPath(tmp_path, "link").open_atomic("wb", follow_symlinks=False) as file:
        await file.write(b"newer")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "file").read_bytes()) == (False, b"new")
    # A link has no permissions that a file could take over.
    (tmp_path / "plain").touch()
    assert (tmp_path / "link").stat().st_mode == (tmp_path / "plain").stat().st_mode


# The end of a forked child within the block. In CPython 3.14.10 and 3.15.2 a task that ends in a child leaves
# its loop waiting for ever, because that is not the running one any more; there the child ends without it.
_LEAVES = """
async def leave(block):
    if sys.version_info >= (3, 14):
        await block.__aexit__(SystemExit, SystemExit(), None)
        atexit._run_exitfuncs()
        os._exit(0)
    sys.exit()
"""

_ENDS = f"""
import asyncio, atexit, os, signal, sys
from rapfiles import AsyncPath
{_LEAVES}
async def main():
    block = AsyncPath(sys.argv[1]).open_atomic("w")
    async with block as file:
        await file.write("new" * 100_000)
        await file.write("rest")
        if sys.argv[2] == "exit":
            sys.exit()
        elif sys.argv[2] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif sys.argv[2] == "stop":
            asyncio.get_running_loop().stop()
            await asyncio.sleep(60)
        elif sys.argv[2] == "fork":
            if os.fork() == 0:
                await leave(block)
            os.wait()

try:
    asyncio.run(main())
except RuntimeError as error:
    assert "stopped before" in str(error), error
"""


@pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
@pytest.mark.parametrize("how", ["exit", "kill", "stop", "fork"])
def test_the_process_ends_within_the_block(how: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(_OLD)
    environment = {**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    command = [sys.executable, "-c", _ENDS, str(tmp_path / "file"), how]
    done = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True)
    assert done.returncode == (-9 if how == "kill" else 0), done.stderr
    expected = b"new" * 100_000 + b"rest" if how == "fork" else _OLD
    assert ((tmp_path / "file").read_bytes(), _names(tmp_path)) == (expected, ["file"])


_FORKS = f"""
import asyncio, atexit, os, sys
from rapfiles import AsyncPath
{_LEAVES}
async def main():
    block = AsyncPath(sys.argv[1]).open_atomic("w")
    async with block as file:
        await file.write("new")
        if os.fork() == 0:
            await leave(block)
        os.wait()

asyncio.run(main())
"""


@pytest.mark.one_loop
async def test_file_systems_without_nameless_files(tmp_path: Path) -> None:
    """There the file has a name of its own until it gets the target's."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path, delay_ms=0) as disk, _unchanged(disk.root) as path:
        with pytest.raises(KeyError):
            await _fail(path.open_atomic("wb"))
        with suppress(KeyError):
            async with path.open_atomic("wb"):
                [temporary] = set(_names(disk.root)) - {"file"}
                raise KeyError
        assert temporary.startswith(".rapfiles-")
        with anyio.CancelScope() as scope:
            async with path.open_atomic("wb"):
                scope.cancel()
                await anyio.sleep(60)
        while _names(disk.root) != ["file"]:
            await anyio.sleep(0.001)
        await path.with_name("long").mkdir()
        name = "n" * 255
        async with (path.with_name("long") / name).open_atomic("wb") as file:
            await file.write(b"new")
        assert _names(disk.root / "long") == [name]
        environment = {**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
        target = str(disk.root / "long" / name)
        await anyio.run_process([sys.executable, "-c", _FORKS, target], env=environment)
        assert (_names(disk.root / "long"), Path(target).read_bytes()) == ([name], b"new")
        (disk.root / "long" / name).unlink()
        (disk.root / "long").rmdir()


async def test_the_last_one_to_end_has_the_name(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    async with path.open_atomic("wb") as first:
        await first.write(b"first" * 50_000)
        async with path.open_atomic("wb") as second:
            await second.write(b"second")
        assert await path.read_bytes() == b"second"
    assert (await path.read_bytes(), _names(tmp_path)) == (b"first" * 50_000, ["file"])


@pytest.mark.one_loop
async def test_a_generator_that_is_given_up(tmp_path: Path) -> None:
    async def lines(path: AsyncPath) -> AsyncIterator[AsyncBufferedWriter]:
        async with path.open_atomic("wb") as file:
            await file.write(b"new")
            yield file

    with _unchanged(tmp_path) as path:
        generator = lines(path)
        file = await anext(generator)
        del generator
        while not file.closed:
            gc.collect()
            await asyncio.sleep(0)


def test_a_task_that_is_given_up_with_its_loop(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()

    async def write(path: AsyncPath) -> None:
        async with path.open_atomic("wb") as file:
            await file.write(b"new")
            loop.stop()
            await loop.create_future()

    with _unchanged(tmp_path) as path:
        coroutine = write(path)
        task = loop.create_task(coroutine)
        loop.run_forever()
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine.close()


@pytest.mark.one_loop
async def test_a_directory_that_is_swapped(tmp_path: Path) -> None:
    """What is written stays in the directory that was there at the beginning."""
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    with _unchanged(tmp_path / "outside"):
        async with AsyncPath(tmp_path, "inside", "file").open_atomic("wb") as file:
            await file.write(b"new")
            (tmp_path / "inside").rename(tmp_path / "moved")
            (tmp_path / "inside").symlink_to("outside")
        assert (tmp_path / "moved" / "file").read_bytes() == b"new"


@pytest.mark.parametrize(
    "before", ["nothing", "a file", "a file whose number the link has", "a file that is kept"]
)
@pytest.mark.one_loop
async def test_a_target_that_becomes_a_link(before: str, tmp_path: Path) -> None:
    """The link itself is replaced, never what it leads to."""
    (tmp_path / "outside").mkdir()
    target = tmp_path / "file"
    names = ["file", "outside"]
    with _unchanged(tmp_path / "outside"):
        if before != "nothing":
            target.write_bytes(_OLD)
        async with AsyncPath(target).open_atomic("wb") as file:
            await file.write(b"new")
            if before == "a file that is kept":
                target.rename(tmp_path / "kept")
                names.append("kept")
            elif before != "nothing":
                number = target.stat().st_ino
                target.unlink()
                if before == "a file":
                    (tmp_path / "taker").touch()
                    names.append("taker")
            target.symlink_to("outside/file")
            if before == "a file whose number the link has" and target.lstat().st_ino != number:
                pytest.skip("this file system does not use the number of a removed file again at once")
    assert not target.is_symlink()
    assert target.read_bytes() == b"new"
    assert _names(tmp_path) == sorted(names)


@pytest.mark.one_loop
async def test_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    async with AsyncPath("file").open_atomic("wb") as file:
        monkeypatch.chdir(tmp_path / "other")
        await file.write(b"new")
    assert (_names(tmp_path), _names(tmp_path / "other")) == (["file", "other"], [])


_FEW_DESCRIPTORS = """
import asyncio, os, resource, sys
from rapfiles import AsyncPath

async def main(path):
    await path.exists()
    refused = 0
    for room in range(12):
        limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1 + room, most))
        try:
            async with path.open_atomic("wb", durable=True) as file:
                await file.write(b"new")
        except OSError as error:
            refused += 1
            written = b"old content"
            assert error.errno == 24, error
        else:
            written = b"new"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        assert (await path.read_bytes(), os.listdir(path.parent)) == (written, ["file"])
        await path.write_bytes(b"old content")
    assert 0 < refused < 12, refused

asyncio.run(main(AsyncPath(sys.argv[1])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and resource limits")
def test_few_descriptors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(_OLD)
    environment = {**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    command = [sys.executable, "-c", _FEW_DESCRIPTORS, str(tmp_path / "file")]
    done = subprocess.run(command, env=environment, timeout=60, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
