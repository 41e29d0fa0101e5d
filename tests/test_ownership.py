"""owner, group and chown, with numbers and names, known and unknown."""

import grp
import os
import pwd
import shutil
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import oracle

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
UNKNOWN = 54_321


async def test_owner_and_group(directory: Path) -> None:
    (directory / "file").touch()
    path = AsyncPath(directory, "file")
    assert await path.owner() == pwd.getpwuid(os.geteuid()).pw_name == (directory / "file").owner()
    assert await path.group() == (directory / "file").group()


@needs_root
async def test_owner_and_group_of_everyone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = AsyncPath(tmp_path, "file")
    for user in pwd.getpwall():
        os.chown(tmp_path / "file", user.pw_uid, -1)
        assert await path.owner() == pwd.getpwuid(user.pw_uid).pw_name
    for group in grp.getgrall():
        os.chown(tmp_path / "file", -1, group.gr_gid)
        assert await path.group() == grp.getgrgid(group.gr_gid).gr_name


@needs_root
async def test_owner_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.lchown(tmp_path / "link", 1, 1)
    path = AsyncPath(tmp_path, "link")
    assert await path.owner() == pwd.getpwuid(0).pw_name
    assert await path.owner(follow_symlinks=False) == pwd.getpwuid(1).pw_name
    assert await path.group() == grp.getgrgid(0).gr_name
    assert await path.group(follow_symlinks=False) == grp.getgrgid(1).gr_name


@needs_root
async def test_an_owner_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", UNKNOWN, UNKNOWN)
    for method in ("owner", "group"):
        expected = oracle.of_call(getattr(tmp_path / "file", method))
        assert await oracle.of_await(getattr(AsyncPath(tmp_path, "file"), method)) == expected


@needs_root
async def test_chown(directory: Path) -> None:
    (directory / "file").touch()
    (directory / "link").symlink_to("file")

    def owners(name: str) -> tuple[int, int]:
        status = os.lstat(directory / name)
        return status.st_uid, status.st_gid

    path = AsyncPath(directory, "link")
    assert await path.chown(1, 2) is None
    assert (owners("file"), owners("link")) == ((1, 2), (0, 0))
    await path.chown(-1, 3)
    await path.chown(UNKNOWN, -1)
    assert owners("file") == (UNKNOWN, 3)
    await path.chown(5, 6, follow_symlinks=False)
    assert (owners("file"), owners("link")) == ((UNKNOWN, 3), (5, 6))
    await path.chown(2**32 - 2, 2**32 - 2)
    assert owners("file") == (2**32 - 2, 2**32 - 2)


@needs_root
async def test_chown_by_name(tmp_path: Path) -> None:
    """As `shutil.chown` takes them."""
    user, group = pwd.getpwuid(1).pw_name, grp.getgrgid(2).gr_name
    (tmp_path / "ours").touch()
    (tmp_path / "theirs").touch()
    await AsyncPath(tmp_path, "ours").chown(user, group)
    shutil.chown(tmp_path / "theirs", user, group)
    assert (tmp_path / "ours").owner() == (tmp_path / "theirs").owner() == user
    assert (tmp_path / "ours").group() == (tmp_path / "theirs").group() == group
    with pytest.raises(LookupError, match="no-such-user"):
        await AsyncPath(tmp_path, "ours").chown("no-such-user", group)
    with pytest.raises(LookupError, match="no-such-group"):
        await AsyncPath(tmp_path, "ours").chown(user, "no-such-group")


async def test_chown_of_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    expected = oracle.of_call(lambda: os.chown(path, 1, 1))
    assert await oracle.of_await(lambda: AsyncPath(path).chown(1, 1)) == expected
