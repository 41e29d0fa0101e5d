"""A temporary file becomes a lasting one by a link or by a new name, or nothing is changed."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from rapfiles import AsyncPath
from rapfiles.tempfile import NamedTemporaryFile, SpooledTemporaryFile, TemporaryFile
from support import mounts
from support.leaks import descriptors
from support.leftovers import becomes, entries, no_warnings, same_descriptors

MAKERS: dict[str, Callable[..., Any]] = {
    "nameless": TemporaryFile,
    "named": NamedTemporaryFile,
    "in memory": SpooledTemporaryFile,
    "rolled over": lambda **arguments: SpooledTemporaryFile(1, **arguments),
}
maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@maker
async def test_persist(make: Callable[..., Any], tmp_path: Path) -> None:
    target = tmp_path / "kept"
    async with make(dir=tmp_path) as file:
        await file.write(b"written")
        path = await file.persist(target)
        assert path == AsyncPath(target)
        assert isinstance(path, AsyncPath)
        assert target.read_bytes() == b"written"
        assert entries(tmp_path) == ["kept"]
        assert file.name == str(target)
        # It can be used as before.
        await file.write(b" and more")
        await file.seek(0)
        assert await file.read() == b"written and more"
    assert target.read_bytes() == b"written and more"
    assert entries(tmp_path) == ["kept"]


@maker
async def test_text(make: Callable[..., Any], tmp_path: Path) -> None:
    async with make(mode="w+", encoding="utf-16", dir=tmp_path) as file:
        await file.write("grün\n")
        await file.persist(tmp_path / "kept")
        await file.write("blau\n")
        await file.seek(0)
        assert await file.readline() == "grün\n"
    assert (tmp_path / "kept").read_text(encoding="utf-16") == "grün\nblau\n"


@maker
async def test_unbuffered(make: Callable[..., Any], tmp_path: Path) -> None:
    async with make(mode="w+b", buffering=0, dir=tmp_path) as file:
        await file.write(b"x" * 100_000)
        await file.persist(tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == b"x" * 100_000


@pytest.mark.one_loop
@maker
@pytest.mark.parametrize("mask", [0, 0o22, 0o77, 0o27], ids=oct)
async def test_permissions(make: Callable[..., Any], mask: int, tmp_path: Path) -> None:
    """Those of a new file by default, else what was asked for."""
    with _umask(mask):
        async with make(dir=tmp_path) as file:
            await file.persist(tmp_path / "as-new")
        async with make(dir=tmp_path) as file:
            await file.persist(tmp_path / "private", mode=0o600)
        async with make(dir=tmp_path) as file:
            await file.persist(tmp_path / "program", mode=0o755)
        (tmp_path / "new").touch()
    assert _mode(tmp_path / "as-new") == _mode(tmp_path / "new")
    assert _mode(tmp_path / "private") == 0o600
    assert _mode(tmp_path / "program") == 0o755


async def test_permissions_without_proc(tmp_path: Path) -> None:
    """Where the umask cannot be asked for, a file that is made for it tells."""
    from rapfiles.tempfile import _persist

    with _umask(0o27):
        assert _persist._probe(str(tmp_path)) == 0o640
    assert entries(tmp_path) == []


@maker
async def test_a_taken_name(make: Callable[..., Any], tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_bytes(b"was there")
    async with make(dir=tmp_path) as file:
        await file.write(b"written")
        with pytest.raises(FileExistsError) as caught:
            await file.persist(target)
        assert caught.value.errno == errno.EEXIST
        assert str(target) in (caught.value.filename, caught.value.filename2)
        assert target.read_bytes() == b"was there"
        # It is temporary as before, and as private.
        assert stat.S_IMODE(os.fstat(await _descriptor(file)).st_mode) == 0o600
        await file.write(b" more")
        assert await file.persist(target, overwrite=True) == AsyncPath(target)
        assert target.read_bytes() == b"written more"
        assert entries(tmp_path) == ["kept"]
    assert target.read_bytes() == b"written more"


async def _descriptor(file: Any) -> int:
    descriptor = file.fileno()
    return descriptor if isinstance(descriptor, int) else await descriptor


@maker
async def test_a_taken_name_and_failure(make: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    async with make(dir=tmp_path) as file:
        for overwrite in (False, True):
            with pytest.raises(OSError, match=r".") as caught:
                await file.persist(folder, overwrite=overwrite)
            assert caught.value.errno in (errno.EEXIST, errno.EISDIR)
            with pytest.raises(FileNotFoundError) as missing:
                await file.persist(tmp_path / "missing" / "kept", overwrite=overwrite)
            assert str(tmp_path / "missing") in str(missing.value)
        await file.write(b"still here")
        await file.seek(0)
        assert await file.read() == b"still here"
    assert entries(tmp_path) == ["folder"]
    assert entries(folder) == []


@maker
async def test_a_link_is_replaced_itself(make: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to("victim")
    async with make(dir=tmp_path) as file:
        await file.write(b"written")
        with pytest.raises(FileExistsError):
            await file.persist(link)
        await file.persist(link, overwrite=True)
    assert not link.is_symlink()
    assert link.read_bytes() == b"written"
    assert (tmp_path / "victim").read_bytes() == b"precious"


@maker
async def test_only_once(make: Callable[..., Any], tmp_path: Path) -> None:
    async with make(dir=tmp_path) as file:
        await file.persist(tmp_path / "kept")
        with pytest.raises(ValueError, match="not temporary any more"):
            await file.persist(tmp_path / "again")
    assert entries(tmp_path) == ["kept"]


@maker
async def test_closed(make: Callable[..., Any], tmp_path: Path) -> None:
    file = await make(dir=tmp_path)
    await file.close()
    with pytest.raises(ValueError, match="closed file"):
        await file.persist(tmp_path / "kept")
    assert entries(tmp_path) == []


async def test_closed_but_not_deleted(tmp_path: Path) -> None:
    """What another program has made of it can be kept as well."""
    async with NamedTemporaryFile(dir=tmp_path, delete_on_close=False) as file:
        await file.close()
        await file.path.write_bytes(b"by another")
        await file.persist(tmp_path / "kept")
    assert entries(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"by another"


@maker
async def test_wrong_arguments(make: Callable[..., Any], tmp_path: Path) -> None:
    async with make(dir=tmp_path) as file:
        with pytest.raises(TypeError, match="path should be str"):
            await file.persist(b"bytes")
        with pytest.raises(TypeError, match="mode must be an integer"):
            await file.persist(tmp_path / "kept", mode="600")
    assert entries(tmp_path) == []


@maker
async def test_relative_to_the_current_directory(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for overwrite in (False, True):
        async with make(dir=tmp_path) as file:
            assert await file.persist("kept", overwrite=overwrite) == AsyncPath("kept")
    assert entries(tmp_path) == ["kept"]


# Other file systems.


@pytest.mark.parametrize("name", ["nameless", "named", "rolled over"])
async def test_another_file_system(name: str, tmp_path: Path) -> None:
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "other", size=1 << 20) as other:
        async with MAKERS[name](dir=tmp_path) as file:
            await file.write(b"written")
            for overwrite in (False, True):
                with pytest.raises(OSError, match="another file system; make it there") as caught:
                    await file.persist(other / "kept", overwrite=overwrite)
                assert caught.value.errno == errno.EXDEV
                assert str(other / "kept") in (caught.value.filename, caught.value.filename2)
            await file.seek(0)
            assert await file.read() == b"written"
        assert entries(other) == []
    assert entries(tmp_path) == ["other"]


async def test_from_memory_to_any_file_system(directory: Path, tmp_path: Path) -> None:
    """Also on those where a file that never had a name can have none."""
    async with SpooledTemporaryFile(dir=tmp_path) as file:
        await file.write(b"written")
        await file.persist(directory / "kept")
        await file.write(b" and more")
        assert entries(directory) == ["kept"]
    assert (directory / "kept").read_bytes() == b"written and more"
    assert entries(tmp_path) == []


async def test_named_on_any_file_system(directory: Path) -> None:
    async with NamedTemporaryFile(dir=directory) as file:
        await file.write(b"written")
        await file.persist(directory / "kept")
    async with NamedTemporaryFile(dir=directory) as file:
        await file.write(b"later")
        with pytest.raises(FileExistsError):
            await file.persist(directory / "kept")
        await file.persist(directory / "kept", overwrite=True)
    assert (directory / "kept").read_bytes() == b"later"
    assert entries(directory) == ["kept"]


async def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT: the name is taken first, and nothing is overwritten."""

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    async with NamedTemporaryFile(dir=tmp_path) as file:
        await file.write(b"written")
        await file.persist(tmp_path / "kept")
    async with NamedTemporaryFile(dir=tmp_path) as file:
        with pytest.raises(FileExistsError):
            await file.persist(tmp_path / "kept")
    assert entries(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"written"


async def test_a_full_disk(tmp_path: Path) -> None:
    """What is buffered does not fit: the file is temporary as before, and the name is free."""
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "small", size=64 << 10) as root:
        async with SpooledTemporaryFile() as file:
            await file.write(b"x" * (1 << 20))
            with pytest.raises(OSError, match="No space left"):
                await file.persist(root / "kept")
            assert file.name is None
            await becomes(lambda: entries(root) == [], "an empty disk")
            await file.seek(0)
            assert await file.read() == b"x" * (1 << 20)
            await file.persist(tmp_path / "kept")
        assert (tmp_path / "kept").read_bytes() == b"x" * (1 << 20)


# Cancelling.


@maker
async def test_cancelled(make: Callable[..., Any], tmp_path: Path) -> None:
    """Done or not, or a little later, never by half; nothing stays open, and nothing else stays behind."""
    async with NamedTemporaryFile(dir=tmp_path) as file:
        await file.write(b"x")  # what the engine opens once for good is open now
    with no_warnings():
        before = descriptors()
        for turns in range(60):
            file = await make(dir=tmp_path)
            await file.write(b"x" * 10_000)
            async with anyio.create_task_group() as group:
                group.start_soon(file.persist, tmp_path / f"kept-{turns}")
                for _ in range(turns):
                    await anyio.sleep(0)
                group.cancel_scope.cancel()
            await file.close()
        await same_descriptors(before)
        await becomes(
            lambda: all(name.startswith("kept-") for name in entries(tmp_path)), "only what is kept"
        )
    assert {(tmp_path / name).read_bytes() for name in entries(tmp_path)} <= {b"x" * 10_000}
