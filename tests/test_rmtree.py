"""rmtree: what shutil.rmtree does, and nothing outside of the tree is touched."""

import ctypes
import errno
import os
import resource
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles import AsyncPath, Progress
from support.generated import generate
from support.leaks import nothing_leaks


def exchange(first: Path, second: Path) -> None:
    """Have two paths exchange what they are, at one stroke."""
    at_working_directory, how = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    names = os.fsencode(first), os.fsencode(second)
    ctypes.CDLL(None).renameat2(at_working_directory, names[0], at_working_directory, names[1], how)


@pytest.mark.parametrize("seed", range(4))
async def test_everything_goes(seed: int, tmp_path: Path) -> None:
    generate(tmp_path / "tree", seed)
    os.mkfifo(tmp_path / "tree" / "fifo")
    with nothing_leaks():
        assert await AsyncPath(tmp_path, "tree").rmtree() is None
    assert os.listdir(tmp_path) == []


async def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name, kind in (
        ("missing", FileNotFoundError),
        ("file", NotADirectoryError),
        ("link", NotADirectoryError),
    ):
        with pytest.raises(kind) as caught:
            await AsyncPath(tmp_path, name).rmtree()
        assert caught.value.filename == str(tmp_path / name)
        await AsyncPath(tmp_path, name).rmtree(ignore_errors=True)
    with pytest.raises(OSError, match="Cannot call rmtree on a symbolic link"):
        await AsyncPath(tmp_path, "link").rmtree()
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link"]


def immutable(path: Path) -> bool:
    return os.system(f"chattr +i '{path}' 2>/dev/null") == 0


@pytest.fixture
def stubborn(tmp_path: Path) -> Any:
    """A tree with two files that cannot be removed."""
    tree = tmp_path / "tree"
    for name in ("a", "b"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").touch()
        (tree / name / "other").touch()
    if not all(immutable(tree / name / "file") for name in ("a", "b")):
        pytest.skip("this file system has no immutable files")
    yield tree
    os.system(f"chattr -R -i '{tree}' 2>/dev/null")


async def test_errors_are_told_as_shutil_does(stubborn: Path) -> None:
    ours: list[tuple[Any, str, int | None]] = []
    theirs: list[tuple[Any, str, int | None]] = []

    def note(into: list[tuple[Any, str, int | None]]) -> Callable[[Any, str, Any], None]:
        def handler(function: Any, path: str, error: Any) -> None:
            error = error[1] if isinstance(error, tuple) else error
            into.append((function, path, error.errno))

        return handler

    async def asynchronous(function: Any, path: str, error: Exception) -> None:
        await anyio.sleep(0)
        note(ours)(function, path, error)

    await AsyncPath(stubborn).rmtree(onexc=note(ours))
    keyword = "onexc" if sys.version_info >= (3, 12) else "onerror"
    shutil.rmtree(str(stubborn), **{keyword: note(theirs)})  # type: ignore[call-overload]
    key = lambda told: (str(told[1]), told[2])  # noqa: E731
    assert sorted(ours, key=key) == sorted(theirs, key=key)
    assert len(ours) == 5
    ours.clear()
    await AsyncPath(stubborn).rmtree(onexc=asynchronous)
    assert sorted(ours, key=key) == sorted(theirs, key=key)
    with pytest.raises(PermissionError) as caught:
        await AsyncPath(stubborn).rmtree()
    assert os.path.basename(caught.value.filename) == "file"
    await AsyncPath(stubborn).rmtree(ignore_errors=True)
    assert sorted(path.name for path in stubborn.rglob("*")) == ["a", "b", "file", "file"]


async def test_what_a_handler_mends_is_no_error(stubborn: Path) -> None:
    told: list[str] = []

    def mend(function: Callable[..., Any], path: str, error: Exception) -> None:
        told.append(path)
        os.system(f"chattr -i '{path}'")
        function(path)

    await AsyncPath(stubborn).rmtree(onexc=mend)
    assert sorted(told) == [str(stubborn / "a" / "file"), str(stubborn / "b" / "file")]
    assert not stubborn.exists()


async def test_what_a_handler_raises_ends_it(stubborn: Path) -> None:
    def refuse(function: Any, path: str, error: Exception) -> None:
        raise RuntimeError("enough") from error

    with pytest.raises(RuntimeError, match="enough"):
        await AsyncPath(stubborn).rmtree(onexc=refuse)
    assert stubborn.exists()


async def test_progress(tmp_path: Path) -> None:
    (tmp_path / "tree" / "in").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "tree" / f"{number}").touch()
    told: list[Progress] = []
    await AsyncPath(tmp_path, "tree").rmtree(progress=told.append)
    assert (told[-1].files, told[-1].directories, told[-1].errors) == (10, 2, 0)


@pytest.mark.one_loop
async def test_deep_with_few_descriptors(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for name in ["tree", *["level"] * 3000]:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        await AsyncPath(tmp_path, "tree").rmtree()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.listdir(tmp_path) == []


@pytest.mark.one_loop
async def test_nothing_outside_is_removed(tmp_path: Path) -> None:
    """CVE-2022-21658: a directory is exchanged for a link out of the tree while that is removed."""
    canary = tmp_path / "canary"
    (canary / "in").mkdir(parents=True)
    (canary / "in" / "file").write_bytes(b"precious")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            exchange(tmp_path / "tree" / "a", tmp_path / "way-out")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(60):
            (tmp_path / "way-out").unlink() if (tmp_path / "way-out").is_symlink() else shutil.rmtree(
                tmp_path / "way-out", ignore_errors=True
            )
            for number in range(20):
                (tmp_path / "tree" / "a" / "in" / f"{number}").mkdir(parents=True, exist_ok=True)
            (tmp_path / "way-out").symlink_to(canary)
            await AsyncPath(tmp_path, "tree").rmtree(ignore_errors=True)
            await AsyncPath(tmp_path, "tree").rmtree(ignore_errors=True)
            assert (canary / "in" / "file").read_bytes() == b"precious"
            if os.path.lexists(tmp_path / "tree"):
                shutil.rmtree(tmp_path / "tree", ignore_errors=True)
    finally:
        stop.set()
        thread.join()
    assert (canary / "in" / "file").read_bytes() == b"precious"


@pytest.mark.one_loop
async def test_cancelled_at_any_moment(tmp_path: Path) -> None:
    for after in (0, 0.0005, 0.002, 0.005):
        generate(tmp_path / "tree", 1, directories=20, files=200)
        with anyio.move_on_after(after):
            await AsyncPath(tmp_path, "tree").rmtree()
        while (tmp_path / "tree").exists():
            with anyio.move_on_after(5):
                await AsyncPath(tmp_path, "tree").rmtree(ignore_errors=True)


def test_errors_have_their_numbers(tmp_path: Path, loop: Any) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError) as caught:
            await AsyncPath(tmp_path, "missing").rmtree()
        assert caught.value.errno == errno.ENOENT

    loop.run(main)
