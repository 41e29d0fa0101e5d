"""Atomic and durable changes where not everything is permitted: as another user, and of files with flags."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapfiles import AsyncPath, transaction
from support import mounts, process

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)

# Started as root, which may have installed the package where nobody else can read: all is imported by now.
_AS_NOBODY = """
import asyncio, errno, json, os, stat, sys
from pathlib import Path
from rapfiles import AsyncPath, transaction

async def told(work):
    try:
        await work
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

async def transacts(folder, stage):
    async with transaction(folder) as t:
        await t.write_bytes("other", b"new")
        await stage(t)

async def main():
    root = Path(sys.argv[1])
    await AsyncPath(root).exists()
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    print("ready", flush=True)
    found = {}
    for name in ("closed", "sticky", "open", "unreadable"):
        folder = AsyncPath(root, name)
        file, own = folder / "file", folder / "own"
        found[name] = [
            await told(file.write_bytes(b"new", atomic=True)),
            await told(own.write_bytes(b"new", atomic=True, durable=True)),
            await told(own.write_bytes(b"newer", atomic=True, durable=True)),
            await told(file.rename(folder / "renamed", durable=True)),
            await told(transacts(folder, lambda t: t.write_bytes("theirs", b"new"))),
            await told(transacts(folder, lambda t: t.remove("theirs"))),
        ]
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="rapfiles-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_as_another_user(public: Path) -> None:
    for name, mode in (("closed", 0o755), ("sticky", 0o1777), ("open", 0o777), ("unreadable", 0o733)):
        (public / name).mkdir()
        (public / name).chmod(mode)
        for file in ("file", "theirs"):
            (public / name / file).write_bytes(b"old")
            (public / name / file).chmod(0o4755)
    ended = process.run(_AS_NOBODY, str(public))
    assert (ended.code, ended.errors) == (0, "")
    found = json.loads(ended.output)
    assert found["closed"] == ["EACCES"] * 6
    assert _content(public / "closed") == {"file": b"old", "theirs": b"old"}
    # What belongs to others is neither replaced nor removed, and nothing is left of the attempt.
    assert found["sticky"] == ["EPERM", "done", "done", "EPERM", "EPERM", "EPERM"]
    assert _content(public / "sticky") == {"file": b"old", "theirs": b"old", "own": b"newer"}
    assert found["open"] == ["done"] * 6
    assert _content(public / "open") == {"renamed": b"new", "own": b"newer", "other": b"new"}
    # Who has replaced it is not its former owner, in whose name it must not run.
    replaced = (public / "open" / "renamed").stat()
    assert (replaced.st_uid, replaced.st_mode & 0o7777) == (65534, 0o755)
    # To synchronise a directory, it has to be opened for reading: refused before anything is changed.
    assert found["unreadable"] == ["done", "EACCES", "EACCES", "EACCES", "EACCES", "EACCES"]
    assert _content(public / "unreadable") == {"file": b"new", "theirs": b"old"}


_REPLACES = """
import asyncio, os, sys
from rapfiles import AsyncPath

async def main():
    folder = AsyncPath(sys.argv[1])
    await folder.exists()
    os.setgroups([23456])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    print("ready", flush=True)
    for name in sorted(os.listdir(folder)):
        await (folder / name).write_bytes(b"new", atomic=True)

asyncio.run(main())
"""


def test_a_new_group_gets_no_more_than_the_others(public: Path) -> None:
    """And the others, to whom those of the old group belong now, no more than that had."""
    public.chmod(0o777)
    modes = {0o2660: 0o600, 0o664: 0o644, 0o640: 0o600, 0o604: 0o600, 0o666: 0o666, 0o755: 0o755}
    for mode in modes:
        for name, group in (("foreign", 12345), ("own", 23456)):
            file = public / f"{name}-{mode:o}"
            file.write_bytes(b"old")
            os.chown(file, 0, group)
            file.chmod(mode)
    ended = process.run(_REPLACES, str(public))
    assert (ended.code, ended.errors) == (0, "")
    for mode, narrower in modes.items():
        foreign, own = (public / f"{name}-{mode:o}" for name in ("foreign", "own"))
        assert (foreign.read_bytes(), own.read_bytes()) == (b"new", b"new")
        assert (foreign.stat().st_gid, foreign.stat().st_mode & 0o7777) == (65534, narrower)
        # One that the process is a member of is kept, with its permissions.
        assert (own.stat().st_gid, own.stat().st_mode & 0o7777) == (23456, mode & 0o1777)


def _flag(flag: str, path: Path) -> None:
    subprocess.run(["chattr", flag, path], check=True, timeout=60, capture_output=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system with flags, which is gone at the end with all of them."""
    if (reason := mounts.missing("ext4")) is not None:
        pytest.skip(reason)
    if shutil.which("chattr") is None:
        pytest.skip("chattr is not installed")
    with mounts.mounted("ext4", tmp_path_factory.mktemp("flags")) as root:
        yield root


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.one_loop
async def test_files_that_must_not_be_changed(flag: str, disk: Path) -> None:
    """Immutable and append-only ones (chattr(1)): nothing changes, in a transaction nothing at all."""
    folder = disk / f"files-{flag}"
    folder.mkdir()
    for name in ("file", "other"):
        (folder / name).write_bytes(b"old")
    _flag(f"+{flag}", folder / "file")
    path = AsyncPath(folder, "file")
    for attempt in (
        path.write_bytes(b"new", atomic=True),
        path.write_bytes(b"new", atomic=True, durable=True, fallback="inplace"),
        path.rename(folder / "renamed", durable=True),
        path.replace(folder / "other", durable=True),
        path.exchange(folder / "other", durable=True),
    ):
        with pytest.raises(PermissionError) as caught:
            await attempt
        assert caught.value.filename == str(path)
    with pytest.raises(PermissionError):
        async with path.open_atomic("wb") as file:
            await file.write(b"new")
    for stage in ("write", "rename", "to", "remove"):
        with pytest.raises(PermissionError) as caught:  # noqa: PT012
            async with transaction(folder) as t:
                await t.write_bytes("other", b"new")
                if stage == "write":
                    await t.write_bytes("file", b"new")
                elif stage == "rename":
                    await t.rename("file", "renamed")
                elif stage == "to":
                    await t.rename("other", "file")
                else:
                    await t.remove("file")
        assert not t.committed, stage
        assert caught.value.filename == str(path), stage
    assert _content(folder) == {"file": b"old", "other": b"old"}
    assert sorted(os.listdir(folder)) == ["file", "other"]


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.one_loop
async def test_directories_that_must_not_be_changed(flag: str, disk: Path) -> None:
    """Nothing may be added to an immutable one, and nothing be replaced in an append-only one."""
    folder = disk / f"directories-{flag}"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    _flag(f"+{flag}", folder)
    path = AsyncPath(folder, "file")
    for options in ({}, {"durable": True}, {"fallback": "inplace"}):
        with pytest.raises(PermissionError):
            await path.write_bytes(b"new", atomic=True, **options)
    with pytest.raises(PermissionError):
        async with path.open_atomic("wb") as file:
            await file.write(b"new")
    with pytest.raises(PermissionError):
        async with transaction(folder) as t:
            await t.write_bytes("file", b"new")
    assert _content(folder) == {"file": b"old"}
    if flag == "a":
        await path.with_name("new").write_bytes(b"new", atomic=True, durable=True)
        assert _content(folder) == {"file": b"old", "new": b"new"}
    assert [name for name in os.listdir(folder) if name.startswith(".rapfiles")] == []
