"""`TemporaryDirectory`: a directory that is removed with everything in it."""

# ruff: noqa: A002  The standard library has a parameter `dir`.

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import rapfiles._native as _native

from .._path import AsyncPath
from .._threads import run_sync
from .._undoable import Undoable
from ._cleanup import Cleanup
from ._create import make_directory
from ._manager import TemporaryContextManager
from ._names import AnyPath, naming

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["AsyncTemporaryDirectory", "TemporaryDirectory"]

Name_co = TypeVar("Name_co", str, bytes, covariant=True)


class AsyncTemporaryDirectory(Generic[Name_co]):
    """A temporary directory: what `await TemporaryDirectory()` returns.

    `async with` removes the directory at the end of the block, and so does `cleanup()`. If neither is done,
    the directory is removed, in the background, when this object is garbage, or when the interpreter ends;
    then there is a ResourceWarning as well.
    """

    def __init__(self, name: Name_co, cleanup: Cleanup | None, ignore_cleanup_errors: bool) -> None:
        self._name: Name_co = name
        self._text = os.fsdecode(name)
        self._ignore_cleanup_errors = ignore_cleanup_errors
        self._delete = cleanup is not None
        self._cleanup = cleanup
        if cleanup is not None:
            # What is alive at exit is seen to by the cleanups themselves.
            weakref.finalize(self, cleanup.dropped).atexit = False

    @property
    def name(self) -> Name_co:
        """The absolute path as text, or as bytes where bytes were given."""
        return self._name

    @property
    def path(self) -> AsyncPath:
        """The absolute path."""
        return AsyncPath(self._text)

    async def cleanup(self) -> None:
        """Remove the directory with everything in it, also where `delete=False` was said.

        No link is followed out of it, not even if it takes the place of a directory meanwhile. What its owner
        lacks permission for is given it. Another call does nothing, unless the directory is there again.

        Raises:
            OSError: Something could not be removed, and `ignore_cleanup_errors=True` was not said.

        Cancellation:
            Removing goes on in the background; if the interpreter ends before that is done, it waits.

        ```python
        from rapfiles.tempfile import TemporaryDirectory

        temporary = await TemporaryDirectory(dir=directory)
        await (temporary.path / "file").write_bytes(b"data")
        await temporary.cleanup()
        assert not await temporary.path.exists()
        ```
        """
        cleanup = self._cleanup
        if cleanup is None or not cleanup.there:
            # It may have been made again, or the first attempt failed.
            if not await run_sync(os.path.lexists, self._text):
                return
            self._cleanup = cleanup = _cleanup(self._text, self._ignore_cleanup_errors)
        await cleanup.finish(lambda: _native.remove_tree(self._text, self._ignore_cleanup_errors))

    async def __aenter__(self) -> AsyncPath:
        return self.path

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._delete:
            await self.cleanup()

    def __repr__(self) -> str:
        return _representation(self._name)


def _representation(name: str | bytes) -> str:
    return f"<TemporaryDirectory {name!r}>"


def _cleanup(name: str | bytes, ignore_errors: bool) -> Cleanup:
    text = os.fsdecode(name)
    return Cleanup(lambda: _native.remove_tree_here(text, ignore_errors))


@overload
def TemporaryDirectory(  # pyright: ignore[reportOverlappingOverload]  where all are left out, this one holds
    suffix: str | None = None,
    prefix: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    ignore_cleanup_errors: bool = False,
    *,
    delete: bool = True,
) -> TemporaryContextManager[AsyncTemporaryDirectory[str], AsyncPath]: ...
@overload
def TemporaryDirectory(
    suffix: bytes | None = None,
    prefix: bytes | None = None,
    dir: bytes | os.PathLike[bytes] | None = None,
    ignore_cleanup_errors: bool = False,
    *,
    delete: bool = True,
) -> TemporaryContextManager[AsyncTemporaryDirectory[bytes], AsyncPath]: ...
def TemporaryDirectory(  # noqa: N802
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    ignore_cleanup_errors: bool = False,
    *,
    delete: bool = True,
) -> TemporaryContextManager[Any, AsyncPath]:
    """Make a directory that only its owner can use, and that is removed with everything in it.

    With `async with` it is an `AsyncPath`, and goes at the end of the block. With `await` it is an
    `AsyncTemporaryDirectory`, which has `name`, `path` and `cleanup()`.

    Removing starts at the end of the block even if the task is being cancelled; then it is not waited for,
    but goes on in the background, and the interpreter does not end before it is done. Cancelled while it is
    made, no directory is left.

    Args:
        suffix: What the name ends with.
        prefix: What the name begins with; by default `gettempprefix()`.
        dir: The directory to make it in; by default `gettempdir()`. The three may be bytes, but then all of
            them.
        ignore_cleanup_errors: Remove as much as can be removed, and say nothing of the rest.
        delete: Whether it is removed; `False` leaves that to `cleanup()`.

    Returns:
        What is to be awaited or entered; nothing happens before that.

    Raises:
        OSError: The directory cannot be made or, at the end of the block, not be removed.
        TypeError: Some of the three are bytes and some are not.

    ```python
    from rapfiles.tempfile import TemporaryDirectory

    async with TemporaryDirectory(prefix="work-", dir=directory) as path:
        await (path / "draft.txt").write_text("not for long")
    assert not await path.exists()
    ```
    """
    return TemporaryContextManager(
        "TemporaryDirectory", _temporary_directory(suffix, prefix, dir, ignore_cleanup_errors, delete)
    )


async def _temporary_directory(
    suffix: str | bytes | None,
    prefix: str | bytes | None,
    dir: AnyPath | None,
    ignore_cleanup_errors: bool,
    delete: bool,
) -> AsyncTemporaryDirectory[Any]:
    names = await naming(suffix, prefix, dir)

    def make() -> tuple[Any, Cleanup | None]:
        # In one call, so that the directory is never without what removes it.
        name = make_directory(names)
        return name, _cleanup(name, ignore_cleanup_errors) if delete else None

    name, cleanup = await Undoable(make, _unmake).run()
    if cleanup is not None:
        # Until here no caller could have asked for its removal.
        cleanup.warn(f"Implicitly cleaning up {_representation(name)}")
    return AsyncTemporaryDirectory(name, cleanup, ignore_cleanup_errors)


def _unmake(made: tuple[Any, Cleanup | None]) -> None:
    name, cleanup = made
    if cleanup is None:
        os.rmdir(name)
    else:
        cleanup.remove()
