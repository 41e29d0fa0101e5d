"""Races between processes, made certain: strace(1) delays the calls of one of them."""

import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from rapfiles import recover, transaction
from support import fuse, strace

_BEGINS = """
import asyncio, sys
from rapfiles import transaction

async def main():
    async with transaction(sys.argv[1], durable=False) as t:
        await t.write_text("file", "new")
    print("done")

asyncio.run(main())
"""


@strace.needs_strace
async def test_a_transaction_begins_beside_recoveries(tmp_path: Path) -> None:
    """A recovery removes a log that is not locked yet, and each time there is time enough for one."""
    begun: list[subprocess.CompletedProcess[str]] = []

    def begin() -> None:
        # The first directory is that of all logs.
        options = ["-e", "inject=mkdir,mkdirat:delay_exit=100000:when=2+2"]
        begun.append(strace.run(_BEGINS, tmp_path, options=options))

    thread = threading.Thread(target=begin)
    thread.start()
    while thread.is_alive():
        await recover(tmp_path)
    assert [(done.stdout, done.stderr) for done in begun] == [("done\n", "")]
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("committed", [True, False])
async def test_the_log_on_a_disk_that_keeps_open_files(tmp_path: Path, committed: bool) -> None:
    """As NFS does, it gives a file that is removed while it is open another name in its directory."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path, delay_ms=0, hide=True) as disk:
        try:
            async with transaction(disk.root, durable=False) as t:
                await t.write_text("file", "new")
                if not committed:
                    raise KeyError
        except KeyError:
            pass
        assert os.listdir(disk.backing) == ["file"] * committed


async def test_the_old_directory_on_a_disk_that_keeps_open_files(tmp_path: Path) -> None:
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path, delay_ms=0, hide=True) as disk:
        folder = Path(disk.root, "folder")
        folder.mkdir()
        async with transaction(folder, swap=True) as t:
            await t.write_text("file", "new")
        assert os.listdir(disk.backing) == ["folder"]
        assert os.listdir(Path(disk.backing, "folder")) == ["file"]


_LOCKS = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    async with AsyncPath(sys.argv[1]).lock():
        print("locked")

asyncio.run(main())
"""


@strace.needs_strace
def test_a_lock_file_that_is_removed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The size of the workers' stacks, for which a thousand attempts within each other are too many.
    monkeypatch.setenv("RUST_MIN_STACK", str(256 << 10))
    path, log = tmp_path / "lock", tmp_path / "log"
    # Each time that the file is locked, its path does not lead to it any more.
    options = ["-P", path, "-e", "inject=newfstatat,statx:error=ENOENT:when=1..1000"]
    locked = strace.run(_LOCKS, path, options=options, log=log)
    assert (locked.returncode, locked.stdout, locked.stderr) == (0, "locked\n", "")
    assert log.read_text().count("INJECTED") >= 1000


_COPIES = """
import asyncio, sys
from rapfiles import AsyncPath

async def main():
    source, target, option = sys.argv[1:]
    await AsyncPath(source).copy(target, **{option: True})
    print("copied")

asyncio.run(main())
"""


@strace.needs_strace
def test_a_temporary_file_that_is_removed_again_and_again(tmp_path: Path) -> None:
    source, target, log = tmp_path / "source", tmp_path / "folder" / "target", tmp_path / "log"
    target.parent.mkdir()
    source.write_text("new")
    target.write_text("old")
    # After the target has been looked at, twice at most: the names of temporary files, which seem to be gone.
    options = ["-P", target.parent, "-e", "inject=newfstatat,statx:error=ENOENT:when=3..102"]
    copied = strace.run(_COPIES, source, target, "atomic", options=options, log=log)
    assert (copied.returncode, copied.stdout, copied.stderr) == (0, "copied\n", "")
    assert log.read_text().count("INJECTED") == 100
    assert os.listdir(target.parent) == ["target"]
    assert target.read_text() == "new"


@strace.needs_strace
@pytest.mark.parametrize("what", ["link", "file"])
def test_a_target_that_appears_during_an_atomic_copy_is_replaced(what: str, tmp_path: Path) -> None:
    """It is not written to in place then, and not through a link."""
    source, target, log = tmp_path / "source", tmp_path / "folder" / "target", tmp_path / "log"
    target.parent.mkdir()
    source.write_text("new")
    (tmp_path / "victim").write_text("precious")
    if what == "link":
        target.symlink_to(tmp_path / "victim")
    else:
        target.hardlink_to(tmp_path / "victim")
    # When the target is looked at first, it seems to be missing.
    options = ["-P", target.parent, "-e", "inject=newfstatat,statx:error=ENOENT:when=1..2"]
    copied = strace.run(_COPIES, source, target, "atomic", options=options, log=log)
    assert (copied.returncode, copied.stdout, copied.stderr) == (0, "copied\n", "")
    assert "EEXIST" in log.read_text()
    assert (tmp_path / "victim").read_text() == "precious"
    assert os.listdir(target.parent) == ["target"]
    assert not target.is_symlink()
    assert target.read_text() == "new"


@strace.needs_strace
def test_a_target_that_is_removed_before_it_is_overwritten(tmp_path: Path) -> None:
    source, target, log = tmp_path / "source", tmp_path / "target", tmp_path / "log"
    for folder, content in ((source, "new"), (target, "old")):
        folder.mkdir()
        (folder / "file").write_text(content)
    # It seems to be missing when it is opened to be overwritten, after `.` and `..` of its directory.
    options = ["-P", target, "-e", "inject=openat:error=ENOENT:when=3"]
    copied = strace.run(_COPIES, source, target, "merge", options=options, log=log)
    assert (copied.returncode, copied.stdout, copied.stderr) == (0, "copied\n", "")
    assert re.search(r'"file", O_WRONLY.* ENOENT .*INJECTED', log.read_text())
    assert os.listdir(target) == ["file"]
    assert (target / "file").read_text() == "new"
