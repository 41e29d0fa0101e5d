"""How much room a tree takes: equal to du."""

import errno
import os
import sys
from pathlib import Path

import pytest

from rapfiles import AsyncPath, _native
from support import du, trees
from support.fuse import SlowDisk

needs_du = pytest.mark.skipif(du.MISSING, reason="needs GNU du")


@needs_du
@pytest.mark.one_loop
@pytest.mark.parametrize("seed", range(4))
async def test_it_is_du_s(seed: int, tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", seed)
    with (top / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    for number in range(5):
        os.link(top / "sparse", top / f"linked{number}")
    usage = await AsyncPath(top).du()
    assert usage.apparent == du.apparent(top)
    assert usage.allocated == du.allocated(top)
    counts = [0, 0, 0, 0]
    seen = set()
    for path, directories, files in os.walk(top):
        counts[1] += 1
        for name in files + directories:
            found = os.lstat(os.path.join(path, name))
            if (found.st_dev, found.st_ino) in seen or (
                name in directories and not os.path.islink(os.path.join(path, name))
            ):
                continue
            seen.add((found.st_dev, found.st_ino))
            kind = found.st_mode & 0o170000
            counts[{0o100000: 0, 0o120000: 2}.get(kind, 3)] += 1
    assert [usage.files, usage.directories, usage.symlinks, usage.others] == counts


async def test_a_file_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    usage = await AsyncPath(tmp_path, "file").du()
    assert (usage.apparent, usage.files, usage.directories) == (5000, 1, 0)
    assert usage.allocated == (tmp_path / "file").stat().st_blocks * 512
    with pytest.raises(ExceptionGroup) as caught:
        await AsyncPath(tmp_path, "missing").du()
    [error] = caught.value.exceptions
    assert isinstance(error, FileNotFoundError)
    assert error.filename == str(tmp_path / "missing")


@needs_du
async def test_a_link_stands_for_what_it_leads_to(tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", 3)
    (tmp_path / "file").write_bytes(b"x" * 5000)
    for target in (top, tmp_path / "file"):
        link = tmp_path / f"to-{target.name}"
        link.symlink_to(target)
        usage = await AsyncPath(link).du()
        assert usage == await AsyncPath(target).du()
        assert usage.allocated == du.allocated(link, "--dereference-args")


@needs_du
async def test_what_is_excluded_does_not_count(tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", 9)
    usage = await AsyncPath(top).du(exclude=["*.txt*", "B*"])
    assert usage.apparent == du.apparent(top, "--exclude=*.txt*", "--exclude=B*")


@pytest.mark.skipif(sys.platform != "linux", reason="needs another file system at a known place")
@pytest.mark.one_loop
async def test_errors_are_told(slow_disk: SlowDisk) -> None:
    for name in ("a", "eio-opendir"):
        (slow_disk.backing / "counted" / name).mkdir(parents=True)
    errors: list[OSError] = []
    usage = await AsyncPath(slow_disk.root, "counted").du(on_error=errors.append)
    assert usage.directories == 3
    assert [(error.errno, error.filename) for error in errors] == [
        (errno.EIO, str(slow_disk.root / "counted" / "eio-opendir"))
    ]


@needs_du
@pytest.mark.slow
@pytest.mark.one_loop
async def test_no_tree_is_too_deep(tmp_path: Path) -> None:
    # Removing it takes time in proportion to the square of this.
    depth = 4_000
    above = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=above)
            below = os.open("d", os.O_RDONLY, dir_fd=above)
            os.close(above)
            above = below
    finally:
        os.close(above)
    try:
        usage = await AsyncPath(tmp_path).du()
        assert usage.directories == depth + 1
        assert usage.allocated == du.allocated(tmp_path)
    finally:
        # pytest and rm take minutes for that.
        _native.remove_tree_here(tmp_path / "d", False)
