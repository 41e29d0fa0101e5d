"""Streams: asynchronous iterators over results that workers produce step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import rapfiles._native as _native

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType
    from typing import Self

T = TypeVar("T")

__all__ = ["Stream"]


class Stream(_native.Stream, Generic[T]):
    """An asynchronous iterator that is also a context manager.

    Nothing happens before the first item is asked for. After that, workers stay only a bounded number of
    items ahead, so an iteration that pauses costs nothing but memory. It ends with the last item, with an
    error, when a task that waits for an item is cancelled, when it is closed, and when the last reference to
    it is dropped; then all its resources are released at once.

    A subclass returns the source of its items from `_open`, and has its slot set by `_native.set_next_slot`.
    """

    __slots__ = ("__weakref__",)

    def _open(self) -> _native.Source:
        """Open the source of the items. Called once, when the first item is asked for."""
        raise NotImplementedError

    if TYPE_CHECKING:

        def __anext__(self) -> Awaitable[T]: ...

    async def aclose(self) -> None:
        """End the iteration. For a task that waits for the next item, the iteration is over."""
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._end()
