"""symlink_to, hardlink_to and readlink."""

import os
from pathlib import Path

import pytest

from rapfiles import AsyncPath


class Project(AsyncPath):
    """A subclass, which results must keep."""


async def test_symlink_to(directory: Path) -> None:
    for number, target in enumerate(
        ["file", "/absolute", "../up", "dir/../x", "trailing/", os.fsdecode(b"\xff")]
    ):
        link = Project(directory, str(number))
        assert await link.symlink_to(target) is None
        assert os.readlink(link) == target
        read = await link.readlink()
        assert type(read) is Project
        assert read == Project(target)
    await AsyncPath(directory, "of-path").symlink_to(Path("some/path"), target_is_directory=True)
    assert os.readlink(directory / "of-path") == "some/path"


async def test_symlink_over_something(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(FileExistsError) as caught:
        await AsyncPath(tmp_path, "taken").symlink_to("target")
    assert (caught.value.filename, caught.value.filename2) == ("target", str(tmp_path / "taken"))


async def test_hardlink_to(directory: Path) -> None:
    (directory / "file").write_bytes(b"shared")
    assert await AsyncPath(directory, "link").hardlink_to(directory / "file") is None
    assert (directory / "link").stat().st_ino == (directory / "file").stat().st_ino
    assert (directory / "file").stat().st_nlink == 2
    with pytest.raises(FileExistsError) as caught:
        await AsyncPath(directory, "link").hardlink_to(str(directory / "file"))
    assert (caught.value.filename, caught.value.filename2) == (
        str(directory / "file"),
        str(directory / "link"),
    )


async def test_hardlink_to_a_link_does_what_this_python_does(tmp_path: Path) -> None:
    """Until Python 3.13 the link itself is linked, since 3.14 what it points to."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "theirs").hardlink_to(tmp_path / "link")
    await AsyncPath(tmp_path, "ours").hardlink_to(tmp_path / "link")
    assert (tmp_path / "ours").is_symlink() == (tmp_path / "theirs").is_symlink()
    assert os.lstat(tmp_path / "ours").st_ino == os.lstat(tmp_path / "theirs").st_ino


async def test_readlink_of_what_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Invalid argument") as caught:
        await AsyncPath(tmp_path, "file").readlink()
    assert caught.value.filename == str(tmp_path / "file")


async def test_a_very_long_target(tmp_path: Path) -> None:
    target = "/".join(["x" * 200] * 20)
    await AsyncPath(tmp_path, "link").symlink_to(target)
    assert str(await AsyncPath(tmp_path, "link").readlink()) == target
