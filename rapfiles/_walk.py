"""The asynchronous iterator over the directories of a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import rapfiles._native as _native

from ._iterdir import leaves_it_to_pathlib
from ._progress import next_item
from ._pure.segments import SegmentsPath
from ._stream import Stream

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._progress import ProgressCallback
    from ._tree import OnError

P = TypeVar("P", bound=SegmentsPath)

__all__ = ["DirectoryWalk", "ReportedWalk"]


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
        return _native.walk(self._directory, plain, self._on_error, self._wanted, self._reports())

    def _reports(self) -> bool:
        """Whether there are snapshots between the directories."""
        return False


_native.set_next_slot(DirectoryWalk)


class ReportedWalk(DirectoryWalk[P]):
    """The same, with somebody who is told how far it has come."""

    __module__ = "rapfiles"
    __slots__ = ("_callback",)

    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, directory: P, on_error: OnError, wanted: Wanted, progress: ProgressCallback, /
    ) -> None:
        super().__init__(directory, on_error, wanted)
        self._callback = progress

    def _reports(self) -> bool:
        return True

    async def __anext__(self) -> tuple[P, list[str], list[str]]:
        return await next_item(self, super().__anext__, self._callback)
