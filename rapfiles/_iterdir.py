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

    Workers read the whole directory when the first child is asked for; after that, nothing is kept open, and
    changes of the directory have no effect.
    """

    __module__ = "rapfiles"
    __slots__ = ("_directory",)

    # `__new__` of the native base accepts any arguments; this is the signature.
    def __init__(self, directory: P, /) -> None:  # pyright: ignore[reportInconsistentConstructor]
        self._directory = directory

    def _open(self) -> _native.Source:
        directory = self._directory
        return _native.children(directory, text_before_names(directory), leaves_it_to_pathlib(directory))


_native.set_next_slot(DirectoryIterator)


def text_before_names(directory: SegmentsPath) -> str:
    """The text of a child's path before the name."""
    text = str(directory)
    # The child of `.` has no `./` before it, and that of a root needs no separator.
    return "" if text == "." else text + os.sep if directory.name else text


def leaves_it_to_pathlib(directory: SegmentsPath) -> bool:
    """Whether a path's class overrides nothing that creates paths.

    Joining would parse the directory's path again for each child, so for such classes a child is created
    with the parsed parts already set.
    """
    kind = type(directory)
    return (
        kind.with_segments is SegmentsPath.with_segments
        and kind.__init__ is SegmentsPath.__init__
        and kind.__new__ is SegmentsPath.__new__
    )
