"""Disks that fail in the middle of an atomic write or a transaction: over quota, or read-only from then on.

Full ones are among the tests of each operation.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rapfiles import AsyncPath, recover, transaction
from support import mounts

_OLD = b"old content"
_NEW = b"n" * 100_000


def _trigger(root: Path) -> Path:
    """Where an ext4 is told that it has an error."""
    device = os.stat(root).st_dev
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
    return Path("/sys/fs/ext4", name, "trigger_fs_error")


@contextmanager
def _ext4(folder: Path) -> Iterator[Path]:
    with mounts.mounted("ext4", folder, options="errors=remount-ro") as root:
        if not os.access(_trigger(root), os.W_OK):
            pytest.skip("the file system cannot be told that it has an error")
        (root / "lost+found").rmdir()
        (root / "file").write_bytes(_OLD)
        subprocess.run(["sync", "-f", root], check=True, timeout=60)
        yield root


def _becomes_read_only(root: Path) -> None:
    _trigger(root).write_text("1")
    with pytest.raises(OSError, match="Read-only"):
        (root / "other").touch()


needs_ext4 = pytest.mark.skipif(mounts.missing("ext4") is not None, reason=str(mounts.missing("ext4")))


@needs_ext4
@pytest.mark.parametrize("place", ["at the beginning", "between", "at the end"])
@pytest.mark.one_loop
async def test_read_only_while_a_file_is_written(place: str, tmp_path: Path) -> None:
    with _ext4(tmp_path) as root:
        with pytest.raises(OSError, match="Errno") as caught:  # noqa: PT012
            async with AsyncPath(root, "file").open_atomic("wb", buffering=0) as file:
                if place == "at the beginning":
                    _becomes_read_only(root)
                await file.write(_NEW)
                if place == "between":
                    _becomes_read_only(root)
                    await file.write(_NEW)
                elif place == "at the end":
                    _becomes_read_only(root)
        # The journal has ended: fsync(2) of an ext4 says so by EIO.
        assert caught.value.errno in (errno.EROFS, errno.EIO)
        assert ((root / "file").read_bytes(), os.listdir(root)) == (_OLD, ["file"])
        with pytest.raises(OSError, match="Read-only") as caught:
            await AsyncPath(root, "file").write_bytes(_NEW, atomic=True)
        assert caught.value.filename == str(root / "file")


@needs_ext4
@pytest.mark.one_loop
async def test_read_only_in_the_middle_of_a_transaction(tmp_path: Path) -> None:
    with _ext4(tmp_path) as root:
        with pytest.raises(OSError, match="Errno") as caught:  # noqa: PT012
            async with transaction(root) as t:
                await t.write_bytes("file", _NEW)
                await t.write_bytes("new", _NEW)
                _becomes_read_only(root)
        assert caught.value.errno in (errno.EROFS, errno.EIO)
        assert not t.committed
        assert (root / "file").read_bytes() == _OLD
        assert sorted(set(os.listdir(root)) - {".rapfiles"}) == ["file"]
    # The log could not be removed.
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run(["mount", "-o", "loop", tmp_path / "image", again], check=True, timeout=60)
    try:
        await recover(again)
        assert ((again / "file").read_bytes(), os.listdir(again)) == (_OLD, ["file"])
    finally:
        subprocess.run(["umount", again], check=True, timeout=60)


@pytest.fixture(scope="module")
def quota(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system with a quota of some megabytes, which holds for root as well."""
    if (reason := mounts.missing("btrfs")) is not None:
        pytest.skip(reason)
    if shutil.which("btrfs") is None:
        pytest.skip("btrfs is not installed")
    with mounts.mounted("btrfs", tmp_path_factory.mktemp("quota")) as root:
        for command in (["quota", "enable"], ["qgroup", "limit", "4M"]):
            subprocess.run(["btrfs", *command, root], check=True, capture_output=True, timeout=60)
        yield root


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.one_loop
async def test_over_quota(exists: bool, quota: Path) -> None:
    target = AsyncPath(quota, "file")
    before = {"file": _OLD} if exists else {}
    much = os.urandom(8 << 20)

    def check(caught: pytest.ExceptionInfo[OSError]) -> None:
        assert caught.value.errno == errno.EDQUOT
        assert {name: (quota / name).read_bytes() for name in os.listdir(quota)} == before

    (quota / "file").unlink(missing_ok=True)
    if exists:
        (quota / "file").write_bytes(_OLD)
    with pytest.raises(OSError, match="quota") as caught:
        await target.write_bytes(much, atomic=True)
    check(caught)
    assert caught.value.filename == str(quota / "file")
    with pytest.raises(OSError, match="quota") as caught:  # noqa: PT012
        async with target.open_atomic("wb") as file:
            for at in range(0, len(much), 1 << 20):
                await file.write(much[at : at + (1 << 20)])
    check(caught)
    with pytest.raises(OSError, match="quota") as caught:  # noqa: PT012
        async with transaction(quota) as t:
            await t.write_bytes("other", b"new")
            await t.append_bytes("file", much)
    check(caught)
    await target.write_bytes(_NEW, atomic=True, durable=True)
    assert (quota / "file").read_bytes() == _NEW
