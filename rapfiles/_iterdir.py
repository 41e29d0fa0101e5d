"""The asynchronous iterator over the children of a directory."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import rapfiles._native as _native

from ._flavour import PureFlavour
from ._segments import SegmentsPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BATCH = 256
"""Names that become paths before other tasks get a turn: some 100 µs of work."""

P = TypeVar("P", bound=SegmentsPath)


class DirectoryIterator(Generic[P]):
    """The children of a directory, in arbitrary order.

    The directory is read in one go by a worker when the first child is asked for; after that, nothing is held
    open.
    """

    __slots__ = ("_children", "_directory", "_fetching", "_listing")

    def __init__(self, directory: P) -> None:
        self._directory: P | None = directory
        self._listing: _native.DirectoryListing | None = None
        self._children: Iterator[P] = iter(())
        self._fetching = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> P:
        for child in self._children:
            return child
        return await self._fetch()

    async def aclose(self) -> None:
        """Forget the remaining children. There is nothing else to close, so this need not be called."""
        self._finish()

    async def _fetch(self) -> P:
        """Take the next batch of names, and return the first of its children."""
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
            names = self._listing.next_batch(_BATCH)
        except BaseException:
            self._finish()
            raise
        finally:
            self._fetching = False
        children = map(_child_of(directory), names)
        for child in children:
            self._children = children
            return child
        self._finish()
        raise StopAsyncIteration

    def _finish(self) -> None:
        self._directory = None
        self._listing = None
        self._children = iter(())


def _child_of(directory: P) -> Callable[[str], P]:
    """A function that makes the path of a child from its name.

    Joining would parse the directory's path again for each child, so the text is put together here, and the
    path is given what parsing would find out, where this version of pathlib has room for it.
    """
    text = str(directory)
    # The child of `.` has no `./` before it, and that of a root needs no separator.
    prefix = "" if text == "." else text + os.sep if directory.name else text
    if sys.version_info >= (3, 12):
        if _KEEPS_TEXT and type(directory).with_segments is SegmentsPath.with_segments:
            return partial(_child_with_text, type(directory), prefix)
    elif _KEEPS_TEXT and directory._made_by_pathlib:  # pyright: ignore[reportPrivateUsage]
        from_parts: Any = getattr(directory, "_from_parsed_parts", None)
        if from_parts is not None:
            drive, root, parts = directory.drive, directory.root, list(directory.parts)
            return partial(_child_with_parts, partial(from_parts, drive, root), parts, prefix)
    return lambda name: directory.with_segments(prefix + name)


_KEEPS_TEXT = hasattr(PureFlavour, "_str")


def _child_with_text(new: Any, prefix: str, name: str) -> Any:
    path = new(prefix + name)
    path._str = prefix + name
    return path


def _child_with_parts(new: Any, parts: list[str], prefix: str, name: str) -> Any:
    path = new([*parts, name])
    path._str = prefix + name
    return path
