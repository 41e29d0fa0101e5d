"""Streams: asynchronous iterators over what workers find bit by bit."""

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
    """An asynchronous iterator that is a context manager too.

    Nothing happens before the first item is asked for. After that, workers go on only as far as the items are
    taken, so an iteration that pauses costs nothing but memory. It ends for good with the last item, with an
    error, when a task that waits for an item is cancelled, when it is closed, and when the last reference
    to it goes; then everything that it held is released at once.

    A subclass says in `_open` what to iterate over, and has its slot set by `_native.set_next_slot`.
    """

    __slots__ = ("__weakref__",)

    def _open(self) -> _native.Source:
        """What the items come from. Called once, when the first one is asked for."""
        raise NotImplementedError

    if TYPE_CHECKING:

        def __anext__(self) -> Awaitable[T]: ...

    async def aclose(self) -> None:
        """End the iteration. A task that waits for the next item finds that there is none."""
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
