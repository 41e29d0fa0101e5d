"""The synchronous file object of a wrapper of a native handle: a lazy stand-in, created when it is needed.

aiofiles wraps an `io` object, exposes it as `_file`, `buffer` and `raw`, and returns it from `detach`. Here
the wrapper holds a rapfiles handle. The lazy file answers what a handle can answer without waiting. Anything
else turns the wrapper permanently into one like aiofiles': the descriptor is passed to an `io` object, whose
methods run in the executor from then on.
"""

# pyright: reportPrivateUsage=false
# A wrapper and what is below it know each other.

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from weakref import ref

import rapfiles._native as _native

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .base import AsyncBase


class Handle(Protocol):
    """The methods of a rapfiles handle that are used here."""

    @property
    def closed(self) -> bool: ...
    @property
    def name(self) -> Any: ...
    @property
    def _file(self) -> _native.OpenFile: ...
    def close(self) -> Awaitable[None]: ...


class Opened(NamedTuple):
    """The arguments with which a handle was opened, as for `open`."""

    mode: str
    buffering: int
    encoding: str | None
    errors: str | None
    newline: str | None
    closefd: bool


class SyncObject:
    """The attribute `_file` of a wrapper that has no synchronous object yet.

    Wrappers that have one keep it under the same name in their own dictionary, which comes first.
    """

    def __get__(self, wrapper: AsyncBase[Any] | None, owner: type[AsyncBase[Any]]) -> Any:
        if wrapper is None or wrapper._handle is None:
            raise AttributeError("_file")
        # As long as there is a reference to the lazy file, it is the same object.
        attributes = vars(wrapper)
        known: ref[LazyFile] | None = attributes.get("_lazy_file")
        lazy_file = None if known is None else known()
        if lazy_file is None:
            lazy_file = LazyFile(wrapper)
            attributes["_lazy_file"] = ref(lazy_file)
        return lazy_file


# What the handle answers without waiting, as the io object would.
_ANSWERED: Final = {
    "closed",
    "encoding",
    "errors",
    "fileno",
    "isatty",
    "line_buffering",
    "mode",
    "name",
    "newlines",
    "readable",
    "seekable",
    "writable",
    "write_through",
}


class LazyFile:
    """The `_file` of a wrapper of a native handle: behaves like the `io` object, which it creates on
    demand."""

    __slots__ = ("__weakref__", "_wrapper")

    def __init__(self, wrapper: AsyncBase[Any]) -> None:
        self._wrapper = wrapper

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """For `isinstance`, and for the choice of `wrap`."""
        return _io_class(self._wrapper._opened)

    def __getattr__(self, name: str) -> Any:
        handle = self._wrapper._handle
        if handle is not None and name in _ANSWERED:
            return getattr(handle, name)
        return getattr(synchronous(self._wrapper), name)

    def __repr__(self) -> str:
        wrapper = self._wrapper
        if wrapper._handle is None:
            return repr(wrapper._file)
        kind = _io_class(wrapper._opened)
        try:
            known = f"name={self.name!r}"
            if kind is io.TextIOWrapper:
                known += f" mode={self.mode!r} encoding={self.encoding!r}"
            elif kind is io.FileIO:
                known += f" mode={self.mode!r} closefd={wrapper._opened.closefd}"
        except ValueError:
            return repr(synchronous(wrapper))
        return f"<_io.{kind.__name__} {known}>"

    def __iter__(self) -> Any:
        return iter(synchronous(self._wrapper))

    def __next__(self) -> Any:
        return next(synchronous(self._wrapper))

    def __enter__(self) -> Any:
        return synchronous(self._wrapper).__enter__()

    def __exit__(self, *about: object) -> None:
        synchronous(self._wrapper).__exit__(*about)


def _io_class(opened: Opened) -> type[Any]:
    """The class of what the builtin `open` returns."""
    if "b" not in opened.mode:
        return io.TextIOWrapper
    if opened.buffering == 0:
        return io.FileIO
    if "+" in opened.mode:
        return io.BufferedRandom
    return io.BufferedReader if "r" in opened.mode else io.BufferedWriter


def synchronous(wrapper: AsyncBase[Any]) -> Any:
    """The synchronous object of a wrapper, which takes the native handle's place if there was one.

    What the handle had buffered for writing is written by the calling thread.

    Raises:
        RuntimeError: An operation of the handle is running.
        OSError: What was buffered cannot be written.
        io.UnsupportedOperation: The handle has read ahead and cannot seek back, as in a pipe. Nothing is
        lost,
            and the handle stays usable.
    """
    handle = wrapper._handle
    if handle is None:
        return wrapper._file
    opened = wrapper._opened
    if "b" not in opened.mode:
        # The default has been found out, and complained of if that was wished for.
        opened = opened._replace(encoding=getattr(handle, "encoding", None))
    if handle.closed:
        # Whatever is asked of a closed file, the answer does not depend on the file.
        file = _open(os.open(os.devnull, os.O_RDWR), opened._replace(closefd=True), handle.name)
        file.close()
    else:
        name = handle.name
        try:
            place = _place_in_text(handle)
            descriptor = _native.take_descriptor(handle._file)
        except OSError as error:
            if error.errno == errno.ESPIPE or isinstance(error, io.UnsupportedOperation):
                raise io.UnsupportedOperation("the file has been read ahead and cannot seek back") from None
            raise
        file = _open(descriptor, opened, name)
        if place is not None:
            file.seek(place)
    wrapper._handle = None
    wrapper._file = file
    return file


def _place_in_text(handle: Any) -> int | None:
    """Where a text file is, if text has been decoded and not been read yet; the descriptor is behind that.

    Raises:
        io.UnsupportedOperation: It has no places, so that text would be lost.
    """
    if not getattr(handle, "_has_read", False):
        return None
    # Nothing is to be written, then, so this has to wait for nothing.
    place: int = handle.tell().complete()
    return place


def _open(descriptor: int, opened: Opened, name: Any) -> Any:
    try:
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        position = None
    opening: Any = open
    file = opening(descriptor, **opened._asdict())
    buffered: Any = getattr(file, "buffer", file)
    raw: Any = getattr(buffered, "raw", buffered)
    raw.name = name
    if position is not None and "a" in opened.mode:
        # Appending, `open` goes to the end.
        buffered.seek(position)
    return file
