"""The asynchronous iterator over what is found in a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import rapfiles._native as _native

from ._iterdir import leaves_it_to_pathlib, text_before_names
from ._progress import next_item
from ._pure.segments import SegmentsPath
from ._scandir import AsyncDirEntry
from ._stream import Stream

if TYPE_CHECKING:
    from ._native import _Wanted as Wanted  # pyright: ignore[reportPrivateUsage]
    from ._progress import ProgressCallback
    from ._tree import OnError

P = TypeVar("P", bound=SegmentsPath)

__all__ = ["ReportedSearch", "TreeSearch"]


class TreeSearch(Stream[AsyncDirEntry[P]]):
    """The entries of a tree that are wanted, directory after directory.

    Workers read ahead of what is asked for, but only so far. Ending the iteration closes every directory.
    """

    __module__ = "rapfiles"
    __slots__ = ("_directory", "_limit", "_on_error", "_wanted", "_with_stat")

    # `__new__` of the native base accepts any arguments; this is the signature.
    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self, directory: P, with_stat: bool, limit: int | None, on_error: OnError, wanted: Wanted, /
    ) -> None:
        self._directory = directory
        self._with_stat = with_stat
        self._limit = limit
        self._on_error = on_error
        self._wanted = wanted

    def _open(self) -> _native.Source:
        directory = self._directory
        prefix, plain = text_before_names(directory), leaves_it_to_pathlib(directory)
        return _native.find(
            directory,
            prefix,
            plain,
            AsyncDirEntry,
            self._with_stat,
            self._limit,
            self._on_error,
            self._wanted,
            self._reports(),
            self._counts(),
        )

    def _reports(self) -> bool:
        """Whether there are snapshots between the entries."""
        return False

    def _counts(self) -> bool:
        """Whether everything is counted first."""
        return False


_native.set_next_slot(TreeSearch)


class ReportedSearch(TreeSearch[P]):
    """The same, with somebody who is told how far it has come."""

    __module__ = "rapfiles"
    __slots__ = ("_callback", "_totals")

    def __init__(  # pyright: ignore[reportInconsistentConstructor]
        self,
        directory: P,
        with_stat: bool,
        limit: int | None,
        on_error: OnError,
        wanted: Wanted,
        progress: ProgressCallback,
        totals: bool,
        /,
    ) -> None:
        super().__init__(directory, with_stat, limit, on_error, wanted)
        self._callback = progress
        self._totals = totals

    def _reports(self) -> bool:
        return True

    def _counts(self) -> bool:
        return self._totals

    async def __anext__(self) -> AsyncDirEntry[P]:
        return await next_item(self, super().__anext__, self._callback)
