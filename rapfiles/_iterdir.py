"""The asynchronous iterator over the children of a directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

import rapfiles._native as _native

from ._segments import SegmentsPath

if TYPE_CHECKING:
    from collections.abc import Awaitable

_BATCH = 128
"""Names that become paths before other tasks get a turn: some 40 µs of work."""

_JOINED = 16
"""The same where each path is made by its class."""

P = TypeVar("P", bound=SegmentsPath)


class DirectoryIterator(_native.ChildIterator, Generic[P]):
    """The children of a directory, in arbitrary order.

    The directory is read in one go by a worker when the first child is asked for; after that, nothing is held
    open.
    """

    __module__ = "rapfiles"
    __slots__ = ("_directory", "_fetching", "_listing")

    # The native half takes any object: what it asks of it stands here.
    def __init__(self, directory: P, /) -> None:  # pyright: ignore[reportInconsistentConstructor]
        self._directory: P | None = directory
        self._listing: _native.DirectoryListing | None = None
        self._fetching = False

    if TYPE_CHECKING:

        def __anext__(self) -> Awaitable[P]: ...

    async def aclose(self) -> None:
        """Forget the remaining children. There is nothing else to close, so this need not be called."""
        self._finish()

    async def _fetch(self) -> P:
        """Make the next children, and return the first of them. Called when none is left."""
        if self._fetching:
            raise RuntimeError("this iterator is already waiting for the directory in another task")
        directory = self._directory
        if directory is None:
            raise StopAsyncIteration
        self._fetching = True
        try:
            if self._listing is None:
                self._listing = await _native.list_directory(directory)
            else:
                await _native.checkpoint()
            children = _children(self._listing, directory)
        except BaseException:
            self._finish()
            raise
        finally:
            self._fetching = False
        if not children:
            self._finish()
            raise StopAsyncIteration
        first = children.pop(0)
        self._keep(children)
        return first

    def _finish(self) -> None:
        self._directory = None
        self._listing = None
        self._keep([])


_native.set_next_slot(DirectoryIterator)


def _children(listing: _native.DirectoryListing, directory: P) -> list[P]:
    """The next children.

    Joining would parse the directory's path again for each child, so the text is put together here, and the
    path is given what parsing would find out: natively, where the class leaves all that to pathlib.
    """
    text = str(directory)
    # The child of `.` has no `./` before it, and that of a root needs no separator.
    prefix = "" if text == "." else text + os.sep if directory.name else text
    if _leaves_it_to_pathlib(type(directory)):
        children = listing.next_children(directory, prefix, _BATCH)
        if children is not None:
            return children
    return [directory.with_segments(prefix + name) for name in listing.next_batch(_JOINED)]


def _leaves_it_to_pathlib(kind: type[SegmentsPath]) -> bool:
    """Whether a class cannot tell how its paths are made."""
    return (
        kind.with_segments is SegmentsPath.with_segments
        and kind.__init__ is SegmentsPath.__init__
        and kind.__new__ is SegmentsPath.__new__
    )
