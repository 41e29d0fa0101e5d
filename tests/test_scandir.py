"""`scandir` beside `os.scandir`: the entries, what they know without asking, and what the scan holds."""

import contextlib
import gc
import os
import pickle
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncDirEntry, AsyncPath
from support.engine import idle
from support.leaks import descriptors
from support.leftovers import same_descriptors


class Marked(AsyncPath):
    """What is made from a marked path is marked."""

    def __init__(self, *segments: Any, mark: str = "none") -> None:
        super().__init__(*segments)
        self.mark = mark

    def with_segments(self, *segments: Any) -> "Marked":
        return type(self)(*segments, mark=self.mark)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One of everything that a directory may have."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a\udcff\n b").touch()
    (tmp_path / "to file").symlink_to("file")
    (tmp_path / "to directory").symlink_to(".hidden")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "through a file").symlink_to("file/x")
    os.mkfifo(tmp_path / "fifo")
    for link in ("to file", "to directory", "dangling", "loop", "through a file"):
        # With `relatime` (mount(8)), following it does not change such an access time.
        os.utime(tmp_path / link, (2_000_000_000, 0), follow_symlinks=False)
    return tmp_path


def outcome(question: Callable[[], Any]) -> object:
    try:
        return question()
    except OSError as error:
        return type(error), error.errno, error.strerror, error.filename


def answers(entry: Any) -> dict[str, object]:
    """What an entry answers at once."""
    questions: dict[str, Callable[[], Any]] = {
        "dir": entry.is_dir,
        "dir itself": lambda: entry.is_dir(follow_symlinks=False),
        "file": entry.is_file,
        "file itself": lambda: entry.is_file(follow_symlinks=False),
        "link": entry.is_symlink,
        "inode": entry.inode,
        "path": lambda: os.fspath(entry),
        "junction": getattr(entry, "is_junction", lambda: False),
    }
    return {name: outcome(question) for name, question in questions.items()}


async def stats(entry: Any) -> list[object]:
    """What the two kinds of stat of an entry answer."""
    found: list[object] = []
    for follow in (True, False):
        try:
            answer = entry.stat(follow_symlinks=follow)
            found.append(answer if isinstance(answer, os.stat_result) else await answer)
        except OSError as error:
            found.append((type(error), error.errno, error.strerror, error.filename))
    return found


@pytest.mark.parametrize("with_stat", [False, True])
async def test_entries_are_those_of_os_scandir(with_stat: bool, tree: Path) -> None:
    with os.scandir(tree) as entries:
        expected = {entry.name: (answers(entry), await stats(entry)) for entry in entries}
    found = {
        entry.name: (answers(entry), await stats(entry))
        async for entry in AsyncPath(tree).scandir(with_stat=with_stat)
    }
    assert found == expected
    assert expected["loop"][0]["dir"] != expected["dangling"][0]["dir"]


@pytest.mark.parametrize("kind", [AsyncPath, Marked])
async def test_paths_are_as_if_they_were_joined(kind: type[AsyncPath], tree: Path) -> None:
    directory = kind(tree)
    async for entry in directory.scandir():
        assert type(entry) is AsyncDirEntry
        assert type(entry.path) is kind
        assert entry.path == directory / entry.name
        assert (str(entry.path), entry.path.parts) == (os.fspath(entry), (directory / entry.name).parts)
        assert entry.path is entry.path
        if isinstance(entry.path, Marked):
            assert entry.path.mark == "none"


async def test_entries_of_the_current_directory_and_of_the_root(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    async for entry in AsyncPath().scandir():
        assert os.fspath(entry) == str(entry.path) == entry.name
    root = Path(tree.anchor)
    assert {os.fspath(entry) async for entry in AsyncPath(root).scandir()} == set(map(str, root.iterdir()))


async def test_paths_know_what_their_entries_know(tree: Path) -> None:
    async for entry in AsyncPath(tree).scandir():
        info = entry.path.info
        reachable = entry.name not in ("dangling", "loop", "through a file")
        assert bool(info.exists()) == reachable
        assert bool(info.exists(follow_symlinks=False))
        assert bool(info.is_symlink()) == entry.is_symlink()
        if reachable:
            assert bool(info.is_dir()) == entry.is_dir()
            assert bool(info.is_file()) == entry.is_file()


async def test_what_a_stat_has_told_is_kept(tree: Path) -> None:
    async for entry in AsyncPath(tree).scandir():
        if entry.name == "file":
            first = await entry.stat()
            assert await entry.stat(follow_symlinks=False) is first
            os.remove(entry)
            assert await entry.stat() is first
        if entry.name == ".hidden":
            os.rmdir(entry)
            with pytest.raises(FileNotFoundError):
                await entry.stat()


async def test_a_stat_that_was_brought_along_asks_for_nothing(tree: Path) -> None:
    entries = [entry async for entry in AsyncPath(tree).scandir(with_stat=True)]
    before = rapfiles.stats()
    for entry in entries:
        with contextlib.suppress(OSError):
            await entry.stat()
        await entry.stat(follow_symlinks=False)
    after = rapfiles.stats()
    assert (after.cached, after.submitted) == (before.cached, before.submitted)


@pytest.mark.parametrize("with_stat", [False, True])
async def test_a_stat_is_awaited_once_in_any_task(with_stat: bool, tree: Path) -> None:
    entries = AsyncPath(tree).scandir(with_stat=with_stat)
    (entry,) = [entry async for entry in entries if entry.name == "file"]
    results = []

    async def keep() -> None:
        results.append(await entry.stat())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(keep)
    assert results == [os.stat(entry)] * 3
    stat = entry.stat()
    assert isinstance(stat, Coroutine)
    assert await stat is await entry.stat()
    with pytest.raises(RuntimeError):
        await stat
    abandoned = entry.stat()
    abandoned.close()
    with pytest.raises(RuntimeError):
        await abandoned


async def test_no_entry_has_a_job_of_its_own(tmp_path: Path) -> None:
    for number in range(52):
        (tmp_path / str(number)).touch()
    await idle()
    before = rapfiles.stats().submitted
    async for entry in AsyncPath(tmp_path).scandir(with_stat=True):
        await entry.stat()
    # One, or a few on a busy machine: each has 5 ms of the clock.
    assert rapfiles.stats().submitted < before + 20


@pytest.mark.parametrize("name", ["missing", "file", "dangling", "nul\0"])
async def test_errors_are_those_of_os_scandir(name: str, tree: Path) -> None:
    with pytest.raises((OSError, ValueError)) as expected:
        os.scandir(str(tree / name))
    with pytest.raises((OSError, ValueError)) as found:
        await anext(AsyncPath(tree, name).scandir())
    assert (found.type, found.value.args) == (expected.type, expected.value.args)
    assert getattr(found.value, "filename", None) == getattr(expected.value, "filename", None)


async def test_it_is_left_early(tmp_path: Path) -> None:
    for number in range(3_000):
        os.close(os.open(tmp_path / f"file {number:200}", os.O_CREAT))
    await idle()
    before = descriptors()
    for way in ("block", "break", "error", "cancel"):
        async with AsyncPath(tmp_path).scandir() as entries:
            with contextlib.suppress(ZeroDivisionError):
                async for _entry in entries:
                    if way == "block":
                        break
                    if way == "break":
                        await entries.aclose()
                        break
                    if way == "error":
                        raise ZeroDivisionError
                    with anyio.CancelScope() as scope:
                        scope.cancel()
                        await anyio.sleep(0)
                    break
        await idle()
        await same_descriptors(before)


async def test_what_happens_in_the_directory_while_it_is_scanned(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / str(number)).touch()
    seen = set()
    async for entry in AsyncPath(tmp_path).scandir():
        assert entry.is_file()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry)
        seen.add(entry.name)
    assert seen == {str(number) for number in range(500)}


def test_entries_are_made_by_scandir_alone() -> None:
    with pytest.raises(TypeError, match="scandir"):
        AsyncDirEntry()


async def test_an_entry_is_path_like(tree: Path) -> None:
    async for entry in AsyncPath(tree).scandir():
        assert isinstance(entry, os.PathLike)
        assert repr(entry) == f"<AsyncDirEntry {entry.name!r}>"
        assert AsyncPath(entry) == entry.path
        with pytest.raises(TypeError):
            pickle.dumps(entry)
        with pytest.raises(AttributeError):
            entry.name = "other"  # type: ignore[misc]


class Holding(AsyncPath):
    """Has room for references to what refers to it."""

    held: Any


class Making(AsyncPath):
    """Has none, but the paths made from it have."""

    __slots__ = ()

    def with_segments(self, *segments: str | os.PathLike[str]) -> Holding:  # type: ignore[override]
        return Holding(*segments)


@pytest.mark.parametrize("method", ["scandir", "find"])
async def test_the_collector_is_spared_entries_that_no_cycle_can_contain(method: str, tree: Path) -> None:
    for kind, spared in ((AsyncPath, True), (Holding, False), (Making, False)):
        entries = [entry async for entry in getattr(kind(tree), method)()]
        assert {gc.is_tracked(entry) for entry in entries} == {not spared}
        for entry in entries:
            assert type(entry.path) is (Holding if kind is Making else kind)
            await entry.stat(follow_symlinks=False)


@pytest.mark.parametrize("method", ["scandir", "find"])
@pytest.mark.parametrize("kind", [Holding, Making])
async def test_a_cycle_through_entries_is_collected(kind: type[AsyncPath], method: str, tree: Path) -> None:
    entries = [entry async for entry in getattr(kind(tree), method)()]
    gone: list[Path] = []
    expected = []
    for entry in entries:
        entry.path.held = entry
        weakref.finalize(entry.path, gone.append, Path(entry))
        expected.append(Path(entry))
    del entries, entry
    gc.collect()
    assert sorted(gone) == sorted(expected) != []


async def test_a_cycle_through_the_directory_of_entries_is_collected(tree: Path) -> None:
    directory = Holding(tree)
    directory.held = [entry async for entry in directory.scandir()]
    gone: list[bool] = []
    weakref.finalize(directory, gone.append, True)
    del directory
    gc.collect()
    assert gone == [True]
