"""The asynchronous iterator over the directories of a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import rapfiles._native as _native

from ._iterdir import leaves_it_to_pathlib
from ._pure.segments import SegmentsPath
from ._stream import Stream

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._tree import OnError

P = TypeVar("P", bound=SegmentsPath)

__all__ = ["DirectoryWalk"]


class DirectoryWalk(Stream[tuple[P, list[str], list[str]]]):
    """The directories of a tree, each with the names in it.

    Workers read ahead of what is asked for, but only so far. Ending the iteration closes every directory.
    """

    __module__ = "rapfiles"
    __slots__ = ("_directory", "_on_error", "_wanted")

    # `__new__` of the native base accepts any arguments; this is the signature.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, directory: P, on_error: OnError, wanted: Wanted, /
    ) -> None:
        self._directory = directory
        self._on_error = on_error
        self._wanted = wanted

    def _open(self) -> _native.Source:
        plain = leaves_it_to_pathlib(self._directory)
        return _native.walk(self._directory, plain, self._on_error, self._wanted)


_native.set_next_slot(DirectoryWalk)
