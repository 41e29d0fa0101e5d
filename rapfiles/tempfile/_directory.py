"""`TemporaryDirectory`: a directory that is removed with everything in it."""

# ruff: noqa: A002  The standard library has a parameter `dir`.

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import rapfiles._native as _native

from .._path import AsyncPath
from .._threads import run_sync
from ._cleanup import Cleanup
from ._create import make_directory
from ._creation import Creation
from ._manager import TemporaryContextManager
from ._names import AnyPath, naming

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["AsyncTemporaryDirectory", "TemporaryDirectory"]

Name_co = TypeVar("Name_co", str, bytes, covariant=True)


class AsyncTemporaryDirectory(Generic[Name_co]):
    """A temporary directory: what `await TemporaryDirectory()` returns.

    `async with` removes the directory at the end of the block, and `cleanup()` removes it too. Otherwise the
    directory is removed in the background when this object is garbage-collected, or when the interpreter
    exits, with a ResourceWarning.
    """

    def __init__(self, name: Name_co, cleanup: Cleanup | None, ignore_cleanup_errors: bool) -> None:
        self._name: Name_co = name
        self._text = os.fsdecode(name)
        self._ignore_cleanup_errors = ignore_cleanup_errors
        self._delete = cleanup is not None
        self._cleanup = cleanup
        if cleanup is not None:
            # At exit, `_cleanup` removes what is still alive.
            weakref.finalize(self, cleanup.dropped).atexit = False

    @property
    def name(self) -> Name_co:
        """The absolute path as str, or as bytes if bytes were passed."""
        return self._name

    @property
    def path(self) -> AsyncPath:
        """The absolute path."""
        return AsyncPath(self._text)

    async def cleanup(self) -> None:
        """Remove the directory with everything in it, even with `delete=False`.

        No link is followed out of it, not even one that replaces a directory meanwhile. Missing permissions
        are added where the owner can do that. Another call does nothing, unless the directory exists again.

        Raises:
            OSError: Something could not be removed, and `ignore_cleanup_errors` is false.

        Cancellation:
            The removal continues in the background; the interpreter waits for it at exit.

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
            # It may have been created again, or the first attempt failed.
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
    """Create a directory that only its owner can use, and that is removed with everything in it.

    `async with` gives an `AsyncPath`, and removes the directory at the end of the block. `await` gives an
    `AsyncTemporaryDirectory`, which has `name`, `path` and `cleanup()`.

    The removal starts at the end of the block even if the task is being cancelled; then the task does not
    wait for it, it continues in the background, and the interpreter waits for it at exit. If the creation is
    cancelled, no directory is left.

    Args:
        suffix: The end of the name.
        prefix: The start of the name; by default `gettempprefix()`.
        dir: The directory to make it in; by default `gettempdir()`. The three may be bytes, but then all of
            them.
        ignore_cleanup_errors: Remove as much as possible, and ignore errors.
        delete: Whether it is removed; `False` leaves that to `cleanup()`.

    Returns:
        An object to be awaited or entered; nothing happens before that.

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

    def make() -> tuple[Any, Cleanup]:
        name = make_directory(names)
        return name, _cleanup(name, ignore_cleanup_errors)

    name, cleanup = await Creation(make).run()
    if not delete:
        cleanup.keep()
        return AsyncTemporaryDirectory(name, None, ignore_cleanup_errors)
    # No caller could have requested the removal before this point.
    cleanup.warn(f"Implicitly cleaning up {_representation(name)}")
    return AsyncTemporaryDirectory(name, cleanup, ignore_cleanup_errors)
