"""`AsyncPath`: pathlib's path with awaitable input and output."""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The argument checks test at run time what the annotations promise.

from __future__ import annotations

import errno
import os
import sys
from io import text_encoding
from operator import index
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from typing import TYPE_CHECKING, Any, Final, Literal, Self, SupportsIndex, TypeVar, overload

import rapfiles._native as _native

from ._arguments import (
    StrPath,
    account,
    attribute_name,
    c_integer,
    in_one_piece,
    one_of,
    path_text,
    permissions,
)
from ._atomic import atomic_options
from ._atomic import write_bytes as write_bytes_atomically
from ._atomic import write_text as write_text_atomically
from ._atomic_open import open_atomic
from ._copying import copy_path, target_in
from ._find import ReportedSearch, TreeSearch
from ._glob import GlobIterator, ReportedGlob
from ._info import PathInfo
from ._iterdir import DirectoryIterator
from ._lock import FileLock, checked_range, warn_of_lock
from ._mounted import NAMES, explained
from ._open import announced, open
from ._pure.lexical import LexicalPath
from ._removing import remove
from ._scandir import DirectoryScan, ReportedScan
from ._text import decode, native_codec, write_natively
from ._text import read as read_with_python
from ._text import write as write_with_python
from ._times import nanoseconds
from ._tree import callback, most_entries
from ._tree import wanted as tree_wanted
from ._unsupported import unsupported
from ._usage import DiskUsage, disk_usage
from ._walk import DirectoryWalk, ReportedWalk

if TYPE_CHECKING:
    from _typeshed import OpenBinaryModeUpdating, OpenBinaryModeWriting
    from typing_extensions import Buffer

    from ._atomic_open import (
        AtomicBinaryMode,
        AtomicBinaryModeUpdating,
        AtomicBinaryModeWriting,
        AtomicFileContextManager,
        AtomicTextMode,
    )
    from ._file import (
        AsyncBufferedRandom,
        AsyncBufferedReader,
        AsyncBufferedWriter,
        AsyncFileIO,
        AsyncTextIOWrapper,
    )
    from ._open import FileContextManager, OpenBinaryMode, OpenBinaryModeReading, OpenTextMode
    from ._progress import ErrorCallback, Ignore, ProgressCallback
    from ._removing import OnExc
    from ._scandir import AsyncDirEntry
    from ._stream import Stream
    from ._tree import Globs, Kinds, Moment, OnError

P = TypeVar("P", bound="AsyncPath")

__all__ = ["AsyncPath"]

# What depends on the version of the interpreter's pathlib.
_RULES: Final = sys.version_info[1]
_TOLERANT: Final = sys.version_info >= (3, 14)  # predicates answer every error with False
_MODERN_MOUNT: Final = sys.version_info >= (3, 12) or sys.platform == "win32"
_RETURNS_TARGET: Final = sys.version_info >= (3, 14)  # rename and replace do, if it is a path
_LINKS_TO_TARGET_OF_LINK: Final = sys.platform == "darwin" or (
    sys.version_info >= (3, 14) and sys.platform != "win32"
)
_CHMOD_ON_LINKS: Final = sys.version_info >= (3, 13) or sys.platform != "win32"

_ANY_TYPE: Final = 0
_WINDOWS_LOOP: Final = 1921
_ALLOW_MISSING: Final = getattr(os.path, "ALLOW_MISSING", object())
_ALL_BUT_LAST: Final = getattr(os.path, "ALL_BUT_LAST", object())


class AsyncPath(LexicalPath):
    """A path of this platform whose input and output is awaited.

    Everything else (joining, parts, matching, comparison, hashing and pickling) is inherited from the running
    interpreter's own `pathlib.PurePath`. Methods have pathlib's names, parameters, results and errors.
    Methods and parameters of newer versions of pathlib are added where the running one lacks them.

    Any number of tasks may use one path at once. Awaiting works in tasks of asyncio (and uvloop) and trio;
    elsewhere it raises RuntimeError. Nothing that waits for a device, a network or another process runs on
    the event loop's thread.

    **Cancelling** an operation ends the wait at once. An operation that no worker has begun is dropped, and
    so has no effect; one that has begun finishes in the background, and whatever it opened is closed. Each
    method that changes something documents what that may leave on the disk; reading leaves nothing.

    **Errors** are those of pathlib: OSError and its subclasses with `errno`, `strerror`, `filename` and,
    where there are two paths, `filename2`; ValueError for paths with a null character.

    ```python
    path = AsyncPath(directory, "greeting.txt")
    await path.write_text("hello\\n")
    assert await path.read_text() == "hello\\n"
    assert [child.name async for child in directory.iterdir()] == ["greeting.txt"]
    ```
    """

    __slots__ = ("_info",)

    # What is known of the path's type, from a listing or from a later look-up.
    _info: int | PathInfo

    # Whole files.

    async def read_bytes(self) -> bytes:
        """Read the whole file.

        Returns:
            Its content. Files that report a size of 0, such as those of `/proc`, are read to their end too.

        Raises:
            OSError: The file cannot be opened or read; IsADirectoryError for a directory.

        ```python
        await (directory / "data").write_bytes(b"abc")
        assert await (directory / "data").read_bytes() == b"abc"
        ```
        """
        return await _native.read_bytes(self)

    async def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """Read the whole file as text.

        UTF-8, ASCII and Latin-1 are decoded by the worker. Other codecs, and error handlers other than
        `"strict"`, are Python's own and run on the event loop's thread, in slices between which other tasks
        run. An error handler that the application registered is given the content in one piece.

        Args:
            encoding: As for `open`; by default the locale's, or UTF-8 in UTF-8 mode.
            errors: As for `open`; by default `"strict"`.
            newline: As for `open`: `None` turns every line end into `"\\n"`; otherwise the text is untouched.

        Returns:
            The text.

        Raises:
            OSError: The file cannot be opened or read.
            UnicodeDecodeError: The content is not valid in that encoding.
            LookupError: There is no such text encoding. Raised before the file is opened.
            ValueError: `newline` is none of `None`, `""`, `"\\n"`, `"\\r"` and `"\\r\\n"`.

        ```python
        await (directory / "menu").write_bytes("crème\\r\\nbrûlée\\r\\n".encode())
        assert await (directory / "menu").read_text(encoding="utf-8") == "crème\\nbrûlée\\n"
        ```
        """
        encoding = text_encoding(encoding)
        codec = native_codec(encoding, errors, newline)
        if codec is None:
            return await read_with_python(self, encoding, errors, newline)
        content = await _native.read_text(self, codec, newline)
        if isinstance(content, str):
            return content
        return await decode(content, encoding, errors, newline)

    async def write_bytes(
        self,
        data: Buffer,
        *,
        atomic: bool = False,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> int:
        """Write the whole file: create it, or replace its content.

        When this returns, the operating system has all of it. Without `atomic=True`, others can see the file
        empty or half written, and after an error, such as a full disk, it stays like that.

        With `atomic=True` others see the old content or the new one, at any time, also after an error or a
        crash: the new content is written to a file of its own beside the target, synchronised with the
        device, and renamed. It gets the permissions of the old file, and its owner, extended attributes and
        access list where that is permitted; a file that did not exist gets those of any new file. What else
        the old file was is lost: other hard links to it keep the old content, and open files stay with it.
        Permission to write the directory is needed, not the file.

        `data` must not be changed before this returns.

        Args:
            data: A bytes-like object, contiguous in memory.
            atomic: Whether others see only the old content or the new one.
            durable: Whether the device has the content, under its name, when this returns.
            overwrite: Whether a file that exists is replaced.
            follow_symlinks: Whether a symbolic link stands for what it leads to, as always without `atomic`;
                otherwise the link itself is replaced.
            fallback: What is done where the file is a mount point, which no file can be renamed to: the
                error (EBUSY), or with `"inplace"` a backup is made beside it, the file is overwritten
                durably, and the backup removed; others can see it half written then.

        Returns:
            The number of bytes.

        Raises:
            OSError: The file cannot be opened or written. With `atomic=True` the target is as it was.
            FileExistsError: There is such a file, and `overwrite` is false.
            DurabilityError: With `durable=True`: others see the new content, but after a crash it may be the
                old one.
            TypeError: `data` is not bytes-like. The file is not touched.
            BufferError: `data` is not in one piece. The file is not touched.
            ValueError: An option was given that needs `atomic=True`, or `fallback` is no such word. The file
                is not touched.

        Cancellation:
            The file may be unchanged or replaced, or be replaced a little later; cancelling never leaves it
            half written. `data` must not be changed before the file is written.

        ```python
        assert await (directory / "data").write_bytes(b"abc") == 3
        assert await (directory / "data").write_bytes(b"new", atomic=True, durable=True) == 3
        ```
        """
        in_one_piece(data)
        options = atomic_options(atomic, durable, overwrite, follow_symlinks, fallback)
        if options is not None:
            return await write_bytes_atomically(self, data, options)
        return await _native.write_bytes(self, data, False, 0)

    async def write_text(
        self,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        atomic: bool = False,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> int:
        """Write the whole file as text: create it, or replace its content.

        See `write_bytes` for what others see of the file, for errors and for cancelling, and `read_text` for
        encodings.

        Args:
            data: The text.
            encoding: As for `open`; by default the locale's, or UTF-8 in UTF-8 mode.
            errors: As for `open`; by default `"strict"`.
            newline: As for `open`: what is written for `"\\n"`; by default the platform's line end.
            atomic: As for `write_bytes`.
            durable: As for `write_bytes`.
            overwrite: As for `write_bytes`.
            follow_symlinks: As for `write_bytes`.
            fallback: As for `write_bytes`.

        Returns:
            The number of characters in `data`.

        Raises:
            OSError: The file cannot be opened or written. With `atomic=True` the target is as it was.
            DurabilityError: As for `write_bytes`.
            UnicodeEncodeError: The encoding cannot represent some character. As with pathlib, the file is
                empty then; with `atomic=True` it is as it was.
            LookupError: There is no such text encoding. The file is not touched.
            TypeError: `data` is not a str. The file is not touched.
            ValueError: `newline` is none of `None`, `""`, `"\\n"`, `"\\r"` and `"\\r\\n"`, or the options
                are not those of `write_bytes`. The file is not touched.

        ```python
        assert await (directory / "menu").write_text("crème\\n", encoding="utf-8") == 6
        assert await (directory / "menu").write_text("thé", encoding="utf-8", atomic=True) == 3
        ```
        """
        if not isinstance(data, str):
            raise TypeError(f"data must be str, not {type(data).__name__}")
        encoding = text_encoding(encoding)
        options = atomic_options(atomic, durable, overwrite, follow_symlinks, fallback)
        if options is not None:
            await write_text_atomically(self, data, encoding, errors, newline, options)
            return len(data)
        codec = native_codec(encoding, errors, newline)
        if codec is None or await _native.write_text(self, data, codec, newline, False) is None:
            await write_with_python(self, data, encoding, errors, newline, append=False)
        return len(data)

    async def append_bytes(self, data: Buffer, *, durable: bool = False) -> int:
        """Append to the file; create it if it does not exist.

        The operating system moves to the end with each write (`O_APPEND`), so tasks and processes that append
        at the same time do not overwrite each other's data.

        Args:
            data: A bytes-like object, contiguous in memory.
            durable: Whether the device has what was appended, and the file's name, when this returns.

        Returns:
            The number of bytes in `data`.

        Raises:
            OSError: The file cannot be opened or written. Some of `data` may have been appended.
            DurabilityError: With `durable=True`: `data` was appended, but may be lost in a crash. For what no
                device keeps, such as a FIFO or `/dev/null`, it is a `shutil.SpecialFileError` instead, and
                nothing is written.
            TypeError: `data` is not bytes-like. The file is not touched.
            BufferError: `data` is not in one piece. The file is not touched.

        Cancellation:
            `data` may be appended or not, or be appended a little later.

        ```python
        log = directory / "log"
        await log.append_bytes(b"one\\n")
        await log.append_bytes(b"two\\n")
        await log.append_bytes(b"three\\n", durable=True)
        assert await log.read_bytes() == b"one\\ntwo\\nthree\\n"
        ```
        """
        in_one_piece(data)
        if durable:
            return await _native.append_bytes_durably(self, data, 0)
        return await _native.write_bytes(self, data, True, 0)

    async def append_text(
        self,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        durable: bool = False,
    ) -> int:
        """Append text to the file; create it if it does not exist.

        As with a file opened for appending, a byte order mark is written only at the start of an empty file.

        Args:
            data: The text.
            encoding: As for `open`; by default the locale's, or UTF-8 in UTF-8 mode.
            errors: As for `open`; by default `"strict"`.
            newline: As for `open`: what is written for `"\\n"`; by default the platform's line end.
            durable: As for `append_bytes`.

        Returns:
            The number of characters in `data`.

        Raises:
            OSError: The file cannot be opened or written. Some of `data` may have been appended.
            DurabilityError: As for `append_bytes`.
            UnicodeEncodeError: The encoding cannot represent some character. Nothing is appended then.
            LookupError: There is no such text encoding. The file is not touched.
            TypeError: `data` is not a str. The file is not touched.
            ValueError: `newline` is none of `None`, `""`, `"\\n"`, `"\\r"` and `"\\r\\n"`. The file is not
                touched.

        Cancellation:
            `data` may be appended or not, or be appended a little later.

        ```python
        log = directory / "log"
        await log.append_text("one\\n")
        await log.append_text("two\\n")
        assert await log.read_text() == "one\\ntwo\\n"
        ```
        """
        if not isinstance(data, str):
            raise TypeError(f"data must be str, not {type(data).__name__}")
        encoding = text_encoding(encoding)
        codec = native_codec(encoding, errors, newline)
        durable = bool(durable)
        if codec is None or await write_natively(self, data, codec, newline, True, durable) is None:
            await write_with_python(self, data, encoding, errors, newline, append=True, durable=durable)
        return len(data)

    @overload
    def open(
        self,
        mode: OpenTextMode = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> FileContextManager[AsyncTextIOWrapper]: ...
    @overload
    def open(
        self,
        mode: OpenBinaryMode,
        buffering: Literal[0],
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> FileContextManager[AsyncFileIO]: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeUpdating,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> FileContextManager[AsyncBufferedRandom]: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeWriting,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> FileContextManager[AsyncBufferedWriter]: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeReading,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> FileContextManager[AsyncBufferedReader]: ...
    @overload
    def open(
        self,
        mode: OpenBinaryMode,
        buffering: int = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> FileContextManager[
        AsyncBufferedReader | AsyncBufferedWriter | AsyncBufferedRandom | AsyncFileIO
    ]: ...
    @overload
    def open(
        self,
        mode: str,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> FileContextManager[Any]: ...
    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> FileContextManager[Any]:
        """Open the file: [`rapfiles.open`][rapfiles.open] of this path.

        Args:
            mode: As for the built-in `open`.
            buffering: As for the built-in `open`.
            encoding: As for the built-in `open`.
            errors: As for the built-in `open`.
            newline: As for the built-in `open`.

        Returns:
            An awaitable context manager. Nothing happens before it is entered or awaited.

        Raises:
            OSError: The file cannot be opened.
            ValueError: The arguments cannot be combined.
            LookupError: There is no such encoding. The file is not touched.

        ```python
        async with (directory / "data").open("wb") as file:
            await file.write(b"abc")
        assert await (directory / "data").read_bytes() == b"abc"
        ```
        """
        if "b" not in mode:
            encoding = text_encoding(encoding)
        return open(self, mode, buffering, encoding, errors, newline)

    @overload
    def open_atomic(
        self,
        mode: AtomicTextMode = "w",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[AsyncTextIOWrapper]: ...
    @overload
    def open_atomic(
        self,
        mode: AtomicBinaryMode,
        buffering: Literal[0],
        encoding: None = None,
        errors: None = None,
        newline: None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[AsyncFileIO]: ...
    @overload
    def open_atomic(
        self,
        mode: AtomicBinaryModeUpdating,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[AsyncBufferedRandom]: ...
    @overload
    def open_atomic(
        self,
        mode: AtomicBinaryModeWriting,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[AsyncBufferedWriter]: ...
    @overload
    def open_atomic(
        self,
        mode: AtomicBinaryMode,
        buffering: int = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[AsyncBufferedWriter | AsyncBufferedRandom | AsyncFileIO]: ...
    @overload
    def open_atomic(
        self,
        mode: str,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[Any]: ...
    def open_atomic(
        self,
        mode: str = "w",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        durable: bool = False,
        overwrite: bool = True,
        follow_symlinks: bool = True,
        fallback: Literal["error", "inplace"] = "error",
    ) -> AtomicFileContextManager[Any]:
        """Open a new file, which takes the place of this path's when the `async with` block ends well.

        Until then others see the file that was there, or none. If the block ends with an exception, is
        cancelled, or the process ends, the new file is discarded and the target is as it was; also if the
        file cannot be written, closed or synchronised at the end. What the new file takes over from the old
        one is described with `write_bytes`.

        The file may be closed earlier; it gets its name at the end of the block. After the block it is
        closed. It has no name before: `file.name` is the path of the target. A process that is forked within
        the block cannot complete the file.

        Args:
            mode: `"w"`, or `"x"` for a file that must not exist, which is also checked at the end; with `b`,
                `t` and `+` as for `open`.
            buffering: As for `open`.
            encoding: As for `open`.
            errors: As for `open`.
            newline: As for `open`.
            durable: As for `write_bytes`.
            overwrite: Whether a file that exists is replaced; never with mode `"x"`.
            follow_symlinks: As for `write_bytes`.
            fallback: As for `write_bytes`.

        Returns:
            A context manager for `async with`. Unlike that of `open` it cannot be awaited: the end of the
            block says whether the file is complete.

        Raises:
            OSError: The file cannot be created, written or renamed. The target is as it was.
            FileExistsError: There is such a file, at the beginning or at the end, and it must not be
                replaced.
            DurabilityError: With `durable=True`: others see the new content, but after a crash it may be the
                old one.
            LookupError: There is no such encoding.
            ValueError: The arguments cannot be combined, or the mode has neither `w` nor `x`.

        Cancellation:
            Within the block, the target stays as it is. At its end, while the file gets its name, it may be
            unchanged or replaced, or be replaced a little later.

        ```python
        report = directory / "report"
        await report.write_text("old\\n")
        async with report.open_atomic("w", encoding="utf-8") as file:
            await file.write("new\\n")
            assert await report.read_text() == "old\\n"
        assert await report.read_text() == "new\\n"
        ```
        """
        encoding = announced(mode, buffering, encoding)
        options = (durable, overwrite, follow_symlinks, fallback)
        return open_atomic(self, mode, buffering, encoding, errors, newline, options)

    async def truncate(self, length: SupportsIndex) -> None:
        """Cut the file to a length, or extend it with zeros.

        Args:
            length: The new length in bytes.

        Raises:
            OSError: The file does not exist, cannot be written, or `length` is negative.

        Cancellation:
            It may be done or not, or be done a little later.

        ```python
        await (directory / "data").write_bytes(b"abc")
        await (directory / "data").truncate(1)
        assert await (directory / "data").read_bytes() == b"a"
        ```
        """
        await _native.truncate(self, c_integer("length", length, bits=64))

    def lock(
        self,
        *,
        shared: bool = False,
        timeout: float | None = None,
        blocking: bool = True,
        range: tuple[SupportsIndex, SupportsIndex] | None = None,  # noqa: A002 - the name of what is locked
    ) -> FileLock:
        """A lock of the file, which other tasks and other processes respect that ask for it too.

        The file is created if there is none, and never written to, truncated or removed. A symbolic link is
        refused. Use a file beside what the lock protects, such as `settings.lock` for `settings`:
        replacing a locked file by another one leaves the lock with the old one.

        Args:
            shared: Whether others may hold the lock at the same time, if they share it as well.
            timeout: For how many seconds to wait; `None` for as long as it takes.
            blocking: Whether to wait at all.
            range: Lock only these bytes, which need not exist: the first one, and how many; zero for all up
                to the end, however far that moves. Such locks and those of whole files do not see each other.

        Returns:
            An object that is entered with `async with`, or whose `acquire()` and `release()` are awaited.
            Entering and acquiring raise `LockTimeout` (somebody else has the lock), `LockReentryError`
            (this task has it), or OSError (the file cannot be opened or locked).

        Raises:
            ValueError: `timeout` is negative, or given with `blocking=False`; `range` is none.

        Cancellation:
            While it waits, the lock is not acquired, and nobody's turn is lost. At the end of a block
            it is released, however the block ends. The file that was created stays.

        ```python
        counter = directory / "counter"
        async with (directory / "counter.lock").lock():
            count = int(await counter.read_text()) if await counter.exists() else 0
            await counter.write_text(str(count + 1), atomic=True)
        assert await counter.read_text() == "1"
        ```
        """
        extent = None if range is None else checked_range(range)
        return FileLock(self, shared, timeout, blocking, extent)

    # What there is.

    async def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """The `os.stat` result of the file.

        Args:
            follow_symlinks: Whether to follow a symbolic link.

        Returns:
            The same object that `os.stat` returns, with all fields of this platform.

        Raises:
            OSError: There is no such file, or it cannot be reached.

        ```python
        await (directory / "data").write_bytes(b"abc")
        assert (await (directory / "data").stat()).st_size == 3
        ```
        """
        if follow_symlinks is not True:
            follow_symlinks = bool(follow_symlinks)
        return await _native.stat(self, follow_symlinks)

    async def lstat(self) -> os.stat_result:
        """The `os.stat` result of the file; for a symbolic link, that of the link itself.

        Returns:
            The same object that `os.lstat` returns.

        Raises:
            OSError: There is no such file, or it cannot be reached.

        ```python
        await (directory / "link").symlink_to("nowhere")
        assert (await (directory / "link").lstat()).st_size == len("nowhere")
        ```
        """
        return await _native.lstat(self)

    async def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether the path exists.

        Args:
            follow_symlinks: Whether to follow a symbolic link. With `False`, a link to nothing exists.

        Returns:
            `False` also for paths that no file system can have, such as those with a null character.

        Raises:
            OSError: Before Python 3.14, as in pathlib: the path cannot be looked up, for example for lack of
                permission. Since 3.14 that returns `False`. The same holds for the other predicates.

        ```python
        assert await directory.exists()
        assert not await (directory / "missing").exists()
        ```
        """
        if follow_symlinks is not True:
            follow_symlinks = bool(follow_symlinks)
        return await _native.is_type(self, _ANY_TYPE, follow_symlinks, _TOLERANT)

    async def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether the path is a regular file.

        Args:
            follow_symlinks: Whether to follow a symbolic link.

        Returns:
            `False` also where nothing exists.

        ```python
        assert not await directory.is_file()
        ```
        """
        if follow_symlinks is not True:
            follow_symlinks = bool(follow_symlinks)
        return await _native.is_type(self, S_IFREG, follow_symlinks, _TOLERANT)

    async def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether the path is a directory.

        Args:
            follow_symlinks: Whether to follow a symbolic link.

        Returns:
            `False` also where nothing exists.

        ```python
        assert await directory.is_dir()
        ```
        """
        if follow_symlinks is not True:
            follow_symlinks = bool(follow_symlinks)
        return await _native.is_type(self, S_IFDIR, follow_symlinks, _TOLERANT)

    async def is_symlink(self) -> bool:
        """Whether the path is a symbolic link, wherever it leads.

        ```python
        await (directory / "link").symlink_to("nowhere")
        assert await (directory / "link").is_symlink()
        ```
        """
        return await _native.is_type(self, S_IFLNK, False, _TOLERANT)

    async def is_junction(self) -> bool:
        """Whether the path is a Windows junction; elsewhere there are none.

        ```python
        assert not await directory.is_junction()
        ```
        """
        return await _native.is_junction(self)

    async def is_mount(self) -> bool:
        """Whether the path is a mount point, or on Windows the root of a volume.

        Since Python 3.12, as with pathlib, a symbolic link is none, and every error means `False`.

        ```python
        assert await AsyncPath(directory.anchor).is_mount()
        ```
        """
        return await _native.is_mount(self, _MODERN_MOUNT)

    async def is_socket(self) -> bool:
        """Whether the path is a Unix socket, or a symbolic link to one.

        ```python
        assert not await directory.is_socket()
        ```
        """
        return await _native.is_type(self, S_IFSOCK, True, _TOLERANT)

    async def is_fifo(self) -> bool:
        """Whether the path is a named pipe, or a symbolic link to one.

        ```python
        assert not await directory.is_fifo()
        ```
        """
        return await _native.is_type(self, S_IFIFO, True, _TOLERANT)

    async def is_block_device(self) -> bool:
        """Whether the path is a block device, or a symbolic link to one.

        ```python
        assert not await directory.is_block_device()
        ```
        """
        return await _native.is_type(self, S_IFBLK, True, _TOLERANT)

    async def is_char_device(self) -> bool:
        """Whether the path is a character device, or a symbolic link to one.

        ```python
        assert not await directory.is_char_device()
        ```
        """
        return await _native.is_type(self, S_IFCHR, True, _TOLERANT)

    async def samefile(self, other_path: StrPath) -> bool:
        """Whether this path and another one lead to the same file.

        Args:
            other_path: A path of any kind, or a str.

        Raises:
            OSError: One of them does not exist or cannot be reached.

        ```python
        assert await directory.samefile(directory / "." / ".")
        ```
        """
        if not isinstance(other_path, LexicalPath):
            other_path = self.with_segments(path_text("other_path", other_path))
        return await _native.samefile(self, other_path)

    async def owner(self, *, follow_symlinks: bool = True) -> str:
        """The name of the user whom the file belongs to.

        Args:
            follow_symlinks: Whether to follow a symbolic link.

        Raises:
            OSError: There is no such file, or it cannot be reached.
            KeyError: The user database has no name for the number.
            UnsupportedOperation: On Windows. Before Python 3.13, a plain NotImplementedError.

        ```python
        import getpass

        assert await directory.owner() == getpass.getuser()
        ```
        """
        if sys.platform == "win32":
            raise unsupported(self, "owner()")
        return await _native.owner(self, bool(follow_symlinks))

    async def group(self, *, follow_symlinks: bool = True) -> str:
        """The name of the group that the file belongs to.

        Args:
            follow_symlinks: Whether to follow a symbolic link.

        Raises:
            OSError: There is no such file, or it cannot be reached.
            KeyError: The group database has no name for the number.
            UnsupportedOperation: On Windows. Before Python 3.13, a plain NotImplementedError.

        ```python
        import grp

        number = (await directory.stat()).st_gid
        assert await directory.group() == grp.getgrgid(number).gr_name
        ```
        """
        if sys.platform == "win32":
            raise unsupported(self, "group()")
        return await _native.group(self, bool(follow_symlinks))

    @property
    def info(self) -> PathInfo:
        """What is known of the path's type: pathlib's `info`, [awaited][rapfiles.PathInfo].

        Its answers are cached for as long as this path object lives. If the path comes from a listing, the
        types that the directory contained are known already.

        ```python
        await (directory / "data").touch()
        async for path in directory.iterdir():
            assert await path.info.is_file()
            assert not await path.info.is_symlink()
        assert not await (directory / "missing").info.exists()
        ```
        """
        info = getattr(self, "_info", 0)
        if isinstance(info, int):
            info = self._info = PathInfo(os.fspath(self), info)
        return info

    async def access(
        self, mode: SupportsIndex, *, effective_ids: bool = False, follow_symlinks: bool = True
    ) -> bool:
        """Whether this process may access the file in this way, as `os.access` does.

        The answer may be outdated when it arrives. To open a file, open it and catch the error instead.

        Args:
            mode: `os.F_OK`, or a combination of `os.R_OK`, `os.W_OK` and `os.X_OK`.
            effective_ids: Whether to use the effective user and group ids instead of the real ones.
            follow_symlinks: Whether to follow a symbolic link.

        Returns:
            `False` also where nothing exists.

        Raises:
            NotImplementedError: On Windows, where there are neither effective ids nor a way not to follow.

        ```python
        import os

        assert await directory.access(os.R_OK | os.X_OK)
        ```
        """
        if sys.platform == "win32":
            if effective_ids:
                raise NotImplementedError("access: effective_ids unavailable on this platform")
            if not follow_symlinks:
                raise NotImplementedError("access: follow_symlinks unavailable on this platform")
        return await _native.access(self, c_integer("mode", mode), bool(effective_ids), bool(follow_symlinks))

    # Directories.

    def iterdir(self) -> Stream[Self]:
        """Iterate over the children of the directory, in arbitrary order, without `.` and `..`.

        The directory is read in one go when the first child is asked for. The iterator keeps nothing open, so
        the loop may be left at any time.

        Returns:
            An asynchronous iterator of paths: this path joined with each name. It is also a context manager,
            which closes it. The paths' `info` knows their types.

        Raises:
            OSError: When the first child is asked for: this is not a directory, or it cannot be read.

        ```python
        await (directory / "a").touch()
        await (directory / "b").touch()
        assert sorted([child.name async for child in directory.iterdir()]) == ["a", "b"]
        ```
        """
        return DirectoryIterator(self)

    def glob(
        self,
        pattern: StrPath,
        *,
        case_sensitive: bool | None = None,
        recurse_symlinks: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Stream[Self]:
        """Iterate over everything in this tree that matches a shell-style pattern, in arbitrary order.

        Directories that cannot be read, and a path that is not a directory, yield nothing. Each path is
        yielded once, however many ways the pattern has to match it. Hidden names are not special.

        Args:
            pattern: Relative. `*`, `?` and `[…]` match within one component, a component `**` any number of
                directories; at the end of the pattern it matches only directories before Python 3.13, and
                files too since then. With a separator at the end, only directories match.
            case_sensitive: Whether case matters; by default as is usual on the platform. If it is given,
                names without wildcards are compared too, instead of being looked up.
            recurse_symlinks: Whether `**` follows symbolic links to directories. Loops are not detected: they
                end where the system follows no more links.
            progress: As for `copy`, while the next path is awaited. It tells how many files have been
                compared with the pattern, matching or not, and how many directories have been read. What it
                raises ends the search.

        Returns:
            An asynchronous iterator of paths. It is also a context manager, which ends it and closes what
            workers have open. The paths' `info` knows the types that the directories contained.

        Raises:
            ValueError: The pattern is empty, or, before Python 3.13, has `**` within a component. This and
                the next error are raised by the call since Python 3.13, and before that when the first path
                is asked for.
            NotImplementedError: The pattern is absolute.
            OSError: On Python 3.11: a directory cannot be read for another reason than lack of permission.

        ```python
        await (directory / "src" / "deep").mkdir(parents=True)
        await (directory / "src" / "deep" / "a.py").touch()
        assert [path.name async for path in directory.glob("src/*")] == ["deep"]
        assert [path.name async for path in directory.glob("**/*.py")] == ["a.py"]
        ```
        """
        return self._globbed(pattern, case_sensitive, recurse_symlinks, False, progress)

    def rglob(
        self,
        pattern: StrPath,
        *,
        case_sensitive: bool | None = None,
        recurse_symlinks: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Stream[Self]:
        """Iterate over what matches a pattern at any depth of this tree: `glob()` with `**/` before the
        pattern.

        Args:
            pattern: As for `glob()`, but it may be empty, for this directory and all below it.
            case_sensitive: As for `glob()`.
            recurse_symlinks: As for `glob()`.
            progress: As for `glob()`.

        Returns:
            An asynchronous iterator of paths, which is also a context manager.

        ```python
        await (directory / "src").mkdir()
        await (directory / "src" / "a.py").touch()
        async with directory.rglob("*.py") as paths:
            assert [path.name async for path in paths] == ["a.py"]
        ```
        """
        return self._globbed(pattern, case_sensitive, recurse_symlinks, True, progress)

    def _globbed(
        self,
        pattern: StrPath,
        case_sensitive: bool | None,
        recurse_symlinks: bool,
        recursive: bool,
        progress: ProgressCallback | None,
    ) -> Stream[Self]:
        if progress is None:
            return GlobIterator(self, pattern, case_sensitive, recurse_symlinks, recursive)
        return ReportedGlob(self, pattern, case_sensitive, recurse_symlinks, recursive, progress)

    def scandir(
        self, *, with_stat: bool = False, progress: ProgressCallback | None = None
    ) -> Stream[AsyncDirEntry[Self]]:
        """Iterate over the entries of the directory, in arbitrary order, without `.` and `..`.

        Entries are yielded as the directory is read, so changes meanwhile may be seen or not. The directory
        stays open until the last entry has been taken or the iteration ends.

        Args:
            with_stat: Whether workers `stat` each entry beforehand, so that `entry.stat()` needs no system
                call.
            progress: As for `copy`, while the next entry is awaited. It tells how many entries have been
                read; directories are those in this one. What it raises ends the iteration.

        Returns:
            An asynchronous iterator of [`AsyncDirEntry`][rapfiles.AsyncDirEntry]: each knows its name, path
            and type. It is also a context manager, which closes it.

        Raises:
            OSError: When the first entry is asked for: this is not a directory, or it cannot be read.

        ```python
        await (directory / "a").touch()
        await (directory / "b").mkdir()
        async with directory.scandir(with_stat=True) as entries:
            async for entry in entries:
                assert entry.is_dir() == (entry.name == "b")
                assert (await entry.stat()).st_size == (await entry.path.stat()).st_size
        ```
        """
        if progress is None:
            return DirectoryScan(self, bool(with_stat))
        return ReportedScan(self, bool(with_stat), progress)

    def walk(
        self,
        top_down: bool = True,
        on_error: OnError = None,
        follow_symlinks: bool = False,
        *,
        max_depth: SupportsIndex | None = None,
        min_depth: SupportsIndex = 0,
        include: Globs = None,
        exclude: Globs = None,
        same_file_system: bool = False,
        gitignore: bool = False,
        sort: bool = False,
        workers: SupportsIndex | None = None,
        detect_loops: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Stream[tuple[Self, list[str], list[str]]]:
        """Walk the tree below this directory, one directory after the other.

        Workers read several directories ahead of the iteration, but never more than a few thousand entries.
        So a change in a directory after its parent was yielded may not be seen; with `workers=1` each
        directory is read when the iteration reaches it, as in pathlib.

        Leaving the iteration early closes all directories, at the end of an `async with` block or with the
        last reference.

        Args:
            top_down: Whether a directory is yielded before its subdirectories. Then the list of their names
                may be changed in place: those that are removed are not entered, the others are entered in the
                order of the list, and names that are added are entered too, even through a symbolic link.
            on_error: Called with the OSError of each directory that cannot be read; an exception that it
                raises ends the walk. A plain function, called in the event loop's thread. By default, such
                directories are skipped, unless the process has no file descriptor left.
            follow_symlinks: Whether symbolic links to directories are listed and entered as directories.
                Otherwise they are listed with the files.
            max_depth: How many levels below this directory are entered; 0 for none.
            min_depth: Directories above this level are entered, but not yielded.
            include: A glob, or several: of the names that are not directories, only those that match.
            exclude: A glob, or several: names that match are not listed and not entered. In `include` and
                `exclude`, a pattern without a slash is matched against names; one with a slash against paths
                relative to this directory, where `**` stands for any number of directories; a slash at the
                end restricts it to directories.
            same_file_system: Whether directories on which another file system is mounted are not entered.
            gitignore: Whether to leave out what git would ignore: by `.gitignore` files and
                `.git/info/exclude`, from the top of the repository down; what `git check-ignore --no-index`
                names. So nothing is left of a directory that is itself ignored, or in one that is. It need
                not be a repository; `.git` may be that of a worktree or a submodule. Hidden files and `.git`
                itself are not left out. The error of a `.gitignore` file that cannot be read is one for
                `on_error`, and its rules do not hold.
            sort: Whether names are sorted instead of in arbitrary order.
            workers: The most directories that are read at once; by default as many as there are processors,
                at most 8.
            detect_loops: With `follow_symlinks`, whether a link to a directory above it is an error of that
                directory, with ELOOP. Otherwise the walk continues in it until the kernel follows no more
                links, as in pathlib.
            progress: As for `copy`, while the next directory is awaited. It tells how many entries have been
                listed. What it raises ends the walk.

        Returns:
            An asynchronous iterator, which is also a context manager, of tuples: the path of a directory, the
            list of the names of its subdirectories, and the list of all other names.

        Raises:
            TypeError: `on_error` is a coroutine function.
            ValueError: A number is negative, or `workers` is 0, or a pattern is empty.

        ```python
        await (directory / "a" / "b").mkdir(parents=True)
        await (directory / "a" / "notes").touch()
        async for path, directories, files in directory.walk():
            if path == directory / "a":
                assert (directories, files) == (["b"], ["notes"])
                directories.clear()
            assert path != directory / "a" / "b"
        ```
        """
        wanted = tree_wanted(
            top_down=top_down,
            follow_symlinks=follow_symlinks,
            max_depth=max_depth,
            min_depth=min_depth,
            include=include,
            exclude=exclude,
            same_file_system=same_file_system,
            gitignore=gitignore,
            sort=sort,
            workers=workers,
            detect_loops=detect_loops,
        )
        if progress is None:
            return DirectoryWalk(self, callback(on_error), wanted)
        return ReportedWalk(self, callback(on_error), wanted, progress)

    def find(
        self,
        *,
        kind: Kinds = None,
        include: Globs = None,
        exclude: Globs = None,
        prune: Globs = None,
        min_depth: SupportsIndex = 1,
        max_depth: SupportsIndex | None = None,
        size: tuple[SupportsIndex | None, SupportsIndex | None] | None = None,
        modified: tuple[Moment, Moment] | None = None,
        changed: tuple[Moment, Moment] | None = None,
        owner: SupportsIndex | str | None = None,
        perm: SupportsIndex | str | None = None,
        empty: bool | None = None,
        hidden: bool | None = None,
        gitignore: bool = False,
        follow_symlinks: bool = False,
        same_file_system: bool = False,
        limit: SupportsIndex | None = None,
        sort: bool = False,
        workers: SupportsIndex | None = None,
        with_stat: bool = False,
        on_error: OnError = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> Stream[AsyncDirEntry[Self]]:
        """Find entries in the tree below this directory, in one flat stream.

        Without arguments, that is everything but the directory itself. Directories are read one after the
        other, each before its subdirectories, and all conditions are checked by the workers. Loops of
        symbolic links are errors. Leaving the iteration early closes all directories, as for `walk()`.

        Args:
            kind: `"file"`, `"directory"`, `"symlink"`, `"fifo"`, `"socket"`, `"block_device"` or
                `"char_device"`, or several of them.
            include: A glob, or several: only entries that match. Directories are entered whether they match
                or not. A pattern without a slash is matched against names; one with a slash against paths
                relative to this directory, where `**` stands for any number of directories; a slash at the
                end restricts it to directories.
            exclude: Entries that match are neither yielded nor entered.
            prune: Entries that match are yielded, but not entered.
            min_depth: Nothing above this level; the entries of this directory are at level 1.
            max_depth: Nothing below this level.
            size: The smallest and the largest size in bytes; `None` for no bound.
            modified: The earliest and the latest time of the last change of the content. Each is a datetime,
                seconds since 1970, or `None` for no bound.
            changed: The same for the last change of content or metadata (`st_ctime`).
            owner: The owner, by user id or by name.
            perm: The permissions: exactly these, such as `0o644` or `"644"`; or in the forms of find(1),
                `"-022"` for at least these and `"/022"` for any of these.
            empty: Whether it is an empty file or an empty directory.
            hidden: Whether its name begins with a dot. With `False`, hidden directories are not entered
                either.
            gitignore: Whether to leave out what git would ignore, as for `walk()`.
            follow_symlinks: Whether to follow symbolic links.
            same_file_system: Whether directories on which another file system is mounted are not entered.
            limit: How many entries are wanted.
            sort: Whether the entries of each directory are sorted by name.
            workers: The most directories that are read at once; by default as many as there are processors,
                at most 8.
            with_stat: Whether workers `stat` each entry beforehand.
            on_error: Called with each OSError; an exception that it raises ends the search. A plain
                function, called in the event loop's thread.
            progress: As for `copy`, while the next entry is awaited. It tells how many entries have been
                looked at, wanted or not. What it raises ends the search.
            totals: Whether to count all entries first that will be looked at, so that `progress` gets the
                totals; with a `limit`, too, which may come long before them. No entry is yielded before.

        Returns:
            An asynchronous iterator, which is also a context manager, of entries like those of `scandir()`.

        Raises:
            ExceptionGroup: At the end, if `on_error` was not given: the first 100 errors. Everything that
                could be found has been yielded.
            LookupError: There is no user of that name. Raised when the first entry is asked for.
            TypeError: `on_error` is a coroutine function.
            ValueError: An argument has no meaning.

        ```python
        await (directory / "src" / "build").mkdir(parents=True)
        await (directory / "src" / "main.py").write_text("pass")
        await (directory / "src" / "build" / "main.pyc").touch()
        async with directory.find(kind="file", exclude="build", size=(1, None)) as found:
            assert [entry.path async for entry in found] == [directory / "src" / "main.py"]
        ```
        """
        deepest = None if max_depth is None else index(max_depth)
        most = most_entries(limit)
        if deepest == 0:
            # Nothing is at that depth.
            deepest, most = 1, 0
        wanted = tree_wanted(
            kind=kind,
            include=include,
            exclude=exclude,
            prune=prune,
            min_depth=min_depth,
            max_depth=None if deepest is None else deepest - 1,
            size=size,
            modified=modified,
            changed=changed,
            owner=owner,
            perm=perm,
            empty=empty,
            hidden=hidden,
            gitignore=gitignore,
            follow_symlinks=follow_symlinks,
            same_file_system=same_file_system,
            sort=sort,
            workers=workers,
            detect_loops=follow_symlinks,
        )
        if progress is None:
            return TreeSearch(self, bool(with_stat), most, callback(on_error), wanted)
        return ReportedSearch(self, bool(with_stat), most, callback(on_error), wanted, progress, bool(totals))

    async def tree(
        self,
        *,
        max_depth: SupportsIndex | None = None,
        include: Globs = None,
        exclude: Globs = None,
        hidden: bool | None = None,
        gitignore: bool = False,
        follow_symlinks: bool = False,
        same_file_system: bool = False,
        workers: SupportsIndex | None = None,
        on_error: OnError = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> str:
        """Draw the tree below this directory, as the command `tree` does.

        Args:
            max_depth: How many levels are drawn; the entries of this directory are at level 1.
            include: A glob, or several: of everything but directories, only what matches, as for `walk()`.
            exclude: A glob, or several: what matches is neither drawn nor entered.
            hidden: Whether names that begin with a dot are drawn; `False` leaves them out.
            gitignore: Whether to leave out what git would ignore, as for `walk()`.
            follow_symlinks: Whether links to directories are entered, except links to a directory above them.
            same_file_system: Whether directories on which another file system is mounted are not entered.
            workers: The most directories that are read at once, as for `walk()`.
            on_error: Called with the OSError of each directory that cannot be read. A plain function. The
                reason is also drawn beside the directory's name.
            progress: As for `copy`. It tells how many files were found and how many directories were read.
            totals: As for `find()`.

        Returns:
            Lines, with no line end after the last. Names are sorted by their bytes, directories end with a
            separator, and characters that cannot be printed are escaped.

        ```python
        await (directory / "a" / "b").mkdir(parents=True)
        await (directory / "a" / "notes").touch()
        await (directory / "z").touch()
        lines = (await directory.tree()).splitlines()
        assert lines[1:] == ["├── a/", "│   ├── b/", "│   └── notes", "└── z"]
        ```
        """
        from ._outline import drawn, outline

        wanted = drawn(
            max_depth=max_depth,
            include=include,
            exclude=exclude,
            hidden=hidden,
            gitignore=gitignore,
            follow_symlinks=follow_symlinks,
            same_file_system=same_file_system,
            workers=workers,
        )

        return await outline(self, callback(on_error), bool(follow_symlinks), wanted, progress, bool(totals))

    async def du(
        self,
        *,
        exclude: Globs = None,
        gitignore: bool = False,
        same_file_system: bool = False,
        workers: SupportsIndex | None = None,
        on_error: OnError = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> DiskUsage:
        """How much space this file, or everything in this directory, takes.

        The sums are those of `du -DB1 --apparent-size` and `du -DB1`: directories count with their own size,
        a file with several names counts once, and symbolic links are not followed, unless this path is one.
        Paths may be of any length.

        Args:
            exclude: A glob, or several, as for `find()`: what matches is not counted, nor anything in it.
            gitignore: Whether to leave out what git would ignore, as for `walk()`.
            same_file_system: Whether to leave out other file systems, as with `du -x`.
            workers: The most directories that are read at once; by default as many as there are processors,
                at most 8.
            on_error: Called with each OSError. A plain function, called in the event loop's thread.
            progress: As for `copy`; bytes are those of the apparent size, and each name of a file counts.
                What it raises ends the counting.
            totals: Whether to count the entries first, so that `progress` gets their numbers. That takes less
                time than to measure them; how many bytes there are remains unknown.

        Returns:
            The sums, and how many entries of each kind there are.

        Raises:
            ExceptionGroup: Something could not be counted, and `on_error` was not given: the first 100
                errors.

        ```python
        await (directory / "data").write_bytes(b"abc")
        await (directory / "more").hardlink_to(directory / "data")
        usage = await directory.du()
        assert (usage.files, usage.directories) == (1, 1)
        assert usage.apparent == 3 + (await directory.stat()).st_size
        ```
        """
        wanted = tree_wanted(
            exclude=exclude, gitignore=gitignore, same_file_system=same_file_system, workers=workers
        )
        return await disk_usage(self, callback(on_error), wanted, progress, bool(totals))

    async def mkdir(
        self,
        mode: SupportsIndex = 0o777,
        parents: bool = False,
        exist_ok: bool = False,
        *,
        parent_mode: SupportsIndex | None = None,
    ) -> None:
        """Create a directory.

        Args:
            mode: Its permissions, reduced by the umask.
            parents: Whether missing parents are created as well.
            exist_ok: Whether the directory may already exist.
            parent_mode: The permissions of parents that are created, reduced by the umask; by default
                `0o777`.

        Raises:
            FileExistsError: The path exists and, with `exist_ok`, is not a directory.
            FileNotFoundError: A parent is missing.
            OSError: It cannot be created for another reason.

        Cancellation:
            Any of the directories may have been created, or be created a little later.

        ```python
        await (directory / "a" / "b").mkdir(parents=True, exist_ok=True)
        assert await (directory / "a" / "b").is_dir()
        ```
        """
        await _native.mkdir(
            self,
            permissions("mode", mode),
            bool(parents),
            bool(exist_ok),
            None if parent_mode is None else permissions("parent_mode", parent_mode),
            _TOLERANT,
        )

    async def rmdir(self) -> None:
        """Remove an empty directory.

        Raises:
            OSError: It does not exist, is not a directory or not empty, or cannot be removed.

        Cancellation:
            It may be removed or not, or be removed a little later.

        ```python
        await (directory / "empty").mkdir()
        await (directory / "empty").rmdir()
        assert not await (directory / "empty").exists()
        ```
        """
        await _native.rmdir(self)

    async def rmtree(
        self,
        ignore_errors: bool = False,
        *,
        onexc: OnExc | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> None:
        """Remove the directory with everything in it, as `shutil.rmtree` does.

        Every directory is opened relative to its parent: no symbolic link is followed, not even one that
        replaces a directory meanwhile. Trees may be of any depth. Entries that are created during the removal
        are removed too, up to a limit.

        Args:
            ignore_errors: Whether to leave what cannot be removed, without an error.
            onexc: Called for each entry that cannot be removed, with the function of `os` that failed, the
                path and the exception, as by `shutil.rmtree`; may be a coroutine function. Nothing else is
                removed before it returns. An exception that it raises ends the removal. By default, the first
                error does.
            progress: As for `copy`, except that no bytes are counted: files are removed without a `stat`.
            totals: As for `copy`.

        Raises:
            FileNotFoundError: There is no such directory.
            NotADirectoryError: This is not a directory, or a symbolic link to one.
            OSError: Something cannot be removed.

        Cancellation:
            A part of the tree may be removed, and a little more of it after that.

        ```python
        await (directory / "a" / "b").mkdir(parents=True)
        await (directory / "a").rmtree()
        assert not await (directory / "a").exists()
        ```
        """
        await remove(self, bool(ignore_errors), onexc, progress, bool(totals))

    # Entries of directories.

    async def touch(self, mode: SupportsIndex = 0o666, exist_ok: bool = True) -> None:
        """Create an empty file, or set the times of one that exists to now.

        Args:
            mode: The permissions of a file that is created, reduced by the umask.
            exist_ok: Whether the path may exist.

        Raises:
            FileExistsError: The path exists, and `exist_ok` is `False`.
            OSError: The file cannot be created.

        Cancellation:
            It may be done or not, or be done a little later.

        ```python
        await (directory / "flag").touch()
        assert await (directory / "flag").read_bytes() == b""
        ```
        """
        await _native.touch(self, permissions("mode", mode), bool(exist_ok))

    async def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file or a link.

        Args:
            missing_ok: Whether the file may be missing.

        Raises:
            FileNotFoundError: There is no such file, and `missing_ok` is `False`.
            OSError: It is a directory or cannot be removed.

        Cancellation:
            It may be removed or not, or be removed a little later.

        ```python
        await (directory / "flag").touch()
        await (directory / "flag").unlink()
        await (directory / "flag").unlink(missing_ok=True)
        ```
        """
        await _native.unlink(self, bool(missing_ok))

    async def rename(self, target: StrPath, *, durable: bool = False) -> Self:
        """Rename the file or directory.

        On POSIX a file at `target` is replaced; on Windows that is an error.

        Args:
            target: The new path. A relative one is relative to the working directory, not to this path.
            durable: Whether the device has the new name when this returns. First the content of a file, or
                the entries of a directory, are synchronised, and after renaming the directories of both
                names.

        Returns:
            The new path.

        Raises:
            OSError: It cannot be renamed, for example because `target` is on another file system.
            DurabilityError: With `durable=True`: it has the new name, but after a crash it may have the old
                one.

        Cancellation:
            It may be renamed or not, or be renamed a little later.

        ```python
        await (directory / "old").touch()
        new = await (directory / "old").rename(directory / "new")
        assert await new.exists()
        ```
        """
        path_text("target", target)
        await warn_of_lock(target)
        if durable:
            renamed = _native.rename(self, self.with_segments(target), True)
        else:
            renamed = _native.rename(self, path_text("target", target))
        await explained(renamed, NAMES)
        return self._renamed(target)

    async def replace(self, target: StrPath, *, durable: bool = False) -> Self:
        """Rename the file or directory, and replace a file or an empty directory at `target`.

        On one file system this is atomic: others see either the old or the new file.

        Args:
            target: The new path. A relative one is relative to the working directory, not to this path.
            durable: As for `rename`.

        Returns:
            The new path.

        Raises:
            OSError: It cannot be renamed, for example because `target` is on another file system.
            DurabilityError: As for `rename`.

        Cancellation:
            It may be renamed or not, or be renamed a little later.

        ```python
        await (directory / "draft").write_text("second")
        await (directory / "text").write_text("first")
        text = await (directory / "draft").replace(directory / "text")
        assert await text.read_text() == "second"
        ```
        """
        path_text("target", target)
        await warn_of_lock(target)
        if durable:
            renamed = _native.replace(self, self.with_segments(target), True)
        else:
            renamed = _native.replace(self, path_text("target", target))
        await explained(renamed, NAMES)
        return self._renamed(target)

    async def exchange(self, other: StrPath, *, durable: bool = False) -> None:
        """Exchange two files or directories of one file system: each gets the other's name, in one step.

        Others see both exchanged or none. The two may be of different kinds. Linux and macOS have a system
        call for it, most local file systems of Linux and APFS support it, and there is no substitute.

        Args:
            other: The other path; it must exist, as this one. A relative one is relative to the working
                directory.
            durable: As for `rename`.

        Raises:
            OSError: They cannot be exchanged: one does not exist, they are on different file systems, one is
                within the other, or the file system cannot (EINVAL).
            DurabilityError: With `durable=True`: they are exchanged, but after a crash they may not be.
            NotImplementedError: On Windows.

        Cancellation:
            They may be exchanged or not, or be exchanged a little later.

        ```python
        await (directory / "current").write_text("old")
        await (directory / "next").write_text("new")
        await (directory / "current").exchange(directory / "next")
        assert await (directory / "current").read_text() == "new"
        assert await (directory / "next").read_text() == "old"
        ```
        """
        path_text("other", other)
        if sys.platform == "win32":
            raise unsupported(self, "exchange()")
        exchanged = _native.exchange(self, self.with_segments(other), bool(durable))
        await explained(exchanged, NAMES)

    async def sync(self) -> None:
        """Wait until the device has the file; of a directory, its entries.

        For a file: its content and metadata, also what others have written, but not what is in the buffers of
        open files (see `flush()`), nor its name, which is its directory's. For a directory: which entries it
        has, not their content. On Linux this is `fsync(2)`, on macOS `F_FULLFSYNC`, on Windows
        `FlushFileBuffers`, which needs a file that can be written, and does nothing for directories.

        An error of the device is reported once: to the first call, in any process. If this fails, what was
        written is to be written again; calling it again proves nothing.

        Raises:
            OSError: The file cannot be opened, or the device has failed.

        Cancellation:
            Nothing changes.

        ```python
        await (directory / "data").write_bytes(b"abc")
        await (directory / "data").sync()
        await directory.sync()
        ```
        """
        await _native.synchronise(self)

    def _renamed(self, target: StrPath) -> Self:
        if _RETURNS_TARGET and isinstance(target, AsyncPath):
            return target  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
        return self.with_segments(target)

    async def symlink_to(self, target: StrPath, target_is_directory: bool = False) -> None:
        """Make this path a symbolic link.

        Args:
            target: Where it leads, stored unchanged. A relative target is relative to the directory of the
                link.
            target_is_directory: On Windows, whether the target is a directory; no effect on other platforms.

        Raises:
            FileExistsError: This path exists.
            OSError: The link cannot be created.

        Cancellation:
            The link may exist or not, or be created a little later.

        ```python
        await (directory / "data").write_bytes(b"abc")
        await (directory / "link").symlink_to("data")
        assert await (directory / "link").read_bytes() == b"abc"
        ```
        """
        await _native.symlink(path_text("target", target), self, bool(target_is_directory))

    async def hardlink_to(self, target: StrPath) -> None:
        """Make this path a hard link to an existing file.

        If `target` is a symbolic link, this links, as pathlib does, to the link itself, or since Python 3.14
        to the file that it leads to.

        Args:
            target: The file. A relative path is relative to the working directory.

        Raises:
            FileExistsError: This path exists.
            OSError: The link cannot be created.

        Cancellation:
            It may exist or not, or be created a little later.

        ```python
        await (directory / "data").write_bytes(b"abc")
        await (directory / "name").hardlink_to(directory / "data")
        assert await (directory / "name").samefile(directory / "data")
        ```
        """
        await _native.link(path_text("target", target), self, _LINKS_TO_TARGET_OF_LINK)

    async def readlink(self) -> Self:
        """Where the symbolic link leads.

        Returns:
            Its target as stored in the link. A relative one is relative to the directory of the link.

        Raises:
            OSError: This is not a symbolic link, or it cannot be reached.

        ```python
        await (directory / "link").symlink_to("data")
        assert await (directory / "link").readlink() == AsyncPath("data")
        ```
        """
        return self.with_segments(await _native.readlink(self))

    # Copying and moving.

    @overload
    async def copy(
        self,
        target: P,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        atomic: bool = False,
        merge: bool = False,
        hardlinks: Literal["copy", "preserve"] = "copy",
        special_files: Literal["refuse", "recreate"] = "refuse",
        ignore: Ignore | None = None,
        on_error: ErrorCallback | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> P: ...
    @overload
    async def copy(
        self,
        target: StrPath,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        atomic: bool = False,
        merge: bool = False,
        hardlinks: Literal["copy", "preserve"] = "copy",
        special_files: Literal["refuse", "recreate"] = "refuse",
        ignore: Ignore | None = None,
        on_error: ErrorCallback | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> Self: ...
    async def copy(
        self,
        target: StrPath,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        atomic: bool = False,
        merge: bool = False,
        hardlinks: Literal["copy", "preserve"] = "copy",
        special_files: Literal["refuse", "recreate"] = "refuse",
        ignore: Ignore | None = None,
        on_error: ErrorCallback | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> Any:
        """Copy the file, or the directory with everything in it, as pathlib does since Python 3.14.

        A new target appears complete or not at all. An existing file is written to in place, as in pathlib:
        it keeps its inode, its permissions and its other names, and others can see it empty or half written.
        Content is shared with the source where the file system supports that (reflinks), and holes stay
        holes.

        Args:
            target: The path of the copy. For the directory to copy into, see `copy_into`.
            follow_symlinks: Whether to copy what a symbolic link leads to; otherwise, the link is copied.
            preserve_metadata: Whether to copy the times, the permissions and the extended attributes
                (including access control lists) too. The owner is not copied.
            atomic: Whether to replace an existing file or link atomically, with a new inode, instead of
                writing to it in place. Without `preserve_metadata`, the new file keeps the permissions of the
                old one, and its owner and attributes, as with `write_bytes(atomic=True)`.
            merge: Whether the target directory may exist. Entries that only it has stay. Symbolic links in it
                are not followed.
            hardlinks: With `"preserve"`, hard links to one file in the tree become hard links to one copy.
            special_files: What to do with FIFOs, sockets and devices: raise an error, or with `"recreate"`
                create new ones of the same kind. Their content is never copied.
            ignore: Called on the event loop for each directory of a tree, before anything in it is copied,
                with its path and a list of the names in it; returns the names to leave out, with everything
                below them. `shutil.ignore_patterns("*.pyc")` makes such a function; it may be a coroutine
                function. An exception that it raises ends the copy.
            on_error: Called with the error of an entry of a tree that cannot be copied, which is then left
                out; may be a coroutine function. An exception that it raises ends the copy. By default, the
                first error does.
            progress: Called on the event loop with a [`Progress`][rapfiles.Progress], at most 20 times a
                second and once at the end; may be a coroutine function. While it runs, the copy goes on, but
                it is not called again. An exception that it raises ends the copy as a cancellation does; if
                the last call raises, the copy is complete.
            totals: Whether to count all entries first, so that `progress` gets the totals. Entries that
                cannot be read are not counted; they are errors only when they are copied. Entries that
                `ignore` leaves out are counted. The totals stay as they are if the tree changes meanwhile.

        Returns:
            The path of the copy.

        Raises:
            FileNotFoundError: There is no such file, or the target's directory is missing.
            FileExistsError: This is a directory or a link that is not followed, and the target exists.
            IsADirectoryError: The target is a directory, and this is not.
            OSError: With `EINVAL`, the target is the same file, or inside this directory; otherwise,
                something cannot be read or written. `shutil.SpecialFileError`, which is one, for FIFOs,
                sockets and devices.

        Cancellation:
            A new target is missing or complete; a file that is written to in place may be anything in
            between. An unfinished copy is removed in the background. A process that is killed may leave it: a
            directory, or with `atomic` and on file systems without `O_TMPFILE` a file, whose name begins with
            `.rapfiles-`.

        ```python
        await (directory / "data").write_bytes(b"abc")
        copy = await (directory / "data").copy(directory / "copy")
        assert await copy.read_bytes() == b"abc"
        ```
        """
        return await copy_path(
            self,
            self._destination(target),
            False,
            progress,
            bool(totals),
            on_error,
            ignore,
            follow_symlinks=bool(follow_symlinks),
            preserve_metadata=bool(preserve_metadata),
            atomic=bool(atomic),
            merge=bool(merge),
            preserve_hard_links=one_of("hardlinks", hardlinks, "copy", "preserve"),
            recreate_special=one_of("special_files", special_files, "refuse", "recreate"),
        )

    @overload
    async def copy_into(
        self,
        target_dir: P,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        atomic: bool = False,
        merge: bool = False,
        hardlinks: Literal["copy", "preserve"] = "copy",
        special_files: Literal["refuse", "recreate"] = "refuse",
        ignore: Ignore | None = None,
        on_error: ErrorCallback | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> P: ...
    @overload
    async def copy_into(
        self,
        target_dir: StrPath,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        atomic: bool = False,
        merge: bool = False,
        hardlinks: Literal["copy", "preserve"] = "copy",
        special_files: Literal["refuse", "recreate"] = "refuse",
        ignore: Ignore | None = None,
        on_error: ErrorCallback | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> Self: ...
    async def copy_into(
        self,
        target_dir: StrPath,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        atomic: bool = False,
        merge: bool = False,
        hardlinks: Literal["copy", "preserve"] = "copy",
        special_files: Literal["refuse", "recreate"] = "refuse",
        ignore: Ignore | None = None,
        on_error: ErrorCallback | None = None,
        progress: ProgressCallback | None = None,
        totals: bool = False,
    ) -> Any:
        """Copy the file, or the directory with everything in it, into an existing directory.

        Apart from the target, this is `copy`.

        Args:
            target_dir: The directory to copy into, under the same name.
            follow_symlinks: As for `copy`.
            preserve_metadata: As for `copy`.
            atomic: As for `copy`.
            merge: As for `copy`.
            hardlinks: As for `copy`.
            special_files: As for `copy`.
            ignore: As for `copy`.
            on_error: As for `copy`.
            progress: As for `copy`.
            totals: As for `copy`.

        Returns:
            The path of the copy.

        Raises:
            ValueError: This path has no name, such as `/`.
            OSError: As for `copy`.

        Cancellation:
            As for `copy`.

        ```python
        await (directory / "data").write_bytes(b"abc")
        await (directory / "backup").mkdir()
        copy = await (directory / "data").copy_into(directory / "backup")
        assert copy == directory / "backup" / "data"
        ```
        """
        return await self.copy(
            target_in(self, target_dir),
            follow_symlinks=follow_symlinks,
            preserve_metadata=preserve_metadata,
            atomic=atomic,
            merge=merge,
            hardlinks=hardlinks,
            special_files=special_files,
            ignore=ignore,
            on_error=on_error,
            progress=progress,
            totals=totals,
        )

    @overload
    async def move(
        self, target: P, *, progress: ProgressCallback | None = None, totals: bool = False
    ) -> P: ...
    @overload
    async def move(
        self, target: StrPath, *, progress: ProgressCallback | None = None, totals: bool = False
    ) -> Self: ...
    async def move(
        self, target: StrPath, *, progress: ProgressCallback | None = None, totals: bool = False
    ) -> Any:
        """Move the file, or the directory with everything in it, as pathlib does since Python 3.14.

        On one file system it is renamed atomically, and replaces a file or an empty directory at `target`. To
        another file system it is copied, with its metadata, hard links and special files and without
        following links; the source is removed only when the copy is complete, has its name, and the source
        has not changed meanwhile. An existing directory there is not replaced.

        Args:
            target: The new path. For the directory to move into, see `move_into`.
            progress: As for `copy`.
            totals: As for `copy`. On one file system nothing has to be counted.

        Returns:
            The new path.

        Raises:
            OSError: As for `replace`, and between two file systems as for `copy`. With `EINVAL`, the target
                is the same file. With `EBUSY`, the source was changed while it was copied to another file
                system; it stays. Where an entry of the source may not be removed, as from a mount that is
                read-only (`EROFS`), the error names it, and the complete target stays.

        Cancellation:
            It is at the old path or at the new one or, between two file systems, at both. The same holds if
            the process is killed; see `copy` for what that may leave.

        ```python
        await (directory / "draft").write_text("text")
        text = await (directory / "draft").move(directory / "text")
        assert await text.read_text() == "text"
        ```
        """
        return await copy_path(
            self,
            self._destination(target),
            True,
            progress,
            bool(totals),
            None,
            preserve_metadata=True,
            atomic=True,
            preserve_hard_links=True,
            recreate_special=True,
        )

    @overload
    async def move_into(
        self, target_dir: P, *, progress: ProgressCallback | None = None, totals: bool = False
    ) -> P: ...
    @overload
    async def move_into(
        self, target_dir: StrPath, *, progress: ProgressCallback | None = None, totals: bool = False
    ) -> Self: ...
    async def move_into(
        self, target_dir: StrPath, *, progress: ProgressCallback | None = None, totals: bool = False
    ) -> Any:
        """Move the file, or the directory with everything in it, into an existing directory.

        Apart from the target, this is `move`.

        Args:
            target_dir: The directory to move into, under the same name.
            progress: As for `copy`.
            totals: As for `copy`.

        Returns:
            The new path.

        Raises:
            ValueError: This path has no name, such as `/`.
            OSError: As for `move`.

        Cancellation:
            As for `move`.

        ```python
        await (directory / "draft").write_text("text")
        await (directory / "archive").mkdir()
        text = await (directory / "draft").move_into(directory / "archive")
        assert text == directory / "archive" / "draft"
        ```
        """
        return await self.move(target_in(self, target_dir), progress=progress, totals=totals)

    def _destination(self, target: StrPath) -> AsyncPath:
        return target if isinstance(target, AsyncPath) else self.with_segments(path_text("target", target))

    # Attributes of files.

    async def chmod(self, mode: SupportsIndex, *, follow_symlinks: bool = True) -> None:
        """Change the permissions, as `os.chmod` does.

        Args:
            mode: The permissions, such as `0o644`.
            follow_symlinks: Whether to follow a symbolic link.

        Raises:
            OSError: There is no such file, or it belongs to another user.
            NotImplementedError: The permissions of a symbolic link itself cannot be changed on this platform.

        Cancellation:
            They may be changed or not, or be changed a little later.

        ```python
        await (directory / "secret").touch()
        await (directory / "secret").chmod(0o600)
        assert (await (directory / "secret").stat()).st_mode & 0o777 == 0o600
        ```
        """
        number = permissions("mode", mode)
        if follow_symlinks:
            # Before Python 3.13, Windows' own chmod never follows links.
            await _native.chmod(self, number, _CHMOD_ON_LINKS)
            return
        unavailable = NotImplementedError("chmod: follow_symlinks unavailable on this platform")
        if not _CHMOD_ON_LINKS:
            raise unavailable
        try:
            await _native.chmod(self, number, False)
        except OSError as error:
            if error.errno in {errno.ENOTSUP, errno.EOPNOTSUPP}:
                raise unavailable from None
            raise

    async def lchmod(self, mode: SupportsIndex) -> None:
        """Change the permissions; for a symbolic link, those of the link itself.

        Args:
            mode: The permissions, such as `0o644`.

        Raises:
            OSError: There is no such file, or it belongs to another user.
            NotImplementedError: The permissions of a symbolic link itself cannot be changed on this platform.

        Cancellation:
            They may be changed or not, or be changed a little later.

        ```python
        await (directory / "secret").touch()
        await (directory / "secret").lchmod(0o600)
        assert (await (directory / "secret").stat()).st_mode & 0o777 == 0o600
        ```
        """
        await self.chmod(mode, follow_symlinks=False)

    async def utime(
        self,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the times of last access and last modification; without `times` and `ns`, to now.

        Args:
            times: Both in seconds since 1970.
            ns: Both in nanoseconds since 1970.
            follow_symlinks: Whether to follow a symbolic link.

        Raises:
            OSError: There is no such file, or it belongs to another user.
            ValueError: Both `times` and `ns` are given.
            OverflowError: A time is too far from 1970.

        Cancellation:
            They may be set or not, or be set a little later.

        ```python
        await directory.utime((0, 1.5))
        assert (await directory.stat()).st_mtime == 1.5
        ```
        """
        await _native.utime(self, nanoseconds(times, ns), bool(follow_symlinks))

    if sys.platform != "win32":

        async def chown(
            self,
            user: SupportsIndex | str = -1,
            group: SupportsIndex | str = -1,
            *,
            follow_symlinks: bool = True,
        ) -> None:
            """Change the user and the group that the file belongs to.

            Not on Windows.

            Args:
                user: A user id or name; -1 leaves it unchanged.
                group: A group id or name; -1 leaves it unchanged.
                follow_symlinks: Whether to follow a symbolic link.

            Raises:
                OSError: There is no such file, or this process may not do that.
                LookupError: There is no such user or group.

            Cancellation:
                It may be done or not, or be done a little later.

            ```python
            import os

            await directory.chown(os.getuid(), os.getgid())
            ```
            """
            await _native.chown(self, account("user", user), account("group", group), bool(follow_symlinks))

        async def statvfs(self) -> os.statvfs_result:
            """The `os.statvfs` result of the file system: its size, free space and limits. Not on Windows.

            Raises:
                OSError: There is no such path, or it cannot be reached.

            ```python
            status = await directory.statvfs()
            free = status.f_bavail * status.f_frsize
            assert free >= 0
            ```
            """
            return await _native.statvfs(self)

    if sys.platform == "linux":

        async def getxattr(self, attribute: StrPath | bytes, *, follow_symlinks: bool = True) -> bytes:
            """The value of an extended attribute. Only on Linux.

            Args:
                attribute: Its name, such as `"user.checksum"`.
                follow_symlinks: Whether to follow a symbolic link.

            Raises:
                OSError: There is no such file or attribute, or the file system has no extended attributes.

            ```python
            await directory.setxattr("user.colour", b"red")
            assert await directory.getxattr("user.colour") == b"red"
            ```
            """
            return await _native.getxattr(self, attribute_name(attribute), bool(follow_symlinks))

        async def setxattr(
            self,
            attribute: StrPath | bytes,
            value: Buffer,
            flags: SupportsIndex = 0,
            *,
            follow_symlinks: bool = True,
        ) -> None:
            """Set an extended attribute. Only on Linux.

            Args:
                attribute: Its name, such as `"user.checksum"`.
                value: A bytes-like object.
                flags: `os.XATTR_CREATE` if it must not exist, `os.XATTR_REPLACE` if it must.
                follow_symlinks: Whether to follow a symbolic link.

            Raises:
                OSError: There is no such file, or the file system does not take the attribute.
                TypeError: `value` is not bytes-like.

            Cancellation:
                It may be set or not, or be set a little later.

            ```python
            await directory.setxattr("user.colour", b"red")
            assert "user.colour" in await directory.listxattr()
            ```
            """
            try:
                in_one_piece(value)
            except TypeError:
                raise TypeError(f"value must be bytes-like, not {type(value).__name__}") from None
            number = c_integer("flags", flags)
            await _native.setxattr(self, attribute_name(attribute), value, number, bool(follow_symlinks))

        async def listxattr(self, *, follow_symlinks: bool = True) -> list[str]:
            """The names of the extended attributes. Only on Linux.

            Args:
                follow_symlinks: Whether to follow a symbolic link.

            Raises:
                OSError: There is no such file, or the file system has no extended attributes.

            ```python
            assert "user.colour" not in await directory.listxattr()
            ```
            """
            return await _native.listxattr(self, bool(follow_symlinks))

        async def removexattr(self, attribute: StrPath | bytes, *, follow_symlinks: bool = True) -> None:
            """Remove an extended attribute. Only on Linux.

            Args:
                attribute: Its name, such as `"user.checksum"`.
                follow_symlinks: Whether to follow a symbolic link.

            Raises:
                OSError: There is no such file or attribute, or the file system has no extended attributes.

            Cancellation:
                It may be removed or not, or be removed a little later.

            ```python
            await directory.setxattr("user.colour", b"red")
            await directory.removexattr("user.colour")
            assert "user.colour" not in await directory.listxattr()
            ```
            """
            await _native.removexattr(self, attribute_name(attribute), bool(follow_symlinks))

    # Other ways to say the path.

    async def resolve(self, strict: bool = False) -> Self:
        """The same path, absolute and without symbolic links and `..`.

        Args:
            strict: Whether every component must exist. Otherwise, everything after the first missing one is
                kept unchanged. `os.path.ALLOW_MISSING` and `os.path.ALL_BUT_LAST` are accepted where the
                running Python has them, with the meaning that they have for `os.path.realpath`.

        Raises:
            OSError: With `strict`, a component does not exist or cannot be reached.
            RuntimeError: Before Python 3.13, as in pathlib: symbolic links form a loop. Since 3.13, that is
                an OSError with `strict`; otherwise the rest of the path is kept unchanged.

        ```python
        await (directory / "link").symlink_to(directory)
        assert await (directory / "link" / "..").resolve() == (await directory.resolve()).parent
        ```
        """
        strictness: bool | Literal["missing", "all but last"]
        if strict is _ALLOW_MISSING:
            strictness = "missing"
        elif strict is _ALL_BUT_LAST:
            strictness = "all but last"
        else:
            strictness = bool(strict)
        try:
            return self.with_segments(await _native.resolve(self, strictness, _RULES))
        except OSError as error:
            loop = error.errno == errno.ELOOP or getattr(error, "winerror", None) == _WINDOWS_LOOP
            if loop and _RULES < 13:
                raise RuntimeError(f"Symlink loop from {error.filename!r}") from error
            raise
        except UnicodeEncodeError:
            # realpath (Lib/posixpath.py) fails with the path up to the first component that no file system
            # can have, since 3.13 made absolute.
            way = "" if _RULES < 13 else os.getcwd()
            for part in self.parts:
                way = os.path.join(way, part)
                os.fsencode(way)
            raise

    async def absolute(self) -> Self:
        """The same path, absolute: joined to the working directory. Links and `..` stay as they are.

        Returns:
            This very path if it is absolute already.

        Raises:
            FileNotFoundError: The working directory has been removed.

        ```python
        assert await AsyncPath("a/../b").absolute() == await AsyncPath.cwd() / "a" / ".." / "b"
        ```
        """
        await _native.checkpoint()
        if self.is_absolute():
            return self
        # Neither waits for a disk: getcwd(2) takes the path from the kernel's directory cache, and Windows
        # keeps it in the process, where each drive has a working directory of its own.
        base = os.path.abspath(self.drive) if self.drive else os.getcwd()  # noqa: ASYNC240
        return self.with_segments(base, self)

    async def expanduser(self) -> Self:
        """The same path with `~` or `~user` at its start replaced by the user's home directory.

        Returns:
            This very path if it begins with neither.

        Raises:
            RuntimeError: There is no such user, or the home directory is not known.

        ```python
        assert await AsyncPath("~/notes").expanduser() == await AsyncPath.home() / "notes"
        ```
        """
        if self.anchor or not self.parts or not self.parts[0].startswith("~"):
            await _native.checkpoint()
            return self
        home = await _home(self.parts[0])
        if home.startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return self.with_segments(home, *self.parts[1:])

    @classmethod
    async def cwd(cls) -> Self:
        """The working directory of this process.

        Raises:
            FileNotFoundError: It has been removed.

        ```python
        import os

        assert str(await AsyncPath.cwd()) == os.getcwd()
        ```
        """
        await _native.checkpoint()
        return cls(os.getcwd())

    @classmethod
    async def home(cls) -> Self:
        """The home directory of the user who runs this process, from the environment or the user database.

        Raises:
            RuntimeError: It is not known.

        ```python
        import os

        assert str(await AsyncPath.home()) == os.path.expanduser("~")
        ```
        """
        home = await _home("~")
        if home == "~" or (_RULES < 14 and home.startswith("~")):
            raise RuntimeError("Could not determine home directory.")
        return cls(home)


_native.construct_natively(AsyncPath)


async def _home(tilde: str) -> str:
    """The result of `os.path.expanduser` for `~` or `~user`."""
    if sys.platform == "win32" or (tilde == "~" and "HOME" in os.environ):
        await _native.checkpoint()
        return os.path.expanduser(tilde)  # noqa: ASYNC240 - looks at the environment only
    # The user database may be on a network.
    home = await _native.home_directory(tilde[1:] or None)
    return tilde if home is None else home.rstrip("/") or "/"
