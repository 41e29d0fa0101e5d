"""Access lists (acl(5)) of files that take the place of others, whatever new files get."""

import os
import stat
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rapfiles import AsyncPath, transaction
from support import access_list, mounts, process

_SECRET = b"secret"


async def _write(path: AsyncPath) -> None:
    await path.write_bytes(_SECRET, atomic=True)


async def _open_atomic(path: AsyncPath) -> None:
    async with path.open_atomic("wb") as file:
        await file.write(_SECRET)


async def _transaction(path: AsyncPath) -> None:
    async with transaction(path.parent) as t:
        await t.write_bytes(path.name, _SECRET)


async def _swap(path: AsyncPath) -> None:
    async with transaction(path.parent, swap=True) as t:
        await t.write_bytes(path.name, _SECRET)


async def _copy(path: AsyncPath) -> None:
    source = path.parent.parent / "source"
    await source.write_bytes(_SECRET)
    await source.copy(path, atomic=True)


WAYS = [_write, _open_atomic, _transaction, _swap, _copy]
Way = Callable[[AsyncPath], Awaitable[Any]]


def _generous(folder: Path) -> Path:
    """A folder whose new files others may read and write."""
    folder.mkdir()
    access_list.give(folder, access_list.DEFAULT)
    return folder


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o664])
@pytest.mark.one_loop
async def test_a_file_without_one_gets_none(way: Way, mode: int, tmp_path: Path) -> None:
    folder = _generous(tmp_path / "folder")
    file = folder / "file"
    file.write_bytes(b"old")
    os.removexattr(file, access_list.NAME)
    file.chmod(mode)
    await way(AsyncPath(file))
    assert file.read_bytes() == _SECRET
    assert (os.listxattr(file), _mode(file)) == ([], mode)
    # It is for new files.
    await way(AsyncPath(folder, "new"))
    assert access_list.NAME in os.listxattr(folder / "new")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.one_loop
async def test_a_file_with_one_keeps_it(way: Way, tmp_path: Path) -> None:
    file = _generous(tmp_path / "folder") / "file"
    file.write_bytes(b"old")
    access_list.give(file)
    mode = _mode(file)
    await way(AsyncPath(file))
    assert file.read_bytes() == _SECRET
    assert (os.getxattr(file, access_list.NAME), _mode(file)) == (access_list.CONTENT, mode)


@pytest.mark.one_loop
async def test_a_copy_with_metadata_has_those_of_its_source(tmp_path: Path) -> None:
    """As with `cp -p`: files, old and new, directories, and what is neither."""
    folder = _generous(tmp_path / "folder")
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "file").write_bytes(_SECRET)
    os.mkfifo(source / "fifo")
    for name, mode in (("inner", 0o750), ("file", 0o640), ("fifo", 0o660)):
        (source / name).chmod(mode)
    (folder / "old").write_bytes(b"old")
    options: dict[str, Any] = {"preserve_metadata": True, "special_files": "recreate"}
    for name in ("new", "old"):
        copied = await AsyncPath(source, "file").copy(folder / name, **options)
        assert (os.listxattr(copied), _mode(folder / name)) == ([], 0o640)
    await AsyncPath(source).copy(folder / "tree", **options)
    for path in (folder / "tree", *(folder / "tree").iterdir()):
        assert (os.listxattr(path), path.name) == ([], path.name)
    assert _mode(folder / "tree" / "inner") == 0o750


_REPLACES_UNREADABLE = """
import asyncio, os, sys
from rapfiles import AsyncPath

async def main():
    file = AsyncPath(sys.argv[1])
    await file.parent.exists()
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    print("ready", flush=True)
    await file.write_bytes(b"secret", atomic=True)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_the_list_of_a_file_that_may_not_be_read() -> None:
    """Without it, the group would get what is the mask of the list."""
    content = access_list.content((1, 0), (2, 6, 12345), (4, 0), (16, 6), (32, 0))
    with tempfile.TemporaryDirectory(prefix="rapfiles-") as folder:
        os.chmod(folder, 0o777)
        file = Path(folder, "file")
        file.write_bytes(b"old")
        os.chown(file, 65534, 65534)
        access_list.give(file, content=content)
        assert _mode(file) == 0o060
        ended = process.run(_REPLACES_UNREADABLE, str(file))
        assert (ended.code, ended.errors) == (0, "")
        assert file.read_bytes() == _SECRET
        assert (os.getxattr(file, access_list.NAME), _mode(file)) == (content, 0o060)


@pytest.mark.one_loop
async def test_where_it_cannot_be_kept_nobody_gets_more(tmp_path: Path) -> None:
    """The group gets what the list grants to everybody, not the bits that were its mask."""
    if (reason := mounts.missing("ramfs")) is not None:
        pytest.skip(reason)
    source = tmp_path / "source"
    source.write_bytes(_SECRET)
    access_list.give(source, content=access_list.content((1, 6), (2, 6, 12345), (4, 4), (16, 6), (32, 4)))
    assert _mode(source) == 0o664
    with mounts.mounted("ramfs", tmp_path / "disk", size=1 << 20) as root:
        copied = await AsyncPath(source).copy(root / "target", preserve_metadata=True)
        assert (os.listxattr(copied), _mode(root / "target")) == ([], 0o644)
