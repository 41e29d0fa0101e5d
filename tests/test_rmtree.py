"""rmtree: what shutil.rmtree does, and nothing outside of the tree is touched."""

import errno
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles import AsyncPath, Progress
from support.fuse import SlowDisk
from support.generated import generate
from support.leaks import nothing_leaks


@contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """A context in which no more than `left` files can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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
    with few_descriptors(20):
        await AsyncPath(tmp_path, "tree").rmtree()
    assert os.listdir(tmp_path) == []


@pytest.mark.one_loop
async def test_many_ways_down_with_few_descriptors(tmp_path: Path) -> None:
    """Workers on different ways down keep to one budget, also where each directory leaves others open."""
    here = tmp_path / "tree"
    here.mkdir()
    for number in range(40):
        for name in ("1", "2", "other/1", "other/2"):
            (here / name).mkdir(parents=True)
        here = here / ("other/1" if number % 2 else "2")
    with few_descriptors(24):
        await AsyncPath(tmp_path, "tree").rmtree()
    assert os.listdir(tmp_path) == []


@pytest.mark.one_loop
async def test_cancelled_at_any_moment(tmp_path: Path) -> None:
    for after in (0, 0.0005, 0.002, 0.005):
        generate(tmp_path / "tree", 1, directories=20, files=200)
        with anyio.move_on_after(after):
            await AsyncPath(tmp_path, "tree").rmtree()
        while (tmp_path / "tree").exists():
            with anyio.move_on_after(5):
                await AsyncPath(tmp_path, "tree").rmtree(ignore_errors=True)


@pytest.mark.one_loop
async def test_a_failing_device(prompt_disk: SlowDisk) -> None:
    """Each request on each kind of entry fails once: that is told with its path, and everything else goes."""
    tree = prompt_disk.root / "tree"
    places = [tree / f"{number}" / "in" for number in range(6)]
    for place, name in zip(places, ("eio-unlink", "eio-rmdir", "eio-opendir", "eio-readdir"), strict=False):
        if name == "eio-unlink":
            place.mkdir(parents=True)
            (place / name).touch()
        else:
            (place / name).mkdir(parents=True)
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for number in range(20):
            (place / f"{number}").touch()
    told: list[tuple[str, int | None]] = []

    def note(function: Any, path: str, error: Exception) -> None:
        assert isinstance(error, OSError)
        told.append((os.path.relpath(path, tree), error.errno))

    await AsyncPath(tree).rmtree(onexc=note)
    failed = {path for path, code in told if code == errno.EIO}
    assert failed == {"0/in/eio-unlink", "1/in/eio-rmdir", "2/in/eio-opendir", "3/in/eio-readdir"}
    # A directory that could not be read was empty. What is above the others cannot go either.
    stays = failed - {"3/in/eio-readdir"}
    above = {parent for path in stays for parent in (path[:1], path[:4])}
    found = (prompt_disk.backing / "tree").rglob("*")
    assert {str(path.relative_to(prompt_disk.backing / "tree")) for path in found} == stays | above
    assert {path for path, code in told if code != errno.EIO} == {".", *above}
    shutil.rmtree(prompt_disk.backing / "tree")


def test_errors_have_their_numbers(tmp_path: Path, loop: Any) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError) as caught:
            await AsyncPath(tmp_path, "missing").rmtree()
        assert caught.value.errno == errno.ENOENT

    loop.run(main)
