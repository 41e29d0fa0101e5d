"""What is said to whoever replaces a file: its lock stays behind, and a mount point cannot be replaced."""

import errno
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from rapfiles import AsyncPath, transaction
from support import mounts

Act = Callable[[AsyncPath], Awaitable[Any]]


def _source(path: AsyncPath) -> AsyncPath:
    """Another file in the same folder."""
    return path.with_name("source")


async def _open_atomic(path: AsyncPath) -> None:
    async with path.open_atomic("wb") as file:
        await file.write(b"new")


def _staged(stage: Callable[[rapfiles.Transaction, str], Awaitable[Any]], swap: bool = False) -> Act:
    async def act(path: AsyncPath) -> None:
        async with transaction(path.parent, swap=swap) as t:
            await stage(t, path.name)

    return act


_STAGED: dict[str, Act] = {
    "transaction.write_bytes": _staged(lambda t, name: t.write_bytes(name, b"new")),
    "transaction.write_text": _staged(lambda t, name: t.write_text(name, "new")),
    "transaction.copy": _staged(lambda t, name: t.copy("source", name)),
    "transaction.rename": _staged(lambda t, name: t.rename("source", name)),
}
_NAMES: dict[str, Act] = {
    "copy": lambda path: _source(path).copy(path, atomic=True),
    "copy with progress": lambda path: _source(path).copy(path, atomic=True, progress=lambda _: None),
    "move": lambda path: _source(path).move(path),
    "rename": lambda path: _source(path).rename(path),
    "replace": lambda path: _source(path).replace(path),
    "durable replace": lambda path: _source(path).replace(path, durable=True),
}
REPLACING: dict[str, Act] = {
    "write_bytes": lambda path: path.write_bytes(b"new", atomic=True),
    "write_text": lambda path: path.write_text("new", atomic=True),
    "open_atomic": _open_atomic,
    "copy_into": lambda path: _into(path),
    "swap": _staged(lambda t, name: t.append_bytes(name, b"new"), swap=True),
    **_STAGED,
    **_NAMES,
}


async def _into(path: AsyncPath) -> None:
    await (path.parent / "inner" / path.name).copy_into(path.parent, atomic=True)


STAYING: dict[str, Act] = {
    "write_bytes": lambda path: path.write_bytes(b"new"),
    "copy": lambda path: _source(path).copy(path),
    "append": _staged(lambda t, name: t.append_bytes(name, b"new")),
    "append_text": _staged(lambda t, name: t.append_text(name, "new")),
    "another": lambda path: _source(path).write_bytes(b"new", atomic=True),
    "rename away": lambda path: path.rename(path.with_name("renamed")),
}


@pytest.fixture
def path(tmp_path: Path) -> AsyncPath:
    """A file; there is another one beside it, and one of its name in a folder."""
    (tmp_path / "inner").mkdir()
    for name in ("data", "source", "inner/data"):
        (tmp_path / name).write_bytes(b"old")
    return AsyncPath(tmp_path, "data")


@pytest.mark.parametrize("replace", REPLACING.values(), ids=REPLACING)
@pytest.mark.one_loop
async def test_of_a_locked_file(replace: Act, path: AsyncPath) -> None:
    inode = (await path.stat()).st_ino
    async with path.lock():
        with pytest.warns(RuntimeWarning, match="stays with the old file") as caught:
            await replace(path)
    assert [warning.filename for warning in caught] == [__file__]
    assert (await path.stat()).st_ino != inode


@pytest.mark.parametrize("how", ["range", "shared", "handle", "range of handle"])
@pytest.mark.one_loop
async def test_whatever_lock_it_is(how: str, path: AsyncPath) -> None:
    async with rapfiles.open(path, "r+b") as file:
        lock = {
            "range": path.lock(range=(5, 3)),
            "shared": path.lock(shared=True),
            "handle": file.lock(),
            "range of handle": file.lock(range=(5, 0)),
        }[how]
        async with lock:
            with pytest.warns(RuntimeWarning, match="stays with the old file"):
                await path.write_bytes(b"new", atomic=True)


@pytest.mark.parametrize("write", STAYING.values(), ids=STAYING)
@pytest.mark.one_loop
async def test_not_where_the_lock_stays(write: Act, path: AsyncPath) -> None:
    async with path.lock():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await write(path)


@pytest.mark.one_loop
async def test_not_where_nothing_is_replaced(path: AsyncPath) -> None:
    async with path.lock():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(FileExistsError):
                await path.write_bytes(b"new", atomic=True, overwrite=False)
            with pytest.raises(FileExistsError):
                await path.write_text("new", atomic=True, overwrite=False)
            with pytest.raises(FileExistsError):
                async with path.open_atomic("xb"):
                    pass
    assert await path.read_bytes() == b"old"


@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
@pytest.mark.one_loop
async def test_of_a_mount_point(path: AsyncPath) -> None:
    folder = Path(path.parent)
    outside = folder / "inner" / "data"
    names: dict[str, Act] = {
        **_NAMES,
        "rename away": lambda path: path.rename(path.with_name("renamed")),
        "exchange": lambda path: path.exchange(_source(path)),
    }
    staged: dict[str, Act] = {
        **_STAGED,
        "append_bytes": _staged(lambda t, name: t.append_bytes(name, b"new")),
        "remove": _staged(lambda t, name: t.remove(name)),
    }
    with mounts.mounted_on_file(outside, folder / "data"):
        for code, acts in ((errno.EBUSY, names), (errno.EXDEV, staged)):
            for name, act in acts.items():
                with pytest.raises(OSError, match="Errno") as caught:
                    await act(path)
                assert caught.value.errno == code, name
                notes = caught.value.__notes__
                assert ["mount the directory instead" in note for note in notes] == [True], name
        assert outside.read_bytes() == b"old"
    assert sorted(path.name for path in folder.iterdir()) == ["data", "inner", "source"]


@pytest.mark.one_loop
async def test_other_errors_are_left_alone(path: AsyncPath) -> None:
    for act in (
        path.with_name("missing").replace(path),
        path.with_name("missing").copy(path, atomic=True),
        _source(path).exchange(path.with_name("missing")),
        _staged(lambda t, name: t.rename("missing", name))(path),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            await act
        assert not hasattr(caught.value, "__notes__")
