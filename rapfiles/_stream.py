"""Streams: asynchronous iterators over results that workers produce step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import rapfiles._native as _native

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType
    from typing import Self

T_co = TypeVar("T_co", covariant=True)

__all__ = ["Stream"]


class Stream(_native.Stream, Generic[T_co]):
    """An asynchronous iterator that is also a context manager.

    Nothing happens before the first item is asked for. After that, workers stay only a bounded number of
    items ahead, so an iteration that pauses costs nothing but memory. It ends with the last item, with an
    error, when a task that waits for an item is cancelled, when it is closed, and when the last reference to
    it is dropped; then all its resources are released at once.

    Streams are made by methods such as `AsyncPath.iterdir()`, `walk()` and `find()`.

    ```python
    from rapfiles import Stream

    async def count(entries: Stream[object]) -> int:
        async with entries:
            return len([entry async for entry in entries])

    await (directory / "a").touch()
    assert await count(directory.iterdir()) == 1
    ```
    """

    # A subclass returns the source of its items from `_open`; its slot is set by `_native.set_next_slot`.

    __slots__ = ("__weakref__",)

    def _open(self) -> _native.Source:
        """Open the source of the items. Called once, when the first item is asked for."""
        raise NotImplementedError

    if TYPE_CHECKING:

        def __anext__(self) -> Awaitable[T_co]: ...

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
