"""`TemporaryFile` and `NamedTemporaryFile`: files that are deleted when they are closed."""

# ruff: noqa: A002  The standard library has a parameter `dir`.

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from errno import EEXIST, EISDIR, EOPNOTSUPP
from functools import partial
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import rapfiles._native as _native

from .._arguments import path_text, permissions
from .._open import open as open_file
from .._path import AsyncPath
from .._threads import in_background, run_sync
from .._undoable import close_descriptor
from ._cleanup import Cleanup
from ._create import BINARY_FLAGS, FILE_MODE, collides
from ._creation import Creation
from ._manager import TemporaryContextManager
from ._names import AnyPath, Naming, naming
from ._persist import give_name

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType
    from typing import Self

    from .. import AsyncBufferedRandom, AsyncFileIO, AsyncTextIOWrapper
    from .._arguments import StrPath
    from .._open import OpenBinaryMode, OpenTextMode

    # A temporary file delegates to the file inside it: only for type checkers it inherits from its class.
    _Text = AsyncTextIOWrapper
    _Binary = AsyncBufferedRandom
    _Raw = AsyncFileIO
else:
    _Text = _Binary = _Raw = object

__all__ = [
    "NamedTemporaryFile",
    "Opening",
    "TemporaryBinaryFile",
    "TemporaryFile",
    "TemporaryRawFile",
    "TemporaryTextFile",
    "open_named",
    "open_persistable",
    "open_temporary",
]

_WINDOWS: Final = sys.platform == "win32"
# On these systems a file cannot be unlinked while it is open.
_ALWAYS_NAMED: Final = os.name != "posix" or sys.platform == "cygwin"
_O_TMPFILE: Final[int] = getattr(os, "O_TMPFILE", 0)
_O_TEMPORARY: Final[int] = getattr(os, "O_TEMPORARY", 0)

# Directories on file systems without O_TMPFILE; at most a few of them.
_without_nameless: set[str] = set()
_MOST_REMEMBERED: Final = 1000


class _Temporary:
    """A rapfiles file that is deleted at the end. Everything else is delegated to the file."""

    def __init__(
        self,
        file: Any,
        name: str | bytes | int,
        cleanup: Cleanup | None,
        delete_on_close: bool,
        nameable: bool,
    ) -> None:
        self.file = file
        self._name = name
        self._cleanup = cleanup
        self._delete_on_close = delete_on_close
        self._nameable = nameable
        self._persisted = False
        if cleanup is not None:
            # At exit, `_cleanup` removes what is still alive.
            weakref.finalize(self, cleanup.dropped).atexit = False

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            value = getattr(self.__dict__["file"], name)
            if callable(value):
                # Bound methods are cached, so that calls in a loop cost the same as without this class.
                setattr(self, name, value)
            return value

        def __aiter__(self) -> Any:
            return self.file.__aiter__()

    @property
    def name(self) -> str | bytes | int:
        """As in the standard library: the path of a named file, the descriptor of an unnamed one.

        After `persist` it is the new path.
        """
        return self._name

    @property
    def path(self) -> AsyncPath | None:
        """The path of the file; None for one that has no name."""
        return None if isinstance(self._name, int) else AsyncPath(os.fsdecode(self._name))

    async def close(self) -> None:
        """Write the buffer, close the file and, depending on `delete` and `delete_on_close`, delete it.

        Closing again does nothing.

        Raises:
            OSError: Something could not be written; the file is closed and deleted nevertheless.

        Cancellation:
            The file is closed and deleted in the background.

        ```python
        from rapfiles.tempfile import NamedTemporaryFile

        file = await NamedTemporaryFile(dir=directory)
        await file.close()
        assert not await file.path.exists()
        ```
        """
        await self._end(self.file.close(), self._delete_on_close)

    aclose = close

    async def persist(self, path: StrPath, *, overwrite: bool = False, mode: int | None = None) -> AsyncPath:
        """Make the file permanent: give it a name, and do not delete it.

        The buffer is written first. Nothing is copied: the file is linked to its new name or renamed, so the
        name must be on the same file system; create the file there, with `dir=`. The handle can be used as
        before. Others see the file under its name only with everything that was written until then. It is not
        forced to the device; use `sync()` for that.

        A `TemporaryFile` can be given a name only if it was created without one (`O_TMPFILE`), as on the
        usual file systems of Linux; a `NamedTemporaryFile` everywhere.

        Args:
            path: The name.
            overwrite: Whether to replace an existing file: atomically, except on Windows. A symbolic link is
                replaced itself.
            mode: The permissions. By default those of any new file: `0o666` reduced by the umask. While the
                file is temporary, only its owner can read it; pass `mode=0o600` to keep it like that. No
                effect on Windows.

        Returns:
            The path as given.

        Raises:
            FileExistsError: The name is taken, and `overwrite` is false.
            OSError: With `errno` EXDEV, the path is on another file system. With others, the buffer cannot be
                written, or the file cannot be created there. The file is still temporary then.
            io.UnsupportedOperation: This file cannot be given a name.
            ValueError: It is closed and deleted, or already permanent.

        Cancellation:
            It may have happened or not, or happen a little later, but never in part.

        ```python
        from rapfiles.tempfile import NamedTemporaryFile

        async with NamedTemporaryFile("w", dir=directory, encoding="utf-8") as file:
            await file.write("report")
            path = await file.persist(directory / "report.txt")
        assert await path.read_text(encoding="utf-8") == "report"
        ```
        """
        target = path_text("path", path)
        bits = None if mode is None else permissions("mode", mode)
        if self._persisted:
            raise ValueError("this file is not temporary any more")
        descriptors: list[int] = []
        if not self.file.closed:
            if not self._nameable:
                raise UnsupportedOperation(
                    "A TemporaryFile of this file system or platform can have no name; "
                    "use NamedTemporaryFile for what may have to last"
                )
            await self.file.flush()
            descriptors.append(os.dup(self.file.fileno()))
        elif self._cleanup is None or not self._cleanup.there:
            raise ValueError("I/O operation on closed file.")
        name = None if isinstance(self._name, int) else os.fsdecode(self._name)

        def work() -> None:
            descriptor = _taken(descriptors)
            try:
                give_name(descriptor, name, target, overwrite, bits)
                self._settle(target)
            finally:
                if descriptor is not None:
                    os.close(descriptor)

        try:
            await run_sync(work)
        finally:
            # Still set if the work was not begun. Closing may block.
            if (descriptor := _taken(descriptors)) is not None:
                in_background(partial(close_descriptor, descriptor))
        return AsyncPath(target)

    def _settle(self, target: str) -> None:
        """Note that the file has its final name."""
        self._persisted = True
        self._name = target
        # On Windows the name that it had is still there, and goes as it would have gone.
        if self._cleanup is not None and not _WINDOWS:
            self._cleanup.keep()

    async def _end(self, closing: Any, delete: bool) -> None:
        cleanup = self._cleanup if delete else None
        if cleanup is None:
            await closing
            return
        try:
            await closing
        except Exception:
            await cleanup.finish(self._unlink)
            raise
        except BaseException:
            cleanup.remove_later()
            raise
        await cleanup.finish(self._unlink)

    def _unlink(self) -> Awaitable[None]:
        assert not isinstance(self._name, int), "a file without a name leaves nothing"
        return _native.unlink(os.fsdecode(self._name), True)

    async def __aenter__(self) -> Self:
        if self.file.closed:
            raise ValueError("I/O operation on closed file.")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end(self.file.__aexit__(kind, error, traceback), delete=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.file!r}>"


# Closing is more than the native operation, hence a coroutine: type checkers are told to overlook that.


class TemporaryTextFile(_Temporary, _Text):  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride]
    """A temporary file in text mode.

    It has all members of `AsyncTextIOWrapper`, and `persist`, `path` and `file`.
    """


class TemporaryBinaryFile(_Temporary, _Binary):  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride]
    """A temporary file in binary mode.

    It has all members of `AsyncBufferedRandom`, and `persist`, `path` and `file`. With a mode that only reads
    or only writes, it has those of `AsyncBufferedReader` or `AsyncBufferedWriter`.
    """


class TemporaryRawFile(_Temporary, _Raw):  # type: ignore[misc]  # pyright: ignore[reportIncompatibleMethodOverride]
    """A temporary file without a buffer.

    It has all members of `AsyncFileIO`, and `persist`, `path` and `file`.
    """


def _taken(descriptors: list[int]) -> int | None:
    """The descriptor, for the first caller, which has to close it."""
    try:
        return descriptors.pop()
    except IndexError:
        return None


class Opening:
    """How to open a temporary file: the arguments of `open`, except for the name."""

    def __init__(
        self, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
    ) -> None:
        self._arguments: Any = {
            "mode": mode,
            "buffering": buffering,
            "encoding": encoding,
            "errors": errors,
            "newline": newline,
        }

    async def open(self, name: Any, opener: Any) -> Any:
        """The open file."""
        open_any: Any = open_file
        return await open_any(name, **self._arguments, opener=opener)

    def nameless(self, file: Any, nameable: bool) -> Any:
        """The temporary file with an open file inside whose name is its descriptor, as tempfile has it."""
        number = file.fileno()
        file._file.name = number  # not the directory that it was opened in
        return self.temporary(file, number, nameable=nameable)

    def temporary(
        self,
        file: Any,
        name: str | bytes | int,
        cleanup: Cleanup | None = None,
        delete_on_close: bool = True,
        nameable: bool = True,
    ) -> Any:
        """The temporary file that has an open file inside."""
        kind: Any
        if "b" not in self._arguments["mode"]:
            kind = TemporaryTextFile
        else:
            kind = TemporaryRawFile if self._arguments["buffering"] == 0 else TemporaryBinaryFile
        return kind(file, name, cleanup, delete_on_close, nameable)


class _TakenError(Exception):
    """A name could not be used, but another may work."""


class _NamelessError(Exception):
    """The file system has no files without a name."""


async def open_temporary(opening: Opening, names: Naming) -> Any:
    """Open a new file that is deleted when it is closed, and whose name, if it has one, is not needed."""
    if _ALWAYS_NAMED:
        return await open_named(opening, names)

    nameable = True

    def opener(_name: object, _flags: int) -> int:
        nonlocal nameable
        try:
            return _open_nameless(names)
        except _NamelessError:
            nameable = False
            return _open_unlinked(names)

    return opening.nameless(await opening.open(names.directory, opener), nameable)


async def open_persistable(opening: Opening, names: Naming) -> Any:
    """Open a new file that is deleted when it is closed and can be given a name, by a link or by renaming
    it."""

    def opener(_name: object, _flags: int) -> int:
        return _open_nameless(names)

    try:
        file = await opening.open(names.directory, opener)
    except _NamelessError:
        return await open_named(opening, names)
    return opening.nameless(file, nameable=True)


def _open_nameless(names: Naming) -> int:
    """Open a file that never had a name, in this thread."""
    if not _O_TMPFILE or names.text in _without_nameless:
        raise _NamelessError
    try:
        # Not O_EXCL: with O_TMPFILE it means that the file can never be given a name (open(2)).
        return os.open(names.directory, BINARY_FLAGS & ~os.O_CREAT & ~os.O_EXCL | _O_TMPFILE, FILE_MODE)
    except OSError as error:
        # The file system (EOPNOTSUPP) or the kernel (EISDIR) does not support it (open(2), O_TMPFILE). Other
        # errors may be temporary; creating a file with a name raises them.
        if error.errno in (EOPNOTSUPP, EISDIR):
            _remember(names.text)
        raise _NamelessError from error


def _open_unlinked(names: Naming) -> int:
    """Open a file that has a name only for a moment, in this thread."""
    for path in names.candidates():
        sys.audit("tempfile.mkstemp", path)
        try:
            descriptor = os.open(path, BINARY_FLAGS, FILE_MODE)
        except OSError as error:
            if not collides(error, names.directory):
                raise
            continue
        try:
            os.unlink(path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    raise FileExistsError(EEXIST, "No usable temporary file name found")


def _remember(directory: str) -> None:
    if len(_without_nameless) >= _MOST_REMEMBERED:
        _without_nameless.clear()
    _without_nameless.add(directory)


async def open_named(
    opening: Opening, names: Naming, delete: bool = True, delete_on_close: bool = True
) -> Any:
    """Open a new file that has a name."""
    # Windows deletes such a file itself.
    by_system = _WINDOWS and delete and delete_on_close
    flags = BINARY_FLAGS | (_O_TEMPORARY if by_system else 0)
    for path in names.candidates():
        made = Creation(partial(_make, path, flags, names.directory))
        cleanups: list[Cleanup] = []

        def opener(
            _name: object,
            _flags: int,
            made: Creation[int] = made,
            cleanups: list[Cleanup] = cleanups,
        ) -> int:
            descriptor, cleanup = made()
            cleanups.append(cleanup)
            return descriptor

        try:
            file = await opening.open(path, opener)
        except _TakenError:
            continue
        except Exception:
            await made.take_back()
            raise
        except BaseException:
            made.abandon()
            raise
        cleanup = cleanups[0]
        if by_system or not delete:
            cleanup.keep()
            return opening.temporary(file, path)
        return opening.temporary(file, path, cleanup, delete_on_close)
    raise FileExistsError(EEXIST, "No usable temporary file name found")


def _make(path: str | bytes, flags: int, directory: str | bytes) -> tuple[int, Cleanup]:
    sys.audit("tempfile.mkstemp", path)
    try:
        descriptor = os.open(path, flags, FILE_MODE)
    except OSError as error:
        if collides(error, directory):
            raise _TakenError from error
        raise
    return descriptor, Cleanup(lambda: _unlink(path))


def _unlink(path: str | bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@overload
def TemporaryFile(
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: str | None = None,
) -> TemporaryContextManager[TemporaryTextFile, TemporaryTextFile]: ...
@overload
def TemporaryFile(
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: None = None,
) -> TemporaryContextManager[TemporaryRawFile, TemporaryRawFile]: ...
@overload
def TemporaryFile(
    mode: OpenBinaryMode = "w+b",
    *,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    errors: None = None,
) -> TemporaryContextManager[TemporaryRawFile, TemporaryRawFile]: ...
@overload
def TemporaryFile(
    mode: OpenBinaryMode = "w+b",
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: None = None,
) -> TemporaryContextManager[TemporaryBinaryFile, TemporaryBinaryFile]: ...
@overload
def TemporaryFile(
    mode: OpenBinaryMode = "w+b",
    buffering: int = -1,
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: None = None,
) -> TemporaryContextManager[
    TemporaryBinaryFile | TemporaryRawFile, TemporaryBinaryFile | TemporaryRawFile
]: ...
@overload
def TemporaryFile(
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: str | None = None,
) -> TemporaryContextManager[Any, Any]: ...
def TemporaryFile(  # noqa: N802
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: str | None = None,
) -> TemporaryContextManager[Any, Any]:
    """Open a new file that has no name and is deleted when it is closed, however the process ends.

    Only its owner can read and write it. If the file system supports it (Linux's `O_TMPFILE`), the file never
    has a name; otherwise it has one for a moment. On Windows this is `NamedTemporaryFile`, as in the standard
    library. `persist` gives the file a name, and so makes it permanent.

    Args:
        mode: As for `open`, but the file is always new.
        buffering: As for `open`.
        encoding: As for `open`.
        newline: As for `open`.
        suffix: The end of the name, if it has one.
        prefix: The start of the name, if it has one; by default `gettempprefix()`.
        dir: The directory to make it in; by default `gettempdir()`. The three may be bytes, but then all of
            them.
        errors: As for `open`.

    Returns:
        An object to be awaited or entered that gives a `TemporaryTextFile`, `TemporaryBinaryFile` or
        `TemporaryRawFile`; nothing happens before that.

    Raises:
        OSError: The file cannot be created.
        TypeError: Some of the three are bytes and some are not.
        ValueError: The arguments of `open` cannot be combined.

    Cancellation:
        Nothing is left.

    ```python
    from rapfiles.tempfile import TemporaryFile

    async with TemporaryFile(dir=directory) as file:
        await file.write(b"between times")
        await file.seek(0)
        assert await file.read() == b"between times"
    assert [path async for path in directory.iterdir()] == []
    ```
    """
    opening = Opening(mode, buffering, encoding, errors, newline)
    return TemporaryContextManager("TemporaryFile", _temporary_file(opening, suffix, prefix, dir))


async def _temporary_file(
    opening: Opening, suffix: str | bytes | None, prefix: str | bytes | None, dir: AnyPath | None
) -> Any:
    return await open_temporary(opening, await naming(suffix, prefix, dir))


@overload
def NamedTemporaryFile(
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    *,
    errors: str | None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[TemporaryTextFile, TemporaryTextFile]: ...
@overload
def NamedTemporaryFile(
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    *,
    errors: None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[TemporaryRawFile, TemporaryRawFile]: ...
@overload
def NamedTemporaryFile(
    mode: OpenBinaryMode = "w+b",
    *,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    errors: None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[TemporaryRawFile, TemporaryRawFile]: ...
@overload
def NamedTemporaryFile(
    mode: OpenBinaryMode = "w+b",
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    *,
    errors: None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[TemporaryBinaryFile, TemporaryBinaryFile]: ...
@overload
def NamedTemporaryFile(
    mode: OpenBinaryMode = "w+b",
    buffering: int = -1,
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    *,
    errors: None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[
    TemporaryBinaryFile | TemporaryRawFile, TemporaryBinaryFile | TemporaryRawFile
]: ...
@overload
def NamedTemporaryFile(
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    *,
    errors: str | None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[Any, Any]: ...
def NamedTemporaryFile(  # noqa: N802
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    delete: bool = True,
    *,
    errors: str | None = None,
    delete_on_close: bool = True,
) -> TemporaryContextManager[Any, Any]:
    """Open a new file that has a name, and that is deleted when it is closed.

    Only its owner can read and write it. If it is not closed, it is deleted when it is garbage-collected, and
    when the interpreter exits; but not when the process is killed, except on Windows. `persist` makes it
    permanent.

    The deletion starts at the end of the block even if the task is being cancelled; then the task does not
    wait for it. If the creation is cancelled, no file is left.

    Args:
        mode: As for `open`, but the file is always new.
        buffering: As for `open`.
        encoding: As for `open`.
        newline: As for `open`.
        suffix: The end of the name.
        prefix: The start of the name; by default `gettempprefix()`.
        dir: The directory to make it in; by default `gettempdir()`. The three may be bytes, but then all of
            them.
        delete: Whether it is deleted at all.
        errors: As for `open`.
        delete_on_close: Whether it is deleted when it is closed; otherwise at the end of the `async with`
            block, or when it is garbage-collected. Works on every Python; the standard library has it since
            3.12. On Windows others can open the file by its name only with `False`.

    Returns:
        An object to be awaited or entered that gives a `TemporaryTextFile`, `TemporaryBinaryFile` or
        `TemporaryRawFile`; nothing happens before that. Its `name` is a str, or bytes where bytes were given;
        its `path` is an `AsyncPath`.

    Raises:
        OSError: The file cannot be created.
        FileExistsError: All of the many names that were tried are taken.
        TypeError: Some of the three are bytes and some are not.
        ValueError: The arguments of `open` cannot be combined.

    ```python
    from rapfiles.tempfile import NamedTemporaryFile

    making = NamedTemporaryFile("w", suffix=".csv", dir=directory, delete_on_close=False)
    async with making as file:
        await file.write("1;2;3")
        await file.close()
        assert await file.path.read_text() == "1;2;3"
    assert not await file.path.exists()
    ```
    """
    opening = Opening(mode, buffering, encoding, errors, newline)
    return TemporaryContextManager(
        "NamedTemporaryFile", _named_file(opening, suffix, prefix, dir, delete, delete_on_close)
    )


async def _named_file(
    opening: Opening,
    suffix: str | bytes | None,
    prefix: str | bytes | None,
    dir: AnyPath | None,
    delete: bool,
    delete_on_close: bool,
) -> Any:
    return await open_named(opening, await naming(suffix, prefix, dir), delete, delete_on_close)
