"""The asynchronous iterator over the children of a directory."""

from __future__ import annotations

import os
from typing import TypeVar

import rapfiles._native as _native

from ._pure.segments import SegmentsPath
from ._stream import Stream

P = TypeVar("P", bound=SegmentsPath)


class DirectoryIterator(Stream[P]):
    """The children of a directory, in arbitrary order.

    The directory is read as a whole by workers when the first child is asked for; after that, nothing is held
    open, and what happens in the directory changes nothing.
    """

    __module__ = "rapfiles"
    __slots__ = ("_directory",)

    # The native half takes anything: what comes of it is decided here.
    def __init__(self, directory: P, /) -> None:  # pyright: ignore[reportInconsistentConstructor]
        self._directory = directory

    def _open(self) -> _native.Source:
        directory = self._directory
        return _native.children(directory, text_before_names(directory), leaves_it_to_pathlib(directory))


_native.set_next_slot(DirectoryIterator)


def text_before_names(directory: SegmentsPath) -> str:
    """What comes before the name in the text of a child's path."""
    text = str(directory)
    # The child of `.` has no `./` before it, and that of a root needs no separator.
    return "" if text == "." else text + os.sep if directory.name else text


def leaves_it_to_pathlib(directory: SegmentsPath) -> bool:
    """Whether a path's class cannot tell how its paths are made.

    Joining would parse the directory's path again for each child, so where nobody can tell, a child is given
    what parsing it would find out.
    """
    kind = type(directory)
    return (
        kind.with_segments is SegmentsPath.with_segments
        and kind.__init__ is SegmentsPath.__init__
        and kind.__new__ is SegmentsPath.__new__
    )
