"""mkdir, rmdir, unlink, rename, replace and iterdir."""

import os
import stat
from pathlib import Path, PurePath

import pytest

from rapfiles import AsyncPath
from support import ground
from support.leaks import descriptors


class Project(AsyncPath):
    """A subclass, which results must keep."""


async def test_mkdir(directory: Path) -> None:
    path = AsyncPath(directory, "new")
    assert await path.mkdir() is None
    assert (directory / "new").is_dir()
    with pytest.raises(FileExistsError) as caught:
        await path.mkdir()
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    await path.mkdir(exist_ok=True)
    with pytest.raises(FileNotFoundError):
        await AsyncPath(directory, "missing", "new").mkdir()
    await AsyncPath(directory, "a", "b", "c").mkdir(parents=True)
    await AsyncPath(directory, "a", "b", "c").mkdir(parents=True, exist_ok=True)
    assert (directory / "a" / "b" / "c").is_dir()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_modes_of_new_directories(umask: int, tmp_path: Path) -> None:
    """`mode` is the last one's; missing parents have the default, or `parent_mode` as in Python 3.15."""

    def mode(*names: str) -> int:
        return stat.S_IMODE(tmp_path.joinpath(*names).stat().st_mode)

    previous = os.umask(umask)
    try:
        await AsyncPath(tmp_path, "one").mkdir(0o750)
        await AsyncPath(tmp_path, "two", "three", "four").mkdir(0o711, parents=True)
        await AsyncPath(tmp_path, "five", "six", "seven").mkdir(0o711, parents=True, parent_mode=0o750)
    finally:
        os.umask(previous)
    assert mode("one") == 0o750 & ~umask
    assert (mode("two"), mode("two", "three")) == (0o777 & ~umask, 0o777 & ~umask)
    assert mode("two", "three", "four") == 0o711 & ~umask
    assert (mode("five"), mode("five", "six")) == (0o750 & ~umask, 0o750 & ~umask)
    assert mode("five", "six", "seven") == 0o711 & ~umask


async def test_very_deep_parents(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, *["deep"] * 500)
    await path.mkdir(parents=True)
    assert os.path.isdir(path)


async def test_rmdir_and_unlink(directory: Path) -> None:
    (directory / "dir").mkdir()
    (directory / "dir" / "file").touch()
    (directory / "link").symlink_to("dir")
    path = AsyncPath(directory, "dir")
    with pytest.raises(OSError, match="Directory not empty") as caught:
        await path.rmdir()
    assert caught.value.filename == str(path)
    with pytest.raises(NotADirectoryError):
        await AsyncPath(directory, "link").rmdir()
    assert await (path / "file").unlink() is None
    assert await AsyncPath(directory, "link").unlink() is None
    assert await path.rmdir() is None
    assert list(directory.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        await path.unlink()
    await path.unlink(missing_ok=True)


@pytest.mark.parametrize("method", ["rename", "replace"])
@pytest.mark.parametrize("kind", [str, Path, AsyncPath, PurePath])
async def test_rename(kind: type, method: str, directory: Path) -> None:
    (directory / "old").write_bytes(b"content")
    (directory / "new").write_bytes(b"overwritten")
    result = await getattr(Project(directory, "old"), method)(kind(directory / "new"))
    # Since Python 3.14 a path object is returned as it came; before, and for text, it is converted.
    assert str(result) == str(directory / "new")
    if kind is str:
        assert type(result) is Project
    assert (directory / "new").read_bytes() == b"content"
    assert not (directory / "old").exists()


async def test_rename_names_both_paths_in_its_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        await AsyncPath(tmp_path, "missing").rename(tmp_path / "target")
    assert (caught.value.filename, caught.value.filename2) == (
        str(tmp_path / "missing"),
        str(tmp_path / "target"),
    )


async def test_rename_across_file_systems(file_system: Path, tmp_path: Path) -> None:
    if os.stat(file_system).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("this is the file system of the temporary files itself")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Invalid cross-device link"):
        await AsyncPath(tmp_path, "file").rename(file_system / "elsewhere")
    assert (tmp_path / "file").exists()


async def test_a_relative_target_is_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert await AsyncPath("dir/file").rename("moved") == AsyncPath("moved")
    assert (tmp_path / "moved").exists()


async def test_iterdir(directory: Path) -> None:
    for name in ground.ODD_NAMES:
        (directory / name).touch()
    (directory / "dir").mkdir()
    entries = [entry async for entry in Project(directory).iterdir()]
    assert {type(entry) for entry in entries} == {Project}
    assert [str(entry) for entry in entries] == [str(entry) for entry in directory.iterdir()]
    assert {entry.name for entry in entries} == {*ground.ODD_NAMES, "dir"}


async def test_iterdir_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert [str(entry) async for entry in AsyncPath().iterdir()] == ["file"]


@pytest.mark.parametrize("count", [0, 1, 1000, 10_000])
async def test_iterdir_of_many_entries(count: int, tmp_path: Path) -> None:
    for number in range(count):
        os.symlink("nowhere", tmp_path / str(number))
    names = [entry.name async for entry in AsyncPath(tmp_path).iterdir()]
    assert len(names) == count
    assert set(names) == {str(number) for number in range(count)}


async def test_iterdir_is_left_in_the_middle(tmp_path: Path) -> None:
    """The directory was read and closed before the first entry: leaving, or changing it, is harmless."""
    for number in range(3000):
        os.symlink("nowhere", tmp_path / str(number))
    before = len(descriptors())
    for _ in range(20):
        entries = AsyncPath(tmp_path).iterdir()
        async for _ in entries:
            break
        assert len(descriptors()) == before
        await entries.aclose()
    seen = 0
    async for entry in AsyncPath(tmp_path).iterdir():
        await entry.unlink()
        seen += 1
    assert seen == 3000


async def test_iterdir_of_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, error in {"file": NotADirectoryError, "missing": FileNotFoundError}.items():
        with pytest.raises(error) as caught:
            await anext(AsyncPath(tmp_path, name).iterdir())
        assert caught.value.filename == str(tmp_path / name)
